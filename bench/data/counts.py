"""Numbers of recordings and cycles of a data set, in several divisions, for people and for reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.datasets import TRAIN, TaskCard
from bench.data.dataset import Recording

Pair = tuple[str, str]

Count = tuple[int, ...]
"""A number of recordings, then the numbers of their cycles per class."""


def slashed(numbers: Iterable[int]) -> str:
    """Numbers by class as messages and tables list them: ``1579/649/385/143``."""
    return "/".join(map(str, numbers))


@dataclass(frozen=True)
class Counts:
    """Numbers of recordings and cycles, in several divisions.

    Attributes:
        classes: Names of the classes, in the order of their numbers.
        splits: The training part, then the tested ones.
        by_split: Recordings and cycles per split.
        by_device: Recordings and cycles per split and device.
        by_patient: Recordings and cycles per split and patient.
        by_location: Recordings per chest location.
        by_mode: Recordings per acquisition mode.
        by_rate: Recordings with audio per sampling rate, Hz.
    """

    classes: tuple[str, ...]
    splits: tuple[str, ...]
    by_split: Mapping[str, Count]
    by_device: Mapping[Pair, Count]
    by_patient: Mapping[Pair, Count]
    by_location: Mapping[str, int]
    by_mode: Mapping[str, int]
    by_rate: Mapping[int, int]

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len({patient for _, patient in self.by_patient})

    @property
    def cycles(self) -> int:
        """Number of cycles."""
        return sum(sum(count[1:]) for count in self.by_split.values())

    def to_json(self) -> dict[str, Any]:
        """Counts by split, then by device and patient within it."""
        return {
            **{split: self._split_as_json(split) for split in self.splits},
            "recordings": sum(count[0] for count in self.by_split.values()),
            "cycles": self.cycles,
            "patients": self.patients,
            "locations": dict(self.by_location),
            "modes": dict(self.by_mode),
            "rates": {str(rate): number for rate, number in self.by_rate.items()},
        }

    def _split_as_json(self, split: str) -> dict[str, Any]:
        none = (0,) * (1 + len(self.classes))
        return {
            **self._count_as_json(self.by_split.get(split, none)),
            "devices": self._within(split, self.by_device),
            "patients": self._within(split, self.by_patient),
        }

    def _within(self, split: str, counts: Mapping[Pair, Count]) -> dict[str, Any]:
        return {name: self._count_as_json(count) for (side, name), count in counts.items() if side == split}

    def _count_as_json(self, count: Count) -> dict[str, Any]:
        recordings, *cycles = count
        classes = dict(zip(self.classes, cycles, strict=True))
        return {"recordings": recordings, "cycles": sum(cycles), "classes": classes}


def count_recordings(recordings: Iterable[Recording], task: TaskCard) -> Counts:
    """Count recordings and their cycles.

    Args:
        recordings: The recordings to count.
        task: What their cycles are labelled for.
    """
    listed = list(recordings)

    def by(key: Callable[[Recording], Any]) -> dict[Any, Count]:
        return _counts_by(listed, key, len(task.classes))

    return Counts(
        classes=task.classes,
        splits=(TRAIN, *(part.id for part in task.parts)),
        by_split=by(lambda recording: recording.split),
        by_device=by(lambda recording: (recording.split, recording.device)),
        by_patient=by(lambda recording: (recording.split, recording.patient)),
        by_location=_numbers(recording.location for recording in listed),
        by_mode=_numbers(recording.mode for recording in listed),
        by_rate=_numbers(r.header.rate for r in listed if r.header is not None),
    )


def _numbers(words: Iterable[Any]) -> dict[Any, int]:
    return dict(sorted(Counter(words).items()))


def _counts_by(recordings: Iterable[Recording], key: Callable[[Recording], Any], classes: int) -> dict[Any, Count]:
    groups: dict[Any, list[Recording]] = {}
    for recording in recordings:
        groups.setdefault(key(recording), []).append(recording)
    return {group: _count_of(groups[group], classes) for group in sorted(groups)}


def _count_of(recordings: Sequence[Recording], classes: int) -> Count:
    labels = Counter(cycle.label for recording in recordings for cycle in recording.cycles)
    return (len(recordings), *(labels[label] for label in range(classes)))


@dataclass(frozen=True)
class CountTable:
    """Counts as a table for people.

    Attributes:
        title: What a cell holds.
        headings: Names of the columns.
        blocks: Rows that belong together, the last of each block being its total.
    """

    title: str
    headings: tuple[str, ...]
    blocks: tuple[tuple[tuple[str, ...], ...], ...]


def count_table(columns: Mapping[str, Counts]) -> CountTable:
    """Recordings and cycles per split and device, one column for each of several counts of one task.

    Args:
        columns: Counts by heading; at least one.
    """
    first = next(iter(columns.values()))
    found = {split for counts in columns.values() for split in counts.by_split}
    # What stands in no part comes first: something is wrong with it.
    splits = [*sorted(found.difference(first.splits)), *(split for split in first.splits if split in found)]
    return CountTable(
        f"recordings · {'/'.join(first.classes)}",
        ("split", "device", *columns),
        tuple(_block(split, list(columns.values())) for split in splits),
    )


def _block(split: str, columns: Sequence[Counts]) -> tuple[tuple[str, ...], ...]:
    devices = sorted({name for counts in columns for side, name in counts.by_device if side == split})
    rows = [
        (split, device, *(_cell(counts.by_device.get((split, device))) for counts in columns)) for device in devices
    ]
    return (*rows, (split, "all", *(_cell(counts.by_split.get(split)) for counts in columns)))


def _cell(count: Count | None) -> str:
    return "–" if count is None else f"{count[0]} · {'/'.join(map(str, count[1:]))}"
