"""One report on a data folder: counts and hashes beside the pinned ones, and every fault with its file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.data.counts import CountTable, slashed
from bench.data.datasets.sprsound.dataset import VERIFY_HINT, Annotated, InspectedFolder, inspect_folder
from bench.data.datasets.sprsound.labels import EVENT_TYPES, RECORD_LABELS
from bench.data.datasets.sprsound.layout import PARTS
from bench.data.datasets.sprsound.pinned import ANNOTATION_SHA256, AUDIO_SHA256, FACTS, ID, RECORDINGS, RECORDINGS_OF
from bench.data.faults import Fault
from bench.data.fingerprint import hash_audio
from bench.data.sources import missing_words

COPIES: dict[str, Any] = json.loads(Path(__file__).with_name("copies.json").read_text(encoding="utf-8"))
"""In which way known copies of the set differ from the pinned one, with sources."""

SHOWN = 8
"""Recordings that a fault names."""


def annotation_hash(recordings: Iterable[Annotated]) -> str:
    """Hash names and annotations: labels, times and types in the order of the files, however these are written.

    Args:
        recordings: The recordings, in any order.

    Returns:
        Hex SHA-256.
    """
    rows = sorted([recording.name, recording.annotation.to_json()] for recording in recordings)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def audio_hash(recordings: Iterable[Annotated], cache: Path | None = None) -> str:
    """Hash names and samples of recordings; those without audio do not count.

    Args:
        recordings: The recordings, in any order.
        cache: Cache folder, for hashes of files that did not change.

    Returns:
        Hex SHA-256.

    Raises:
        OSError: If a file cannot be read.
    """
    found = {r.name: (r.audio, r.header) for r in recordings if r.audio is not None and r.header is not None}
    hashes = hash_audio(dict(found.values()), cache)
    lines = [f"{name} {header.rate} {header.bits} {hashes[audio]}\n" for name, (audio, header) in sorted(found.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class PartCount:
    """What there is of a part.

    Attributes:
        recordings: Number of recordings with an annotation.
        patients: Number of their patients.
        labels: Number of recordings per label.
        events: Number of events per type.
    """

    recordings: int
    patients: int
    labels: tuple[int, ...]
    events: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Fields as a JSON object, numbers by the owners' words."""
        return {
            "recordings": self.recordings,
            "patients": self.patients,
            "labels": dict(zip(RECORD_LABELS, self.labels, strict=True)),
            "events": dict(zip(EVENT_TYPES, self.events, strict=True)),
        }


PINNED = {
    part: PartCount(
        FACTS["recordings"][part], FACTS["patients"][part], tuple(FACTS["labels"][part]), tuple(FACTS["events"][part])
    )
    for part in PARTS
}
"""The counts of the complete set."""


def count(recordings: Iterable[Annotated]) -> PartCount:
    """Count recordings, patients, labels and events."""
    listed = list(recordings)
    labels = Counter(recording.annotation.label for recording in listed)
    events = Counter(event.type for recording in listed for event in recording.annotation.events)
    return PartCount(
        recordings=len(listed),
        patients=len({recording.patient for recording in listed}),
        labels=tuple(labels[word] for word in RECORD_LABELS),
        events=tuple(events[word] for word in EVENT_TYPES),
    )


@dataclass(frozen=True)
class Report:
    """The report on a data folder: its counts and hashes, and every fault.

    Attributes:
        root: The folder.
        present: Number of recordings with audio.
        counts: Counts of all annotation files by part.
        annotation_sha256: Hash over the annotations by part.
        audio_sha256: Hash over all samples; None where recordings are missing.
        faults: Everything that is wrong with the set.
        notes: Sentences that are worth reading and change nothing.
    """

    root: Path
    present: int
    counts: Mapping[str, PartCount]
    annotation_sha256: Mapping[str, str]
    audio_sha256: str | None
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all recordings and annotations are there."""
        return self.present == RECORDINGS and all(self.counts[part] == PINNED[part] for part in PARTS)

    @property
    def sound(self) -> bool:
        """Whether a run may use the data, with ``--allow-partial`` where something is missing."""
        return self.present > 0 and not any(fault.blocking for fault in self.faults)

    @property
    def partial(self) -> str | None:
        """``partial (198 of 2683)`` where recordings are missing, otherwise None."""
        return None if self.present == RECORDINGS else f"partial ({self.present} of {RECORDINGS})"

    @property
    def tables(self) -> Sequence[CountTable]:
        """Counts of recordings by label and of events by type, beside the pinned ones."""
        by_label = {part: (self.counts[part].labels, PINNED[part].labels) for part in PARTS}
        by_type = {part: (self.counts[part].events, PINNED[part].events) for part in PARTS}
        return [
            _table(f"recordings: {'/'.join(RECORD_LABELS)}", by_label),
            _table(f"events: {'/'.join(EVENT_TYPES)}", by_type),
        ]

    @property
    def findings(self) -> Sequence[str]:
        """How much there is, and how annotations and samples compare with the pinned ones."""
        annotations = [f"{part}: {_word(self.annotation_sha256[part] == ANNOTATION_SHA256[part])}" for part in PARTS]
        samples = "not compared, as recordings are missing"
        if self.audio_sha256 is not None:
            samples = f"{_word(self.audio_sha256 == AUDIO_SHA256)} (sha256 {self.audio_sha256})"
        return [
            f"{self.present} of {RECORDINGS} recordings in {self.root}",
            f"annotations: {', '.join(annotations)}",
            f"samples: {samples}",
        ]

    def to_json(self) -> dict[str, Any]:
        """The whole report as a JSON object."""
        return {
            "ok": not self.faults,
            "runnable": self.sound,
            "name": ID,
            "root": str(self.root),
            "complete": self.complete,
            "partial": self.partial,
            "recordings": {"present": self.present, "expected": RECORDINGS},
            "counts": {part: self.counts[part].to_json() for part in PARTS},
            "official": {part: PINNED[part].to_json() for part in PARTS},
            "annotation_sha256": dict(self.annotation_sha256),
            "audio_sha256": self.audio_sha256,
            "faults": [fault.to_json() for fault in self.faults],
            "notes": list(self.notes),
        }


def _word(is_official: bool) -> str:
    return "the official ones" if is_official else "NOT the official ones"


def _table(title: str, by_part: Mapping[str, tuple[Sequence[int], Sequence[int]]]) -> CountTable:
    """Numbers that were found and those that are pinned, a row for each part and one for their sums."""
    columns = zip(*by_part.values(), strict=True)
    sums = [[sum(numbers) for numbers in zip(*column, strict=True)] for column in columns]
    rows = [(part, *map(slashed, numbers)) for part, numbers in by_part.items()]
    return CountTable(title, ("part", "annotated", "official"), ((*rows, ("all", *map(slashed, sums))),))


def verify(folder: Path, cache: Path | None = None) -> Report:
    """Check everything below a data folder.

    Args:
        folder: The data folder.
        cache: Cache folder, for hashes of files that did not change.

    Returns:
        Counts, hashes and all faults; a complete and sound set has none.

    Raises:
        DataError: If nothing below the folder is named as SPRSound's files of 2022 are, or a file cannot be read.
    """
    inspected = inspect_folder(folder, cache)
    by_part = {part: [r for r in inspected.recordings if r.part == part] for part in PARTS}
    hashes = {part: annotation_hash(recordings) for part, recordings in by_part.items()}
    sound = _whole_audio_hash(inspected, cache)
    counts = {part: count(recordings) for part, recordings in by_part.items()}
    faults = [
        *inspected.faults,
        *_label_faults(inspected.recordings),
        *(fault for part in PARTS for fault in _part_faults(folder, part, counts[part], hashes[part])),
    ]
    if sound not in (None, AUDIO_SHA256):
        words = "the samples of the recordings are not the official ones; fetch the set again, or use another copy"
        faults.append(Fault(str(folder), None, "audio-differs", words))
    return Report(folder, len(inspected.present), counts, hashes, sound, tuple(faults), inspected.notes)


def _whole_audio_hash(inspected: InspectedFolder, cache: Path | None) -> str | None:
    """The hash over all samples; None where recordings are missing, so that there is nothing to compare it with."""
    if len(inspected.present) != RECORDINGS:
        return None
    try:
        return audio_hash(inspected.present, cache)
    except OSError as error:
        raise DataError(f"Cannot read {error.filename}: {error.strerror or error}.", VERIFY_HINT) from error


def _label_faults(recordings: Sequence[Annotated]) -> list[Fault]:
    """Recordings whose label does not follow from their events, as all labels of the pinned set do."""
    known = COPIES["relabelled"]["recordings"]
    faults = []
    for recording in recordings:
        label, implied = recording.annotation.label, recording.annotation.implied_label
        if label == implied:
            continue
        words = f"has the label {label}, but its events make it {implied}"
        if known.get(recording.name, {}).get("there") == label:
            words += " (an older copy of the set, whose label the owners changed later)"
        faults.append(Fault(f"{recording.name}.json", None, "label-differs", f"{words}; fetch the set again"))
    return faults


def _part_faults(folder: Path, part: str, found: PartCount, sha256: str) -> list[Fault]:
    """What is missing of a part, or other than in the pinned set."""
    missing = RECORDINGS_OF[part] - found.recordings
    if missing > 0:
        words = f"{missing_words(found.recordings, RECORDINGS_OF[part], 'annotation file')} in the part '{part}'"
        return [Fault(str(folder), None, "annotations-missing", words, blocking=False)]
    if sha256 == ANNOTATION_SHA256[part]:
        return []
    told = _differing_counts(found, PINNED[part]) or "times or labels of single recordings differ"
    words = f"the annotations of the part '{part}' are not the official ones: {told}; fetch the set again"
    return [Fault(str(folder), None, "annotations-differ", words)]


def _differing_counts(found: PartCount, pinned: PartCount) -> str:
    names = ("recordings", "patients", *RECORD_LABELS, *(f"{word} events" for word in EVENT_TYPES))
    here = (found.recordings, found.patients, *found.labels, *found.events)
    wanted = (pinned.recordings, pinned.patients, *pinned.labels, *pinned.events)
    differing = [
        f"{number:,} {name} instead of {other:,}"
        for name, number, other in zip(names, here, wanted, strict=True)
        if number != other
    ]
    return ", ".join(differing[:SHOWN])
