"""Votes: how the scores of a cycle follow from the scores of its pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import SpecError
from leaderboard.results.combinations import FLOOR, normalised_products

Scores: TypeAlias = NDArray[np.float64]


def scores_by_cycle(vote: str, pieces: Scores, cycle_of: NDArray[np.int64]) -> Scores:
    """Let the pieces of each cycle vote.

    Args:
        vote: ``mean``, ``majority``, ``majority-first`` or ``product``.
        pieces: (pieces, classes) probabilities of the pieces; each row sums to 1.
        cycle_of: (pieces,) number of the cycle that each piece belongs to: 0, 1, 2 and so on, none left out.

    Returns:
        (cycles, classes) probabilities; each row sums to 1.

    Raises:
        SpecError: If there is no such vote.
    """
    if vote not in VOTES:
        raise SpecError(f"vote is '{vote}', but must be one of {', '.join(VOTES)}.")
    return VOTES[vote](pieces, cycle_of)


def mean_vote(pieces: Scores, cycle_of: NDArray[np.int64]) -> Scores:
    """The mean of the probabilities of a cycle's pieces; arguments as for :func:`scores_by_cycle`."""
    return _sums(pieces, cycle_of) / np.bincount(cycle_of)[:, None]


def majority_vote(pieces: Scores, cycle_of: NDArray[np.int64]) -> Scores:
    """The class that most pieces choose; arguments as for :func:`scores_by_cycle`.

    The score of a class is (number of pieces that choose it + its mean probability) / (number of pieces + 1). Scores
    sum to 1 and the largest is that of the majority: a mean probability is at most 1, and less wherever it could
    overturn a vote. Of classes with equally many votes the one with the higher mean probability wins, and of those with
    equal ones the first.
    """
    chosen = np.eye(pieces.shape[1])[pieces.argmax(1)]
    scores = _sums(chosen, cycle_of) + mean_vote(pieces, cycle_of)
    return scores / (np.bincount(cycle_of)[:, None] + 1)


def majority_first_vote(pieces: Scores, cycle_of: NDArray[np.int64]) -> Scores:
    """The class that most pieces choose, of equal ones the first; arguments as for :func:`scores_by_cycle`.

    RespireNet counts so (microsoft/RespireNet @ 5e3f41a), which favours the normal class. The score of a class is
    (number of pieces that choose it + ½ its mean probability + ½ where it is chosen) / (number of pieces + 1): the
    largest is that of the chosen class.
    """
    votes = _sums(np.eye(pieces.shape[1])[pieces.argmax(1)], cycle_of)
    chosen = np.eye(pieces.shape[1])[votes.argmax(1)]
    scores: Scores = (votes + (mean_vote(pieces, cycle_of) + chosen) / 2) / (np.bincount(cycle_of)[:, None] + 1)
    return scores


def product_vote(pieces: Scores, cycle_of: NDArray[np.int64]) -> Scores:
    """The product of the pieces' probabilities, made to sum to 1; arguments as for :func:`scores_by_cycle`.

    It is computed as the softmax of summed logarithms, in which a probability is at least
    :data:`leaderboard.results.combinations.FLOOR`, so that no single piece can rule a class out.
    """
    return normalised_products(_sums(np.log(np.maximum(pieces, FLOOR)), cycle_of))


def _sums(pieces: Scores, cycle_of: NDArray[np.int64]) -> Scores:
    """(cycles, classes) sums over the pieces of each cycle."""
    sums = np.zeros((int(cycle_of.max(initial=-1)) + 1, pieces.shape[1]))
    # Unlike `sums[cycle_of] += pieces`, this adds every piece of a cycle.
    np.add.at(sums, cycle_of, pieces)
    return sums


VOTES: dict[str, Callable[[Scores, NDArray[np.int64]], Scores]] = {
    "mean": mean_vote,
    "majority": majority_vote,
    "majority-first": majority_first_vote,
    "product": product_vote,
}
"""The votes by name."""
