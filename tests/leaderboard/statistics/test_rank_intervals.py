"""Ranks that the data leave open, and the smallest difference that a test part can show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.simulated_boards import STEADY, SimulatedTestPart
from leaderboard.statistics.intervals import paired_difference
from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.rank_intervals import ScoreUncertainty, critical_value, rank_intervals, resolution_floor
from leaderboard.statistics.seed_spread import SeedSpread

SPREAD = SeedSpread(2.0, 2.0, 0.9, 40, "others")


def judged(normal, abnormal, right_normal, right_abnormal):
    counts = np.zeros((1, len(normal), 4, 4), dtype=int)
    counts[0, :, 0, 0], counts[0, :, 0, 1] = right_normal, np.subtract(normal, right_normal)
    counts[0, :, 1, 1], counts[0, :, 1, 0] = right_abnormal, np.subtract(abnormal, right_abnormal)
    return PatientHits.of(counts)


def alike(*lost):
    """Systems that lose the same number of 20 cycles at every one of 12 patients: their differences have no spread."""
    return [judged([20] * 12, [20] * 12, [20 - n] * 12, [20 - n] * 12) for n in lost]


@pytest.mark.parametrize(
    ("rows", "ranks"),
    [
        ([], []),
        (alike(1), [(1, 1)]),
        (alike(1, 1, 1), [(1, 3)] * 3),
        (alike(1, 2, 3), [(1, 1), (2, 2), (3, 3)]),
        (alike(1, 1, 2, 2, 3), [(1, 2), (1, 2), (3, 4), (3, 4), (5, 5)]),
        (alike(3, 1, 2), [(3, 3), (1, 1), (2, 2)]),
    ],
)
def test_rows_without_any_spread_have_the_ranks_of_their_scores(rows, ranks):
    assert rank_intervals(rows, None) == ranks


@pytest.fixture(scope="module")
def board():
    """Six systems of equal skill, and one that loses a third of what it would get right."""
    counts = SimulatedTestPart(STEADY).board(7, 3, np.random.default_rng(3))
    for kind in (0, 1):
        moved = counts[6, ..., kind, kind] // 3
        counts[6, ..., kind, kind] -= moved
        counts[6, ..., kind, 2] += moved
    return counts


def test_what_is_surely_worse_is_last_and_the_others_stay_open(board):
    ranks = rank_intervals([PatientHits.of(counts) for counts in board], None)
    assert ranks == [(1, 6)] * 6 + [(7, 7)]


def test_ranks_do_not_depend_on_the_order_of_the_rows(board):
    forward = rank_intervals([PatientHits.of(counts) for counts in board], None)
    backward = rank_intervals([PatientHits.of(counts) for counts in board[::-1]], None)
    assert forward == backward[::-1]


def test_an_exact_copy_is_never_told_from_its_original(board):
    systems = [PatientHits.of(board[0]), PatientHits.of(board[6]), PatientHits.of(board[0])]
    assert rank_intervals(systems, None) == [(1, 2), (3, 3), (1, 2)]


def test_what_ranks_tell_apart_the_pair_alone_does_too(board):
    systems = [PatientHits.of(counts) for counts in board]
    for (_, worst), counts in zip(rank_intervals(systems, None), board, strict=True):
        if worst < 7:
            assert paired_difference(counts, board[6]).score.lo > 0


def test_the_largest_of_many_differences_must_be_larger_than_one(board):
    two, seven = (ScoreUncertainty.of([PatientHits.of(c) for c in board[:n]], None) for n in (2, 7))
    of_two, of_seven = (critical_value(found, found.pair_variances() > 0) for found in (two, seven))
    # One difference over 49 uneven patients: a little above Student's 2.01; of 21 pairs: well above.
    assert 1.9 < of_two < 2.5
    assert of_two + 0.5 < of_seven < 4.5


def test_variances_of_pairs_are_those_of_paired_differences(board):
    systems = [PatientHits.of(counts) for counts in board]
    found = ScoreUncertainty.of(systems, None)
    errors = np.sqrt(found.pair_variances())
    for i, j in ((0, 1), (2, 6), (5, 3)):
        assert errors[i, j] == pytest.approx(paired_difference(board[i], board[j]).score.error, rel=1e-9)


def test_a_single_seed_is_given_the_pooled_spread(board):
    systems = [PatientHits.of(counts[:1]) for counts in board]
    without, given = (ScoreUncertainty.of(systems, pooled) for pooled in (None, SPREAD))
    added = given.pair_variances() - without.pair_variances()
    assert added == pytest.approx(np.full((7, 7), 2 * SPREAD.score**2))
    assert rank_intervals(systems, SeedSpread(9, 9, 40.0, 9, "wild")) == [(1, 7)] * 7


def test_the_floor_is_what_a_typical_pairs_interval_reaches(board):
    systems = [PatientHits.of(counts) for counts in board[:6]]
    floor = resolution_floor(systems, SPREAD)
    pairs = [paired_difference(a, b).score for i, a in enumerate(board[:6]) for b in board[:i]]
    patients = np.median([pair.error**2 for pair in pairs]) - np.mean(
        [s.seed_components(None)[2].variance * 2 for s in systems]
    )
    assert floor == pytest.approx(2.0 * math.sqrt(patients + 2 * 0.81 / 5), rel=0.1)
    assert floor > resolution_floor(systems, SeedSpread(1, 1, 0.1, 40, "steady"))


@pytest.mark.parametrize(
    ("rows", "pooled"), [(alike(1), SPREAD), (alike(1, 1), SPREAD), (alike(1, 2), None), ([], SPREAD)]
)
def test_a_floor_that_is_not_known_is_none(rows, pooled):
    assert resolution_floor(rows, pooled) is None
