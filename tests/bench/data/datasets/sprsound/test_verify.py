"""The report on a folder, and the tested cycles that are known without audio."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from sprsound_sets import RECORDINGS, annotation, annotation_file, write_set, write_sound

from bench.core.errors import DataError
from bench.data.datasets.sprsound import verify as verify_module
from bench.data.datasets.sprsound.card import CARD
from bench.data.datasets.sprsound.verify import verify
from bench.data.sources import load_dataset, reader_of


def faults(folder):
    return [(fault.kind, fault.message) for fault in verify(folder).faults]


def rewrite(folder, name, label, events):
    annotation_file(folder, name).write_text(json.dumps(annotation(label, events)))


def test_the_complete_set_is_sound(pinned):
    report = verify(pinned)
    assert (report.sound, report.complete, report.partial, report.faults) == (True, True, None, ())
    document = report.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document["counts"]["inter"]["recordings"] == 2
    assert document["counts"]["train"]["labels"]["Poor Quality"] == 1
    assert document["counts"]["intra"]["events"]["Fine Crackle"] == 1


def test_other_ways_of_writing_the_same_annotations_are_the_same(pinned):
    for name, (_, label, events) in RECORDINGS.items():
        document = {"recording_annotation": label, "event_annotation": annotation(label, events)["event_annotation"]}
        for event in document["event_annotation"]:
            event["start"], event["end"] = int(event["start"]), float(event["end"])
        annotation_file(pinned, name).write_text("\ufeff" + json.dumps(document, indent=4))
    assert verify(pinned).faults == ()


def test_another_order_of_events_is_another_set(pinned):
    _, label, events = RECORDINGS["100_3.5_0_p1_11"]
    rewrite(pinned, "100_3.5_0_p1_11", label, events[::-1])
    kinds = faults(pinned)
    assert [kind for kind, _ in kinds] == ["annotations-differ"]
    assert "times or labels of single recordings differ" in kinds[0][1]


def test_other_labels_are_named_with_counts(pinned):
    rewrite(pinned, "103_7.7_0_p2_17", "DAS", [("300", "1000", "Fine Crackle"), ("1100", "1999", "Normal")])
    ((kind, message),) = faults(pinned)
    assert kind == "annotations-differ"
    assert "the part 'inter'" in message
    assert "0 CAS instead of 1, 1 DAS instead of 0" in message
    assert not verify(pinned).sound


def test_a_label_that_contradicts_its_events_is_named(pinned):
    rewrite(pinned, "101_0.2_1_p3_13", "CAS", [("100", "900", "Wheeze+Crackle")])
    report = verify(pinned)
    found = next(fault for fault in report.faults if fault.kind == "label-differs")
    assert found.file == "101_0.2_1_p3_13.json"
    assert found.message.startswith("has the label CAS, but its events make it CAS & DAS; fetch")


def test_a_relabelled_recording_of_a_known_copy_is_said_to_be_one(pinned, monkeypatch):
    known = {"101_0.2_1_p3_13": {"there": "CAS", "here": "CAS & DAS"}}
    monkeypatch.setitem(verify_module.COPIES["relabelled"], "recordings", known)
    rewrite(pinned, "101_0.2_1_p3_13", "CAS", [("100", "900", "Wheeze+Crackle")])
    assert any("an older copy of the set" in message for kind, message in faults(pinned) if kind == "label-differs")


def test_other_sound_is_named(pinned):
    write_sound(pinned / "test_wav" / "102_9.0_1_p1_16.wav", seed=1234)
    assert [kind for kind, _ in faults(pinned)] == ["audio-differs"]


def test_missing_files_are_counted_and_block_nothing(pinned):
    (pinned / "test_wav" / "102_9.0_1_p1_16.wav").unlink()
    report = verify(pinned)
    assert (report.sound, report.complete, report.partial) == (True, False, "partial (6 of 7)")
    assert [fault.kind for fault in report.faults] == ["audio-missing"]
    annotation_file(pinned, "102_9.0_1_p1_16").unlink()
    assert ("annotations-missing", "1 of 2 annotation files is missing in the part 'inter'") in faults(pinned)


def test_nothing_to_verify_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        reader_of("sprsound").verify(tmp_path / "none")


def test_tested_cycles_are_known_without_audio(pinned):
    for task in CARD.tasks:
        task = dataclasses.replace(task, judged_sets=frozenset())
        dataset = load_dataset(pinned, "sprsound", task.id)
        run = {(c.recording, c.index): c.label for r in dataset.recordings if r.split != "train" for c in r.cycles}
        shutil.copytree(pinned, pinned.parent / task.id, ignore=shutil.ignore_patterns("*.wav"))
        part = reader_of("sprsound").test_part(pinned.parent / task.id, task)
        assert dict(zip(part.cycles.keys, part.cycles.labels, strict=True)) == run
        assert set(part.cycles.parts) == {"inter", "intra"}
        assert (part.dataset, part.partial, part.train_patients) == ("sprsound", None, {"100", "101"})
        assert part.shared_patients == set()  # of the main part; patient 100 is in the other one
        assert "100" in part.cycles.of_part("intra").patients


def test_a_whole_set_with_other_cycles_is_refused(pinned):
    with pytest.raises(
        DataError,
        match=r"are not the official ones: 5 test events, 2 normal, .* the part 'inter' has 2/0/0/1/0/0/0 instead",
    ):
        reader_of("sprsound").test_part(pinned, CARD.tasks[0])


def test_tested_cycles_of_a_part_of_the_set_are_marked(tmp_path):
    folder = write_set(tmp_path / "data", sound=False)
    with pytest.raises(DataError, match="2,676 of 2,683 annotation files are missing"):
        reader_of("sprsound").test_part(folder, CARD.tasks[0])
    part = reader_of("sprsound").test_part(folder, CARD.tasks[0], allow_partial=True)
    assert part.partial == "partial (7 of 2683)"
    assert len(part.cycles) == 5


def test_broken_annotations_give_no_tested_cycles(tmp_path):
    folder = write_set(tmp_path / "data", sound=False)
    annotation_file(folder, "102_9.0_1_p1_16").write_text("[]")
    with pytest.raises(DataError, match=r"102_9.0_1_p1_16.json: holds a list"):
        reader_of("sprsound").test_part(folder, CARD.tasks[0], allow_partial=True)
