from __future__ import annotations

import numpy as np
import pytest

from leaderboard.statistics.reliability import reliability


def drawn(seed, cycles=20_000):
    """Probabilities, and classes drawn from them: such probabilities are what they say."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(4, 0.5), cycles)
    labels = (rng.random(cycles)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return labels.tolist(), probabilities


def test_honest_probabilities_have_a_small_error():
    labels, probabilities = drawn(0)
    found = reliability(labels, [probabilities])
    assert not found.softmax
    assert found.error < 2.0
    assert sum(answers for answers, _, _ in found.bins) == len(labels)


def test_too_much_confidence_is_seen():
    labels, probabilities = drawn(1)
    sharp = probabilities**4 / (probabilities**4).sum(axis=1, keepdims=True)
    assert reliability(labels, [sharp]).error > 8.0


def test_the_error_is_the_mean_gap_of_the_bins():
    scores = [[0.7, 0.1, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1], [0.1, 0.9, 0.0, 0.0], [0.0, 0.95, 0.05, 0.0]]
    found = reliability([0, 1, 1, 1], [scores])
    assert found.bins == (pytest.approx((2, 70.0, 50.0)), pytest.approx((2, 92.5, 100.0)))
    assert found.error == pytest.approx((2 * 20.0 + 2 * 7.5) / 4)


def test_full_confidence_has_its_place_in_the_last_bin():
    scores = [[1.0, 0.0, 0.0, 0.0], [0.3, 0.4, 0.2, 0.1]]
    assert reliability([0, 1], [scores]).bins[-1] == (1, 100.0, 100.0)


def test_other_scores_become_probabilities_by_a_softmax():
    labels, probabilities = drawn(2, 500)
    honest, logits = (reliability(labels, [values]) for values in (probabilities, np.log(probabilities + 1e-300) + 5.0))
    assert logits.softmax
    assert logits.error == pytest.approx(honest.error, abs=1e-6)


def test_seeds_are_taken_together():
    labels, probabilities = drawn(3, 500)
    assert reliability(labels, [probabilities] * 2).error == pytest.approx(reliability(labels, [probabilities]).error)


def test_classes_alone_say_nothing_of_confidence():
    assert reliability([0, 1], [np.eye(4)[[0, 2]]]) is None
