"""The official test cycles that a submission must answer, known without any audio.

They are read from ICBHI's annotation and split files where those are, otherwise taken from a full run on the board.
Nothing of ICBHI is part of this package but counts and hashes, by which both are checked: cycles are the official ones
if their hash is (:mod:`leaderboard.results.judged_set`), and only then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from bench.core.errors import DataError
from bench.data.dataset import Recording
from bench.data.datasets.icbhi.dataset import InspectedFolder, holds_dataset, inspect_folder
from bench.data.datasets.icbhi.pinned import BY_PATIENT, CLASSES, TEST_PATIENT_SHA256, Count
from bench.data.faults import Fault
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet
from leaderboard.store.store import Store
from leaderboard.tables.sections import is_official
from leaderboard.tasks import judged_task

SHOWN = 3
"""Cycles or patients that a refusal names."""

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
    if holds_dataset(folder):
        return part_of_folder(folder, store, allow_partial=allow_partial)
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


def part_of_folder(folder: Path, store: Store | None = None, *, allow_partial: bool = False) -> OfficialPart:
    """The test cycles of the data below a folder, from annotation and split files alone.

    Args:
        folder: The data folder.
        store: A board whose full runs know the official labels: with it, the error names the cycles that differ.
        allow_partial: Take the recordings that are there, marked as partial.

    Raises:
        DataError: If they are incomplete or broken, or a whole set whose test cycles are not the official ones.
    """
    inspected = inspect_folder(folder)
    _refuse_faults(inspected)
    recordings, partial = _judged_recordings(inspected, allow_partial)
    cycles = _cycle_set(recording for recording in recordings if recording.split == "test")
    if len(cycles) == 0:
        raise DataError(f"The test part of the data below {folder} holds no cycle.", "Add its annotation files.")
    if inspected.name == "icbhi" and partial is None and not judged_task({"dataset": "icbhi"}).is_official(cycles.hash):
        raise _not_official_error(folder, cycles, store)
    train = frozenset(key.partition("_")[0] for key, side in inspected.split.sides.items() if side == "train")
    return OfficialPart(inspected.name, partial, cycles, train, _source_in_words(inspected, partial))


def part_of_board(store: Store) -> OfficialPart | None:
    """The official test cycles as a run on the board was judged on them; None where there is none.

    A run's word for it does not count: the hash of its cycles and labels must be the official one.
    """
    for run in store.runs():
        if run.metrics and run.spec["dataset"] == "icbhi" and is_official(run):
            cycles, _ = store.predictions(run.run_id, next(iter(run.metrics)))
            train = frozenset(patient for side, patient in BY_PATIENT if side == "train")
            return OfficialPart("icbhi", None, cycles, train, f"run {run.run_id} on the board")
    return None


def _refuse_faults(inspected: InspectedFolder) -> None:
    faults = [fault for fault in inspected.faults if _changes_cycles(fault)]
    if faults:
        more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
        raise DataError(
            f"The data below {inspected.root} cannot be used: {faults[0]}{more}.",
            "Run `bench data verify` to see everything that is wrong with the data.",
        )


def _changes_cycles(fault: Fault) -> bool:
    if fault.kind == "split-differs":
        return fault.blocking  # a shorter split file goes with a partial set
    return fault.kind.startswith(_MATTERING) or (fault.kind == "unreadable" and fault.file.endswith(".txt"))


def _judged_recordings(inspected: InspectedFolder, allow_partial: bool) -> tuple[tuple[Recording, ...], str | None]:
    """The recordings whose cycles are asked for, and how much of the set that is, where not all."""
    recordings = (inspected.present or inspected.recordings) if allow_partial else inspected.recordings
    here, expected = len(recordings), inspected.expected
    if here == expected:
        return recordings, None
    if not allow_partial:
        raise DataError(
            f"{expected - here} of {expected} annotation files are missing below {inspected.root}.",
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


# --- how cycles differ from the official ones --------------------------------------------------------------------


def _not_official_error(folder: Path, cycles: CycleSet, store: Store | None) -> DataError:
    """The error for annotations of other test cycles or labels, which names what differs as far as that is known."""
    known = None if store is None else part_of_board(store)
    told = _differing_patients(cycles) if known is None else _differing_cycles(cycles, known.cycles)
    return DataError(
        f"The annotations below {folder} are not the official ones: {len(cycles):,} test cycles, "
        f"{_per_class(cycles.labels)}; {told}.",
        "Fetch the annotation and split files from their owners again (`bench data fetch`); `bench data verify` "
        "compares counts.",
    )


def _differing_cycles(cycles: CycleSet, official: CycleSet) -> str:
    """The first cycles whose label differs, or that only one of two sets has."""
    ours, theirs = (dict(zip(one.keys, one.labels, strict=True)) for one in (cycles, official))
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    words = [
        f"{key[0]} cycle {key[1]} is {_class_name(ours.get(key))}, not {_class_name(theirs.get(key))}"
        for key in differing
    ]
    if not words:
        return "patients or devices differ"
    return f"{_counted_noun(len(words), 'cycle')} differ: {_first_few(words)}"


def _class_name(label: int | None) -> str:
    return "absent" if label is None else CLASSES[label]


def _differing_patients(cycles: CycleSet) -> str:
    """The patients whose cycles are not the pinned ones, with their counts where these differ too."""
    words = []
    hashes = patient_hashes(cycles)
    for patient in sorted(hashes.keys() | TEST_PATIENT_SHA256.keys()):
        if hashes.get(patient) == TEST_PATIENT_SHA256.get(patient):
            continue
        here, wanted = _counts_of(cycles, patient), BY_PATIENT.get(("test", patient), Count(0, 0, 0, 0, 0))[1:]
        if here == wanted:
            words.append(f"patient {patient} (labels were moved between cycles: the counts of the classes agree)")
        else:
            words.append(f"patient {patient} ({_joined_counts(here)} instead of {_joined_counts(wanted)})")
    return f"{_counted_noun(len(words), 'patient')} differ: {_first_few(words)}" if words else "their devices differ"


def patient_hashes(cycles: CycleSet) -> dict[str, str]:
    """By patient, the beginning of a SHA-256 over the sorted lines ``recording,cycle,label`` of all their cycles."""
    lines: dict[str, list[str]] = {}
    for (recording, index), label, patient in zip(cycles.keys, cycles.labels, cycles.patients, strict=True):
        lines.setdefault(patient, []).append(f"{recording},{index},{label}\n")
    return {
        patient: sha256("".join(sorted(of_patient)).encode()).hexdigest()[:8] for patient, of_patient in lines.items()
    }


def _counts_of(cycles: CycleSet, patient: str) -> tuple[int, ...]:
    counts = Counter(label for label, of in zip(cycles.labels, cycles.patients, strict=True) if of == patient)
    return tuple(counts[label] for label in range(len(CLASSES)))


def _joined_counts(counts: Iterable[int]) -> str:
    return "/".join(map(str, counts))


def _counted_noun(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _first_few(words: Sequence[str]) -> str:
    return "; ".join(words[:SHOWN]) + (f"; and {len(words) - SHOWN:,} more" if len(words) > SHOWN else "")


def _per_class(labels: Iterable[int]) -> str:
    counts = Counter(labels)
    return ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(CLASSES))


def _source_in_words(inspected: InspectedFolder, partial: str | None) -> str:
    whole = "the simulated set" if inspected.name == "demo" else "the ICBHI annotations"
    return f"{whole}, {partial}" if partial else whole
