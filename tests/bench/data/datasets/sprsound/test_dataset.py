"""The reader: layouts of the owners, parts, joins, refusals; and the counts of the real set where it is at hand."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from sprsound_sets import BY_TASK, BY_YEAR, OWNERS, RECORDINGS, annotation_file, write_set, write_sound

from bench.core.errors import DataError
from bench.data.datasets.sprsound.dataset import inspect_folder
from bench.data.sources import AnswerReader, FetchableReader, VerifiableReader, load_dataset, reader_of

TASKS = ("event-7", "event-2", "record-3", "record-5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "data")


def load(folder: Path, task: str | None = None):
    return load_dataset(folder, "sprsound", task, allow_partial=True)


def kinds(folder: Path) -> list[str]:
    return [fault.kind for fault in inspect_folder(folder).faults]


def test_the_reader_offers_all_that_a_reader_can():
    reader = reader_of("sprsound")
    assert all(isinstance(reader, kind) for kind in (VerifiableReader, FetchableReader, AnswerReader))


def test_recordings_are_read_with_what_their_names_and_folders_tell(folder):
    dataset = load(folder)
    assert [recording.name for recording in dataset.recordings] == sorted(RECORDINGS)
    assert {r.name: r.split for r in dataset.recordings} == {name: part for name, (part, *_) in RECORDINGS.items()}
    first = dataset.recordings[0]
    assert (first.patient, first.index, first.location, first.device) == ("100", "11", "p1", "Yunting model II")
    assert (first.header.rate, first.header.seconds) == (8000, 2.0)
    assert dataset.partial == "partial (7 of 2683)"
    assert dataset.demographics["101"] == {"age": 0.2, "sex": "F"}


def test_events_and_recordings_are_labelled_for_each_task(folder):
    labels = {task: {r.name[-2:]: [c.label for c in r.cycles] for r in load(folder, task).recordings} for task in TASKS}
    of_events = {"11": [0, 0], "12": [2, 1], "13": [6], "14": [], "15": [4, 5], "16": [0], "17": [3, 0]}
    assert labels["event-7"] == of_events
    assert labels["event-2"] == {name: [min(1, label) for label in found] for name, found in of_events.items()}
    assert labels["record-5"] == {"11": [0], "12": [1], "13": [3], "14": [4], "15": [2], "16": [0], "17": [1]}
    assert labels["record-3"] == {"11": [0], "12": [1], "13": [1], "14": [2], "15": [1], "16": [0], "17": [1]}


@pytest.mark.parametrize("layout", [BY_YEAR, BY_TASK], ids=["by-year", "by-task"])
def test_all_layouts_of_the_owners_are_the_same_set(folder, tmp_path, layout):
    other = write_set(tmp_path / "other" / "nested", layout).parent
    assert load(other).fingerprint == load(folder).fingerprint
    assert reader_of("sprsound").holds(other)


@pytest.mark.parametrize("above", ["2023", "2026-11-29", "downloads_of_2024"])
def test_a_year_in_a_folder_of_the_users_own_says_nothing(folder, tmp_path, above):
    other = write_set(tmp_path / above / above / "sprsound")
    assert load(other.parent.parent).fingerprint == load(folder).fingerprint


def test_the_data_folder_may_be_that_of_a_part(folder):
    write_sound(folder / "train_json" / "100_3.5_0_p1_11.wav", seed=0)
    assert [recording.split for recording in load(folder / "train_json").recordings] == ["train"]


def test_copies_nested_twice_are_one_set(folder, tmp_path):
    shutil.copytree(folder, folder / "again")
    assert load(folder).fingerprint == load(write_set(tmp_path / "once")).fingerprint


def test_the_fingerprint_depends_on_task_sound_and_part(folder):
    prints = {load(folder, task).fingerprint for task in TASKS}
    assert len(prints) == len(TASKS)
    before = load(folder).fingerprint
    write_sound(folder / "train_wav" / "100_3.5_0_p1_11.wav", seed=99)
    assert load(folder).fingerprint != before


def test_the_two_names_of_the_folders_tell_the_part_in_any_case(folder):
    before = load(folder).fingerprint
    (folder / "train_json").rename(folder / "Train-JSON")
    assert load(folder).fingerprint == before


LATER = ("BioCAS2023/test2023_json", "Classification/test_classification_json/2023", "test2025_json")


@pytest.mark.parametrize("place", LATER)
def test_parts_of_later_years_are_named_and_not_mixed_in(folder, place):
    before = load(folder).fingerprint
    (folder / place).mkdir(parents=True)
    shutil.copy(annotation_file(folder, "100_3.5_0_p1_11"), folder / place / "_5.3_0_p8_34877.json")
    assert load(folder).fingerprint == before
    year = "2025" if "2025" in place else "2023"
    assert inspect_folder(folder).notes[0].startswith(f"1 recording of the year {year} is not used")


def test_files_of_other_tasks_are_named_and_not_mixed_in(folder):
    before = load(folder).fingerprint
    write_sound(folder / "Detection" / "train_detection_wav" / "100_3.5_0_p1_11.wav", seed=50)
    assert load(folder).fingerprint == before
    assert "1 recording of detection and compression is not used" in inspect_folder(folder).notes[0]


def test_a_folder_of_later_years_alone_is_not_this_set(tmp_path):
    (tmp_path / "BioCAS2024" / "test2024_json").mkdir(parents=True)
    (tmp_path / "BioCAS2024" / "test2024_json" / "1_2.0_0_p1_3.json").write_text("{}")
    assert not reader_of("sprsound").holds(tmp_path)
    with pytest.raises(DataError, match="holds recordings of the year 2024 alone, but this set is that of 2022"):
        load(tmp_path)


def test_folders_without_recordings_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "none")
    (tmp_path / "notes.json").write_text("{}")
    assert not reader_of("sprsound").holds(tmp_path)
    with pytest.raises(DataError, match="holds no recordings or annotations of SPRSound"):
        load(tmp_path)


def test_icbhi_recordings_are_not_this_set(tmp_path):
    write_sound(tmp_path / "101_1b1_Al_sc_Meditron.wav", seed=1)
    assert not reader_of("sprsound").holds(tmp_path)


def test_stray_recordings_are_counted(folder):
    write_sound(folder / "noise.wav", seed=1)
    assert "1 WAV file is not named as a recording and not used." in inspect_folder(folder).notes


def test_missing_recordings_are_refused_unless_allowed(folder):
    with pytest.raises(DataError, match="2,676 of 2,683 recordings are missing") as caught:
        load_dataset(folder, "sprsound")
    assert "--allow-partial" in caught.value.hint
    (folder / "train_wav" / "100_3.5_0_p1_11.wav").unlink()
    assert len(load(folder).recordings) == 6
    shutil.rmtree(folder / "train_wav")
    shutil.rmtree(folder / "test_wav")
    with pytest.raises(DataError, match="holds annotations, but no recording"):
        load(folder)


def broken_json(folder: Path) -> None:
    annotation_file(folder, "100_3.5_0_p1_11").write_text("{")


def no_annotation(folder: Path) -> None:
    annotation_file(folder, "100_3.5_0_p1_11").unlink()


def no_part(folder: Path) -> None:
    (folder / "test_json" / "inter_test_json").rename(folder / "test_json" / "other")


def two_parts(folder: Path) -> None:
    shutil.copy(annotation_file(folder, "100_3.6_0_p1_15"), folder / "test_json" / "inter_test_json")


def patient_in_training(folder: Path) -> None:
    for file in folder.rglob("102_9.0_1_p1_16.*"):
        file.rename(file.with_name(file.name.replace("102_", "100_")))


def other_annotation(folder: Path) -> None:
    copy = folder / "copy" / "train_json" / "100_3.5_0_p1_11.json"
    copy.parent.mkdir(parents=True)
    copy.write_text(json.dumps({"record_annotation": "Normal", "event_annotation": []}))


def other_sound(folder: Path) -> None:
    write_sound(folder / "copy" / "100_3.5_0_p1_11.wav", seed=77)


def resampled(folder: Path) -> None:
    write_sound(folder / "train_wav" / "100_3.5_0_p1_11.wav", seed=0, rate=16000)


def cut_short(folder: Path) -> None:
    file = folder / "train_wav" / "100_3.5_0_p1_11.wav"
    file.write_bytes(file.read_bytes()[:-1000])


def no_sound(folder: Path) -> None:
    (folder / "train_wav" / "100_3.5_0_p1_11.wav").write_bytes(b"")


FAULTS = [
    (broken_json, "annotation-format", "is no JSON"),
    (no_annotation, "annotation-missing", "the annotation file is missing"),
    (no_part, "part-unknown", "lies in no folder named for its part"),
    (two_parts, "part-conflict", "several parts \\(inter, intra\\)"),
    (patient_in_training, "part-patient", "its patient is in training too"),
    (other_annotation, "duplicate", "differs from its second copy"),
    (other_sound, "duplicate", "differs from its second copy"),
    (resampled, "audio-rate", "16000 Hz, but SPRSound's is 8000 Hz"),
    (cut_short, "audio-truncated", "holds 31,000 of the 32,000 bytes"),
    (no_sound, "audio-format", "is empty"),
]


@pytest.mark.parametrize(("damage", "kind", "words"), FAULTS, ids=[damage.__name__ for damage, *_ in FAULTS])
def test_what_would_change_a_run_is_refused_with_its_file(folder, damage, kind, words):
    damage(folder)
    assert kind in kinds(folder)
    with pytest.raises(DataError, match=words) as caught:
        load(folder)
    assert ".json" in caught.value.message or ".wav" in caught.value.message


def test_pipes_are_named_and_not_opened(folder):
    os.mkfifo(folder / "train_json" / "200_1.0_0_p1_9.json")
    assert any("is no regular file, but a pipe" in note for note in inspect_folder(folder).notes)


@pytest.mark.parametrize("task", TASKS)
def test_the_real_set_has_the_pinned_counts_and_cycles(sprsound_folder, task):
    dataset = load_dataset(sprsound_folder, "sprsound", task)
    found = Counter((recording.split, cycle.label) for recording in dataset.recordings for cycle in recording.cycles)
    classes = range(len(dataset.task.classes))
    assert {part: tuple(found[part, label] for label in classes) for part in OWNERS} == dataset.task.counts
    assert dataset.partial is None
    part = reader_of("sprsound").test_part(sprsound_folder, dataset.task)
    assert {part.cycles.hash} == dataset.task.judged_sets


def test_the_real_set_is_sound(sprsound_folder):
    report = reader_of("sprsound").verify(sprsound_folder)
    assert (report.sound, report.complete, report.faults) == (True, True, ())
