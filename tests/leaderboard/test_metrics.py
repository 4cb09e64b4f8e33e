from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import ResultError
from leaderboard.metrics import (
    OFFICIAL_DIVISOR,
    confusion_matrix,
    metrics_of,
    predicted_classes,
    score_cycles,
)

ALL = [[8, 1, 1, 0], [2, 5, 2, 1], [1, 0, 3, 0], [0, 2, 0, 4]]


def test_rates_follow_their_definition():
    strict, binary = metrics_of(ALL), metrics_of(ALL, "2class")
    assert strict["sp"] == binary["sp"] == 80.0
    assert strict["se"] == 12 / 20 * 100
    assert binary["se"] == 17 / 20 * 100
    assert strict["score"] == (80.0 + 60.0) / 2
    assert strict["n"] == 30
    assert strict["confusion"] == ALL


@pytest.mark.golden
def test_official_scores(golden):
    cases = golden.json("losses.json")["scores"]
    assert cases
    judged_cases = 0
    for case in cases:
        for name, judged in (("plain", "4class"), ("two_class_eval", "2class")):
            if name not in case:
                continue
            judged_cases += 1
            official = case[name]
            found = metrics_of(case["confusion_rows_true_cols_pred"], judged, divisor=OFFICIAL_DIVISOR)
            for rate in ("sp", "se", "score"):
                assert found[rate] == pytest.approx(official[rate], abs=1e-9, rel=0)
    assert judged_cases >= len(cases)


@pytest.mark.golden
def test_the_definition_differs_from_the_official_code_by_its_divisor_alone(golden):
    for case in golden.json("losses.json")["scores"]:
        counts = np.asarray(case["confusion_rows_true_cols_pred"])
        normal, abnormal = counts[0].sum(), counts[1:].sum()
        if normal == 0 or abnormal == 0:
            continue
        exact, official = metrics_of(counts.tolist()), case["plain"]
        bound = 100 * OFFICIAL_DIVISOR / min(normal, abnormal) + 1e-12
        for rate in ("sp", "se", "score"):
            assert 0 <= exact[rate] - official[rate] + 1e-12 <= bound + 1e-12


@pytest.mark.parametrize(
    ("labels", "word"), [([1, 2, 3], "Sp is undefined.* no normal"), ([0, 0], "Se is undefined.* no abnormal")]
)
def test_a_rate_of_no_cycles_is_an_error(labels, word):
    with pytest.raises(ResultError, match=word):
        score_cycles(labels, np.eye(4)[labels])


def test_all_normal_is_a_score_of_exactly_50():
    labels = [0, 0, 1, 2, 3]
    found = score_cycles(labels, np.eye(4)[[0] * 5])
    assert (found["4class"]["sp"], found["4class"]["se"], found["4class"]["score"]) == (100.0, 0.0, 50.0)


def test_equal_scores_choose_the_first_class():
    assert predicted_classes([[0.0, 0, 0, 0], [0, 2, 2, 1], [0, 0, 0, 1]]).tolist() == [0, 1, 3]


def test_scores_equal_an_independent_count():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 4, 500), rng.standard_normal((500, 4))
    found = score_cycles(labels, scores)
    guess = [max(range(4), key=lambda c, row=row: row[c]) for row in scores.tolist()]
    right = sum(t == g != 0 for t, g in zip(labels, guess, strict=True))
    caught = sum(t != 0 and g != 0 for t, g in zip(labels, guess, strict=True))
    abnormal = sum(t != 0 for t in labels)
    assert found["4class"]["se"] == pytest.approx(100 * right / abnormal, abs=1e-9)
    assert found["2class"]["se"] == pytest.approx(100 * caught / abnormal, abs=1e-9)
    assert sum(map(sum, confusion_matrix(labels, guess))) == 500


@pytest.mark.parametrize(
    ("labels", "predicted", "word"),
    [
        ([0, 4], [0, 0], "class 4"),
        ([0, -1], [0, 0], "class -1"),
        ([0, 1], [0], "2 labels but 1"),
        ([0.0], [0], "whole numbers"),
    ],
)
def test_wrong_classes_are_errors(labels, predicted, word):
    with pytest.raises(ResultError, match=word):
        confusion_matrix(labels, predicted)


@pytest.mark.parametrize(
    ("scores", "word"),
    [([[0, 1, 2]], r"\(1, 3\)"), ([[0, 1, np.nan, 2]], "not finite"), ([[0, 1, np.inf, 2]], "first row 0")],
)
def test_wrong_scores_are_errors(scores, word):
    with pytest.raises(ResultError, match=word):
        predicted_classes(scores)


@pytest.mark.parametrize("confusion", [[[1, 2]], [[1, 2], [3, -1]], [[5]]])
def test_a_matrix_that_is_none_is_an_error(confusion):
    with pytest.raises(ResultError, match="must be square"):
        metrics_of(confusion)
