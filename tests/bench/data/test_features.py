"""One recording by its name or its file, whatever the data set."""

from __future__ import annotations

import shutil

import pytest
from icbhi_sets import write_set as write_icbhi
from sprsound_sets import write_set as write_sprsound

from bench.core.datasets import DATASETS
from bench.core.errors import DataError
from bench.data.features import read_recording
from bench.data.sources import load_dataset

FIRST = "501_1b1_Al_sc_Meditron"
DEMO = DATASETS.card("demo")
SPRSOUND = DATASETS.card("sprsound")


def test_a_recording_is_read_by_its_name_though_others_are_broken(tmp_path):
    database = write_icbhi(tmp_path)
    (database / "502_2b1_Pr_mc_AKGC417L.wav").write_bytes(b"noise")
    recording, notes = read_recording(FIRST, DEMO, DEMO.tasks[0], tmp_path)
    assert (recording.name, recording.patient, len(recording.cycles), notes) == (FIRST, "501", 4, [])
    assert recording.audio == database / f"{FIRST}.wav"


def test_a_file_of_any_name_is_read_with_its_annotation(tmp_path):
    database = write_icbhi(tmp_path / "data")
    for ending in (".wav", ".txt"):
        shutil.copy(database / f"{FIRST}{ending}", tmp_path / f"mine{ending}")
    recording, _ = read_recording(str(tmp_path / "mine.wav"), DEMO, DEMO.tasks[0], tmp_path / "data")
    assert (recording.name, recording.patient, [cycle.label for cycle in recording.cycles]) == (
        "mine",
        "",
        [0, 1, 2, 3],
    )


@pytest.mark.parametrize("task", SPRSOUND.tasks, ids=lambda task: task.id)
def test_a_set_without_single_recordings_is_loaded(tmp_path, task):
    folder = write_sprsound(tmp_path / "data")
    recording, notes = read_recording("103_7.7_0_p2_17", SPRSOUND, task, folder)
    whole = load_dataset(folder, "sprsound", task.id, allow_partial=True)
    assert recording in whole.recordings
    assert notes == []


def test_a_name_that_is_not_there_gets_the_nearest_one(tmp_path):
    write_icbhi(tmp_path)
    with pytest.raises(DataError, match="There is no recording '501_1b1_Al_sc_Meditro' with audio below") as caught:
        read_recording("501_1b1_Al_sc_Meditro", DEMO, DEMO.tasks[0], tmp_path)
    assert caught.value.hint == f"Did you mean {FIRST}?"
    with pytest.raises(DataError, match="There is no recording 'x' with audio") as caught:
        read_recording("x", SPRSOUND, SPRSOUND.tasks[0], write_sprsound(tmp_path / "data"))
    assert "annotation beside it" in caught.value.hint
