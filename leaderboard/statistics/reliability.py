"""Whether a system's probabilities are what they say: accuracy by confidence, and the expected calibration error.

The confidence of an answer is the probability of its chosen class. Answers are put into bins of equal width by it; the
expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015) is the mean over answers of how far the accuracy
of an answer's bin lies from the mean confidence there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.statistics.operating_points import is_one_hot

BINS = 10
"""Bins of equal width from 0 to 1."""

_SUM_TOLERANCE = 1e-3
"""How far from 1 the sum of a row of probabilities may lie: they were written with a few digits."""


@dataclass(frozen=True)
class Reliability:
    """Accuracy of a system's answers by their confidence.

    Attributes:
        bins: For each bin that holds answers: their number, mean confidence and accuracy, both in percent.
        error: Expected calibration error, points.
        softmax: Whether the scores were no probabilities and were made some by a softmax.
    """

    bins: tuple[tuple[int, float, float], ...]
    error: float
    softmax: bool


def reliability(labels: Sequence[int], runs: Sequence[ArrayLike]) -> Reliability | None:
    """Compute the accuracy by confidence of all runs of a system together.

    Args:
        labels: (n,) true classes.
        runs: (n, k) scores of each run.

    Returns:
        The reliability; None where a run gave classes and no scores.
    """
    scores = [np.asarray(run, dtype=np.float64) for run in runs]
    if any(map(is_one_hot, scores)):
        return None
    softmax = not all(map(_are_probabilities, scores))
    probabilities = np.concatenate([_softmax(run) if softmax else run for run in scores])
    right = probabilities.argmax(axis=1) == np.tile(np.asarray(labels), len(scores))
    confidence = probabilities.max(axis=1)
    # A confidence of exactly 1 belongs to the last bin, which has no other upper end.
    of_bin = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in np.unique(of_bin):
        within = of_bin == number
        bins.append((int(within.sum()), 100.0 * float(confidence[within].mean()), 100.0 * float(right[within].mean())))
    error = sum(count * abs(accuracy - said) for count, said, accuracy in bins) / len(right)
    return Reliability(tuple(bins), error, softmax)


def _are_probabilities(scores: NDArray[np.float64]) -> bool:
    return bool((scores >= 0).all() and (np.abs(scores.sum(axis=1) - 1.0) < _SUM_TOLERANCE).all())


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return shares
