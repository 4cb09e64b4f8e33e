"""Reliability and operating points against slow, independent computations, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from leaderboard.metrics import score_cycles
from leaderboard.statistics.operating_points import FOLDS, TARGETS, is_one_hot, operating_points
from leaderboard.statistics.reliability import BINS, reliability


def probabilities(seed, cycles=300):
    rng = np.random.default_rng(seed)
    scores = special.softmax(rng.standard_normal((cycles, 4)) * 2, axis=1)
    return rng.integers(0, 4, cycles).tolist(), scores


# --- reliability ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_bins_and_error_are_those_of_binned_means(seed):
    labels, scores = probabilities(seed)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    edges = np.linspace(0, 1, BINS + 1)
    numbers = stats.binned_statistic(confidence, confidence, "count", edges).statistic
    said, found = (
        stats.binned_statistic(confidence, v.astype(float), "mean", edges).statistic for v in (confidence, right)
    )
    kept = numbers > 0
    result = reliability(labels, [scores])
    assert [count for count, _, _ in result.bins] == numbers[kept].tolist()
    assert [mean for _, mean, _ in result.bins] == pytest.approx((100 * said[kept]).tolist())
    assert [accuracy for _, _, accuracy in result.bins] == pytest.approx((100 * found[kept]).tolist())
    gap = (numbers[kept] * abs(said[kept] - found[kept])).sum() / len(labels)
    assert result.error == pytest.approx(100 * gap)


def test_the_order_of_cycles_and_runs_changes_nothing():
    labels, scores = probabilities(4)
    other = probabilities(5)[1]
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = [labels[place] for place in order]
    one = reliability(labels, [scores, other])
    moved = reliability(shuffled, [other[order], scores[order]])
    assert moved.error == pytest.approx(one.error)
    assert [bin_[0] for bin_ in moved.bins] == [bin_[0] for bin_ in one.bins]


def test_always_right_and_fully_sure_has_no_error_and_always_wrong_has_all_of_it():
    sure = np.full((8, 4), 0.0)
    sure[np.arange(8), np.arange(8) % 4] = 1.0
    sure[0] = [0.999, 0.001, 0.0, 0.0]  # A single such row makes them scores and no classes.
    labels = (np.arange(8) % 4).tolist()
    assert reliability(labels, [sure]).error == pytest.approx(0.1 / 8, abs=1e-6)
    assert reliability([(label + 1) % 4 for label in labels], [sure]).error == pytest.approx(100.0, abs=0.1)


@pytest.mark.parametrize(("total", "softmax"), [(1.0005, False), (0.9995, False), (1.002, True), (0.998, True)])
def test_a_row_may_miss_one_by_rounding_and_no_more(total, softmax):
    scores = np.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1 + total - 1.0]])
    assert reliability([0, 1], [scores]).softmax is softmax


def test_a_negative_number_is_no_probability():
    scores = np.array([[0.4, 0.3, 0.4, -0.1], [0.4, 0.3, 0.2, 0.1]])
    found = reliability([0, 1], [scores])
    assert found.softmax
    wanted = special.softmax(scores, axis=1).max(axis=1)
    assert sum(count * mean for count, mean, _ in found.bins) / 2 == pytest.approx(100 * wanted.mean())


def test_one_run_that_is_no_probability_makes_a_softmax_of_all():
    labels, scores = probabilities(6)
    assert reliability(labels, [scores, 5 * scores]).softmax
    assert not reliability(labels, [scores, scores]).softmax


def test_one_run_of_classes_alone_leaves_nothing_to_say():
    labels, scores = probabilities(7)
    assert reliability(labels, [scores, np.eye(4)[labels]]) is None


def test_huge_scores_do_not_overflow():
    scores = np.array([[1e4, 0.0, -1e4, 3.0], [-1e308, 0.0, 1.0, 2.0]])
    with np.errstate(over="raise", invalid="raise"):
        found = reliability([0, 3], [scores])
    assert found.softmax
    assert np.isfinite(found.error)


# --- operating points -------------------------------------------------------------------------------------------


def made(seed, cycles=400, patients=20):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, cycles)
    scores = rng.standard_normal((cycles, 4)) + 1.2 * np.eye(4)[labels]
    return labels.tolist(), scores, [f"p{number:02d}" for number in rng.integers(0, patients, cycles)]


def slow_curve(labels, scores, patients):
    """The curve, by calling every cycle with the threshold that the other folds' normal cycles give."""
    names = sorted(set(patients))
    folds = min(FOLDS, len(names))
    fold = np.array([names.index(patient) % folds for patient in patients])
    true, margin = np.asarray(labels), scores[:, 1:].max(axis=1) - scores[:, 0]
    curve = []
    for target in TARGETS:
        said = np.empty(len(true), dtype=int)
        for number in range(folds):
            normal = np.sort(margin[(fold != number) & (true == 0)])
            wanted = next(k for k in range(len(normal) + 1) if k / len(normal) >= target - 1e-12)
            threshold = normal[wanted - 1] if wanted else -np.inf
            here = fold == number
            said[here] = np.where(margin[here] <= threshold, 0, scores[here, 1:].argmax(axis=1) + 1)
        abnormal = true != 0
        curve.append(
            (
                100 * (said[true == 0] == 0).mean(),
                100 * (said[abnormal] == true[abnormal]).mean(),
                100 * (said[abnormal] > 0).mean(),
            )
        )
    return curve


@pytest.mark.parametrize(("seed", "patients"), [(0, 20), (1, 4), (2, 11)])
def test_the_curve_is_that_of_calling_each_cycle(seed, patients):
    judged = made(seed, patients=patients)
    found = operating_points(*judged)
    assert np.asarray(found.curve) == pytest.approx(np.asarray(slow_curve(*judged)))


def test_cycles_that_tie_with_a_threshold_are_called_normal():
    labels, scores, patients = made(7)
    judged = labels, np.round(scores), patients
    assert np.asarray(operating_points(*judged).curve) == pytest.approx(np.asarray(slow_curve(*judged)))


def test_the_order_of_cycles_is_no_part_of_a_curve():
    labels, scores, patients = made(3)
    order = np.random.default_rng(1).permutation(len(labels))
    moved = operating_points([labels[i] for i in order], scores[order], [patients[i] for i in order])
    assert moved == operating_points(labels, scores, patients)


def test_a_number_for_each_cycle_alone_changes_no_margin():
    labels, scores, patients = made(4)
    shifted = scores + np.random.default_rng(2).integers(-4, 5, (len(labels), 1))
    found, moved = operating_points(labels, scores, patients), operating_points(labels, shifted, patients)
    assert np.asarray(moved.curve) == pytest.approx(np.asarray(found.curve))


def test_scores_that_tell_everything_reach_everything():
    labels, _, patients = made(5)
    found = operating_points(labels, 3 * np.eye(4)[labels], patients)
    assert found.tuned == {"4class": (100.0, 100.0), "2class": (100.0, 100.0)}


def test_a_class_bias_is_tuned_away():
    """Scores whose normal class is far too low call all abnormal; a threshold mends that."""
    labels, scores, patients = made(6, cycles=2000)
    biased = scores - np.array([100.0, 0.0, 0.0, 0.0])
    assert score_cycles(labels, biased)["4class"]["sp"] == 0.0
    assert np.asarray(operating_points(labels, biased, patients).curve) == pytest.approx(
        np.asarray(operating_points(labels, scores, patients).curve)
    )


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        ([[1, 0, 0, 0], [0, 0, 1, 0]], True),
        ([[1, 1, 0, 0], [0, 0, 1, 0]], False),
        ([[0, 0, 0, 0], [0, 0, 1, 0]], False),
        ([[0.5, 0.5, 0, 0], [0, 0, 1, 0]], False),
        ([[2, -1, 0, 0], [0, 0, 1, 0]], False),
    ],
)
def test_a_single_one_in_each_row_is_a_class_and_no_score(rows, classes):
    assert is_one_hot(np.asarray(rows, dtype=float)) is classes
