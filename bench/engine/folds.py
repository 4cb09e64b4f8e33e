"""Folds of the training patients, for searches that must not look at the official test part.

A patient's cycles all lie in one fold; sizes and class shares of the folds come as near to each other as whole patients
allow. The folds depend on the data and on their number alone, so that every seed, trial and study shares them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.core.errors import SpecError


def patient_folds(patients: Sequence[str], labels: np.ndarray, folds: int) -> dict[str, int]:
    """Divide patients into folds: the largest first, each to the fold that needs it most, then moved while that helps.

    Args:
        patients: (cycles,) patient of each training cycle.
        labels: (cycles,) class of each training cycle.
        folds: Number of folds, 2 or more.

    Returns:
        The fold of each patient, counted from 1; no fold is empty.

    Raises:
        SpecError: If there are fewer patients than folds.
    """
    names = sorted(set(patients))
    if len(names) < folds:
        raise SpecError(
            f"{folds} folds need as many training patients, but the training part holds {len(names)}.",
            "Use fewer --folds.",
        )
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (np.searchsorted(names, np.asarray(patients)), labels), 1)
    # Shares of each class, so that a rare class weighs as much as a frequent one.
    shares = counts / np.maximum(counts.sum(0), 1)
    place = _deal_patients(shares, folds)
    _move_patients(shares, place, folds)
    _fill_empty_folds(shares, place, folds)
    # The first fold, which alone is judged without cross-validation, is the one nearest to an equal part.
    distance = [np.abs(shares[place == fold].sum(0) - shares.sum(0) / folds).sum() for fold in range(folds)]
    rank = {int(fold): number for number, fold in enumerate(np.argsort(distance, kind="stable"), start=1)}
    return {name: rank[int(fold)] for name, fold in zip(names, place, strict=True)}


def _deal_patients(shares: np.ndarray, folds: int) -> np.ndarray:
    """(patients,) a fold for each: in order of size, to the fold that is then nearest to an equal part."""
    place = np.zeros(len(shares), dtype=np.int64)
    held = np.zeros((folds, shares.shape[1]))
    for row in sorted(range(len(shares)), key=lambda row: (-shares[row].sum(), row)):
        # What a patient adds to the sum of squares; equal parts have the least.
        place[row] = int(np.argmin(held @ shares[row]))
        held[place[row]] += shares[row]
    return place


def _move_patients(shares: np.ndarray, place: np.ndarray, folds: int) -> None:
    """Move single patients, in place, while that brings the folds nearer to equal parts; none is left empty."""
    held = np.stack([shares[place == fold].sum(0) for fold in range(folds)])
    moved = True
    while moved:
        moved = False
        for row, share in enumerate(shares):
            at = place[row]
            gain = (held[at] - share) @ share - held @ share
            gain[at] = 0.0
            best = int(gain.argmax())
            if gain[best] > 1e-12 and (place == at).sum() > 1:
                held[at] -= share
                held[best] += share
                place[row], moved = best, True


def _fill_empty_folds(shares: np.ndarray, place: np.ndarray, folds: int) -> None:
    """Give each empty fold, in place, the smallest patient of the fold that has the most.

    Equal parts of every class can be had with an empty fold where classes have fewer patients than there are folds.
    """
    size = shares.sum(1)
    for fold in range(folds):
        if (place == fold).any():
            continue
        most = int(np.bincount(place, minlength=folds).argmax())
        rows = np.flatnonzero(place == most)
        place[rows[size[rows].argmin()]] = fold
