"""How often the board's intervals hold the truth, and how often equal methods are told apart.

    python -m benchmarks.coverage                 # the whole of it, about ten minutes
    python -m benchmarks.coverage --boards 200    # a first look

Prints one line for each spread over seeds and number of seeds: the share of intervals of a Score and of a difference
that hold the truth (95 % are wanted, 94 to 96.5 % accepted), the share of pairs of equal methods of which one is called
better (at most 5 %), and the share of boards of twenty equal systems that keep every rank open (about 95 %).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bench.core.text import counted_noun
from benchmarks.simulated_boards import STEADY, UNSTEADY, SimulatedTestPart, Truth
from leaderboard.statistics.intervals import estimate_from_hits, paired_difference
from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.rank_intervals import rank_intervals
from leaderboard.statistics.seed_spread import SeedSpread, pooled_seed_spread

SPREADS = {"0.6 points": STEADY, "1.3 points": UNSTEADY}
SEEDS = (1, 3, 5)
ROWS = 20
OTHERS = 8
"""Systems of five seeds elsewhere on the board, from which single seeds have their spread."""


@dataclass(frozen=True)
class Coverage:
    """What was counted.

    Attributes:
        spread: Deviation over seeds, points of Score, as a word.
        seeds: Seeds of each system.
        boards: Boards of two systems simulated.
        ranked: Boards of twenty systems simulated.
        score: Share of the intervals of one system's Score that hold the truth.
        difference: Share of the intervals of two systems' difference that hold 0; one less it is the share of pairs
            of equal methods of which one is called better.
        ranks: Share of boards of twenty equal systems that keep every rank open; None where they were not simulated.
    """

    spread: str
    seeds: int
    boards: int
    ranked: int
    score: float
    difference: float
    ranks: float | None


def measure(truth: Truth, spread: str, seeds: int, boards: int, ranked: int, rng: np.random.Generator) -> Coverage:
    """Simulate boards and count.

    Args:
        truth: How systems and seeds vary.
        spread: The spread over seeds, as a word.
        seeds: Seeds of each system.
        boards: Boards of two systems.
        ranked: Boards of twenty systems.
        rng: The generator.
    """
    part = SimulatedTestPart(truth)
    held = tied = 0
    for _ in range(boards):
        a, b = part.board(2, seeds, rng)
        pooled = seed_spread_of_others(part, rng) if seeds == 1 else None
        score = estimate_from_hits(PatientHits.of(a), pooled).score
        held += score.lo <= truth.score <= score.hi
        tied += paired_difference(a, b, pooled=pooled).score.holds_zero
    together = sum(_all_open(part, seeds, rng) for _ in range(ranked))
    return Coverage(spread, seeds, boards, ranked, held / boards, tied / boards, together / ranked if ranked else None)


def seed_spread_of_others(part: SimulatedTestPart, rng: np.random.Generator) -> SeedSpread | None:
    """The pooled seed spread of the other rows of a board."""
    return pooled_seed_spread((PatientHits.of(counts).by_seed for counts in part.board(OTHERS, 5, rng)), "others")


def _all_open(part: SimulatedTestPart, seeds: int, rng: np.random.Generator) -> bool:
    pooled = seed_spread_of_others(part, rng) if seeds == 1 else None
    systems = [PatientHits.of(counts) for counts in part.board(ROWS, seeds, rng)]
    return all(ranks == (1, ROWS) for ranks in rank_intervals(systems, pooled))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 1 where a share lies outside what is accepted by more than chance."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--boards", type=int, default=4000, help="boards of two systems, for each line")
    parser.add_argument("--ranked", type=int, default=400, help="boards of twenty systems, for each line")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    given = parser.parse_args(arguments)
    found = []
    for number, (spread, truth) in enumerate(SPREADS.items()):
        for seeds in SEEDS:
            rng = np.random.default_rng([given.seed, number, seeds])
            line = measure(truth, spread, seeds, given.boards, given.ranked, rng)
            found.append(line)
            if not given.json:
                print(told(line), flush=True)  # noqa: T201 - a program of its own
    if given.json:
        json.dump([asdict(line) for line in found], sys.stdout, indent=2)
    return 0 if all(accepted(line) for line in found) else 1


def told(line: Coverage) -> str:
    """One line of the table."""
    ranks = "" if line.ranks is None else f", twenty equal systems all open {line.ranks:.1%}"
    return (
        f"spread {line.spread}, {counted_noun(line.seeds, 'seed')}: Score {line.score:.1%}, difference "
        f"{line.difference:.1%}, "
        f"'is better' of equal methods {1 - line.difference:.1%}{ranks}"
    )


def accepted(line: Coverage) -> bool:
    """Whether the shares lie within 94 to 96.5 % (for the ranks 93 % at least), give or take two deviations."""
    chance, of_ranks = (2.0 * np.sqrt(0.95 * 0.05 / max(boards, 1)) for boards in (line.boards, line.ranked))
    return bool(
        0.94 - chance <= line.score <= 0.965 + chance
        and 0.94 - chance <= line.difference <= 0.965 + chance
        and (line.ranks is None or line.ranks >= 0.93 - of_ranks)
    )


if __name__ == "__main__":
    sys.exit(main())
