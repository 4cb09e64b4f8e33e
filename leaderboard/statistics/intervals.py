"""How sure a number of the board is: intervals over patients and seeds, of one system and of a paired difference.

Two things make a Score uncertain: which patients were tested, and which seed a model was trained with. The variance of
a mean over S seeds is

    jackknife variance of the mean over patients + sample variance over seeds / S

(:mod:`leaderboard.statistics.patient_hits`, :mod:`leaderboard.statistics.seed_spread`), and the interval takes
Student's t with the degrees of freedom that Satterthwaite's rule gives such a sum (Biometrics Bulletin 2, 1946). A
single seed says nothing of the second part: it is then taken from other systems, the *pooled seed spread*; where there
is none, the interval is that of this run and not of the method, and the board says so.

What an interval covers: other test patients and other seeds. What it does not: other training patients, another split,
the choice of the epoch. On simulated boards with a known truth it holds it in 94 to 96.5 of 100 cases, and calls one of
two equal methods better in at most 5 (``benchmarks/coverage.py``; tests/leaderboard/test_coverage.py in short).

Shapes: S seeds, P patients, k classes; confusion counts are (S, P, k, k). Rates and differences are in percent
(points).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from bench.core.datasets import FOUR_CLASSES, TaskCard
from leaderboard.metrics import Sensitivity
from leaderboard.statistics.patient_hits import Floats, PatientHits, VarianceComponent, check_same_cycles
from leaderboard.statistics.seed_spread import SeedSpread

LEVEL = 0.95
"""Probability with which an interval holds what it is an interval of."""

ZERO = 1e-9
"""Percent points below which a difference or a deviation is rounding."""


@dataclass(frozen=True)
class Estimate:
    """A rate or a difference of rates with its interval, in percent.

    Attributes:
        value: The rate or difference on the patients as they are, the mean over seeds.
        lo: Lower end of the 95 % interval.
        hi: Upper end of the 95 % interval.
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
        score: The Score, which follows from the two as the task says.
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
    """The difference of two systems, A minus B, on the same patients.

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


def satterthwaite_interval(
    value: float, components: Iterable[VarianceComponent], *, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Give the 95 % interval of a value whose variance is the sum of independent components.

    Args:
        value: The rate or difference, percent.
        components: The components of its variance.
        bounds: What the interval cannot reach beyond, as 0 and 100 for a rate.
    """
    known = [component for component in components if component.variance > ZERO**2]
    variance = math.fsum(component.variance for component in known)
    if not known:
        return Estimate(value, value, value, 0.0, math.inf)
    # The components are known unequally well: patients with 48 degrees of freedom, two seeds with one. Satterthwaite
    # takes the t distribution whose variance of the variance is that of the sum, so that a large component that is
    # hardly known widens the interval, and a small one does not.
    degrees = variance**2 / math.fsum(component.variance**2 / component.degrees for component in known)
    error = math.sqrt(variance)
    reach = t_quantile((1.0 + LEVEL) / 2.0, degrees) * error
    lo, hi = value - reach, value + reach
    if bounds is not None:
        lo, hi = max(lo, bounds[0]), min(hi, bounds[1])
    return Estimate(value, lo, hi, error, degrees)


def t_quantile(probability: float, degrees: float) -> float:
    """Give the quantile of Student's t distribution for a probability and any positive number of degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def system_estimate(
    counts: ArrayLike,
    *,
    judged: Sensitivity = "4class",
    pooled: SeedSpread | None = None,
    task: TaskCard = FOUR_CLASSES,
) -> SystemEstimate:
    """Estimate Sp, Se and Score of a system with their intervals.

    Args:
        counts: (S, P, k, k) confusion counts of each seed and patient.
        judged: Which sensitivity Se is.
        pooled: The seed spread of other systems, used where there is one seed.
        task: What is judged.

    Raises:
        ResultError: As :meth:`PatientHits.of`.
    """
    return estimate_from_hits(PatientHits.of(counts, judged, task), pooled)


def estimate_from_hits(found: PatientHits, pooled: SeedSpread | None) -> SystemEstimate:
    """Estimate Sp, Se and Score of a system whose hits were counted, with their intervals.

    Args:
        found: The system's hits.
        pooled: The seed spread of other systems, used where there is one seed.
    """
    seeds = found.seed_components(pooled)
    rates = _rate_estimates(found.values, found.influence, [seeds or []], bounds=(0.0, 100.0))
    return SystemEstimate(*rates, len(found.normal), len(found.by_seed), seeds is not None)


def paired_difference(
    counts_a: ArrayLike,
    counts_b: ArrayLike,
    *,
    judged: Sensitivity = "4class",
    pooled: SeedSpread | None = None,
    task: TaskCard = FOUR_CLASSES,
) -> PairedEstimate:
    """Estimate the difference A minus B of two systems on the same patients; the numbers of their seeds may differ.

    Args:
        counts_a: (S, P, k, k) confusion counts of A.
        counts_b: (T, P, k, k) confusion counts of B, patients in the same order.
        judged: Which sensitivity Se is.
        pooled: The seed spread of other systems, used for one with a single seed.
        task: What is judged.

    Raises:
        ResultError: If A and B were not judged on the same cycles, and as :meth:`PatientHits.of`.
    """
    check_same_cycles([counts_a, counts_b], task)
    a, b = PatientHits.of(counts_a, judged, task), PatientHits.of(counts_b, judged, task)
    # Seeds of A say nothing of seeds of B: two components. Patients are the same ones: the influences are subtracted
    # before they are squared, which is what makes a paired difference surer than its two intervals.
    seeds = [side.seed_components(pooled) for side in (a, b)]
    known = [components for components in seeds if components is not None]
    rates = _rate_estimates(a.values - b.values, a.influence - b.influence, known)
    return PairedEstimate(*rates, len(a.normal), _probability_that_a_is_higher(rates[2]), len(known) == len(seeds))


def _rate_estimates(
    values: Floats,
    influence: Floats,
    seeds: Sequence[Sequence[VarianceComponent]],
    *,
    bounds: tuple[float, float] | None = None,
) -> tuple[Estimate, Estimate, Estimate]:
    """Estimates of Sp, Se and Score: values (3,), influence (3, P), and a component of each rate for each system."""
    patients = influence.shape[-1]
    found = []
    for rate, (value, moved) in enumerate(zip(values.tolist(), influence, strict=True)):
        of_patients = VarianceComponent(float(moved @ moved), patients - 1)
        components = [of_patients, *(of_rate[rate] for of_rate in seeds if of_rate)]
        exact = 0.0 if abs(value) < ZERO else value  # rounding must not make a difference out of none
        found.append(satterthwaite_interval(exact, components, bounds=bounds))
    return found[0], found[1], found[2]


def _probability_that_a_is_higher(score: Estimate) -> float:
    if score.is_degenerate:
        return 0.5 if abs(score.value) <= ZERO else float(score.value > 0)
    from scipy.special import stdtr

    return float(stdtr(score.degrees, score.value / score.error))


def coverage_sentence(patients: int, seeds: Sequence[int], pooled: SeedSpread | None) -> str:
    """Say what an interval of the board covers and what it leaves out, in plain sentences.

    Args:
        patients: Number of test patients.
        seeds: Number of seeds of each system.
        pooled: The seed spread that single seeds were given; None where there was none.
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
