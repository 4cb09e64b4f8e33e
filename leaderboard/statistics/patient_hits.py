"""Correctly classed cycles of each patient, and how far each patient moves a rate (the jackknife).

Cycles of one patient resemble each other: the same chest, device and noise. Were single cycles left out, 2,756 of them
would pass for as many independent observations, and intervals would be far too narrow; ICBHI's official test part has
49 patients, one of whom gives 208 cycles. So the patient is what is left out: a *delete-one jackknife over patients*
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11).

Shapes: S seeds, P patients. Counts are (S, P, 4, 4): confusion counts of each seed's run on each patient, rows of a
matrix are true classes, class 0 is normal. Rates, their deviations and differences are in percent (points).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import ResultError
from leaderboard.metrics import CLASSES, SENSITIVITIES, Sensitivity
from leaderboard.statistics.seed_spread import SeedSpread

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

RATES = ("sp", "se", "score")
"""Names of the three rates, in the order in which arrays hold them."""


class VarianceComponent(NamedTuple):
    """One independent part of a variance, in squared points, and the degrees of freedom that it is estimated with."""

    variance: float
    degrees: float


@dataclass(frozen=True, eq=False)
class PatientHits:
    """A system's correct cycles by patient; systems on the same patients can be subtracted.

    Attributes:
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles of each patient.
        correct: (2, P) correctly classed normal and abnormal cycles, the mean over seeds.
        by_seed: (S, 3) Sp, Se and Score of each seed.
    """

    normal: Floats
    abnormal: Floats
    correct: Floats
    by_seed: Floats

    @classmethod
    def of(cls, counts: ArrayLike, judged: Sensitivity = "4class") -> PatientHits:
        """Count the hits in confusion counts (S, P, 4, 4) by one of the two sensitivities.

        Raises:
            ResultError: If the counts have another shape, the seeds differ in their cycles, or there are not two
                patients with normal and two with abnormal cycles.
        """
        found = validated_counts(counts)
        cycles = found[0].sum(axis=-1).astype(np.float64)
        normal, abnormal = cycles[:, 0], cycles[:, 1:].sum(axis=-1)
        for kind, of_kind in (("normal", normal), ("abnormal", abnormal)):
            # With one such patient, leaving out that one would leave a rate without a cycle to divide by.
            holders = int((of_kind > 0).sum())
            if holders < 2:
                raise ResultError(f"An interval needs two patients with {kind} cycles, but there are {holders}.")
        right = np.stack(count_hits(found, judged), axis=1).astype(np.float64)
        by_seed = _rates(right.sum(axis=-1), np.array([normal.sum(), abnormal.sum()]))
        return cls(normal, abnormal, right.mean(axis=0), by_seed)

    @property
    def values(self) -> Floats:
        """(3,) Sp, Se and Score in percent, the mean over seeds."""
        values: Floats = self.by_seed.mean(axis=0)
        return values

    @property
    def influence(self) -> Floats:
        """(3, P) how far each patient moves Sp, Se and Score, scaled so that the squares add up to their variances."""
        return influence(self.correct, self.normal, self.abnormal)

    def seed_components(self, pooled: SeedSpread | None) -> list[VarianceComponent] | None:
        """Give the part of the variance of the means of Sp, Se and Score that comes from the seeds.

        Args:
            pooled: The spread over seeds of other systems, which stands in where this one has a single seed.

        Returns:
            A component for each rate; None where there is a single seed and nothing is known of others.
        """
        seeds = len(self.by_seed)
        if seeds > 1:
            variances = self.by_seed.var(axis=0, ddof=1).tolist()
            return [VarianceComponent(variance / seeds, seeds - 1) for variance in variances]
        if pooled is None:
            return None
        return [VarianceComponent(getattr(pooled, rate) ** 2, pooled.degrees) for rate in RATES]


def influence(correct: Floats, normal: Floats, abnormal: Floats) -> Floats:
    """Leave out one patient after the other (jackknife) and give how far each moves the rates.

    That is each rate without the patient, less the mean of all such rates, times the root of (P - 1)/P, so that the
    squares over patients add up to the jackknife variance. Influences of two systems on the same patients can be
    subtracted: patients who are hard for both then cancel out.

    Args:
        correct: (..., 2, P) correct normal and correct abnormal cycles, or their differences between systems.
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles of each patient.

    Returns:
        (..., 3, P) for Sp, Se and Score, points.
    """
    totals = np.stack([normal, abnormal])
    left = totals.sum(axis=-1, keepdims=True) - totals
    shares = 100.0 * (correct.sum(axis=-1, keepdims=True) - correct) / left
    without = np.concatenate([shares, shares.mean(axis=-2, keepdims=True)], axis=-2)
    patients = len(normal)
    scaled: Floats = (without - without.mean(axis=-1, keepdims=True)) * math.sqrt((patients - 1) / patients)
    return scaled


def _rates(correct: Floats, cycles: Floats) -> Floats:
    """Sp, Se and Score, (..., 3) percent, from correct and all cycles, normal and abnormal, (..., 2) each."""
    shares = 100.0 * correct / cycles
    rates: Floats = np.concatenate([shares, shares.mean(axis=-1, keepdims=True)], axis=-1)
    return rates


def validated_counts(counts: ArrayLike) -> Counts:
    """Give confusion counts as whole numbers (S, P, 4, 4); raises ResultError unless all seeds share their cycles."""
    found = np.asarray(counts)
    classes = len(CLASSES)
    if found.ndim != 4 or found.shape[2:] != (classes, classes) or not found.size or found.dtype.kind not in "iu":
        raise ResultError(f"Counts must have the shape (seeds, patients, 4, 4), not {found.dtype} {found.shape}.")
    if (found.sum(axis=-1) != found[0].sum(axis=-1)).any():
        raise ResultError("The seeds of a system were judged on different cycles.")
    return found.astype(np.int64)


def check_same_cycles(systems: Sequence[ArrayLike]) -> None:
    """Refuse counts of systems that were not judged on the same cycles of the same patients; raises ResultError."""
    cycles = [validated_counts(counts)[0].sum(axis=-1) for counts in systems]
    if any(not np.array_equal(other, cycles[0]) for other in cycles):
        raise ResultError("The systems were not judged on the same cycles: patients or their classes differ.")


def count_hits(counts: Counts, judged: Sensitivity = "4class") -> tuple[Counts, Counts]:
    """Count the correct normal and the correct abnormal cycles in confusion counts (..., 4, 4), each (...).

    Args:
        counts: Confusion counts, rows are true classes.
        judged: ``4class`` asks for the exact abnormal class, ``2class`` for any abnormal class.

    Raises:
        ResultError: If ``judged`` is another word.
    """
    if judged not in SENSITIVITIES:
        raise ResultError(f"Cycles are judged as {' or '.join(SENSITIVITIES)}, not as {judged!r}.")
    abnormal = counts[..., 1:, 1:]
    right = abnormal.sum(axis=(-2, -1)) if judged == "2class" else np.trace(abnormal, axis1=-2, axis2=-1)
    return counts[..., 0, 0], right
