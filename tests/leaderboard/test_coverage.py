"""How often the intervals hold the truth, on simulated boards whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from leaderboard.statistics import cluster_bootstrap, paired_difference

BOARDS, PATIENTS, DRAWS = 600, 49, 500
SP, SE = 0.6, 0.45
TRUTH = 50.0 * (SP + SE)
CHANCE = 3.0 * math.sqrt(0.95 * 0.05 / BOARDS)
"""Three standard deviations of the share of 600 when the true one is 95 %: 2.7 points."""
NARROW = 0.02
"""What percentile intervals over 49 patients fall short by: 4,000 such boards gave 93.0 to 94.1 %, not 95 %."""


def check(held):
    share = held / BOARDS
    assert 0.95 - NARROW - CHANCE <= share <= 0.95 + CHANCE


def skills(rng):
    """Chance of each patient's normal and abnormal cycles to be right: patients differ much, with known means."""
    return rng.beta(4 * SP, 4 * (1 - SP), PATIENTS), rng.beta(4 * SE, 4 * (1 - SE), PATIENTS)


def sizes(rng, even):
    """Normal and abnormal cycles of each patient; uneven ones as in ICBHI, where some have 8 cycles and one has 208."""
    if even:
        return np.full(PATIENTS, 30), np.full(PATIENTS, 24)
    return 1 + rng.geometric(1 / 30, PATIENTS), rng.geometric(1 / 24, PATIENTS)


def counts(rng, skill, cycles, seeds):
    found = np.zeros((seeds, PATIENTS, 4, 4), dtype=int)
    for seed in range(seeds):
        right = [rng.binomial(n, p) for n, p in zip(cycles, skill, strict=True)]
        found[seed, :, 0, 0], found[seed, :, 0, 1] = right[0], cycles[0] - right[0]
        found[seed, :, 1, 1], found[seed, :, 1, 0] = right[1], cycles[1] - right[1]
    return found


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("even", [True, False], ids=["even", "uneven"])
def test_nineteen_in_twenty_intervals_hold_the_true_score(even, seeds):
    rng = np.random.default_rng([even, seeds])
    held = 0
    for _ in range(BOARDS):
        board = counts(rng, skills(rng), sizes(rng, even), seeds)
        score = cluster_bootstrap(board, DRAWS, rng).score
        held += score.lo <= TRUTH <= score.hi
    check(held)


def test_intervals_over_cycles_would_be_far_too_narrow():
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(BOARDS):
        cycles = sizes(rng, even=True)
        board = counts(rng, skills(rng), cycles, 1)
        sp, se = board[0, :, 0, 0].sum() / cycles[0].sum(), board[0, :, 1, 1].sum() / cycles[1].sum()
        variance = sp * (1 - sp) / cycles[0].sum() + se * (1 - se) / cycles[1].sum()
        held += abs(50.0 * (sp + se) - TRUTH) < 1.96 * 50.0 * math.sqrt(variance)
    assert held / BOARDS < 0.75


@pytest.mark.parametrize("gain", [0.0, 0.05], ids=["no difference", "five points"])
def test_nineteen_in_twenty_intervals_hold_the_true_difference(gain):
    rng = np.random.default_rng([11, int(gain * 100)])
    held = told = 0
    for _ in range(BOARDS):
        cycles, (sp, se) = sizes(rng, even=False), skills(rng)
        sp, se = sp * (1 - gain), se * (1 - gain)
        better = counts(rng, (sp + gain, se + gain), cycles, 3)
        found = paired_difference(better, counts(rng, (sp, se), cycles, 3), DRAWS, rng).score
        held += found.lo <= 100.0 * gain <= found.hi
        told += found.lo > 0
    check(held)
    if gain:
        assert told / BOARDS > 0.9
