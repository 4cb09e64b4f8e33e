from __future__ import annotations

import math
import statistics
import time

import numpy as np
import pytest
from scipy.stats import bootstrap

from leaderboard.errors import ResultError
from leaderboard.metrics import JUDGED, confusion_matrix, metrics_of
from leaderboard.statistics import (
    DRAWS,
    Estimate,
    cluster_bootstrap,
    groups_of_draws,
    mean_hits,
    paired_difference,
    resample,
    seed_spread,
    tie_groups,
    what_is_covered,
)


def made_up(seed=0, seeds=3, patients=6, most=9, right=0.5):
    """Patients, labels (n,) and predictions (seeds, n) of cycles, and the counts that follow from them."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.integers(2, most, patients))
    labels = np.random.default_rng(99).integers(0, 4, len(patient))
    predicted = np.where(rng.random((seeds, len(patient))) < right, labels, rng.integers(0, 4, (seeds, len(patient))))
    counts = np.array(
        [[confusion_matrix(labels[patient == p], run[patient == p]) for p in range(patients)] for run in predicted]
    )
    return patient, labels, predicted, counts


def counts_from(normal, abnormal, right_normal, right_abnormal):
    """Counts (1, P, 4, 4) with crackles as the only abnormal class."""
    counts = np.zeros((1, len(normal), 4, 4), dtype=int)
    counts[0, :, 0, 0] = right_normal
    counts[0, :, 0, 1] = np.subtract(normal, right_normal)
    counts[0, :, 1, 1] = right_abnormal
    counts[0, :, 1, 0] = np.subtract(abnormal, right_abnormal)
    return counts


@pytest.mark.parametrize("judged", JUDGED)
def test_every_draw_equals_the_metric_of_its_cycles(judged):
    patient, labels, predicted, counts = made_up()
    found = cluster_bootstrap(counts, 40, np.random.default_rng(5), judged=judged)
    weights = resample(counts, 40, np.random.default_rng(5)).weights
    for number, row in enumerate(weights):
        cycles = np.concatenate([np.tile(np.flatnonzero(patient == p), int(times)) for p, times in enumerate(row)])
        runs = [metrics_of(confusion_matrix(labels[cycles], run[cycles]), judged) for run in predicted]
        for name in ("sp", "se", "score"):
            drawn = getattr(found, name).draws[number]
            assert drawn == pytest.approx(statistics.fmean(run[name] for run in runs), abs=1e-10)


@pytest.mark.parametrize("judged", JUDGED)
def test_the_estimate_is_the_mean_of_the_seeds_and_the_interval_holds_it(judged):
    _, labels, predicted, counts = made_up(patients=20)
    found = cluster_bootstrap(counts, judged=judged)
    runs = [metrics_of(confusion_matrix(labels, run), judged) for run in predicted]
    for name in ("sp", "se", "score"):
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(statistics.fmean(run[name] for run in runs), abs=1e-10)
        assert estimate.lo < estimate.value < estimate.hi
        assert estimate.draws.shape == (DRAWS,)
    assert found.patients == 20


def test_draws_keep_the_number_of_patients():
    weights = resample(made_up()[3], 100).weights
    assert weights.shape == (100, 6)
    assert (weights.sum(axis=1) == 6).all()
    assert len(np.unique(weights, axis=0)) > 50


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    counts = made_up()[3]
    first, again = cluster_bootstrap(counts), cluster_bootstrap(counts)
    assert (first.score.lo, first.score.hi) == (again.score.lo, again.score.hi)
    other = cluster_bootstrap(counts, rng=np.random.default_rng(1))
    assert not np.array_equal(first.score.draws, other.score.draws)


def test_scipy_gives_the_same_interval_from_the_same_generator():
    counts = made_up(seeds=1, patients=25)[3]
    cycles, (right_normal, right_abnormal) = counts[0].sum(axis=-1), mean_hits(counts)
    data = (right_normal, cycles[:, 0], right_abnormal, cycles[:, 1:].sum(axis=-1))

    def score(normal_hits, normal, abnormal_hits, abnormal, axis=-1):
        sp = normal_hits.sum(axis=axis) / normal.sum(axis=axis)
        return 50.0 * (sp + abnormal_hits.sum(axis=axis) / abnormal.sum(axis=axis))

    theirs = bootstrap(
        data, score, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=np.random.default_rng(3)
    )
    ours = cluster_bootstrap(counts, 4000, np.random.default_rng(3)).score
    np.testing.assert_allclose(ours.draws, theirs.bootstrap_distribution, atol=1e-10)
    assert (ours.lo, ours.hi) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-10)


def test_draws_without_a_normal_or_an_abnormal_cycle_are_drawn_again():
    counts = counts_from([3, 0, 0], [0, 2, 2], [2, 0, 0], [0, 1, 2])
    weights = resample(counts, 2000).weights
    assert (weights[:, 0] > 0).all()
    assert (weights[:, 1:].sum(axis=1) > 0).all()
    assert np.isfinite(cluster_bootstrap(counts).score.draws).all()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (counts_from([3], [2], [1], [1]), "needs two of them, but there is 1"),
        (counts_from([3, 1], [0, 0], [1, 1], [0, 0]), "no abnormal one"),
        (counts_from([0, 0], [3, 1], [0, 0], [1, 1]), "no normal one"),
        (np.zeros((2, 4, 4), dtype=int), "shape"),
        (counts_from([3, 1], [2, 2], [1, 1], [1, 1]) / 2, "shape"),
        (np.concatenate([made_up(0, 1)[3][:, :4], made_up(0, 1)[3][:, 1:5]]), "seeds of a system were judged"),
    ],
)
def test_counts_that_give_no_interval_are_refused(counts, said):
    with pytest.raises(ResultError, match=said):
        cluster_bootstrap(counts)


def test_another_sensitivity_is_refused():
    with pytest.raises(ResultError, match="4class or 2class"):
        cluster_bootstrap(made_up()[3], judged="3class")


# --- differences ------------------------------------------------------------------------------------------------


def test_the_difference_of_a_system_from_itself_is_exactly_none():
    counts = made_up(patients=30)[3]
    for other in (counts, counts[::-1], np.concatenate([counts, counts])):
        found = paired_difference(counts, other)
        for estimate in (found.sp, found.se, found.score):
            assert estimate.value == estimate.lo == estimate.hi == 0.0
            assert not estimate.draws.any()
        assert found.favours_a == 0.5
        assert found.score.holds_zero


@pytest.mark.parametrize("judged", JUDGED)
def test_a_difference_is_taken_within_the_same_draws(judged):
    a, b = made_up(right=0.7)[3], made_up(right=0.3, seeds=2)[3]
    found = paired_difference(a, b, 500, np.random.default_rng(2), judged=judged)
    alone = [cluster_bootstrap(c, 500, np.random.default_rng(2), judged=judged) for c in (a, b)]
    for name in ("sp", "se", "score"):
        of_a, of_b = (getattr(result, name) for result in alone)
        difference = getattr(found, name)
        np.testing.assert_allclose(difference.draws, of_a.draws - of_b.draws, atol=1e-10)
        assert difference.value == pytest.approx(of_a.value - of_b.value, abs=1e-10)
    swapped = paired_difference(b, a, 500, np.random.default_rng(2), judged=judged)
    assert (swapped.score.lo, swapped.score.hi) == pytest.approx((-found.score.hi, -found.score.lo), abs=1e-10)
    assert found.favours_a == pytest.approx(1.0 - swapped.favours_a)
    assert found.favours_a == pytest.approx(
        (found.score.draws > 1e-9).mean() + (abs(found.score.draws) <= 1e-9).mean() / 2
    )


def test_pairing_tells_apart_what_two_intervals_do_not():
    patients = np.arange(40)
    hard = counts_from([20] * 40, [20] * 40, patients // 2, patients // 2)
    harder = counts_from([20] * 40, [20] * 40, np.maximum(patients // 2 - 1, 0), np.maximum(patients // 2 - 1, 0))
    a, b = cluster_bootstrap(hard).score, cluster_bootstrap(harder).score
    assert b.hi > a.lo
    found = paired_difference(hard, harder)
    assert found.score.lo > 4.0
    assert not found.score.holds_zero
    assert found.favours_a == 1.0


def test_systems_on_other_cycles_are_refused():
    counts = made_up()[3]
    for other in (counts[:, :4], counts[:, ::-1], made_up(1)[3]):
        with pytest.raises(ResultError, match="not judged on the same cycles"):
            paired_difference(counts, other)
        with pytest.raises(ResultError, match="not judged on the same cycles"):
            tie_groups([counts, other])


# --- tie groups -------------------------------------------------------------------------------------------------


def constant(*lost):
    """Systems that lose the same number of 20 cycles at every one of 12 patients: their differences have no spread."""
    return [counts_from([20] * 12, [20] * 12, [20 - n] * 12, [20 - n] * 12) for n in lost]


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([], []),
        (constant(1), [1]),
        (constant(1, 1, 1), [1, 1, 1]),
        (constant(1, 2, 3), [1, 2, 3]),
        (constant(1, 1, 2, 2, 3), [1, 1, 2, 2, 3]),
    ],
)
def test_rows_are_tied_with_the_leader_of_their_group(rows, groups):
    assert tie_groups(rows, 500) == groups


def test_ties_are_with_the_leader_and_do_not_pass_on():
    rng = np.random.default_rng(0)
    noise = [0.0, *rng.normal(0.0, 1.0, (3, 4000))]
    draws = np.array([60.0 + noise[0] + np.zeros(4000), 58.5 + noise[1], 57.5 + noise[2], 56.6 + noise[3]])
    assert groups_of_draws(draws) == [1, 1, 2, 2]
    assert groups_of_draws(draws[1:3]) == [1, 1]


def test_tie_groups_say_what_paired_differences_say():
    rows = [made_up(right=right, patients=15)[3] for right in (0.9, 0.85, 0.6, 0.55, 0.5, 0.2)]
    rows = sorted(rows, key=lambda counts: -cluster_bootstrap(counts).score.value)
    leader, expected = 0, []
    for number, row in enumerate(rows):
        if not paired_difference(rows[leader], row).score.holds_zero:
            leader = number
        expected.append(leader)
    groups = tie_groups(rows)
    assert [groups.index(group) for group in groups] == expected
    assert len(set(groups)) > 1


@pytest.mark.parametrize(
    ("lo", "hi", "holds"),
    [(-1, 1, True), (0, 1, True), (-1, 0, True), (0, 0, True), (0.01, 1, False), (-1, -0.01, False)],
)
def test_the_ends_of_an_interval_belong_to_it(lo, hi, holds):
    assert Estimate(0.0, lo, hi, np.zeros(1)).holds_zero is holds


# --- seeds ------------------------------------------------------------------------------------------------------


def test_the_spread_over_seeds_is_the_sample_deviation():
    values = [61.18, 62.41, 60.60, 62.51, 60.76]  # best-test Scores of an independent run of the paper's script
    found = seed_spread(values)
    assert (round(found.mean, 2), round(found.std, 2), found.n) == (61.49, 0.91, 5)
    assert found.std == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert seed_spread([3.0]) == (3.0, None, 1)
    with pytest.raises(ResultError, match="no seed"):
        seed_spread([])


def test_what_an_interval_covers_is_said():
    assert "49 test patients" in what_is_covered(49, [5, 3])
    assert "sample deviation over seeds" in what_is_covered(49, [5, 1])
    assert "one seed says nothing" in what_is_covered(49, [1, 1])


@pytest.mark.perf
def test_ten_thousand_draws_of_five_seeds_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    patient, labels = np.sort(rng.integers(0, 49, 2756)), rng.integers(0, 4, 2756)
    counts = np.zeros((5, 49, 4, 4), dtype=int)
    for seed in range(5):
        np.add.at(counts[seed], (patient, labels, rng.integers(0, 4, 2756)), 1)
    start = time.perf_counter()
    found = cluster_bootstrap(counts, 10_000)
    assert time.perf_counter() - start < 2.0
    assert math.isclose(counts.sum(), 5 * 2756)
    assert found.score.draws.shape == (10_000,)
