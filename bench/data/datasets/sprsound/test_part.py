"""The tested cycles that a submission must answer, known from annotation files without any audio."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bench.core.datasets import TRAIN, DatasetCard, TaskCard
from bench.data.answers import judged_recordings, not_official_error, part_of, refuse_faults
from bench.data.counts import slashed
from bench.data.datasets.sprsound.dataset import VERIFY_HINT, inspect_folder
from bench.data.datasets.sprsound.pinned import RECORDINGS
from bench.data.faults import Fault
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet

_MATTERING = ("annotation-format", "annotation-label", "annotation-order", "annotation-missing", "part-")
"""Beginnings of the faults that could change cycles, labels or parts; what is wrong with audio does not."""


def read_test_part(card: DatasetCard, folder: Path, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
    """The tested cycles of all parts with their labels, from annotation files alone.

    Args:
        card: The data set.
        folder: The folder with annotation files.
        task: One of the card's tasks.
        allow_partial: Take the recordings that are there (those with audio, as a run does), marked as partial.

    Raises:
        NotOfficialError: If a complete set is there whose tested cycles are not the official ones.
        DataError: If the data are incomplete or broken.
    """
    inspected = inspect_folder(folder)
    refuse_faults(folder, [fault for fault in inspected.faults if _changes_cycles(fault)], VERIFY_HINT)
    annotated = tuple(recording.recording(task.id) for recording in inspected.recordings)
    recordings, partial = judged_recordings(card, folder, annotated, RECORDINGS, allow_partial=allow_partial)
    train = frozenset(recording.patient for recording in annotated if recording.split == TRAIN)
    part = part_of(card, task, folder, recordings, train, partial)
    if partial is None and task.judged_sets and part.cycles.hash not in task.judged_sets:
        raise not_official_error(folder, task, part.cycles, _differing_counts(part.cycles, task), VERIFY_HINT)
    return part


def _changes_cycles(fault: Fault) -> bool:
    of_annotation = fault.file.endswith(".json") and fault.kind in ("unreadable", "duplicate")
    return of_annotation or fault.kind.startswith(_MATTERING)


def _differing_counts(cycles: CycleSet, task: TaskCard) -> str:
    """The tested parts whose numbers per class are not the pinned ones, in words."""
    words = []
    for part in task.parts:
        counts = Counter(cycles.of_part(part.id).labels)
        here = tuple(counts[label] for label in range(len(task.classes)))
        if here != task.counts[part.id]:
            words.append(f"the part '{part.id}' has {slashed(here)} instead of {slashed(task.counts[part.id])}")
    return "; ".join(words) or f"labels of single {task.unit_word}s differ: the counts of the classes agree"
