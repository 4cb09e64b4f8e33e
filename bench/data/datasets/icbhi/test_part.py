"""The tested cycles that a submission must answer, from annotation and split files without any audio."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from pathlib import Path

from bench.core.datasets import DatasetCard, TaskCard
from bench.data.answers import differences, judged_recordings, not_official_error, part_of, refuse_faults
from bench.data.counts import slashed
from bench.data.datasets.icbhi.card import TASK
from bench.data.datasets.icbhi.dataset import VERIFY_HINT, inspect_folder
from bench.data.datasets.icbhi.pinned import BY_PATIENT, CLASSES, TEST_PATIENT_SHA256, Count
from bench.data.faults import Fault
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet

_MATTERING = ("annotation-format", "annotation-order", "annotation-flag", "annotation-empty", "split-", "marker")
"""Beginnings of the faults that could change cycles, labels or sides; what is wrong with audio does not."""

FETCH_HINT = (
    "Fetch the annotation and split files from their owners again (`bench data fetch`); `bench data verify` compares "
    "counts."
)


def read_test_part(card: DatasetCard, folder: Path, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
    """The tested cycles of the data below a folder.

    Args:
        card: The data set: ICBHI's, or one of its layout.
        folder: The data folder.
        task: The task, of four classes.
        allow_partial: Take the recordings that are there, marked as partial.

    Raises:
        NotOfficialError: If a complete set is there whose tested cycles are not the official ones.
        DataError: If the data are incomplete or broken.
    """
    inspected = inspect_folder(card, folder)
    refuse_faults(folder, [fault for fault in inspected.faults if _changes_cycles(fault)], VERIFY_HINT)
    recordings, partial = judged_recordings(
        card, folder, inspected.recordings, inspected.expected, allow_partial=allow_partial
    )
    train = frozenset(key.partition("_")[0] for key, side in inspected.split.sides.items() if side == "train")
    part = part_of(card, task, folder, recordings, train, partial)
    # Resampling changes no label, so that a resampled copy must have the official ones too.
    if not card.simulated and partial is None and part.cycles.hash not in TASK.judged_sets:
        raise not_official_error(folder, task, part.cycles, _differing_patients(part.cycles), FETCH_HINT)
    return part


def _changes_cycles(fault: Fault) -> bool:
    if fault.kind == "split-differs":
        return fault.blocking  # a shorter split file goes with a partial set
    return fault.kind.startswith(_MATTERING) or (fault.kind == "unreadable" and fault.file.endswith(".txt"))


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
            words.append(f"patient {patient} ({slashed(here)} instead of {slashed(wanted)})")
    return differences(words, "patient") if words else "their devices differ"


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
