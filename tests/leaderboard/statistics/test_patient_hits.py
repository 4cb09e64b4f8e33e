"""Hits of patients, their influence, and the counts that are refused; against loops over single cycles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from bench.core.errors import ResultError
from leaderboard.metrics import SENSITIVITIES
from leaderboard.statistics.intervals import paired_difference, system_estimate
from leaderboard.statistics.patient_hits import (
    RATES,
    PatientHits,
    VarianceComponent,
    check_same_cycles,
    count_hits,
    influence,
    validated_counts,
)
from leaderboard.statistics.seed_spread import SeedSpread


def random_counts(seed, seeds=2, patients=7, least=1):
    """Counts (S, P, 4, 4) of seeds that share their cycles and answer them at random."""
    rng = np.random.default_rng(seed)
    cycles = rng.integers(least, 9, (patients, 4))
    shares = rng.dirichlet(np.ones(4), (seeds, patients, 4))
    return np.array(
        [
            [[rng.multinomial(cycles[p, c], shares[s, p, c]) for c in range(4)] for p in range(patients)]
            for s in range(seeds)
        ]
    )


def even_counts(correct, cycles=20):
    """Counts (1, P, 4, 4) of patients with equally many normal and crackle cycles, from hits (2, P)."""
    correct = np.asarray(correct)
    counts = np.zeros((1, correct.shape[1], 4, 4), dtype=int)
    for kind in (0, 1):
        counts[0, :, kind, kind] = correct[kind]
        counts[0, :, kind, 1 - kind] = cycles - correct[kind]
    return counts


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_counted_cell_by_cell(seed):
    counts = random_counts(seed, seeds=1, patients=3)[0]
    strict, any_abnormal = np.zeros(3, dtype=int), np.zeros(3, dtype=int)
    for patient, true, said in itertools.product(range(3), range(1, 4), range(4)):
        strict[patient] += counts[patient, true, said] * (true == said)
        any_abnormal[patient] += counts[patient, true, said] * (said > 0)
    for judged, wanted in (("4class", strict), ("2class", any_abnormal)):
        normal, abnormal = count_hits(counts, judged)
        assert normal.tolist() == counts[:, 0, 0].tolist()
        assert abnormal.tolist() == wanted.tolist()
    assert (strict <= any_abnormal).all()


@pytest.mark.parametrize("judged", ["", "3class", "binary"])
def test_a_sensitivity_of_another_name_is_refused_with_the_two_known_ones(judged):
    with pytest.raises(ResultError, match=f"4class or 2class, not as {judged!r}"):
        count_hits(np.zeros((4, 4), dtype=int), judged)


@pytest.mark.parametrize("judged", SENSITIVITIES)
@pytest.mark.parametrize("seed", [0, 5])
def test_influences_are_those_of_leaving_each_patient_out(seed, judged):
    counts = random_counts(seed, seeds=3, patients=9)

    def rates(kept):
        found = []
        for run in counts[:, kept].sum(axis=1):
            right = run[1:, 1:].sum() if judged == "2class" else np.trace(run[1:, 1:])
            sp, se = 100 * run[0, 0] / run[0].sum(), 100 * right / run[1:].sum()
            found.append((sp, se, (sp + se) / 2))
        return np.mean(found, axis=0)

    without = np.array([rates([p for p in range(9) if p != left]) for left in range(9)])
    wanted = (without - without.mean(axis=0)) * math.sqrt(8 / 9)
    hits = PatientHits.of(counts, judged)
    assert pytest.approx(wanted, abs=1e-9) == hits.influence.T
    assert hits.values == pytest.approx(rates(list(range(9))), abs=1e-9)
    assert hits.influence.sum(axis=-1) == pytest.approx(np.zeros(3), abs=1e-9)


def test_the_influence_of_a_difference_is_the_difference_of_influences():
    a, b = (PatientHits.of(even_counts(np.random.default_rng(seed).integers(0, 21, (2, 8)))) for seed in (1, 2))
    found = influence(a.correct - b.correct, a.normal, a.abnormal)
    assert found == pytest.approx(a.influence - b.influence, abs=1e-9)


def test_many_systems_at_once_have_the_influences_of_each():
    systems = [PatientHits.of(even_counts(np.random.default_rng(seed).integers(0, 21, (2, 8)))) for seed in range(3)]
    together = influence(np.stack([one.correct for one in systems]), systems[0].normal, systems[0].abnormal)
    assert together.shape == (3, 3, 8)
    for one, found in zip(systems, together, strict=True):
        assert found == pytest.approx(one.influence)


@pytest.mark.parametrize("patients", [5, 12, 49])
def test_with_equal_patients_an_interval_is_students_over_patients(patients):
    """The jackknife of a mean of equally large patients is the classic standard error of that mean."""
    correct = np.random.default_rng(patients).integers(6, 15, (2, patients))
    found = system_estimate(even_counts(correct))
    shares = 100 * correct / 20
    for name, values in zip(RATES, (*shares, shares.mean(axis=0)), strict=True):
        interval = stats.ttest_1samp(values, 50.0).confidence_interval(0.95)
        one = getattr(found, name)
        assert (one.lo, one.hi) == pytest.approx((interval.low, interval.high), rel=1e-9)
        assert one.error == pytest.approx(stats.sem(values), rel=1e-9)
        assert one.degrees == pytest.approx(patients - 1)


@pytest.mark.parametrize("seed", range(3))
def test_with_equal_patients_a_paired_difference_is_the_paired_t_test(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(6, 15, (2, 20)) for _ in range(2))
    found = paired_difference(even_counts(a), even_counts(b))
    scores = [(100 * correct / 20).mean(axis=0) for correct in (a, b)]
    test = stats.ttest_rel(*scores)
    interval = test.confidence_interval(0.95)
    assert (found.score.lo, found.score.hi) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.score.value / found.score.error == pytest.approx(test.statistic, rel=1e-9)
    assert found.favours_a == pytest.approx(1 - stats.ttest_rel(*scores, alternative="greater").pvalue, rel=1e-9)


def test_patients_in_another_order_give_the_same_estimate():
    counts = random_counts(8, patients=10)
    order = np.random.default_rng(0).permutation(10)
    for name in RATES:
        one, other = (getattr(system_estimate(values), name) for values in (counts, counts[:, order]))
        assert (one.value, one.lo, one.hi) == pytest.approx((other.value, other.lo, other.hi), rel=1e-9)


def test_a_patient_without_a_cycle_of_a_kind_counts_for_the_other_one():
    counts = even_counts([[10, 12, 14, 9], [8, 11, 15, 13]])
    counts[0, 0, 1] = 0  # The first patient has no abnormal cycle.
    hits = PatientHits.of(counts)
    assert hits.abnormal.tolist() == [0, 20, 20, 20]
    assert hits.values == pytest.approx([100 * 45 / 80, 100 * 39 / 60, (100 * 45 / 80 + 65) / 2])
    assert np.isfinite(hits.influence).all()


def test_the_components_of_several_seeds_are_those_of_their_mean():
    hits = PatientHits.of(random_counts(4, seeds=5))
    for rate, component in enumerate(hits.seed_components(SeedSpread(9, 9, 9, 3, "not asked"))):
        assert component.variance == pytest.approx(stats.sem(hits.by_seed[:, rate]) ** 2)
        assert component.degrees == 4


def test_the_component_of_a_single_seed_is_that_of_others_or_unknown():
    hits = PatientHits.of(random_counts(4, seeds=1))
    assert hits.seed_components(None) is None
    pooled = SeedSpread(sp=3.0, se=2.0, score=1.0, degrees=7, source="others")
    assert hits.seed_components(pooled) == [VarianceComponent(v, 7) for v in (9.0, 4.0, 1.0)]


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (np.zeros((1, 0, 4, 4), dtype=int), r"int64 \(1, 0, 4, 4\)"),
        (np.zeros((1, 3, 2, 2), dtype=int), r"\(1, 3, 2, 2\)"),
        (np.zeros((3, 4, 4), dtype=int), r"\(3, 4, 4\)"),
        (np.ones((1, 3, 4, 4)), r"float64 \(1, 3, 4, 4\)"),
        (np.ones((1, 3, 4, 4), dtype=bool), r"bool \(1, 3, 4, 4\)"),
    ],
)
def test_counts_of_another_shape_or_kind_are_refused_with_what_they_are(counts, told):
    with pytest.raises(ResultError, match=told):
        validated_counts(counts)


def test_small_unsigned_counts_do_not_overflow():
    counts = np.full((1, 2, 4, 4), 200, dtype=np.uint8)
    found = validated_counts(counts)
    assert found.dtype == np.int64
    assert found.sum() == 200 * 32


def test_seeds_with_other_cycles_are_refused():
    counts = random_counts(0)
    counts[1, 2, 3, 0] += 1
    with pytest.raises(ResultError, match="seeds of a system were judged on different cycles"):
        validated_counts(counts)


def test_systems_with_other_answers_to_the_same_cycles_are_the_same_cycles():
    counts = even_counts(np.full((2, 3), 10))
    check_same_cycles([counts, even_counts(np.full((2, 3), 4)), np.repeat(counts, 4, axis=0)])
    with pytest.raises(ResultError, match="not judged on the same cycles"):
        check_same_cycles([counts, even_counts(np.full((2, 3), 10), cycles=21)])
    with pytest.raises(ResultError, match="not judged on the same cycles"):
        check_same_cycles([counts, even_counts(np.full((2, 4), 10))])


@pytest.mark.parametrize(("kind", "rows"), [("normal", slice(0, 1)), ("abnormal", slice(1, 4))])
@pytest.mark.parametrize("left", [0, 1])
def test_an_interval_takes_two_patients_of_each_kind(kind, rows, left):
    counts = random_counts(1, patients=4)
    counts[:, left:, rows] = 0
    with pytest.raises(ResultError, match=f"two patients with {kind} cycles, but there are {left}"):
        PatientHits.of(counts)
