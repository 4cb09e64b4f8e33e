"""How sure a number of the board is: jackknife over patients, spread over seeds, paired differences.

Two things make a Score uncertain: which patients were tested, and which seed a model was trained with. Cycles of one
patient resemble each other, so the patient, not the cycle, is what is left out: a *delete-one jackknife over patients*
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11). The variance of a mean over S seeds is

    jackknife variance of the mean over patients + sample variance over seeds / S,

and the interval takes Student's t with the degrees of freedom that Satterthwaite's rule gives such a sum (Biometrics
Bulletin 2, 1946). A single seed says nothing of the second part: it is then taken from other systems, the *pooled seed
spread*; where there is none, the interval is that of this run and not of the method, and the board says so.

What an interval covers: other test patients and other seeds. What it does not: other training patients, another split,
the choice of the epoch. On simulated boards with a known truth it holds it in 94 to 96.5 of 100 cases, and calls one of
two equal methods better in at most 5 (``benchmarks/coverage.py``; tests/leaderboard/test_coverage.py in short).

Shapes: S seeds, P patients. Counts are (S, P, 4, 4): confusion counts of each seed's run on each patient, rows of a
matrix are true classes, class 0 is normal. Rates, their deviations and differences are in percent (points).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import ResultError
from leaderboard.metrics import CLASSES, SENSITIVITIES, Sensitivity

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

LEVEL = 0.95

ZERO = 1e-9
"""Percent points below which a difference or a deviation is rounding."""

RATES = ("sp", "se", "score")


@dataclass(frozen=True)
class SeedSpread:
    """Standard deviations over seeds, in points, as other systems show them.

    Attributes:
        sp: Of Sp.
        se: Of Se.
        score: Of the Score.
        degrees: Degrees of freedom that they are known from: the seeds of each system less one, summed up.
        source: Whose they are, for people.
    """

    sp: float
    se: float
    score: float
    degrees: int
    source: str


PAPER_SPREAD = SeedSpread(sp=5.685, se=4.217, score=0.936, degrees=60, source="the paper's own rows")
"""Root mean square of the deviations that the paper prints for its fifteen four-class rows, five seeds each.

A test computes it again from the printed tables. (Its epochs were chosen on the test part.)
"""


class VarianceComponent(NamedTuple):
    """A part of a variance, and the degrees of freedom that it is known from."""

    variance: float
    degrees: float


@dataclass(frozen=True)
class Estimate:
    """A rate or a difference of rates, in percent.

    Attributes:
        value: On the patients as they are, the mean over seeds.
        lo: Lower end of the 95 % interval.
        hi: Upper end.
        error: Standard error, in points.
        degrees: Degrees of freedom of the interval; infinite where nothing varies.
    """

    value: float
    lo: float
    hi: float
    error: float
    degrees: float

    @property
    def holds_zero(self) -> bool:
        """Whether 0 lies in the interval."""
        return self.lo <= ZERO and self.hi >= -ZERO

    @property
    def is_degenerate(self) -> bool:
        """Whether nothing varies over patients or seeds: such an interval says nothing and is shown as a dash."""
        return self.error <= ZERO


@dataclass(frozen=True)
class SystemEstimate:
    """Sp, Se and Score of one system's runs with their intervals.

    Attributes:
        sp: Specificity.
        se: Sensitivity.
        score: Their mean.
        patients: Number of test patients.
        seeds: Number of seeds.
        covers_seeds: Whether the intervals cover other seeds; otherwise they are of this run alone.
    """

    sp: Estimate
    se: Estimate
    score: Estimate
    patients: int
    seeds: int
    covers_seeds: bool


@dataclass(frozen=True)
class PairedEstimate:
    """A minus B on the same patients.

    Attributes:
        sp: Difference of Sp.
        se: Difference of Se.
        score: Difference of the Score.
        patients: Number of test patients.
        favours_a: How far the data favour A: the probability under Student's t that leaves A's Score the higher one.
            It is no p-value: 0.5 says that they favour neither.
        covers_seeds: Whether the intervals cover other seeds of both systems.
    """

    sp: Estimate
    se: Estimate
    score: Estimate
    patients: int
    favours_a: float
    covers_seeds: bool


class MeanAndDeviation(NamedTuple):
    """Mean and sample standard deviation (divisor n - 1; None for a single value) over n seeds."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, eq=False)
class PatientHits:
    """A system's correct cycles as the intervals need them; systems on the same patients can be subtracted.

    Attributes:
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles.
        correct: (2, P) correct normal and correct abnormal cycles, the mean over seeds.
        by_seed: (S, 3) Sp, Se and Score of each seed.
    """

    normal: Floats
    abnormal: Floats
    correct: Floats
    by_seed: Floats

    @classmethod
    def of(cls, counts: ArrayLike, judged: Sensitivity = "4class") -> PatientHits:
        """Read counts (S, P, 4, 4).

        Raises:
            ResultError: If they have another shape, the seeds differ in their cycles, or there are not two patients
                with normal and two with abnormal cycles.
        """
        found = _validated_counts(counts)
        cycles = found[0].sum(axis=-1).astype(np.float64)
        normal, abnormal = cycles[:, 0], cycles[:, 1:].sum(axis=-1)
        for kind, of_kind in (("normal", normal), ("abnormal", abnormal)):
            holders = int((of_kind > 0).sum())
            if holders < 2:
                raise ResultError(f"An interval needs two patients with {kind} cycles, but there are {holders}.")
        right = np.stack(hits(found, judged), axis=1).astype(np.float64)
        by_seed = _rates(right.sum(axis=-1), np.array([normal.sum(), abnormal.sum()]))
        return cls(normal, abnormal, right.mean(axis=0), by_seed)

    @property
    def values(self) -> Floats:
        """(3,) Sp, Se and Score, the mean over seeds."""
        values: Floats = self.by_seed.mean(axis=0)
        return values

    @property
    def influence(self) -> Floats:
        """(3, P) how far each patient moves Sp, Se and Score, scaled so that the squares add up to their variances."""
        return influence(self.correct, self.normal, self.abnormal)

    def seed_components(self, pooled: SeedSpread | None) -> list[VarianceComponent] | None:
        """For Sp, Se and Score, the variance of the mean that comes from the seeds; None where nothing is known of it.

        Args:
            pooled: What other systems show, for a single seed.
        """
        seeds = len(self.by_seed)
        if seeds > 1:
            return [
                VarianceComponent(variance / seeds, seeds - 1) for variance in self.by_seed.var(axis=0, ddof=1).tolist()
            ]
        if pooled is None:
            return None
        return [VarianceComponent(getattr(pooled, rate) ** 2, pooled.degrees) for rate in RATES]


def influence(correct: Floats, normal: Floats, abnormal: Floats) -> Floats:
    """The jackknife: rates without each patient, less the mean of all such rates, times the root of (P - 1)/P.

    Args:
        correct: (..., 2, P) correct normal and correct abnormal cycles, or their differences between systems.
        normal: (P,) normal cycles of each patient.
        abnormal: (P,) abnormal cycles.

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


def _validated_counts(counts: ArrayLike) -> Counts:
    found = np.asarray(counts)
    classes = len(CLASSES)
    if found.ndim != 4 or found.shape[2:] != (classes, classes) or not found.size or found.dtype.kind not in "iu":
        raise ResultError(f"Counts must have the shape (seeds, patients, 4, 4), not {found.dtype} {found.shape}.")
    if (found.sum(axis=-1) != found[0].sum(axis=-1)).any():
        raise ResultError("The seeds of a system were judged on different cycles.")
    return found.astype(np.int64)


def hits(counts: Counts, judged: Sensitivity = "4class") -> tuple[Counts, Counts]:
    """Correct normal and correct abnormal cycles of confusion counts (..., 4, 4), each (...).

    Raises:
        ResultError: If ``judged`` is another word.
    """
    if judged not in SENSITIVITIES:
        raise ResultError(f"Cycles are judged as {' or '.join(SENSITIVITIES)}, not as {judged!r}.")
    abnormal = counts[..., 1:, 1:]
    right = abnormal.sum(axis=(-2, -1)) if judged == "2class" else np.trace(abnormal, axis1=-2, axis2=-1)
    return counts[..., 0, 0], right


# --- intervals --------------------------------------------------------------------------------------------------


def satterthwaite_interval(
    value: float, parts: Iterable[VarianceComponent], *, bounds: tuple[float, float] | None = None
) -> Estimate:
    """An interval from the parts of a variance.

    Args:
        value: The rate or difference, percent.
        parts: Independent parts of its variance.
        bounds: What it cannot lie outside of.
    """
    known = [part for part in parts if part.variance > ZERO**2]
    variance = math.fsum(part.variance for part in known)
    if not known:
        return Estimate(value, value, value, 0.0, math.inf)
    # Satterthwaite: the t distribution whose variance of the variance is that of the sum.
    degrees = variance**2 / math.fsum(part.variance**2 / part.degrees for part in known)
    error = math.sqrt(variance)
    reach = t_quantile((1.0 + LEVEL) / 2.0, degrees) * error
    lo, hi = value - reach, value + reach
    if bounds is not None:
        lo, hi = max(lo, bounds[0]), min(hi, bounds[1])
    return Estimate(value, lo, hi, error, degrees)


def t_quantile(probability: float, degrees: float) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def system_estimate(
    counts: ArrayLike, *, judged: Sensitivity = "4class", pooled: SeedSpread | None = None
) -> SystemEstimate:
    """Sp, Se and Score of a system with their intervals.

    Args:
        counts: (S, P, 4, 4) confusion counts of each seed and patient.
        judged: Which sensitivity.
        pooled: The seed spread of other systems, used where there is one seed.

    Raises:
        ResultError: As :meth:`Judgement.of`.
    """
    return estimate_from_hits(PatientHits.of(counts, judged), pooled)


def estimate_from_hits(found: PatientHits, pooled: SeedSpread | None) -> SystemEstimate:
    """As :func:`system_estimate`, of counts that were read."""
    seeds = found.seed_components(pooled)
    rates = _rate_estimates(found.values, found.influence, [seeds or []], bounds=(0.0, 100.0))
    return SystemEstimate(*rates, len(found.normal), len(found.by_seed), seeds is not None)


def paired_difference(
    counts_a: ArrayLike, counts_b: ArrayLike, *, judged: Sensitivity = "4class", pooled: SeedSpread | None = None
) -> PairedEstimate:
    """A minus B on the same patients; the numbers of their seeds may differ.

    Args:
        counts_a: (S, P, 4, 4) of A.
        counts_b: (T, P, 4, 4) of B, patients in the same order.
        judged: Which sensitivity.
        pooled: The seed spread of other systems, used for one with a single seed.

    Raises:
        ResultError: If A and B were not judged on the same cycles, and as :meth:`Judgement.of`.
    """
    check_same_cycles([counts_a, counts_b])
    a, b = PatientHits.of(counts_a, judged), PatientHits.of(counts_b, judged)
    seeds = [side.seed_components(pooled) for side in (a, b)]
    known = [parts for parts in seeds if parts is not None]
    rates = _rate_estimates(a.values - b.values, a.influence - b.influence, known)
    return PairedEstimate(*rates, len(a.normal), _probability_that_a_is_higher(rates[2]), len(known) == len(seeds))


def _rate_estimates(
    values: Floats,
    influence: Floats,
    seeds: Sequence[Sequence[VarianceComponent]],
    *,
    bounds: tuple[float, float] | None = None,
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimates of Sp, Se and Score: values (3,), influence (3, P), and the parts of each source of seeds."""
    patients = influence.shape[-1]
    found = []
    for rate, (value, moved) in enumerate(zip(values.tolist(), influence, strict=True)):
        parts = [
            VarianceComponent(float(moved @ moved), patients - 1),
            *(of_rate[rate] for of_rate in seeds if of_rate),
        ]
        found.append(satterthwaite_interval(0.0 if abs(value) < ZERO else value, parts, bounds=bounds))
    return found[0], found[1], found[2]


def _probability_that_a_is_higher(score: Estimate) -> float:
    if score.is_degenerate:
        return 0.5 if abs(score.value) <= ZERO else float(score.value > 0)
    from scipy.special import stdtr

    return float(stdtr(score.degrees, score.value / score.error))


def check_same_cycles(systems: Sequence[ArrayLike]) -> None:
    """Refuse systems that were not judged on the same cycles; raises ResultError."""
    cycles = [_validated_counts(counts)[0].sum(axis=-1) for counts in systems]
    if any(not np.array_equal(other, cycles[0]) for other in cycles):
        raise ResultError("The systems were not judged on the same cycles: patients or their classes differ.")


# --- seeds ------------------------------------------------------------------------------------------------------


def pooled_seed_spread(systems: Iterable[PatientHits], source: str) -> SeedSpread | None:
    """The seed spread of several systems taken together; as :func:`pooled_seed_spread_of_rates`."""
    return pooled_seed_spread_of_rates((system.by_seed for system in systems), source)


def pooled_seed_spread_of_rates(systems: Iterable[ArrayLike], source: str) -> SeedSpread | None:
    """The deviations over seeds of several systems taken together, weighted by their degrees of freedom.

    Args:
        systems: (S, 3) Sp, Se and Score of each seed of each system; a single seed says nothing.
        source: Whose they are, for people.

    Returns:
        None where no system has two seeds.
    """
    several = [rates for system in systems if len(rates := np.asarray(system, dtype=np.float64)) > 1]
    degrees = sum(len(rates) - 1 for rates in several)
    if not degrees:
        return None
    squares = sum(rates.var(axis=0, ddof=1) * (len(rates) - 1) for rates in several)
    sp, se, score = np.sqrt(squares / degrees).tolist()
    return SeedSpread(sp, se, score, degrees, source)


def mean_and_deviation(values: Sequence[float]) -> MeanAndDeviation:
    """Mean and sample standard deviation over seeds.

    Raises:
        ResultError: If there is no value.
    """
    if not values:
        raise ResultError("There is no seed to take a mean over.")
    n, mean = len(values), math.fsum(values) / len(values)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return MeanAndDeviation(mean, std, n)


def coverage_sentence(patients: int, seeds: Sequence[int], pooled: SeedSpread | None) -> str:
    """What an interval of the board says and what it leaves out, in plain sentences.

    Args:
        patients: Number of test patients.
        seeds: Number of seeds of each system.
        pooled: The seed spread that single seeds were given.
    """
    left_out = "not other training patients or another split"
    if min(seeds) > 1:
        return f"Intervals (95 %) cover other test patients than these {patients} and other seeds; {left_out}."
    if pooled is None:
        return (
            f"Intervals (95 %) cover other test patients than these {patients}; where there is a single seed they are "
            f"of this run, not of the method; {left_out}."
        )
    return (
        f"Intervals (95 %) cover other test patients than these {patients} and other seeds; a single seed is given the "
        f"spread of {pooled.source} (Score ± {pooled.score:.2f}); {left_out}."
    )
