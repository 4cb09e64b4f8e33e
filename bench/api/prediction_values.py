"""What predictions are: cycles with a probability of each class, the recordings they are of, and files left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import BenchError


@dataclass(frozen=True)
class PredictedCycle:
    """A cycle, or a window, and what the system says of it.

    Attributes:
        cycle: Number of it in its recording, from 0: its line in the annotation, or its place among the windows.
        start: Time at which it begins, s.
        end: Time at which it ends, s.
        predicted: Name of the class with the highest probability; of equal ones the first.
        scores: Probability of each class by its name, in the order of the classes.
        label: Name of the class that the annotation says; None where there is none.
    """

    cycle: int
    start: float
    end: float
    predicted: str
    scores: dict[str, float]
    label: str | None

    @property
    def score(self) -> float:
        """The probability of the predicted class."""
        return self.scores[self.predicted]

    def to_json(self) -> dict[str, Any]:
        """Fields as a JSON object; times to the millisecond."""
        times = {"start": round(self.start, 3), "end": round(self.end, 3)}
        return {
            "cycle": self.cycle,
            **times,
            "label": self.label,
            "predicted": self.predicted,
            "scores": self.scores,
        }


@dataclass(frozen=True)
class PredictedRecording:
    """A channel of a sound file, classified.

    Attributes:
        file: The file as it was named, or found in a folder; ``stdin`` for what came through the standard input.
        path: Where it is; what came through the standard input is there until the next recording is asked for.
        channel: Number of the channel that was heard, from 1.
        channels: Channels of the file.
        rate: Samples per second.
        seconds: How long it lasts, s.
        source: Whether the cycles are those of an ``annotation``, or ``windows``.
        unit: What one of them is, in a word: ``cycle``, ``event``, ``recording`` or ``window``.
        annotation: The annotation file; None for windows.
        device: Device that recorded it, where it is known; otherwise empty.
        notes: Sentences on cycles that were cut.
        cycles: The cycles or windows with their scores.
    """

    file: str
    path: Path
    channel: int
    channels: int
    rate: int
    seconds: float
    source: Literal["annotation", "windows"]
    unit: str
    annotation: Path | None
    device: str
    notes: tuple[str, ...]
    cycles: tuple[PredictedCycle, ...]

    @property
    def recording(self) -> str:
        """Name of the file, without folder and ending, as files of predictions have it."""
        return Path(self.file).stem

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each cycle, as CSV and data frames have it: columns are those of :func:`row_names`."""
        place = {"file": self.file, "recording": self.recording, "channel": self.channel}
        return [{**place, **_flat(cycle.to_json())} for cycle in self.cycles]

    def to_json(self) -> dict[str, Any]:
        """Fields as a JSON object."""
        return {
            "file": self.file,
            "recording": self.recording,
            "channel": self.channel,
            "channels": self.channels,
            "rate": self.rate,
            "seconds": round(self.seconds, 3),
            "cycles_from": self.source,
            "annotation": None if self.annotation is None else str(self.annotation),
            "device": self.device or None,
            "notes": list(self.notes),
            "cycles": [cycle.to_json() for cycle in self.cycles],
        }


ROW_FIELDS = ("file", "recording", "channel", "cycle", "start", "end", "label", "predicted")
"""Columns of a flat row before the probabilities."""


def row_names(classes: Sequence[str]) -> list[str]:
    """Columns of flat rows: :data:`ROW_FIELDS`, and the probability of each class under its name.

    Args:
        classes: Names of the classes.
    """
    return [*ROW_FIELDS, *map(_column, classes)]


def _column(name: str) -> str:
    return f"{name}_score" if name in ROW_FIELDS else name


def _flat(cycle: dict[str, Any]) -> dict[str, Any]:
    scores = cycle.pop("scores")
    return {**cycle, **{_column(name): score for name, score in scores.items()}}


@dataclass(frozen=True)
class SkippedFile:
    """A file that was left out.

    Attributes:
        file: The file, or the words that name none.
        error: What is wrong with it.
    """

    file: str
    error: BenchError

    def to_json(self) -> dict[str, Any]:
        """Fields as a JSON object."""
        return {"file": self.file, "error": self.error.message, "hint": self.error.hint}
