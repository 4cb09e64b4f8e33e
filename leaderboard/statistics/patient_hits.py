"""Correctly classed cycles of each patient, and how far each patient moves a rate (the jackknife).

Cycles of one patient resemble each other: the same chest, device and noise. Were single cycles left out, 2,756 of them
would pass for as many independent observations, and intervals would be far too narrow; ICBHI's official test part has
49 patients, one of whom gives 208 cycles. So the patient is what is left out: a *delete-one jackknife over patients*
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11).

Shapes: S seeds, P patients, k classes of the task. Counts are (S, P, k, k): confusion counts of each seed's run on each
patient, rows of a matrix are true classes, class 0 is normal. A class that is neither normal nor abnormal counts in no
rate. Rates, their deviations and differences are in percent (points).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, ScoreLaw, TaskCard
from bench.core.errors import ResultError
from leaderboard.metrics import Sensitivity
from leaderboard.statistics.seed_spread import SeedSpread

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
ScoreForm = Callable[[Floats], Floats]

RATES = ("sp", "se", "score")
"""Names of the three rates, in the order in which arrays hold them."""


class VarianceComponent(NamedTuple):
    """One independent part of a variance, in squared points, and the degrees of freedom that it is estimated with."""

    variance: float
    degrees: float


def scores_of(shares: Floats, law: ScoreLaw, axis: int) -> Floats:
    """Give the Scores, percent, that follow from the Sp and Se that an axis of length 2 holds; its length becomes 1."""
    mean: Floats = shares.mean(axis=axis, keepdims=True)
    if law == "mean":
        return mean
    total = shares.sum(axis=axis, keepdims=True)
    product = shares.prod(axis=axis, keepdims=True)
    harmonic: Floats = np.divide(2.0 * product, total, out=np.zeros_like(total), where=total > 0)
    scores: Floats = (mean + harmonic) / 2.0
    return scores


def _mean_of_rates(shares: Floats) -> Floats:
    """The mean of Sp and Se, (..., 2, P), of each patient, (..., 1, P)."""
    return scores_of(shares, "mean", axis=-2)


@dataclass(frozen=True, eq=False)
class PatientHits:
    """A system's correct cycles by patient; systems on the same patients can be subtracted.

    Attributes:
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles of each patient.
        correct: (2, P) correctly classed normal and abnormal cycles, the mean over seeds.
        by_seed: (S, 3) Sp, Se and Score of each seed.
        law: How the Score follows from Sp and Se.
    """

    normal: Floats
    abnormal: Floats
    correct: Floats
    by_seed: Floats
    law: ScoreLaw = "mean"

    @classmethod
    def of(cls, counts: ArrayLike, judged: Sensitivity = "4class", task: TaskCard = FOUR_CLASSES) -> PatientHits:
        """Count the hits in confusion counts (S, P, k, k) by one of the sensitivities of their task.

        Raises:
            ResultError: If the counts have another shape, the seeds differ in their cycles, or there are not two
                patients with normal and two with abnormal cycles.
        """
        found = validated_counts(counts, task)
        cycles = found[0].sum(axis=-1).astype(np.float64)
        normal, abnormal = cycles[:, 0], cycles[:, task.abnormal].sum(axis=-1)
        for kind, of_kind in (("normal", normal), ("abnormal", abnormal)):
            # With one such patient, leaving out that one would leave a rate without a cycle to divide by.
            holders = int((of_kind > 0).sum())
            if holders < 2:
                raise ResultError(f"An interval needs two patients with {kind} cycles, but there are {holders}.")
        right = np.stack(count_hits(found, judged, task), axis=1).astype(np.float64)
        by_seed = _rates(right.sum(axis=-1), np.array([normal.sum(), abnormal.sum()]), task.score)
        return cls(normal, abnormal, right.mean(axis=0), by_seed, task.score)

    @property
    def values(self) -> Floats:
        """(3,) Sp, Se and Score in percent, the mean over seeds."""
        values: Floats = self.by_seed.mean(axis=0)
        return values

    @property
    def influence(self) -> Floats:
        """(3, P) how far each patient moves Sp, Se and Score, scaled so that the squares add up to their variances.

        The Score is that of the mean Sp and Se over seeds, also where it is no mean of them.
        """
        return influence(self.correct, self.normal, self.abnormal, partial(scores_of, law=self.law, axis=-2))

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


def influence(correct: Floats, normal: Floats, abnormal: Floats, score: ScoreForm = _mean_of_rates) -> Floats:
    """Leave out one patient after the other (jackknife) and give how far each moves the rates.

    That is each rate without the patient, less the mean of all such rates, times the root of (P - 1)/P, so that the
    squares over patients add up to the jackknife variance. Influences of two systems on the same patients can be
    subtracted: patients who are hard for both then cancel out.

    Args:
        correct: (..., 2, P) correct normal and correct abnormal cycles; where the Score is linear in Sp and Se, their
            differences between systems too.
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles of each patient.
        score: Gives the Scores, (..., 1, P), that follow from Sp and Se, (..., 2, P), in percent.

    Returns:
        (..., 3, P) for Sp, Se and Score, points.
    """
    totals = np.stack([normal, abnormal])
    left = totals.sum(axis=-1, keepdims=True) - totals
    shares = 100.0 * (correct.sum(axis=-1, keepdims=True) - correct) / left
    without = np.concatenate([shares, score(shares)], axis=-2)
    patients = len(normal)
    scaled: Floats = (without - without.mean(axis=-1, keepdims=True)) * math.sqrt((patients - 1) / patients)
    return scaled


def _rates(correct: Floats, cycles: Floats, law: ScoreLaw) -> Floats:
    """Sp, Se and Score, (..., 3) percent, from correct and all cycles, normal and abnormal, (..., 2) each."""
    shares = 100.0 * correct / cycles
    rates: Floats = np.concatenate([shares, scores_of(shares, law, axis=-1)], axis=-1)
    return rates


def validated_counts(counts: ArrayLike, task: TaskCard = FOUR_CLASSES) -> Counts:
    """Give confusion counts as whole numbers (S, P, k, k); raises ResultError unless all seeds share their cycles."""
    found = np.asarray(counts)
    k = len(task.classes)
    if found.ndim != 4 or found.shape[2:] != (k, k) or not found.size or found.dtype.kind not in "iu":
        raise ResultError(f"Counts must have the shape (seeds, patients, {k}, {k}), not {found.dtype} {found.shape}.")
    if (found.sum(axis=-1) != found[0].sum(axis=-1)).any():
        raise ResultError("The seeds of a system were judged on different cycles.")
    return found.astype(np.int64)


def check_same_cycles(systems: Sequence[ArrayLike], task: TaskCard = FOUR_CLASSES) -> None:
    """Refuse counts of systems that were not judged on the same cycles of the same patients; raises ResultError."""
    cycles = [validated_counts(counts, task)[0].sum(axis=-1) for counts in systems]
    if any(not np.array_equal(other, cycles[0]) for other in cycles):
        raise ResultError("The systems were not judged on the same cycles: patients or their classes differ.")


def count_hits(counts: Counts, judged: Sensitivity = "4class", task: TaskCard = FOUR_CLASSES) -> tuple[Counts, Counts]:
    """Count the correct normal and the correct abnormal cycles in confusion counts (..., k, k), each (...).

    Args:
        counts: Confusion counts, rows are true classes.
        judged: ``2class`` counts any abnormal class as a hit, the task's other sensitivity asks for the exact one.
        task: Whose classes they are.

    Raises:
        ResultError: If ``judged`` is another word.
    """
    if judged not in task.sensitivities:
        raise ResultError(f"Cycles are judged as {' or '.join(task.sensitivities)}, not as {judged!r}.")
    abnormal = counts[..., task.abnormal, :][..., task.abnormal]
    # In a task of two classes any abnormal class is the exact one.
    right = abnormal.sum(axis=(-2, -1)) if judged == ANY_ABNORMAL else np.trace(abnormal, axis1=-2, axis2=-1)
    return counts[..., 0, 0], right
