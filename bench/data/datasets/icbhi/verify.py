"""One report on a data folder: counts beside the pinned ones, and every fault with its file and line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.datasets import FOUR_CLASSES, DatasetCard
from bench.core.text import counted_noun
from bench.data.counts import Count, Counts, CountTable, count_recordings, count_table
from bench.data.dataset import Recording
from bench.data.datasets.icbhi.dataset import InspectedFolder, inspect_folder
from bench.data.datasets.icbhi.pinned import (
    BY_DEVICE,
    BY_LOCATION,
    BY_MODE,
    BY_PATIENT,
    BY_SPLIT,
    CLASSES,
    RECORDINGS,
    SPLIT_SHA256,
    SPLITS,
)
from bench.data.faults import Fault
from bench.data.sources import missing_words

OFFICIAL = Counts(CLASSES, SPLITS, BY_SPLIT, BY_DEVICE, BY_PATIENT, BY_LOCATION, BY_MODE, {})
"""The official set's counts; how many recordings have which rate is not pinned."""


def count(recordings: Iterable[Recording]) -> Counts:
    """Count recordings and cycles; what stands in no part is counted too."""
    return count_recordings(recordings, FOUR_CLASSES)


@dataclass(frozen=True)
class Report:
    """The report on a data folder: its counts, and every fault.

    Attributes:
        name: Id of the data set.
        root: The folder.
        expected: Number of recordings of the complete set.
        present: Number of recordings with audio.
        split_sha256: Hash over the normalised split lines.
        split_official: Whether that is the official split; None for a simulated set.
        counts_official: Whether the annotated counts are the official ones; None where they cannot be compared.
        counts: Counts of the recordings with audio.
        annotated: Counts of all annotation files.
        faults: Everything that is wrong with the set.
        notes: Sentences that are worth reading and change nothing.
    """

    name: str
    root: Path
    expected: int
    present: int
    split_sha256: str
    split_official: bool | None
    counts_official: bool | None
    counts: Counts
    annotated: Counts
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong with the set and nothing is missing of it."""
        return not self.faults

    @property
    def sound(self) -> bool:
        """Tell whether runs are possible on what is there, with ``--allow-partial`` where something is missing."""
        return self.present > 0 and not any(fault.blocking for fault in self.faults)

    @property
    def partial(self) -> str | None:
        """``partial (198 of 920)`` where recordings are missing, otherwise None."""
        return None if self.present == self.expected else f"partial ({self.present} of {self.expected})"

    @property
    def tables(self) -> Sequence[CountTable]:
        """Counts beside the official ones."""
        columns = {"with audio": self.counts}
        if self.annotated != self.counts:
            columns["annotated"] = self.annotated
        if self.split_official is not None:
            columns["official"] = OFFICIAL
        return [count_table(columns)]

    @property
    def findings(self) -> Sequence[str]:
        """How much there is, and how split and counts compare with the official ones."""
        place = f"{counted_noun(self.counts.patients, 'patient')} in {self.root}"
        found = f"{self.present} of {self.expected} recordings, {place}"
        if self.split_official is None:
            return [found]
        verdict = "the official one" if self.split_official else "NOT the official one"
        counts = {
            True: "equal the official ones",
            False: "differ from the official ones",
            None: "not compared, as annotation files or the split file are missing",
        }
        return [
            found,
            f"split: {verdict} (sha256 {self.split_sha256})",
            f"annotated cycles per split, class, device and patient: {counts[self.counts_official]}",
        ]

    def to_json(self) -> dict[str, Any]:
        """The whole report as a JSON object."""
        return {
            "ok": self.ok,
            "runnable": self.sound,
            "name": self.name,
            "root": str(self.root),
            "partial": self.partial,
            "recordings": {"present": self.present, "expected": self.expected},
            "split": {"sha256": self.split_sha256, "official": self.split_official},
            "counts": self.counts.to_json(),
            "annotated": self.annotated.to_json(),
            "counts_official": self.counts_official,
            "official": None if self.split_official is None else OFFICIAL.to_json(),
            "faults": [fault.to_json() for fault in self.faults],
            "notes": list(self.notes),
        }


def _differences(what: str, found: Mapping[Any, Any], official: Mapping[Any, Any]) -> list[str]:
    lines = []
    for group in sorted({*found, *official}):
        here, pinned = found.get(group, 0), official.get(group, 0)
        if here != pinned:
            place = " ".join(group) if isinstance(group, tuple) else str(group)
            lines.append(f"{what} {place}: {_count_in_words(here)}, but {_count_in_words(pinned)} in the official set")
    return lines


def _count_in_words(number: Count | int) -> str:
    if isinstance(number, int):
        return counted_noun(number, "recording")
    classes = "/".join(str(cycles) for cycles in number[1:])
    return f"{counted_noun(number[0], 'recording')} with {classes} cycles"


def _comparable(inspected: InspectedFolder) -> bool:
    """Whether every annotation file and a split are there, so that counts may be compared with the pinned ones."""
    return not inspected.card.simulated and len(inspected.recordings) >= RECORDINGS and bool(inspected.split.sides)


def _count_faults(inspected: InspectedFolder, annotated: Counts) -> list[Fault]:
    lines = [
        *_differences("split", annotated.by_split, BY_SPLIT),
        *_differences("device", annotated.by_device, BY_DEVICE),
        *_differences("patient", annotated.by_patient, BY_PATIENT),
        *_differences("chest location", annotated.by_location, BY_LOCATION),
        *_differences("mode", annotated.by_mode, BY_MODE),
    ]
    return [Fault(str(inspected.root), None, "counts", line) for line in lines]


def _unnamed_faults(inspected: InspectedFolder) -> list[Fault]:
    """Recordings of which not even a name is there: neither a file nor a line of the split."""
    known = {*inspected.split.sides} | {recording.name.rpartition("_")[0] for recording in inspected.recordings}
    unnamed = inspected.expected - len(known)
    if unnamed <= 0:
        return []
    message = f"{missing_words(len(known), inspected.expected)} and not even listed"
    return [Fault(str(inspected.root), None, "recordings-missing", message, blocking=False)]


def _surplus_faults(inspected: InspectedFolder) -> list[Fault]:
    """More recordings than a simulated set's own count."""
    if not inspected.card.simulated or len(inspected.recordings) <= inspected.expected:
        return []
    message = f"{counted_noun(len(inspected.recordings), 'recording')}, but {inspected.expected} by the set's own count"
    return [Fault(str(inspected.root), None, "counts", message)]


def verify(card: DatasetCard, folder: Path, cache: Path | None = None) -> Report:
    """Check everything below a data folder.

    Args:
        card: The data set: ICBHI's, or one of its layout.
        folder: The data folder.
        cache: Cache folder, for hashes of recordings that lie there twice.

    Returns:
        Counts and all faults; a complete and sound set has none.

    Raises:
        DataError: If nothing below the folder is named as ICBHI's files are.
    """
    inspected = inspect_folder(card, folder, cache)
    annotated = count(inspected.recordings)
    different = _count_faults(inspected, annotated) if _comparable(inspected) else []
    faults = (*inspected.faults, *different, *_unnamed_faults(inspected), *_surplus_faults(inspected))
    official = None if card.simulated else inspected.split.sha256 == SPLIT_SHA256
    return Report(
        name=card.id,
        root=folder,
        expected=inspected.expected,
        present=len(inspected.present),
        split_sha256=inspected.split.sha256,
        split_official=official,
        counts_official=not different if _comparable(inspected) else None,
        counts=count(inspected.present),
        annotated=annotated,
        faults=faults,
        notes=inspected.notes,
    )
