from __future__ import annotations

import numpy as np
import pytest

from leaderboard.metrics import score_cycles
from leaderboard.statistics.operating_points import FOLDS, TARGETS, operating_points

PATIENTS = [f"p{number:02d}" for number in range(24)]


def made(seed=0, cycles=600, skill=1.2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, cycles)
    scores = rng.standard_normal((cycles, 4)) + skill * np.eye(4)[labels]
    patients = [PATIENTS[number] for number in rng.integers(0, len(PATIENTS), cycles)]
    return labels.tolist(), scores, patients


def slowly(labels, scores, patients, judged):
    """Sp and Se with the best threshold of the other folds, by trying every threshold on every cycle."""
    names = sorted(set(patients))
    fold = [names.index(patient) % FOLDS for patient in patients]

    def answer(row, threshold):
        return 0 if row[1:].max() - row[0] <= threshold else 1 + int(row[1:].argmax())

    def hit(label, said):
        return said == label if label == 0 or judged == "4class" else said > 0

    right, cycles = [0, 0], [0, 0]
    for number in range(FOLDS):
        others = [place for place, one in enumerate(fold) if one != number]
        candidates = sorted({-np.inf, *(scores[place][1:].max() - scores[place][0] for place in others)})
        best = (-1.0, None)
        for threshold in candidates:
            counts = [[0, 0], [0, 0]]
            for place in others:
                kind = int(labels[place] > 0)
                counts[kind][0] += hit(labels[place], answer(scores[place], threshold))
                counts[kind][1] += 1
            score = sum(found / all_ for found, all_ in counts)
            if score > best[0] + 1e-12:
                best = (score, threshold)
        for place, one in enumerate(fold):
            if one == number:
                kind = int(labels[place] > 0)
                cycles[kind] += 1
                right[kind] += hit(labels[place], answer(scores[place], best[1]))
    return [100 * found / all_ for found, all_ in zip(right, cycles, strict=True)]


@pytest.mark.parametrize("judged", ["4class", "2class"])
def test_tuned_thresholds_are_those_of_a_slow_search(judged):
    labels, scores, patients = made(1, 150)
    found = operating_points(labels, scores, patients)
    assert found.tuned[judged] == pytest.approx(slowly(labels, scores, patients, judged))


def test_the_curve_runs_from_all_abnormal_to_nearly_all_normal():
    labels, scores, patients = made()
    curve = np.asarray(operating_points(labels, scores, patients).curve)
    assert curve.shape == (len(TARGETS), 3)
    assert curve[0, 0] == 0
    assert curve[0, 2] == 100
    assert (np.diff(curve[:, 0]) >= 0).all()
    assert (np.diff(curve[:, 1:], axis=0) <= 0).all()
    assert curve[:, 0] == pytest.approx(100 * np.asarray(TARGETS), abs=6)
    assert (curve[:, 1] <= curve[:, 2]).all()


def test_scores_of_any_scale_give_the_same():
    labels, scores, patients = made(3)
    assert operating_points(labels, scores, patients) == operating_points(labels, 7.0 * scores + 3.0, patients)


def test_where_nothing_is_tuned_the_threshold_is_zero():
    labels, scores, patients = made(4)
    metrics = score_cycles(labels, scores)
    tuned = operating_points(labels, scores, patients).tuned["4class"]
    assert sum(tuned) / 2 == pytest.approx(metrics["4class"]["score"], abs=6)


def test_classes_alone_have_no_curve():
    labels, scores, patients = made(5)
    assert operating_points(labels, np.eye(4)[scores.argmax(axis=1)], patients) is None


@pytest.mark.parametrize("patients", [["a"] * 8, ["a"] * 4 + ["b"] * 4])
def test_folds_that_have_nothing_to_choose_on_have_no_curve(patients):
    labels = [0, 0, 0, 0, 1, 2, 3, 1]
    scores = np.random.default_rng(0).standard_normal((8, 4))
    assert operating_points(labels, scores, patients) is None
