"""Spread over seeds: of one system, and pooled over several; against NumPy, SciPy and the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.intervals import satterthwaite_interval
from leaderboard.statistics.patient_hits import VarianceComponent
from leaderboard.statistics.seed_spread import mean_and_deviation, pooled_seed_spread


@pytest.mark.parametrize("seeds", [2, 3, 5, 50])
def test_mean_and_deviation_are_numpys(seeds):
    values = np.random.default_rng(seeds).normal(60, 1, seeds).tolist()
    found = mean_and_deviation(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.std == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert found.n == seeds


def test_the_order_of_seeds_changes_no_digit():
    values = [60.1, 59.3, 61.7, 58.123456789, 60.1]
    assert len({mean_and_deviation(order) for order in itertools.permutations(values)}) == 1


def test_equal_seeds_have_no_deviation_whatever_their_digits():
    for value in (0.0, 100.0, 61.23456789012345, 100 / 3):
        assert mean_and_deviation([value] * 5) == (pytest.approx(value), pytest.approx(0.0, abs=1e-12), 5)


def test_values_of_very_unlike_size_lose_nothing():
    """A plain sum would lose the small value beside the large ones."""
    assert mean_and_deviation([1e16, 1.0, -1e16]).mean == 1 / 3


def test_pooling_is_that_of_a_one_way_analysis_of_variance():
    """The pooled variance is the mean square within groups, which SciPy's F test divides by."""
    rng = np.random.default_rng(2)
    groups = [rng.normal(60, 1, (seeds, 3)) for seeds in (2, 3, 5)]
    found = pooled_seed_spread(groups, "these")
    for rate, deviation in enumerate((found.sp, found.se, found.score)):
        columns = [group[:, rate] for group in groups]
        every = np.concatenate(columns)
        between = sum(len(c) * (c.mean() - every.mean()) ** 2 for c in columns) / (len(columns) - 1)
        assert deviation**2 == pytest.approx(between / stats.f_oneway(*columns).statistic, rel=1e-9)
    assert found.degrees == 1 + 2 + 4


def test_a_single_seed_adds_nothing_and_the_order_of_systems_nothing_either():
    groups = [
        np.array([[80.0, 40.0, 60.0], [82.0, 41.0, 61.5]]),
        np.array([[1.0, 2.0, 1.5], [4.0, 6.0, 5.0], [0, 0, 0]]),
    ]
    alone = np.array([[7.0, 7.0, 7.0]])
    assert pooled_seed_spread([*groups, alone], "x") == pooled_seed_spread(groups, "x")
    one, other = pooled_seed_spread(groups, "x"), pooled_seed_spread(groups[::-1], "x")
    assert (one.sp, one.se, one.score) == pytest.approx((other.sp, other.se, other.score))


@pytest.mark.parametrize("systems", [[], [np.ones((1, 3))], [np.ones((1, 3))] * 4])
def test_without_two_seeds_of_any_system_nothing_is_known(systems):
    assert pooled_seed_spread(systems, "x") is None


def test_a_board_may_give_lists_and_systems_one_by_one():
    rows = [[80.0, 40.0, 60.0], [82.0, 40.0, 61.0]]
    found = pooled_seed_spread(iter([rows]), "the rows")
    assert (found.sp, found.se, found.score) == pytest.approx((math.sqrt(2), 0.0, math.sqrt(0.5)))
    assert found.source == "the rows"


# --- what comes of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(5, 5), (2, 9), (3, 30)])
def test_two_means_of_independent_seeds_have_welchs_interval(n, m):
    """Satterthwaite's rule for two components is Welch's t-test, which SciPy has."""
    rng = np.random.default_rng(n + m)
    a, b = rng.normal(61, 2, n), rng.normal(60, 0.5, m)
    components = [VarianceComponent(stats.sem(one) ** 2, len(one) - 1) for one in (a, b)]
    found = satterthwaite_interval(a.mean() - b.mean(), components)
    welch = stats.ttest_ind(a, b, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert found.degrees == pytest.approx(welch.df, rel=1e-9)
    assert (found.lo, found.hi) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_components_without_variance_or_with_certain_variance_count_as_they_should():
    sure, rough = VarianceComponent(4.0, math.inf), VarianceComponent(4.0, 3)
    assert satterthwaite_interval(0.0, [rough, VarianceComponent(0.0, 1)]) == satterthwaite_interval(0.0, [rough])
    both = satterthwaite_interval(0.0, [rough, sure])
    assert both.degrees == pytest.approx(64.0 / (16.0 / 3))


@pytest.mark.parametrize(("value", "lo", "hi"), [(99.0, 95.0, 100.0), (1.0, 0.0, 5.0), (50.0, 46.0, 54.0)])
def test_an_interval_ends_at_its_bounds(value, lo, hi):
    error = 4.0 / stats.t.ppf(0.975, 9)
    found = satterthwaite_interval(value, [VarianceComponent(error**2, 9)], bounds=(0.0, 100.0))
    assert (found.lo, found.hi) == pytest.approx((lo, hi))
    assert found.error == pytest.approx(error)
    free = satterthwaite_interval(value, [VarianceComponent(error**2, 9)])
    assert (free.lo, free.hi) == pytest.approx((value - 4, value + 4))
