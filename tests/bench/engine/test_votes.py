"""Votes of a cycle's pieces, against plain loops in Python."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.core.errors import SpecError
from bench.engine.votes import VOTES, scores_by_cycle
from leaderboard.results.combinations import FLOOR

CYCLE_OF = np.array([0, 0, 0, 1, 2, 2, 2, 2, 3, 3])


def some_pieces(seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(4) / 2, len(CYCLE_OF))


def of_cycle(pieces, cycle):
    return [row.tolist() for row, place in zip(pieces, CYCLE_OF, strict=True) if place == cycle]


def mean(rows):
    return [sum(row[c] for row in rows) / len(rows) for c in range(4)]


def majority(rows):
    votes = [0] * 4
    for row in rows:
        votes[row.index(max(row))] += 1
    return [(votes[c] + mean(rows)[c]) / (len(rows) + 1) for c in range(4)]


def product(rows):
    products = [math.prod(max(row[c], FLOOR) for row in rows) for c in range(4)]
    return [value / sum(products) for value in products]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("vote", "expected"), [("mean", mean), ("majority", majority), ("product", product)])
def test_votes_equal_plain_loops(vote, expected, seed):
    pieces = some_pieces(seed)
    scores = scores_by_cycle(vote, pieces, CYCLE_OF)
    np.testing.assert_allclose(scores, [expected(of_cycle(pieces, cycle)) for cycle in range(4)], rtol=1e-12)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-12)


def test_the_mean_is_that_of_earlier_versions_to_the_last_bit():
    pieces = some_pieces()
    sums = np.zeros((4, 4))
    for place, row in zip(CYCLE_OF, pieces, strict=True):
        sums[place] += row
    assert np.array_equal(scores_by_cycle("mean", pieces, CYCLE_OF), sums / np.array([3, 1, 4, 2])[:, None])


def chosen(vote, *rows):
    return int(scores_by_cycle(vote, np.array(rows), np.zeros(len(rows), dtype=np.int64))[0].argmax())


def test_a_majority_wins_against_a_higher_mean():
    rows = [0.4, 0.3, 0.3, 0.0], [0.4, 0.3, 0.3, 0.0], [0.0, 1.0, 0.0, 0.0]
    assert chosen("majority", *rows) == 0
    assert chosen("mean", *rows) == 1


def test_equally_many_votes_are_decided_by_the_mean_then_by_the_order_of_classes():
    assert chosen("majority", [0.6, 0.4, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0]) == 1
    assert chosen("majority", [0.0, 0.25, 0.75, 0.0], [0.0, 0.75, 0.25, 0.0]) == 1


def test_a_product_of_many_small_probabilities_does_not_vanish():
    rows = np.tile([[1e-9, 2e-9, 0.0, 1.0 - 3e-9], [0.5, 0.5, 0.0, 0.0]], (100, 1))
    scores = scores_by_cycle("product", rows, np.zeros(200, dtype=np.int64))[0]
    assert np.isfinite(scores).all()
    assert scores.argmax() == 1
    assert scores[2] == 0


@pytest.mark.parametrize("vote", VOTES)
def test_a_cycle_of_one_piece_keeps_its_class_and_no_pieces_give_no_scores(vote):
    pieces = some_pieces(3)
    scores = scores_by_cycle(vote, pieces, np.arange(len(pieces)))
    assert (scores.argmax(1) == pieces.argmax(1)).all()
    assert scores_by_cycle(vote, pieces[:0], CYCLE_OF[:0]).shape == (0, 4)


def test_of_equal_votes_the_first_class_may_win():
    assert chosen("majority-first", [0.6, 0.4, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0]) == 0
    assert chosen("majority-first", [0.0, 0.25, 0.75, 0.0], [0.0, 0.75, 0.25, 0.0]) == 1
    assert chosen("majority-first", [0.0, 0.4, 0.6, 0.0], [0.0, 0.4, 0.6, 0.0], [0.0, 1.0, 0.0, 0.0]) == 2


def test_an_unknown_vote_is_refused():
    with pytest.raises(SpecError, match="must be one of mean, majority, majority-first, product"):
        scores_by_cycle("plurality", some_pieces(), CYCLE_OF)
