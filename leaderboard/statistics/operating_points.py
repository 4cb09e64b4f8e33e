"""Sp against Se over thresholds, every threshold chosen on patients other than those it is then judged on.

A cycle is called normal where its best abnormal score exceeds its normal score by no more than a threshold, and given
the best abnormal class otherwise; at the threshold 0 that is what every other number of the board takes. A threshold
that is chosen on the cycles it is judged on flatters, as an epoch does that is chosen on the test part. Patients are
therefore dealt into folds, and the cycles of a fold are judged by the threshold that the other folds choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.metrics import SENSITIVITIES

FOLDS = 10
"""Parts that the patients are dealt into, in the order of their names."""

TARGETS = tuple(step / 20 for step in range(21))
"""Shares of the other folds' normal cycles that a threshold is chosen to call normal."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoints:
    """Rates that a run's scores reach at other thresholds, in percent.

    Attributes:
        curve: For each of :data:`TARGETS`, Sp, Se by exact class, and Se by any abnormal class.
        tuned: By sensitivity, Sp and Se at the thresholds with the best Score on the other folds.
    """

    curve: tuple[tuple[float, float, float], ...]
    tuned: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class _SortedMargins:
    """Sorted margins of cycles: normal ones, abnormal ones, and those whose best abnormal class is the true one.

    A margin is the best abnormal score less the normal score. Sorted, the hits at any threshold are found by bisection.
    """

    normal: Floats
    abnormal: Floats
    exact: Floats

    def hits(self, threshold: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Count correct normal cycles, abnormal ones of the exact class and of any class, at each threshold."""
        called = [np.searchsorted(part, threshold, side="right") for part in (self.normal, self.exact, self.abnormal)]
        return called[0], len(self.exact) - called[1], len(self.abnormal) - called[2]


def operating_points(labels: Sequence[int], scores: ArrayLike, patients: Sequence[str]) -> OperatingPoints | None:
    """Compute the curve and the tuned points of one run.

    Args:
        labels: (n,) true classes, 0 is normal.
        scores: (n, 4) scores, of any scale.
        patients: (n,) patient of each cycle.

    Returns:
        The points; None where the scores say no more than a class, or a fold's thresholds have no normal or no abnormal
        cycle to be chosen on.
    """
    values = np.asarray(scores, dtype=np.float64)
    if is_one_hot(values):
        return None
    true = np.asarray(labels)
    margin = values[:, 1:].max(axis=1) - values[:, 0]
    exact = values[:, 1:].argmax(axis=1) + 1 == true
    names = sorted(set(patients))
    # Whole patients go into a fold: cycles of one patient on both sides would let a threshold know whom it judges.
    place = {name: number % min(FOLDS, len(names)) for number, name in enumerate(names)}
    fold = np.asarray([place[patient] for patient in patients])
    found = []
    for number in range(min(FOLDS, len(names))):
        others = _sorted_margins(true, margin, exact, fold != number)
        if not len(others.normal) or not len(others.abnormal):
            return None
        thresholds = [
            *map(float, _thresholds_for_targets(others)),
            *(_best_threshold(others, judged) for judged in SENSITIVITIES),
        ]
        found.append(np.stack(_sorted_margins(true, margin, exact, fold == number).hits(thresholds)))
    return _in_percent(np.sum(found, axis=0), int((true == 0).sum()), int((true != 0).sum()))


def is_one_hot(scores: Floats) -> bool:
    """Whether each row of scores (n, 4) has a single 1 and zeros: a class was given then, and no score."""
    return bool(np.isin(scores, (0.0, 1.0)).all() and (scores.sum(axis=1) == 1.0).all())


def _sorted_margins(
    true: NDArray[np.int64], margin: Floats, exact: NDArray[np.bool_], keep: NDArray[np.bool_]
) -> _SortedMargins:
    abnormal = true != 0
    return _SortedMargins(*(np.sort(margin[keep & which]) for which in (~abnormal, abnormal, abnormal & exact)))


def _thresholds_for_targets(others: _SortedMargins) -> list[float]:
    """The lowest thresholds that call at least each target's share of the normal cycles normal."""
    cycles = len(others.normal)
    # A product that rounding leaves just above a whole number must not ask for one more cycle.
    places = [math.ceil(target * cycles - 1e-9) for target in TARGETS]
    return [float(others.normal[place - 1]) if place else -math.inf for place in places]


def _best_threshold(others: _SortedMargins, judged: str) -> float:
    """The lowest threshold with the best Score; between two neighbouring margins the hits do not change."""
    candidates = np.unique(np.concatenate([[-np.inf], others.normal, others.abnormal]))
    normal, exact, abnormal = others.hits(candidates)
    right = exact if judged == "4class" else abnormal
    return float(candidates[np.argmax(normal / len(others.normal) + right / len(others.abnormal))])


def _in_percent(hits: NDArray[np.int64], normal: int, abnormal: int) -> OperatingPoints:
    """Turn correct cycles (3, thresholds), summed over the folds, into rates in percent."""
    rates = 100.0 * hits / np.asarray([[normal], [abnormal], [abnormal]])
    of_targets, of_best = rates[:, : len(TARGETS)], rates[:, len(TARGETS) :]
    tuned = {str(judged): (float(of_best[0, n]), float(of_best[1 + n, n])) for n, judged in enumerate(SENSITIVITIES)}
    return OperatingPoints(tuple((float(sp), float(se), float(two)) for sp, se, two in of_targets.T), tuned)
