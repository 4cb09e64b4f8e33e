"""Annotation files: spellings that mean the same, and everything that is refused with words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sprsound_sets import annotation

from bench.data.datasets.sprsound.annotation import END_TOLERANCE, parse_annotation
from bench.data.datasets.sprsound.labels import EVENT_TYPES, RECORD_LABELS
from bench.data.wav import WavHeader

HEADER = WavHeader(1, 1, 8000, 16, 2, 44, 32000, 32000)
"""A recording of 2 s."""


def read(document: Any, header: WavHeader | None = None):
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_annotation(content, header)


def test_events_keep_the_order_of_the_file_and_times_are_seconds():
    found, problems = read(annotation("Normal", [("900", "1500", "Normal"), ("100", "700", "Normal")]), HEADER)
    assert problems == []
    assert [(event.index, event.start, event.end) for event in found.events] == [(0, 0.9, 1.5), (1, 0.1, 0.7)]


@pytest.mark.parametrize("times", [("900", "1500"), (900, 1500), (900.0, "1500.0"), (" 900 ", 1500)])
def test_times_are_texts_or_numbers(times):
    assert read(annotation("CAS", [(*times, "Wheeze")])) == read(annotation("CAS", [("900", "1500", "Wheeze")]))


def test_both_names_of_the_label_and_a_mark_of_byte_order_are_read():
    owners = annotation("CAS & DAS", [("0", "10", "Wheeze & Crackle")])
    described = {"recording_annotation": owners["record_annotation"], "event_annotation": owners["event_annotation"]}
    marked = b"\xef\xbb\xbf" + json.dumps(described).encode()
    found, problems = read(marked)
    assert problems == []
    assert (found.label, found.events[0].type) == ("CAS & DAS", "Wheeze+Crackle")
    assert read(owners)[0] == found


def test_a_recording_of_poor_quality_may_have_no_event():
    found, problems = read(annotation("Poor Quality", []), HEADER)
    assert (found.label, found.events, problems) == ("Poor Quality", (), [])


CLASSES = {
    "event-7": (0, 1, 2, 3, 4, 5, 6),
    "event-2": (0, 1, 1, 1, 1, 1, 1),
}


@pytest.mark.parametrize("task", CLASSES)
def test_each_type_of_event_has_its_class(task):
    found, _ = read(annotation("Normal", [(str(10 * i), str(10 * i + 5), kind) for i, kind in enumerate(EVENT_TYPES)]))
    assert [label for _, label in found.classes(task)] == list(CLASSES[task])
    assert [cycle.label for cycle in found.cycles("x", task, 2.0)] == list(CLASSES[task])


@pytest.mark.parametrize(("task", "wanted"), [("record-5", [0, 1, 2, 3, 4]), ("record-3", [0, 1, 1, 1, 2])])
def test_a_recording_is_one_cycle_from_its_beginning_to_its_end(task, wanted):
    cycles = [read(annotation(label, []))[0].cycles("x", task, 2.0) for label in RECORD_LABELS]
    assert [len(found) for found in cycles] == [1] * 5
    assert [found[0].label for found in cycles] == wanted
    assert {(found[0].index, found[0].start, found[0].end) for found in cycles} == {(0, 0.0, 2.0)}


@pytest.mark.parametrize(
    ("types", "label"),
    [
        (["Normal"], "Normal"),
        (["Normal", "Rhonchi"], "CAS"),
        (["Stridor", "Wheeze"], "CAS"),
        (["Fine Crackle"], "DAS"),
        (["Coarse Crackle", "Wheeze"], "CAS & DAS"),
        (["Wheeze+Crackle"], "CAS & DAS"),
    ],
)
def test_the_label_follows_from_the_events(types, label):
    found, _ = read(annotation("Normal", [("0", "10", kind) for kind in types]))
    assert found.implied_label == label
    assert read(annotation("Poor Quality", []))[0].implied_label == "Poor Quality"


EVENT = {"start": "0", "end": "10", "type": "Normal"}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"\xff\xfe", "is no text: byte 0 is 0xff"),
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        ([], "holds a list, but must hold one JSON object"),
        (None, "holds nothing"),
        ({"event_annotation": []}, "has no 'record_annotation'"),
        ({"record_annotation": "Normal"}, "has no list named 'event_annotation'"),
        ({"record_annotation": "Normal", "event_annotation": {}}, "has no list named 'event_annotation'"),
        (annotation("Wet", []), "has the label 'Wet', but must have one of Normal, CAS"),
        ({**annotation("CAS", []), "record_annotation": 3}, "has the label '3'"),
        ({**annotation("CAS", []), "recording_annotation": "DAS"}, "which differ"),
    ],
)
def test_a_file_that_says_nothing_of_its_recording_is_a_problem(document, words):
    found, problems = read(document)
    assert found is None
    assert len(problems) == 1
    assert words in problems[0].message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": "ten"}, "times are 'ten' and '10', but must be numbers (milliseconds)"),
        ({"start": None}, "times are 'None' and '10'"),
        ({"start": True}, "times are 'True'"),
        ({"end": 10**400}, "must be numbers"),
        ({"end": float("nan")}, "must be numbers"),
        ({"end": "0"}, "ends at 0.0 s, not after its start at 0.0 s"),
        ({"start": -1}, "starts at -0.001 s, before the recording"),
        ({"type": "Cough"}, "event 1 is 'Cough', but must be one of Normal, Rhonchi"),
        ({"type": ["Normal"]}, "must be one of"),
        ({"start": 2000, "end": 2100}, "but the recording ends at 2.000 s"),
        ({"end": 2000 + 1000 * END_TOLERANCE + 1}, "but the recording ends at 2.000 s"),
        ({"end": 0.01}, "holds no sample of the recording (8000 Hz)"),
    ],
)
def test_an_event_that_is_wrong_is_a_problem_and_the_others_are_read(change, words):
    document = {"record_annotation": "Normal", "event_annotation": [EVENT, {**EVENT, **change}, EVENT]}
    found, problems = read(document, HEADER)
    assert [event.index for event in found.events if event.index != 1] == [0, 2]
    assert len(problems) == 1
    assert words in problems[0].message


@pytest.mark.parametrize("entry", [7, {}, {"start": "0", "end": "10"}])
def test_an_event_without_its_fields_is_a_problem(entry):
    found, problems = read({"record_annotation": "Normal", "event_annotation": [entry]})
    assert (found.events, len(problems)) == ((), 1)
    assert "event 0 must be an object with start, end and type" in problems[0].message


def test_an_event_may_end_a_little_after_its_recording():
    assert read(annotation("Normal", [("0", 2000 + 1000 * END_TOLERANCE, "Normal")]), HEADER)[1] == []
