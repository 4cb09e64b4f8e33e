"""Which ranks the data leave open: intervals of ranks that hold all at once, and the smallest difference that shows.

Every two rows are compared on the same patients. How large the largest of all these standardised differences becomes
between equal systems (*max-t*) is drawn: patients' deviations are normal numbers as large as the patients' numbers of
cycles and correlated between the rows as they are seen to be, each row's seeds are drawn anew, and each draw is
standardised by its own jackknife, whose own uncertainty (few patients, of very uneven sizes) decides so far out.
A pair is told apart where its own difference exceeds what 95 % of the draws stay below, so that with 95 % probability
no two equal systems on the table are (Romano and Wolf, Econometrica 73, 2005; Mogstad, Romano, Shaikh and Wilhelm,
Inference for ranks, Review of Economic Studies 91, 2024).

A row's best rank is one more than the number of rows that are surely better; its worst is the number of rows less those
that are surely worse. Whether two rows are told apart is thus said in one way for the whole table.

Shapes: R rows, P patients, B draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.datasets import ScoreLaw
from leaderboard.statistics.intervals import LEVEL, ZERO, satterthwaite_interval
from leaderboard.statistics.patient_hits import RATES, Floats, PatientHits, ScoreForm, VarianceComponent, influence
from leaderboard.statistics.seed_spread import SeedSpread

MOST_DRAWS, LEAST_DRAWS = 1_000, 200
MOST_CELLS = 20_000_000
"""Cells of the draws' pairs, R × R × B, above which there are fewer draws: some tenths of a second."""

BLOCK_CELLS = 500_000
"""Cells that are looked at in one step: they fit into a processor's cache."""

SEED = 2017
"""Seed of the draws: a table printed twice is the same."""

SEEDS_OF_THE_FLOOR = 5
"""Seeds of each of two methods that the smallest visible difference is stated for: as many as the paper's rows have."""

SCORE = RATES.index("score")
"""Place of the Score among the rates of an array."""


@dataclass(frozen=True, eq=False)
class ScoreUncertainty:
    """The Scores of R rows on the same patients.

    Attributes:
        values: (R,) Score of each row in percent, the mean over seeds.
        influence: (R, P) how far each patient moves the Score; the squares add up to its variance over patients.
        deviations: (R, 2, P) correct normal and abnormal cycles of each patient beyond what the row's mean rate gives.
        cycles: (2, P) normal and abnormal cycles of each patient.
        slopes: (R, 2) points of Score that a point of Sp and one of Se add to each row: one half each where the Score
            is the mean.
        seeds: (R,) the part of the Score's variance that comes from the seeds, squared points.
        degrees: (R,) degrees of freedom of that part; infinite where it is not known.
    """

    values: Floats
    influence: Floats
    deviations: Floats
    cycles: Floats
    slopes: Floats
    seeds: Floats
    degrees: Floats

    @classmethod
    def of(cls, systems: Sequence[PatientHits], pooled: SeedSpread | None) -> ScoreUncertainty:
        """Take the Scores of systems; ``pooled`` is the seed spread that a row with a single seed is given."""
        parts = [
            VarianceComponent(0.0, math.inf) if (p := s.seed_components(pooled)) is None else p[SCORE] for s in systems
        ]
        cycles = np.stack([systems[0].normal, systems[0].abnormal])
        correct = np.stack([system.correct for system in systems])
        mean = correct.sum(axis=-1, keepdims=True) / cycles.sum(axis=-1, keepdims=True)
        return cls(
            deviations=correct - mean * cycles,
            cycles=cycles,
            slopes=score_slopes(100.0 * mean[..., 0], systems[0].law),
            values=np.array([system.values[SCORE] for system in systems]),
            influence=np.stack([system.influence[SCORE] for system in systems]),
            seeds=np.array([part.variance for part in parts]),
            degrees=np.array([part.degrees for part in parts]),
        )

    def patient_variances(self) -> Floats:
        """(R, R) the variance over patients of every two rows' difference; 0 between exact copies."""
        variances = _difference_variances(self.influence @ self.influence.T)
        variances[variances < ZERO] = 0.0  # rounding leaves a trace between copies
        return variances

    def pair_variances(self) -> Floats:
        """(R, R) the variance of every two rows' difference over patients and seeds."""
        return self.patient_variances() + self.seeds[:, None] + self.seeds[None, :]


def score_slopes(rates: Floats, law: ScoreLaw) -> Floats:
    """Give the points of Score that a point of Sp and one of Se add, where rows have some rates.

    Args:
        rates: (R, 2) Sp and Se of each row in percent.
        law: How the Score follows from them.

    Returns:
        (R, 2) derivatives. Where both rates are 0, the harmonic mean is taken to stay 0.
    """
    if law == "mean":
        return np.full_like(rates, 0.5)
    # The derivative of 2ab/(a + b) to a is 2b²/(a + b)².
    total = rates.sum(axis=-1, keepdims=True)
    shares = np.divide(rates[:, ::-1], total, out=np.zeros_like(rates), where=total > 0)
    slopes: Floats = 0.25 + np.square(shares)
    return slopes


def _linear(slopes: Floats) -> ScoreForm:
    """Scores, (b, R, 1, P), that are linear in Sp and Se, (b, R, 2, P), with the slopes of each row."""
    return lambda shares: (slopes[:, :, None] * shares).sum(axis=-2, keepdims=True)


def _difference_variances(products: np.ndarray) -> np.ndarray:
    """Squared lengths of all differences of vectors from their inner products, (..., R, R) each."""
    own = np.diagonal(products, axis1=-2, axis2=-1)
    squared: np.ndarray = np.maximum(own[..., :, None] + own[..., None, :] - 2.0 * products, 0.0)
    return squared


def rank_intervals(systems: Sequence[PatientHits], pooled: SeedSpread | None) -> list[tuple[int, int]]:
    """Give the best and the worst rank of each row that the data leave open, all at once with 95 % probability.

    Args:
        systems: Hits of R rows on the same patients, in any order.
        pooled: The seed spread that a row with a single seed is given.

    Returns:
        R pairs of ranks from 1, in the order of the rows.
    """
    if len(systems) < 2:
        return [(1, 1)] * len(systems)
    found = ScoreUncertainty.of(systems, pooled)
    error = np.sqrt(found.pair_variances())
    reach = np.maximum(critical_value(found, error > 0) * error, ZERO)
    surely_better = found.values[:, None] - found.values[None, :] > reach
    best, worst = 1 + surely_better.sum(axis=0), len(systems) - surely_better.sum(axis=1)
    return list(zip(best.tolist(), worst.tolist(), strict=True))


def critical_value(found: ScoreUncertainty, varies: np.ndarray) -> float:
    """Give the standard errors that the largest difference between equal systems stays below with 95 % probability.

    A table of 20 rows has 190 pairs: at the usual 1.96 about ten of them would be told apart by chance alone, although
    nothing is. The largest of all differences decides instead (max-t), and drawing it takes into account that rows
    resemble each other, which a correction by the number of pairs (Bonferroni) does not.

    Args:
        found: The rows.
        varies: (R, R) the pairs that differ at all; exact copies have no difference to be standardised.
    """
    rows = len(found.values)
    pairs = np.triu(varies, k=1)
    if not pairs.any():
        return 0.0
    draws = int(np.clip(MOST_CELLS // rows**2, LEAST_DRAWS, MOST_DRAWS))
    largest = np.concatenate([_max_t(*drawn, pairs) for drawn in _drawn_equal_systems(found, draws)])
    return float(np.quantile(largest, LEVEL))


def _drawn_equal_systems(found: ScoreUncertainty, draws: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of draws: (b, R) Scores of equal systems, and (b, R, R) the variances of their differences."""
    rng = np.random.default_rng(SEED)
    rows, patients = found.influence.shape
    known = np.isfinite(found.degrees) & (found.seeds > 0)
    degrees = found.degrees[known]
    block = max(1, BLOCK_CELLS // rows**2)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        # Patients' deviations as normal numbers that vary as their cycles' number, correlated between rows as seen:
        # a normal mix of the deviations of all patients has the covariance between rows that the deviations have.
        mixed = found.deviations @ rng.standard_normal((size, 1, patients, patients))
        correct = mixed * (found.cycles / np.linalg.norm(found.cycles, axis=-1, keepdims=True))
        scores = 100.0 * (found.slopes * (correct.sum(axis=-1) / found.cycles.sum(axis=-1))).sum(axis=-1)
        scores += rng.standard_normal((size, rows)) * np.sqrt(found.seeds)
        seeds = np.zeros((size, rows))
        seeds[:, known] = found.seeds[known] * rng.chisquare(degrees, (size, len(degrees))) / degrees
        # Each draw is standardised by its own jackknife and its own seeds, as the board's differences are: with few
        # patients of very uneven sizes a standard error is itself uncertain, and that makes large ratios more common.
        moved = influence(correct, found.cycles[0], found.cycles[1], _linear(found.slopes))[..., SCORE, :].astype(
            np.float32
        )
        variances = _difference_variances(moved @ moved.swapaxes(-1, -2)) + seeds[:, :, None] + seeds[:, None, :]
        yield scores.astype(np.float32), variances.astype(np.float32)


def _max_t(scores: np.ndarray, variances: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The largest standardised difference (max-t) of each draw, (b,), over the pairs that differ at all."""
    squares = np.square(scores[:, :, None] - scores[:, None, :])
    ratios = np.divide(squares, variances, out=np.zeros_like(squares), where=pairs & (variances > 0))
    largest: np.ndarray = np.sqrt(ratios.reshape(len(scores), -1).max(axis=1))
    return largest


def resolution_floor(systems: Sequence[PatientHits], pooled: SeedSpread | None) -> float | None:
    """Give the smallest difference of Score, in points, that this test part can show between two methods at five seeds.

    It is what the 95 % interval of a typical pair reaches: the median over the pairs of rows of the patients' part, and
    the pooled spread over five seeds of each.

    Args:
        systems: Hits of the rows, on the same patients.
        pooled: The seed spread of the board's rows, or of the paper's.

    Returns:
        The difference; None where there are no two rows that differ, or nothing is known of seeds.
    """
    if len(systems) < 2 or pooled is None:
        return None
    found = ScoreUncertainty.of(systems, pooled)
    apart = found.patient_variances()[np.triu_indices(len(systems), k=1)]
    apart = apart[apart > 0]
    if not len(apart):
        return None
    patients = VarianceComponent(float(np.median(apart)), found.influence.shape[1] - 1)
    seeds = VarianceComponent(2.0 * pooled.score**2 / SEEDS_OF_THE_FLOOR, pooled.degrees)
    return satterthwaite_interval(0.0, [patients, seeds]).hi
