"""What of a new recording is classified."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sprsound_sets import annotation

from bench.core.datasets import DATASETS
from bench.core.errors import DataError, SpecError
from bench.data.heard_cycles import CycleFinder, Windows
from bench.data.sounds import Sound

RATE, SECONDS = 4000, 10.0
ICBHI, CHILDREN = DATASETS.card("icbhi"), DATASETS.card("sprsound")


@pytest.fixture
def sound(tmp_path):
    waves = np.random.default_rng(0).uniform(-1, 1, (1, int(RATE * SECONDS))).astype(np.float32)
    return Sound(tmp_path / "sound.wav", waves, RATE)


def finder(source="auto", card=ICBHI, task=None, window=4.0, hop=2.0):
    return CycleFinder(source, Windows(window, hop), card.id, card.task(task))


def spans(found):
    return [(cycle.start, cycle.end) for cycle in found.cycles]


@pytest.mark.parametrize(
    ("window", "hop", "seconds", "wanted"),
    [
        (4, 2, 10, [(0, 4), (2, 6), (4, 8), (6, 10)]),
        (4, 4, 10, [(0, 4), (4, 8), (6, 10)]),  # the last one ends with the recording
        (4, 4, 8, [(0, 4), (4, 8)]),
        (4, 2, 3, [(0, 3)]),
        (0.3, 0.1, 0.6, [(0, 0.3), (0.1, 0.4), (0.2, 0.5), (0.3, 0.6)]),
    ],
)
def test_windows_are_of_one_length_and_leave_nothing_out(window, hop, seconds, wanted):
    found = Windows(window, hop).spans(seconds)
    assert np.array(found) == pytest.approx(np.array(wanted, dtype=float))


@pytest.mark.parametrize(("window", "hop", "words"), [(4, 5, "between two windows"), (0, 1, "--window is 0 s")])
def test_windows_that_make_no_sense_are_refused(window, hop, words):
    with pytest.raises(SpecError, match=words):
        Windows(window, hop)


def test_a_hop_that_was_meant_otherwise_is_refused():
    with pytest.raises(DataError, match="windows would cover 1,000,000 s"):
        Windows(0.1, 0.1).spans(1e6)


def test_without_an_annotation_there_are_windows_of_no_class(sound):
    found = finder().find(sound, "sound")
    assert len(found.cycles) == 4
    assert found.annotation is None
    assert {found.label_of(cycle) for cycle in found.cycles} == {None}
    assert found.unit == "window"


def test_an_annotation_beside_the_file_says_cycles_and_classes(sound):
    sound.path.with_suffix(".txt").write_text("0.5\t2.5\t0\t1\n2.5\t5\t1\t1\n")
    found = finder().find(sound, "501_1b1_Al_sc_Meditron")
    assert spans(found) == [(0.5, 2.5), (2.5, 5.0)]
    assert [found.label_of(cycle) for cycle in found.cycles] == ["wheeze", "both"]
    assert (found.device, found.unit) == ("Meditron", "cycle")
    assert finder("windows").find(sound, "a").annotation is None
    assert finder().find(sound, "a", beside=False).annotation is None


@pytest.mark.parametrize(
    ("task", "labels"), [("event-7", ["wheeze", "normal"]), ("event-2", ["adventitious", "normal"])]
)
def test_a_childrens_annotation_is_read_for_the_task_of_the_run(sound, task, labels):
    events = [("100", "900", "Wheeze"), ("1000", "1900", "Normal")]
    sound.path.with_suffix(".json").write_text(json.dumps(annotation("CAS", events)))
    found = finder(card=CHILDREN, task=task).find(sound, "sound")
    assert [found.label_of(cycle) for cycle in found.cycles] == labels
    assert spans(found) == [(0.1, 0.9), (1.0, 1.9)]
    assert found.unit == "event"


def test_the_runs_own_kind_of_annotation_comes_first(sound):
    sound.path.with_suffix(".txt").write_text("0 1 0 0\n")
    sound.path.with_suffix(".json").write_text(json.dumps(annotation("Normal", [("0", "900", "Normal")])))
    assert finder().find(sound, "sound").annotation.suffix == ".txt"
    assert finder(card=CHILDREN).find(sound, "sound").annotation.suffix == ".json"


@pytest.mark.parametrize("folder", ["test_json", "test_json/inter_test_json"])
def test_annotations_are_found_in_the_folder_beside_that_of_the_recordings(tmp_path, sound, folder, monkeypatch):
    for name in ("test_wav", folder):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / folder / "sound.json").write_text(json.dumps(annotation("CAS", [("0", "900", "Wheeze")])))
    for place in (tmp_path / "test_wav", Path()):
        monkeypatch.chdir(tmp_path / "test_wav")
        found = finder(card=CHILDREN).find(replace(sound, path=place / "sound.wav"), "sound")
        assert [found.label_of(cycle) for cycle in found.cycles] == ["wheeze"]
    other = finder(card=CHILDREN).find(replace(sound, path=tmp_path / "test_wav" / "other.wav"), "other")
    assert other.annotation is None


def test_a_cycle_that_ends_after_the_recording_is_cut_there_and_noted(sound):
    sound.path.with_suffix(".txt").write_text("0 4 0 0\n4 11 0 0\n")
    found = finder().find(sound, "sound")
    assert spans(found)[1] == (4.0, 11.0)
    assert found.notes == (
        f"{sound.path.with_suffix('.txt')}:2: the cycle ends at 11.0 s, but the recording ends at 10.000 s; "
        "it is cut there",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1 0 0\n1 2 0\n", r"sound\.txt:2: 3 fields"),
        ("0 1 0 0\n\n2 1 0 0\n", r"sound\.txt:3: the cycle ends at 1.0 s, not after its start"),
        ("0 1 0 2\n", r"sound\.txt:1: crackle and wheeze"),
        ("0 1 0 0\n12 13 0 0\n", r"sound\.txt:2: the cycle starts at 12.0 s"),
        ("\n", r"sound\.txt: holds no cycle"),
        ("1 1.00001 0 0\n", r"sound\.txt:1: .* holds no sample"),
    ],
)
def test_a_broken_annotation_is_named_with_its_line(sound, text, words):
    sound.path.with_suffix(".txt").write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        finder().find(sound, "sound")
    assert "--cycles windows" in caught.value.hint


def test_where_annotations_alone_are_wanted_one_must_be_there(sound):
    with pytest.raises(DataError, match=r"no annotation \(\.txt or \.json, same name\)"):
        finder("annotations").find(sound, "sound")
    with pytest.raises(SpecError, match="auto, annotations, windows"):
        finder("cycles")


def test_an_annotation_that_cannot_be_read_is_not_passed_over(sound):
    sound.path.with_suffix(".txt").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"Cannot read .*sound\.txt: No such file"):
        finder().find(sound, "sound")
    assert finder("windows").find(sound, "sound").annotation is None
