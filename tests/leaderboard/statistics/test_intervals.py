from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from bench.core.errors import ResultError
from leaderboard.metrics import SENSITIVITIES, confusion_matrix, metrics_of
from leaderboard.published import printed_table
from leaderboard.statistics.intervals import (
    Estimate,
    coverage_sentence,
    paired_difference,
    satterthwaite_interval,
    system_estimate,
    t_quantile,
)
from leaderboard.statistics.patient_hits import RATES, PatientHits, VarianceComponent
from leaderboard.statistics.seed_spread import PAPER_SPREAD, SeedSpread, mean_and_deviation, pooled_seed_spread


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


@pytest.mark.parametrize("judged", SENSITIVITIES)
def test_the_estimate_is_the_mean_of_the_seeds_and_the_interval_holds_it(judged):
    _, labels, predicted, counts = made_up(patients=20)
    found = system_estimate(counts, judged=judged)
    runs = [metrics_of(confusion_matrix(labels, run), judged) for run in predicted]
    for name in RATES:
        one = getattr(found, name)
        assert one.value == pytest.approx(statistics.fmean(run[name] for run in runs), abs=1e-10)
        assert one.lo < one.value < one.hi
    assert (found.patients, found.seeds, found.covers_seeds) == (20, 3, True)


@pytest.mark.parametrize("judged", SENSITIVITIES)
def test_the_variance_is_the_jackknifes_and_the_seeds(judged):
    patient, labels, predicted, counts = made_up(patients=15, seeds=4)
    found = system_estimate(counts, judged=judged)
    for name in RATES:
        without = []
        for left in range(15):
            kept = patient != left
            runs = [metrics_of(confusion_matrix(labels[kept], run[kept]), judged)[name] for run in predicted]
            without.append(statistics.fmean(runs))
        jackknife = 14 / 15 * sum((value - statistics.fmean(without)) ** 2 for value in without)
        by_seed = [metrics_of(confusion_matrix(labels, run), judged)[name] for run in predicted]
        seeds = statistics.variance(by_seed) / 4
        one = getattr(found, name)
        assert one.error == pytest.approx(math.sqrt(jackknife + seeds), rel=1e-9)
        degrees = (jackknife + seeds) ** 2 / (jackknife**2 / 14 + seeds**2 / 3)
        assert one.degrees == pytest.approx(degrees, rel=1e-9)
        reach = stats.t.ppf(0.975, degrees) * one.error
        assert (one.lo, one.hi) == pytest.approx((max(one.value - reach, 0), min(one.value + reach, 100)), rel=1e-9)


def test_a_single_seed_is_given_the_spread_of_others_and_says_so():
    counts = made_up(patients=20, seeds=1)[3]
    alone, given = system_estimate(counts), system_estimate(counts, pooled=SeedSpread(3.0, 2.0, 1.5, 12, "others"))
    assert (alone.covers_seeds, given.covers_seeds) == (False, True)
    for name, deviation in (("sp", 3.0), ("se", 2.0), ("score", 1.5)):
        variances = [getattr(found, name).error ** 2 for found in (alone, given)]
        assert variances[1] - variances[0] == pytest.approx(deviation**2)
    several = made_up(patients=20, seeds=3)[3]
    assert system_estimate(several) == system_estimate(several, pooled=SeedSpread(9.0, 9.0, 9.0, 1, "not needed"))


def test_nothing_that_varies_gives_a_degenerate_interval():
    counts = counts_from([20] * 12, [20] * 12, [20] * 12, [0] * 12)  # every cycle called normal
    found = system_estimate(counts)
    assert found.score.is_degenerate
    assert (found.sp.lo, found.sp.value, found.sp.hi) == (100.0, 100.0, 100.0)
    assert not system_estimate(counts, pooled=SeedSpread(1, 1, 1, 9, "others")).score.is_degenerate


def test_an_interval_of_a_rate_stays_within_what_a_rate_can_be():
    counts = counts_from([20] * 12, [20] * 12, [20] * 11 + [17], [20] * 11 + [3])
    found = system_estimate(counts)
    assert found.score.hi <= 100.0
    assert found.se.hi == 100.0


def test_satterthwaites_degrees():
    one = satterthwaite_interval(50.0, [VarianceComponent(4.0, 48.0)])
    assert (one.error, one.degrees) == (2.0, pytest.approx(48.0))
    assert one.hi - 50.0 == pytest.approx(2.0 * stats.t.ppf(0.975, 48))
    both = satterthwaite_interval(50.0, [VarianceComponent(4.0, 48.0), VarianceComponent(4.0, 2.0)])
    assert both.degrees == pytest.approx(64.0 / (16.0 / 48.0 + 16.0 / 2.0))
    assert satterthwaite_interval(50.0, []) == Estimate(50.0, 50.0, 50.0, 0.0, math.inf)
    assert t_quantile(0.975, 7.3) == pytest.approx(stats.t.ppf(0.975, 7.3))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (counts_from([3], [2], [1], [1]), "two patients with normal cycles, but there are 1"),
        (counts_from([3, 0], [2, 2], [1, 0], [1, 1]), "two patients with normal cycles, but there are 1"),
        (counts_from([3, 1], [0, 0], [1, 1], [0, 0]), "two patients with abnormal cycles, but there are 0"),
        (np.zeros((2, 4, 4), dtype=int), "shape"),
        (counts_from([3, 1], [2, 2], [1, 1], [1, 1]) / 2, "shape"),
        (np.concatenate([made_up(0, 1)[3][:, :4], made_up(0, 1)[3][:, 1:5]]), "seeds of a system were judged"),
    ],
)
def test_counts_that_give_no_interval_are_refused(counts, said):
    with pytest.raises(ResultError, match=said):
        system_estimate(counts)


def test_another_sensitivity_is_refused():
    with pytest.raises(ResultError, match="4class or 2class"):
        system_estimate(made_up()[3], judged="3class")


# --- differences ------------------------------------------------------------------------------------------------


def test_the_difference_of_a_system_from_itself_is_exactly_none():
    counts = made_up(patients=30, seeds=1)[3]
    found = paired_difference(counts, counts)
    for name in RATES:
        one = getattr(found, name)
        assert one.value == one.lo == one.hi == 0.0
        assert one.is_degenerate
    assert found.favours_a == 0.5
    assert found.score.holds_zero


def test_seeds_of_a_system_compared_with_its_own_seeds_differ_by_nothing_but_seeds():
    counts = made_up(patients=30)[3]
    found = paired_difference(counts, counts[::-1]).score
    spread = statistics.variance(PatientHits.of(counts).by_seed[:, 2].tolist())
    assert found.value == 0.0
    assert found.error == pytest.approx(math.sqrt(2 * spread / 3), rel=1e-6)


@pytest.mark.parametrize("judged", SENSITIVITIES)
def test_a_difference_is_taken_on_the_same_patients(judged):
    a, b = made_up(right=0.7, patients=20)[3], made_up(right=0.3, seeds=2, patients=20)[3]
    found = paired_difference(a, b, judged=judged)
    first, second = PatientHits.of(a, judged), PatientHits.of(b, judged)
    for rate, name in enumerate(RATES):
        one = getattr(found, name)
        assert one.value == pytest.approx(first.values[rate] - second.values[rate], abs=1e-10)
        patients = ((first.influence[rate] - second.influence[rate]) ** 2).sum()
        seeds = first.seed_components(None)[rate].variance + second.seed_components(None)[rate].variance
        assert one.error == pytest.approx(math.sqrt(patients + seeds), rel=1e-9)
    swapped = paired_difference(b, a, judged=judged)
    assert (swapped.score.lo, swapped.score.hi) == pytest.approx((-found.score.hi, -found.score.lo), abs=1e-10)
    assert found.favours_a == pytest.approx(1.0 - swapped.favours_a)
    assert found.favours_a == pytest.approx(stats.t.cdf(found.score.value / found.score.error, found.score.degrees))


def test_pairing_tells_apart_what_two_intervals_do_not():
    patients = np.arange(40)
    hard = counts_from([20] * 40, [20] * 40, patients // 2, patients // 2)
    harder = counts_from([20] * 40, [20] * 40, np.maximum(patients // 2 - 1, 0), np.maximum(patients // 2 - 1, 0))
    a, b = system_estimate(hard).score, system_estimate(harder).score
    assert b.hi > a.lo
    found = paired_difference(hard, harder)
    assert found.score.lo > 4.0
    assert not found.score.holds_zero
    assert found.favours_a > 0.999
    assert not found.covers_seeds


def test_systems_on_other_cycles_are_refused():
    counts = made_up()[3]
    for other in (counts[:, :4], counts[:, ::-1], made_up(1)[3]):
        with pytest.raises(ResultError, match="not judged on the same cycles"):
            paired_difference(counts, other)


@pytest.mark.parametrize(
    ("lo", "hi", "holds"),
    [(-1, 1, True), (0, 1, True), (-1, 0, True), (0, 0, True), (0.01, 1, False), (-1, -0.01, False)],
)
def test_the_ends_of_an_interval_belong_to_it(lo, hi, holds):
    assert Estimate(0.0, lo, hi, 1.0, 9.0).holds_zero is holds


# --- seeds ------------------------------------------------------------------------------------------------------


def test_the_spread_over_seeds_is_the_sample_deviation():
    values = [61.18, 62.41, 60.60, 62.51, 60.76]  # best-test Scores of an independent run of the paper's script
    found = mean_and_deviation(values)
    assert (round(found.mean, 2), round(found.std, 2), found.n) == (61.49, 0.91, 5)
    assert found.std == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert mean_and_deviation([3.0]) == (3.0, None, 1)
    with pytest.raises(ResultError, match="no seed"):
        mean_and_deviation([])


def test_spreads_are_pooled_by_their_degrees_of_freedom():
    systems = [PatientHits.of(made_up(seed, seeds, patients=12)[3]) for seed, seeds in ((1, 2), (2, 5), (3, 1))]
    found = pooled_seed_spread([system.by_seed for system in systems], "these")
    variances = [system.by_seed.var(axis=0, ddof=1) for system in systems[:2]]
    wanted = np.sqrt((variances[0] * 1 + variances[1] * 4) / 5)
    assert (found.sp, found.se, found.score) == pytest.approx(tuple(wanted))
    assert (found.degrees, found.source) == (5, "these")
    assert pooled_seed_spread([system.by_seed for system in systems[2:]], "one seed alone") is None


def test_the_papers_spread_is_that_of_its_printed_rows():
    """Fifteen four-class rows of the paper's own, each once although several tables print some of them."""
    rows = {
        (row.sp, row.se): (row.sp_std, row.se_std, row.score_std)
        for table in ("table1", "table2", "table3")
        for row in printed_table(table).rows
        if row.score_std is not None and row.judged == "4class"
    }
    assert len(rows) == 15
    squares = np.sqrt(np.mean(np.square(list(rows.values())), axis=0))
    assert (PAPER_SPREAD.sp, PAPER_SPREAD.se, PAPER_SPREAD.score) == pytest.approx(tuple(squares), abs=5e-4)
    assert PAPER_SPREAD.degrees == 4 * len(rows)


def test_what_an_interval_covers_is_said():
    assert "49" in coverage_sentence(49, [5, 3], None)
    assert "other seeds" in coverage_sentence(49, [5, 3], None)
    assert "of this run, not of the method" in coverage_sentence(49, [5, 1], None)
    assert "the paper's own rows (Score ± 0.94)" in coverage_sentence(49, [1, 1], PAPER_SPREAD)
