"""How sure a number of the board is: bootstrap over patients, paired differences, tie groups, spread over seeds.

Cycles of one patient resemble each other, so the patient, not the cycle, is what is drawn: a *cluster bootstrap* with
percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Field and Welsh,
Bootstrapping clustered data, JRSS B 69, 2007). Sp and Se are ratios of sums over patients, so a draw needs only how
often each patient stands in it, and all draws are one matrix product.

What an interval covers: that other test patients would have given another Score, the trained models as they are. What
it does not: the randomness of training (the spread over seeds stands beside it), other training patients, another
split, the choice of the epoch. With 49 patients of very uneven sizes, as in ICBHI, percentile intervals are a little
too narrow: on simulated boards with a known truth they held it in 93 to 94 of 100 cases (tests/leaderboard/
test_coverage.py).

Shapes: S seeds, P patients, B draws, R rows of a table. Counts are (S, P, 4, 4): confusion counts of each seed's run on
each patient, rows of a matrix are true classes, class 0 is normal. Rates and differences are in percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.errors import ResultError
from leaderboard.metrics import CLASSES, JUDGED, Judged

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

DRAWS = 10_000
LEVEL = 0.95
SEED = 2017
"""Seed of the draws where none is given: a table printed twice is the same."""

ZERO = 1e-9
"""Percent points below which a difference is rounding."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A rate or a difference of rates, in percent.

    Attributes:
        value: On the patients as they are, the mean over seeds.
        lo: Lower end of the 95 % percentile interval.
        hi: Upper end.
        draws: (B,) its value in each draw.
    """

    value: float
    lo: float
    hi: float
    draws: Floats

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the interval."""
        return self.lo <= ZERO and self.hi >= -ZERO


@dataclass(frozen=True, eq=False)
class BootstrapResult:
    """Sp, Se and Score of one system's runs, each with interval and draws, and the number of patients drawn from."""

    sp: Estimate
    se: Estimate
    score: Estimate
    patients: int


@dataclass(frozen=True, eq=False)
class PairedResult:
    """A minus B within the same draws.

    Attributes:
        sp: Difference of Sp.
        se: Difference of Se.
        score: Difference of Score.
        patients: Number of patients drawn from.
        favours_a: Share of the draws in which A's Score is the higher one; draws with equal Scores count half. It is
            no p-value: 0.5 says that the draws favour neither.
    """

    sp: Estimate
    se: Estimate
    score: Estimate
    patients: int
    favours_a: float


class Spread(NamedTuple):
    """Mean and sample standard deviation (divisor n - 1; None for a single value) over n seeds."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, eq=False)
class Resamples:
    """Patients drawn with replacement: systems judged on the same cycles are compared within the same draws.

    Attributes:
        weights: (B, P) how often each patient stands in each draw.
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles.
    """

    weights: Floats
    normal: Floats
    abnormal: Floats

    def rates(self, correct: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Sp, Se and Score in each draw.

        Args:
            correct: (..., 2, P) correct normal and correct abnormal cycles of each patient. Rates are linear in them,
                so those of A minus those of B give the difference of their rates.

        Returns:
            Three arrays (..., B), percent.
        """
        parts = np.asarray(correct, dtype=np.float64)
        sp = 100.0 * (parts[..., 0, :] @ self.weights.T) / (self.weights @ self.normal)
        se = 100.0 * (parts[..., 1, :] @ self.weights.T) / (self.weights @ self.abnormal)
        return sp, se, (sp + se) / 2.0

    def estimates(self, correct: ArrayLike) -> tuple[Estimate, Estimate, Estimate]:
        """Sp, Se and Score, or their differences, with intervals; ``correct`` (2, P) as in :meth:`rates`."""
        normal, abnormal = np.asarray(correct, dtype=np.float64).sum(axis=-1)
        sp = 100.0 * float(normal / self.normal.sum())
        se = 100.0 * float(abnormal / self.abnormal.sum())
        values = (sp, se, (sp + se) / 2.0)
        found = [_estimate(value, draws) for value, draws in zip(values, self.rates(correct), strict=True)]
        return found[0], found[1], found[2]


def _estimate(value: float, draws: Floats) -> Estimate:
    lo, hi = interval(draws)
    return Estimate(value, float(lo), float(hi), draws)


def interval(draws: Floats) -> Floats:
    """Percentile intervals at 95 %: draws (..., B) to lower and upper ends (..., 2), linear between two draws."""
    tail = (1.0 - LEVEL) / 2.0
    ends: Floats = np.moveaxis(np.quantile(draws, [tail, 1.0 - tail], axis=-1), 0, -1)
    return ends


def resample(counts: ArrayLike, draws: int = DRAWS, rng: np.random.Generator | None = None) -> Resamples:
    """Draw as many patients as there are, with replacement, ``draws`` times.

    A draw without any normal or without any abnormal cycle has no Score and is drawn again: intervals are conditional
    on both kinds being there. (On ICBHI's test part no such draw occurs in practice.)

    Args:
        counts: (S, P, 4, 4) of any system judged on the cycles.
        draws: How many.
        rng: The generator; one with :data:`SEED` by default.

    Raises:
        ResultError: If there are fewer than two patients, or no normal or no abnormal cycle at all.
    """
    cycles = _checked(counts)[0].sum(axis=-1).astype(np.float64)
    normal, abnormal = cycles[:, 0], cycles[:, 1:].sum(axis=-1)
    if len(cycles) < 2:
        raise ResultError(f"An interval over patients needs two of them, but there is {len(cycles)}.")
    for kind, found in (("normal", normal), ("abnormal", abnormal)):
        if not found.any():
            raise ResultError(f"The judged cycles hold no {kind} one, so that there is no Score.")
    generator = np.random.default_rng(SEED) if rng is None else rng
    weights = _draw(draws, len(cycles), generator)
    while (empty := (weights @ normal == 0) | (weights @ abnormal == 0)).any():
        weights[empty] = _draw(int(empty.sum()), len(cycles), generator)
    return Resamples(weights, normal, abnormal)


def _draw(draws: int, patients: int, rng: np.random.Generator) -> Floats:
    chosen = rng.integers(0, patients, (draws, patients)) + patients * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * patients).reshape(draws, patients).astype(np.float64)


def _checked(counts: ArrayLike) -> Counts:
    found = np.asarray(counts)
    classes = len(CLASSES)
    if found.ndim != 4 or found.shape[2:] != (classes, classes) or not found.size or found.dtype.kind not in "iu":
        raise ResultError(f"Counts must have the shape (seeds, patients, 4, 4), not {found.dtype} {found.shape}.")
    if (found.sum(axis=-1) != found[0].sum(axis=-1)).any():
        raise ResultError("The seeds of a system were judged on different cycles.")
    return found.astype(np.int64)


def mean_hits(counts: ArrayLike, judged: Judged = "4class") -> Floats:
    """Correct normal and correct abnormal cycles of each patient, the mean over seeds: (S, P, 4, 4) to (2, P).

    All seeds have the same cycles, so a rate of the mean hits is the mean of the seeds' rates, in every draw.

    Raises:
        ResultError: If the counts have another shape or the seeds differ in their cycles.
    """
    found = _checked(counts)
    mean: Floats = np.stack(hits(found, judged)).sum(axis=1) / len(found)
    return mean


def hits(counts: Counts, judged: Judged = "4class") -> tuple[Counts, Counts]:
    """Correct normal and correct abnormal cycles of confusion counts (..., 4, 4), each (...).

    Raises:
        ResultError: If ``judged`` is another word.
    """
    if judged not in JUDGED:
        raise ResultError(f"Cycles are judged as {' or '.join(JUDGED)}, not as {judged!r}.")
    abnormal = counts[..., 1:, 1:]
    right = abnormal.sum(axis=(-2, -1)) if judged == "2class" else np.trace(abnormal, axis1=-2, axis2=-1)
    return counts[..., 0, 0], right


def cluster_bootstrap(
    counts: ArrayLike, draws: int = DRAWS, rng: np.random.Generator | None = None, *, judged: Judged = "4class"
) -> BootstrapResult:
    """Intervals over patients for the mean over seeds of Sp, Se and Score.

    Args:
        counts: (S, P, 4, 4) confusion counts of each seed and patient.
        draws: Number of draws.
        rng: The generator; one with :data:`SEED` by default.
        judged: Which sensitivity.

    Raises:
        ResultError: As :func:`resample` and :func:`mean_hits`.
    """
    resamples = resample(counts, draws, rng)
    return BootstrapResult(*resamples.estimates(mean_hits(counts, judged)), patients=len(resamples.normal))


def paired_difference(
    counts_a: ArrayLike,
    counts_b: ArrayLike,
    draws: int = DRAWS,
    rng: np.random.Generator | None = None,
    *,
    judged: Judged = "4class",
) -> PairedResult:
    """A minus B, both within the same draws; the numbers of seeds may differ.

    Args:
        counts_a: (S, P, 4, 4) of A.
        counts_b: (T, P, 4, 4) of B, patients in the same order.
        draws: Number of draws.
        rng: The generator; one with :data:`SEED` by default.
        judged: Which sensitivity.

    Raises:
        ResultError: If A and B were not judged on the same cycles, and as :func:`cluster_bootstrap`.
    """
    _check_same_cycles([counts_a, counts_b])
    resamples = resample(counts_a, draws, rng)
    sp, se, score = resamples.estimates(mean_hits(counts_a, judged) - mean_hits(counts_b, judged))
    above, below = (score.draws > ZERO).mean(), (score.draws < -ZERO).mean()
    return PairedResult(sp, se, score, len(resamples.normal), favours_a=float(0.5 + (above - below) / 2.0))


def _check_same_cycles(systems: Sequence[ArrayLike]) -> None:
    cycles = [_checked(counts)[0].sum(axis=-1) for counts in systems]
    if any(not np.array_equal(other, cycles[0]) for other in cycles):
        raise ResultError("The systems were not judged on the same cycles: patients or their classes differ.")


def tie_groups(
    rows: Sequence[ArrayLike],
    draws: int = DRAWS,
    rng: np.random.Generator | None = None,
    *,
    judged: Judged = "4class",
) -> list[int]:
    """Number the tie groups of a ranked table: 1, 1, 2, ...; the rule is :func:`groups_of_draws`.

    Args:
        rows: Counts (S, P, 4, 4) of each row, sorted by Score, the best first.
        draws: Number of draws.
        rng: The generator; one with :data:`SEED` by default.
        judged: Which sensitivity.

    Raises:
        ResultError: If the rows were not judged on the same cycles, and as :func:`cluster_bootstrap`.
    """
    if not rows:
        return []
    _check_same_cycles(rows)
    correct = np.stack([mean_hits(counts, judged) for counts in rows])
    return groups_of_draws(resample(rows[0], draws, rng).rates(correct)[2])


def groups_of_draws(draws: Floats) -> list[int]:
    """Number the tie groups of rows in rank order.

    The first row leads the first group. A row belongs to the group of the current leader where the 95 % interval of
    their paired difference holds 0; otherwise it leads the next group. Being tied with the leader is all that
    membership says: ties do not pass on, so neighbours in two groups may well be indistinguishable too.

    Args:
        draws: (R, B) Score of each row in each draw, the same draws for all rows.
    """
    groups: list[int] = []
    leader = 0
    for row, scores in enumerate(draws):
        tied = row == leader or _estimate(0.0, draws[leader] - scores).holds_zero
        if not tied:
            leader = row
        groups.append(groups[-1] + (not tied) if groups else 1)
    return groups


def seed_spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation over seeds.

    Raises:
        ResultError: If there is no value.
    """
    if not values:
        raise ResultError("There is no seed to take a mean over.")
    n, mean = len(values), math.fsum(values) / len(values)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return Spread(mean, std, n)


def what_is_covered(patients: int, seeds: Sequence[int]) -> str:
    """What an interval of the board says and what it leaves out, in one sentence.

    Args:
        patients: Number of test patients.
        seeds: Number of seeds of each system.
    """
    spread = "one seed says nothing of it" if max(seeds) == 1 else "± beside it is the sample deviation over seeds"
    return (
        f"Intervals (95 %) cover the choice of the {patients} test patients, with the models as trained; "
        f"not the training's seed ({spread}), nor other training patients or another split."
    )
