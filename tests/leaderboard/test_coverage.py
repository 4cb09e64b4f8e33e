"""How often intervals hold the truth, on simulated boards whose truth is known: `benchmarks/coverage.py` in short."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.coverage import accepted, measure, told
from benchmarks.simulated_boards import STEADY, UNSTEADY, SimulatedTestPart
from leaderboard.statistics.patient_hits import PatientHits

BOARDS, RANKED = 200, 30
"""Their shares are known to a point and a half; the full run has twenty times as many."""


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize(("spread", "truth"), [("0.6 points", STEADY), ("1.3 points", UNSTEADY)])
def test_intervals_hold_the_truth_and_equal_methods_are_not_told_apart(spread, truth, seeds):
    found = measure(truth, spread, seeds, BOARDS, RANKED, np.random.default_rng([5, seeds]))
    # Three standard deviations of a share of 200 when the true one is 95 %: 4.6 points.
    chance = 3.0 * math.sqrt(0.95 * 0.05 / BOARDS)
    assert 0.94 - chance <= found.score <= 0.965 + chance, told(found)
    assert 1.0 - found.difference <= 0.05 + chance, told(found)
    assert found.ranks >= 0.8, told(found)  # of 30 boards, fewer than 24 in one of 5,000 runs at 95 %


@pytest.mark.parametrize(("truth", "points"), [(STEADY, 0.6), (UNSTEADY, 1.3)])
def test_the_simulated_seeds_differ_as_the_paper_prints(truth, points):
    rng, part = np.random.default_rng(1), SimulatedTestPart(truth)
    spreads = [PatientHits.of(part.board(1, 5, rng)[0]).by_seed[:, 2].var(ddof=1) for _ in range(60)]
    assert math.sqrt(np.mean(spreads)) == pytest.approx(points, abs=0.15)


def test_the_simulated_test_part_is_as_large_as_icbhis():
    part = SimulatedTestPart(STEADY)
    counts = part.board(2, 3, np.random.default_rng(0))
    assert counts.shape == (2, 3, 49, 4, 4)
    assert counts[0, 0].sum(axis=(0, 2)).tolist() == [1579, 1177, 0, 0]
    assert 40.0 < part.truth.score < 65.0


def test_intervals_over_cycles_would_be_far_too_narrow():
    rng, part = np.random.default_rng(7), SimulatedTestPart(STEADY)
    held = 0
    for _ in range(200):
        found = PatientHits.of(part.board(1, 1, rng)[0])
        sp, se, score = found.values / 100.0
        variance = sp * (1 - sp) / found.normal.sum() + se * (1 - se) / found.abnormal.sum()
        held += abs(100.0 * score - part.truth.score) < 1.96 * 50.0 * math.sqrt(variance)
    assert held / 200 < 0.75


def test_what_lies_outside_is_not_accepted():
    found = measure(STEADY, "0.6 points", 3, 4, 0, np.random.default_rng(0))
    assert found.ranks is None
    from dataclasses import replace

    sure = replace(found, boards=10_000, ranked=10_000, score=0.95, difference=0.955)
    assert accepted(sure)
    assert not accepted(replace(sure, score=0.92))
    assert not accepted(replace(sure, difference=0.93))
    assert not accepted(replace(sure, ranks=0.9))
