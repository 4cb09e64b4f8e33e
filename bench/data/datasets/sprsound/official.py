"""The tested cycles that a submission must answer, known from annotation files without any audio."""

from __future__ import annotations

from pathlib import Path

from bench.core.datasets import TRAIN, DatasetCard, TaskCard
from bench.core.errors import DataError
from bench.data.datasets.sprsound.dataset import DEVICE, VERIFY_HINT, Annotated, InspectedFolder, inspect_folder
from bench.data.datasets.sprsound.pinned import RECORDINGS
from bench.data.faults import Fault
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet

_MATTERING = ("annotation-format", "annotation-label", "annotation-order", "annotation-missing", "part-")
"""Beginnings of the faults that could change cycles, labels or parts; what is wrong with audio does not."""


def official_part(card: DatasetCard, folder: Path, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
    """The tested cycles of all parts with their labels, from annotation files alone.

    Args:
        card: The data set.
        folder: The folder with annotation files.
        task: One of the card's tasks.
        allow_partial: Take the recordings that are there (those with audio, as a run does), marked as partial.

    Raises:
        DataError: If they are incomplete or broken, or a whole set whose tested cycles are not the official ones.
    """
    inspected = inspect_folder(folder)
    _refuse_faults(inspected)
    recordings, partial = _judged_recordings(inspected, allow_partial)
    cycles = cycle_set(recordings, task)
    if not cycles.keys:
        raise DataError(f"The tested parts of the data below {folder} hold nothing.", "Add their annotation files.")
    if partial is None and task.judged_sets and cycles.hash not in task.judged_sets:
        raise DataError(
            f"The annotations below {folder} are not the official ones: {len(cycles):,} tested cycles of other labels.",
            VERIFY_HINT,
        )
    train = frozenset(recording.patient for recording in inspected.recordings if recording.part == TRAIN)
    source = f"the annotations of {card.title}"
    return OfficialPart(card.id, partial, cycles, train, f"{source}, {partial}" if partial else source)


def cycle_set(recordings: tuple[Annotated, ...], task: TaskCard) -> CycleSet:
    """What a task judges of the tested recordings."""
    rows = [
        ((recording.name, index), label, recording.patient, DEVICE, recording.part)
        for recording in recordings
        if recording.part != TRAIN
        for index, label in recording.annotation.classes(task.id)
    ]
    keys, labels, patients, devices, parts = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return CycleSet(keys, labels, patients, devices, parts)


def _refuse_faults(inspected: InspectedFolder) -> None:
    faults = [fault for fault in inspected.faults if _changes_cycles(fault)]
    if faults:
        more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
        raise DataError(f"The data below {inspected.root} cannot be used: {faults[0]}{more}.", VERIFY_HINT)


def _changes_cycles(fault: Fault) -> bool:
    of_annotation = fault.file.endswith(".json") and fault.kind in ("unreadable", "duplicate")
    return of_annotation or fault.kind.startswith(_MATTERING)


def _judged_recordings(inspected: InspectedFolder, allow_partial: bool) -> tuple[tuple[Annotated, ...], str | None]:
    """The recordings whose cycles are asked for, and how much of the set that is, where not all."""
    recordings = (inspected.present or inspected.recordings) if allow_partial else inspected.recordings
    here = len(recordings)
    if here == RECORDINGS:
        return recordings, None
    if not allow_partial:
        raise DataError(
            f"{here} annotation files are below {inspected.root}, but the set has {RECORDINGS}.",
            "Complete the set (`bench data fetch --dataset sprsound`), or add --allow-partial to be judged on what is "
            "there, marked as partial.",
        )
    return recordings, f"partial ({here} of {RECORDINGS})"
