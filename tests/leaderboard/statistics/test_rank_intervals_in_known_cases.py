"""Ranks against what statistics books say of them: the studentized range, Student's t, and what order cannot matter."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.rank_intervals import (
    LEAST_DRAWS,
    MOST_CELLS,
    MOST_DRAWS,
    SEEDS_OF_THE_FLOOR,
    ScoreUncertainty,
    critical_value,
    rank_intervals,
    resolution_floor,
)
from leaderboard.statistics.seed_spread import SeedSpread


def system(rng, patients=80, cycles=40, right=0.5):
    """A system of one seed on equally large patients, independent of every other one."""
    correct = rng.binomial(cycles, right, (2, patients))
    counts = np.zeros((1, patients, 4, 4), dtype=int)
    for kind in (0, 1):
        counts[0, :, kind, kind] = correct[kind]
        counts[0, :, kind, 1 - kind] = cycles - correct[kind]
    return PatientHits.of(counts)


def systems(number, seed=0, right=0.5):
    rng = np.random.default_rng(seed)
    return [system(rng, right=right) for _ in range(number)]


@pytest.mark.parametrize("rows", [2, 3, 6, 12])
def test_the_critical_value_of_independent_rows_is_that_of_the_studentized_range(rows):
    """Equal rows that are independent over many equal patients are Tukey's case, whose quantile SciPy has."""
    found = ScoreUncertainty.of(systems(rows), None)
    wanted = stats.studentized_range.ppf(0.95, rows, 79) / math.sqrt(2)
    assert critical_value(found, found.pair_variances() > 0) == pytest.approx(wanted, abs=0.25)


def test_the_critical_value_is_the_same_each_time():
    found = ScoreUncertainty.of(systems(4), None)
    assert critical_value(found, found.pair_variances() > 0) == critical_value(found, found.pair_variances() > 0)


def test_rows_that_are_copies_have_nothing_to_be_drawn():
    one = systems(1)
    found = ScoreUncertainty.of(one * 3, None)
    assert found.patient_variances().tolist() == [[0.0] * 3] * 3
    assert critical_value(found, found.pair_variances() > 0) == 0.0
    assert rank_intervals(one * 3, None) == [(1, 3)] * 3


def test_the_number_of_draws_falls_with_the_rows_but_not_below_what_a_quantile_needs():
    assert MOST_CELLS // 20**2 > MOST_DRAWS
    assert MOST_CELLS // 500**2 < LEAST_DRAWS < MOST_DRAWS


@pytest.mark.parametrize("seed", range(3))
def test_ranks_of_rows_in_another_order_are_those_of_the_rows(seed):
    rows = [*systems(2, seed), *systems(2, seed + 10, right=0.7)]
    wanted = rank_intervals(rows, None)
    for order in ((3, 2, 1, 0), (2, 0, 3, 1), (1, 2, 3, 0)):
        assert rank_intervals([rows[place] for place in order], None) == [wanted[place] for place in order]


@pytest.mark.parametrize("spread", [0.2, 1.0, 30.0])
def test_a_rank_interval_holds_the_rank_by_score(spread):
    rows = [*systems(3, 1), *systems(3, 2, right=0.55), *systems(2, 3, right=0.8)]
    scores = [row.values[2] for row in rows]
    found = rank_intervals(rows, SeedSpread(spread, spread, spread, 20, "others"))
    for score, (best, worst) in zip(scores, found, strict=True):
        rank = 1 + sum(other > score for other in scores)
        assert 1 <= best <= rank <= worst <= len(rows)


def test_more_spread_over_seeds_opens_ranks_and_never_closes_them():
    rows = [*systems(3, 1), *systems(2, 2, right=0.6)]
    spans = [
        rank_intervals(rows, SeedSpread(spread, spread, spread, 20, "others")) for spread in (0.01, 1.0, 3.0, 10.0)
    ]
    for narrow, wide in itertools.pairwise(spans):
        assert all(w[0] <= n[0] <= n[1] <= w[1] for n, w in zip(narrow, wide, strict=True))
    assert spans[-1] == [(1, 5)] * 5


def test_patients_variance_of_a_pair_is_the_paired_one():
    a, b = systems(2, 4)
    found = ScoreUncertainty.of([a, b], None).patient_variances()
    scores = [(100 * one.correct / 40).mean(axis=0) for one in (a, b)]
    assert found[0, 1] == found[1, 0] == pytest.approx(stats.sem(scores[0] - scores[1]) ** 2)
    assert found.diagonal().tolist() == [0.0, 0.0]


def test_deviations_are_hits_beyond_the_mean_rate():
    found = ScoreUncertainty.of(systems(3), None)
    assert found.deviations.shape == (3, 2, 80)
    assert found.deviations.sum(axis=-1) == pytest.approx(np.zeros((3, 2)), abs=1e-9)
    assert found.degrees.tolist() == [math.inf] * 3
    assert found.seeds.tolist() == [0.0] * 3


# --- the floor --------------------------------------------------------------------------------------------------


def test_the_floor_of_two_rows_is_the_reach_of_their_interval():
    rows, pooled = systems(2, 5), SeedSpread(1.0, 1.0, 0.8, 30, "others")
    patients = ScoreUncertainty.of(rows, None).patient_variances()[0, 1]
    seeds = 2 * 0.8**2 / SEEDS_OF_THE_FLOOR
    degrees = (patients + seeds) ** 2 / (patients**2 / 79 + seeds**2 / 30)
    wanted = stats.t.ppf(0.975, degrees) * math.sqrt(patients + seeds)
    assert resolution_floor(rows, pooled) == pytest.approx(wanted)


def test_the_floor_is_of_the_median_pair_and_copies_are_no_pair():
    rows, pooled = systems(3, 6), SeedSpread(1.0, 1.0, 0.8, 30, "others")
    of_pairs = sorted(resolution_floor(list(pair), pooled) for pair in itertools.combinations(rows, 2))
    assert resolution_floor(rows, pooled) == pytest.approx(of_pairs[1])
    assert resolution_floor([rows[0], rows[0], rows[1]], pooled) == pytest.approx(
        resolution_floor([rows[0], rows[1]], pooled)
    )


def test_the_floor_does_not_know_the_order_of_rows():
    rows, pooled = systems(4, 7), SeedSpread(1.0, 1.0, 0.8, 30, "others")
    assert resolution_floor(rows, pooled) == pytest.approx(resolution_floor(rows[::-1], pooled))
