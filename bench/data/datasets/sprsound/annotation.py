"""SPRSound's annotation files: JSON with a recording's label and its events, times in milliseconds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from bench.core.text import decimal_number, echoed
from bench.data.dataset import Cycle
from bench.data.datasets.sprsound.labels import (
    EVENT_TASKS,
    EVENT_TYPES,
    POOR,
    RECORD_LABELS,
    class_of,
    event_type,
    label_of,
    record_label,
)
from bench.data.faults import FileProblem
from bench.data.spans import holds_samples
from bench.data.wav import WavHeader

END_TOLERANCE = 0.05
"""Seconds by which an event may end after its recording.

In the 2,683 recordings of the set the last event ends 3 ms before its recording at the latest (9,089 events); the room
is for copies that were re-encoded.
"""

LABEL_KEYS = ("record_annotation", "recording_annotation")
"""Names of the recording's label: that of the files, and that of the owners' description of them."""

EVENTS_KEY = "event_annotation"


@dataclass(frozen=True)
class Event:
    """A part of a recording with one label.

    Attributes:
        index: Number of it in the file, from 0; files do not list events in the order of time.
        start: Time at which it begins, s.
        end: Time at which it ends, s.
        type: One of the owners' words (:data:`bench.data.datasets.sprsound.labels.EVENT_TYPES`).
    """

    index: int
    start: float
    end: float
    type: str


@dataclass(frozen=True)
class Annotation:
    """What is known of a recording.

    Attributes:
        label: One of the owners' words (:data:`bench.data.datasets.sprsound.labels.RECORD_LABELS`).
        events: Its events, in the order of the file.
    """

    label: str
    events: tuple[Event, ...]

    @property
    def implied_label(self) -> str:
        """The label that follows from the events, as it does in every recording of the set but those of poor quality.

        Continuous sounds are rhonchi, wheezes and stridor, discontinuous ones are crackles.
        """
        if self.label == POOR:
            return POOR
        return label_of({event.type for event in self.events})

    def classes(self, task: str) -> tuple[tuple[int, int], ...]:
        """Number and class of everything that a task judges of the recording."""
        if task in EVENT_TASKS:
            return tuple((event.index, class_of(task, event.type)) for event in self.events)
        return ((0, class_of(task, self.label)),)

    def cycles(self, recording: str, task: str, seconds: float) -> tuple[Cycle, ...]:
        """What a task judges of the recording: its events, or all of it.

        Args:
            recording: Name of the recording.
            task: Id of the task.
            seconds: Length of the recording, s.
        """
        events = [(event.start, event.end) for event in self.events]
        spans = events if task in EVENT_TASKS else [(0.0, seconds)]
        found = zip(spans, self.classes(task), strict=True)
        return tuple(Cycle(recording, index, start, end, label) for (start, end), (index, label) in found)

    def to_json(self) -> list[Any]:
        """The content as values that are the same for every way of writing the file."""
        return [self.label, [[event.start, event.end, event.type] for event in self.events]]


def parse_annotation(content: bytes, header: WavHeader | None = None) -> tuple[Annotation | None, list[FileProblem]]:
    """Read an annotation file's content.

    Args:
        content: The file's bytes.
        header: Header of the recording, where it is sound; events are compared with its length.

    Returns:
        The label and all events that can be read, None where there is no label or no list of events; and what is
        wrong with the file.
    """
    document = _parse_json(content)
    if isinstance(document, FileProblem):
        return None, [document]
    label, events = _label_of(document), document.get(EVENTS_KEY)
    if isinstance(label, FileProblem):
        return None, [label]
    if not isinstance(events, list):
        words = f"has no list named '{EVENTS_KEY}' (an empty one where there are no events)"
        return None, [FileProblem("annotation-format", words)]
    found, problems = [], []
    for index, entry in enumerate(events):
        event: Event | FileProblem | None = _parse_event(index, entry)
        if isinstance(event, Event):
            found.append(event)
            event = None if header is None else _misfit(event, header)
        if event is not None:
            problems.append(event)
    return Annotation(label, tuple(found)), problems


def _parse_json(content: bytes) -> dict[str, Any] | FileProblem:
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return FileProblem("annotation-format", f"is no text: byte {error.start} is {content[error.start]:#04x}")
    except json.JSONDecodeError as error:
        return FileProblem("annotation-format", f"is no JSON: {error.msg}; fetch it again", error.lineno)
    except (ValueError, RecursionError):
        return FileProblem("annotation-format", "is no JSON that an annotation could be; fetch it again")
    if not isinstance(document, dict):
        return FileProblem("annotation-format", f"holds {_kind(document)}, but must hold one JSON object")
    return document


def _kind(value: object) -> str:
    names = {list: "a list", dict: "an object", str: "a text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")


def _label_of(document: dict[str, Any]) -> str | FileProblem:
    words = [document[key] for key in LABEL_KEYS if key in document]
    if not words:
        return FileProblem("annotation-label", f"has no '{LABEL_KEYS[0]}', the recording's label")
    labels = {record_label(word) if isinstance(word, str) else None for word in words}
    label = labels.pop()
    if labels:
        return FileProblem("annotation-label", f"has both {' and '.join(LABEL_KEYS)}, which differ; keep the right one")
    if label is None:
        known = ", ".join(RECORD_LABELS)
        return FileProblem("annotation-label", f"has the label '{echoed(words[0])}', but must have one of {known}")
    return label


def _parse_event(index: int, entry: Any) -> Event | FileProblem:
    if not isinstance(entry, dict) or not {"start", "end", "type"} <= entry.keys():
        return FileProblem("annotation-format", f"event {index} must be an object with start, end and type")
    word = entry["type"]
    kind = event_type(word) if isinstance(word, str) else None
    if kind is None:
        known = ", ".join(EVENT_TYPES)
        return FileProblem("annotation-label", f"event {index} is '{echoed(word)}', but must be one of {known}")
    start, end = _seconds(entry["start"]), _seconds(entry["end"])
    if start is None or end is None:
        words = f"times are '{echoed(entry['start'])}' and '{echoed(entry['end'])}', but must be numbers (milliseconds)"
        return FileProblem("annotation-format", f"event {index}: its {words}")
    if start < 0:
        return FileProblem("annotation-order", f"event {index} starts at {start} s, before the recording")
    if end <= start:
        return FileProblem("annotation-order", f"event {index} ends at {end} s, not after its start at {start} s")
    return Event(index, start, end, kind)


def _seconds(value: object) -> float | None:
    """A time in seconds from one in milliseconds, number or text; None where it is neither."""
    if isinstance(value, str):
        try:
            value = decimal_number(value.strip())
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = value / 1000
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def _misfit(event: Event, header: WavHeader) -> FileProblem | None:
    """Say what is wrong with an event of the recording that has this header; None where nothing is."""
    if event.start >= header.seconds or event.end > header.seconds + END_TOLERANCE:
        words = f"event {event.index} is from {event.start} s to {event.end} s"
        return FileProblem("annotation-beyond", f"{words}, but the recording ends at {header.seconds:.3f} s")
    if not holds_samples(event.start, event.end, header.rate, header.frames):
        words = f"event {event.index} from {event.start} s to {event.end} s holds no sample of the recording"
        return FileProblem("annotation-short", f"{words} ({header.rate} Hz)")
    return None
