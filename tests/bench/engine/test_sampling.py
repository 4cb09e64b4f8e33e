"""The rows of an epoch: each sampler against counting."""

from __future__ import annotations

import numpy as np
import pytest

from bench.engine.sampling import SAMPLERS, epoch_order

LABELS = np.repeat([0, 1, 2, 3], [60, 25, 10, 5])
ROWS = np.arange(1000, 1100)


def order(sampler: str, seed: int = 0, rows: np.ndarray = ROWS, labels: np.ndarray = LABELS) -> np.ndarray:
    return epoch_order(rows, labels, sampler, np.random.default_rng(seed))


def labels_of(rows: np.ndarray) -> np.ndarray:
    return LABELS[rows - ROWS[0]]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_epoch_has_as_many_rows_as_the_training_part_and_no_others(sampler):
    found = order(sampler)
    assert len(found) == len(ROWS)
    assert np.isin(found, ROWS).all()
    assert found.dtype == ROWS.dtype


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_generator_alone_decides(sampler):
    assert (order(sampler, 3) == order(sampler, 3)).all()
    assert (order(sampler, 3) != order(sampler, 4)).any()


def test_shuffled_is_the_permutation_that_runs_always_had():
    assert (order("shuffled", 5) == np.random.default_rng(5).permutation(ROWS)).all()


def test_weighted_draws_classes_equally_often_and_rows_of_a_class_alike():
    drawn = np.concatenate([order("weighted", seed) for seed in range(400)])
    shares = np.bincount(labels_of(drawn)) / len(drawn)
    # 40,000 draws: three standard deviations of a share of 1/4 are 0.0065.
    np.testing.assert_allclose(shares, 0.25, atol=0.01)
    rare = np.bincount(drawn - ROWS[0])[LABELS == 3]
    np.testing.assert_allclose(rare, 400 * 100 / 4 / 5, rtol=0.1)
    assert len(np.unique(order("weighted"))) < len(ROWS), "drawn with replacement"


def test_weighted_is_what_torch_draws_from():
    """The chances are those that RespireNet hands to torch: 1 / (rows of the class), normalised."""
    weights = 1 / np.array([60, 25, 10, 5])[LABELS]
    expected = np.random.default_rng(8).choice(ROWS, 100, replace=True, p=weights / weights.sum())
    assert (order("weighted", 8) == expected).all()


def test_balanced_takes_classes_in_turn_and_every_row_before_any_twice():
    found = order("balanced")
    assert (labels_of(found).reshape(-1, 4) == [0, 1, 2, 3]).all()
    for label in range(4):
        own = found[labels_of(found) == label]
        there = ROWS[label == LABELS]
        for start in range(0, len(own) - len(there) + 1, len(there)):
            assert sorted(own[start : start + len(there)]) == there.tolist()
    frequent = found[labels_of(found) == 0]
    assert len(set(frequent)) == len(frequent) == 25


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7])
def test_balanced_with_few_rows_and_missing_classes(rows):
    found = order("balanced", 0, ROWS[-rows:], LABELS[-rows:])
    assert len(found) == rows
    assert np.isin(found, ROWS[-rows:]).all()
