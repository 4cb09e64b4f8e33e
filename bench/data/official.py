"""The official test cycles that a submission must answer, known without any audio.

They are read from ICBHI's annotation and split files where those are, otherwise taken from a full run on the board;
nothing of ICBHI is part of this package but counts, by which both are checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.data.faults import Fault
from bench.data.icbhi import Layout, Recording, find_dataset, read_layout
from bench.data.pinned import BY_PATIENT, CLASSES
from bench.errors import DataError
from leaderboard.predictions import CycleSet
from leaderboard.store import BoardRun, Store
from leaderboard.submissions import OfficialPart

_MATTERING = ("annotation-format", "annotation-order", "annotation-flag", "annotation-empty", "split-", "marker")
"""Beginnings of the faults that could change cycles, labels or sides; what is wrong with audio does not."""


def official_part(folder: Path, store: Store, *, named: bool, allow_partial: bool = False) -> OfficialPart:
    """The test cycles of the data in a folder; without data there, those of a full run on the board.

    Args:
        folder: The data folder.
        store: The board.
        named: Whether the user named the folder, so that nothing else will do.
        allow_partial: Take the recordings that are there (those with audio, as a run does), marked as partial.

    Raises:
        DataError: If the cycles are not known, or the data are incomplete or broken.
    """
    if find_dataset(folder):
        return part_of_folder(folder, allow_partial=allow_partial)
    if named:
        raise DataError(
            f"No ICBHI annotations below {folder}.",
            "Name the folder with the annotation files and the split file (audio is not needed), or use --data demo.",
        )
    part = part_of_board(store)
    if part is None:
        raise DataError(
            f"The official test cycles are not known here: there are no ICBHI annotations below {folder}, and no full "
            f"run on the board {store}.",
            "Name the folder with ICBHI's annotation and split files with --data (audio is not needed), fetch them "
            "with `bench data fetch`, or try it on simulated data with --data demo.",
        )
    return part


def part_of_folder(folder: Path, *, allow_partial: bool = False) -> OfficialPart:
    """The test cycles of the data below a folder, from annotation and split files alone; raises DataError."""
    layout = read_layout(folder)
    _refuse_faults(layout)
    recordings, partial = _judged(layout, allow_partial)
    cycles = _cycle_set(recording for recording in recordings if recording.split == "test")
    if len(cycles) == 0:
        raise DataError(f"The test part of the data below {folder} holds no cycle.", "Add its annotation files.")
    if layout.name == "icbhi" and partial is None and not _is_official(cycles):
        raise DataError(
            f"The annotations below {folder} are not the official ones: {len(cycles):,} test cycles, "
            f"{_per_class(cycles.labels)}.",
            "Run `bench data verify` to see what differs.",
        )
    train = frozenset(key.partition("_")[0] for key, side in layout.split.sides.items() if side == "train")
    return OfficialPart(layout.name, partial, cycles, train, _source(layout, partial))


def part_of_board(store: Store) -> OfficialPart | None:
    """The official test cycles as a full run on the board was judged on them; None where there is none."""
    for run in store.runs():
        if _is_full(run):
            cycles, _ = store.predictions(run.run_id, next(iter(run.metrics)))
            if _is_official(cycles):
                train = frozenset(patient for side, patient in BY_PATIENT if side == "train")
                return OfficialPart("icbhi", None, cycles, train, f"run {run.run_id} on the board")
    return None


def _is_full(run: BoardRun) -> bool:
    whole = run.spec["dataset"] == "icbhi" and run.spec["split"] == "official" and run.partial is None
    return whole and bool(run.metrics)


def _refuse_faults(layout: Layout) -> None:
    faults = [fault for fault in layout.faults if _matters(fault)]
    if faults:
        more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
        raise DataError(
            f"The data below {layout.root} cannot be used: {faults[0]}{more}.",
            "Run `bench data verify` to see everything that is wrong with the data.",
        )


def _matters(fault: Fault) -> bool:
    if fault.kind == "split-differs":
        return fault.blocking  # a shorter split file goes with a partial set
    return fault.kind.startswith(_MATTERING) or (fault.kind == "unreadable" and fault.file.endswith(".txt"))


def _judged(layout: Layout, allow_partial: bool) -> tuple[tuple[Recording, ...], str | None]:
    """The recordings whose cycles are asked for, and how much of the set that is, where not all."""
    recordings = (layout.present or layout.recordings) if allow_partial else layout.recordings
    here, expected = len(recordings), layout.expected
    if here == expected:
        return recordings, None
    if not allow_partial:
        raise DataError(
            f"{expected - here} of {expected} annotation files are missing below {layout.root}.",
            "Complete the set (`bench data fetch`), or add --allow-partial to be judged on what is there, marked as "
            "partial.",
        )
    return recordings, f"partial ({here} of {expected})"


def _cycle_set(recordings: Iterable[Recording]) -> CycleSet:
    rows = [
        ((cycle.recording, cycle.index), cycle.label, recording.patient, recording.device)
        for recording in recordings
        for cycle in recording.cycles
    ]
    keys, labels, patients, devices = zip(*rows, strict=True) if rows else ((), (), (), ())
    return CycleSet(keys, labels, patients, devices)


def _is_official(cycles: CycleSet) -> bool:
    """Whether the cycles have the pinned counts of the official test part, for each patient and class."""
    counts = Counter(zip(cycles.patients, cycles.labels, strict=True))
    pinned = Counter[tuple[str, int]]()
    for (side, patient), count in BY_PATIENT.items():
        if side == "test":
            pinned.update({(patient, label): number for label, number in enumerate(count[1:]) if number})
    return counts == pinned


def _per_class(labels: Iterable[int]) -> str:
    counts = Counter(labels)
    return ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(CLASSES))


def _source(layout: Layout, partial: str | None) -> str:
    whole = "the simulated set" if layout.name == "demo" else "the ICBHI annotations"
    return f"{whole}, {partial}" if partial else whole
