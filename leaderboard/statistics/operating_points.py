"""Sp against Se over thresholds, every threshold chosen on patients other than those it is then judged on.

A cycle is called normal where the best score of another class exceeds its normal score by no more than a threshold, and
given that class otherwise; at the threshold 0 that is what every other number of the board takes. A threshold
that is chosen on the cycles it is judged on flatters, as an epoch does that is chosen on the test part. Patients are
therefore dealt into folds, and the cycles of a fold are judged by the threshold that the other folds choose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, ScoreLaw, TaskCard
from leaderboard.statistics.patient_hits import scores_of

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
    """Sorted margins of cycles: normal ones, and abnormal ones whose best other class is an abnormal, or the true one.

    A margin is the best score of another class less the normal score. Sorted, the hits at any threshold are found by
    bisection.

    Attributes:
        normal: Margins of the normal cycles.
        either: Margins of the abnormal cycles whose best class beside the normal one is any abnormal class.
        exact: Margins of those whose best class beside the normal one is the true one.
        abnormal: Number of the abnormal cycles.
    """

    normal: Floats
    either: Floats
    exact: Floats
    abnormal: int

    def hits(self, threshold: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Count correct normal cycles, abnormal ones of the exact class and of any class, at each threshold."""
        called = [np.searchsorted(part, threshold, side="right") for part in (self.normal, self.exact, self.either)]
        return called[0], len(self.exact) - called[1], len(self.either) - called[2]


@dataclass(frozen=True)
class _Answers:
    """What cycles are and what is said of them: kind, best class beside the normal one, and its margin, (n,) each."""

    normal: NDArray[np.bool_]
    abnormal: NDArray[np.bool_]
    either: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    margin: Floats

    @classmethod
    def of(cls, true: NDArray[np.int64], scores: Floats, task: TaskCard) -> _Answers:
        best = scores[:, 1:].argmax(axis=1) + 1
        abnormal = np.isin(true, task.abnormal)
        either = abnormal & np.isin(best, task.abnormal)
        return cls(true == 0, abnormal, either, abnormal & (best == true), scores[:, 1:].max(axis=1) - scores[:, 0])

    def sorted_margins(self, keep: NDArray[np.bool_]) -> _SortedMargins:
        normal, either, exact = (np.sort(self.margin[keep & which]) for which in (self.normal, self.either, self.exact))
        return _SortedMargins(normal, either, exact, int((keep & self.abnormal).sum()))


def operating_points(
    labels: Sequence[int], scores: ArrayLike, patients: Sequence[str], task: TaskCard = FOUR_CLASSES
) -> OperatingPoints | None:
    """Compute the curve and the tuned points of one run.

    Args:
        labels: (n,) true classes, 0 is normal.
        scores: (n, k) scores of the task's k classes, of any scale.
        patients: (n,) patient of each cycle.
        task: What is judged.

    Returns:
        The points; None where the scores say no more than a class, or a fold's thresholds have no normal or no abnormal
        cycle to be chosen on.
    """
    values = np.asarray(scores, dtype=np.float64)
    if is_one_hot(values):
        return None
    answers = _Answers.of(np.asarray(labels), values, task)
    names = sorted(set(patients))
    # Whole patients go into a fold: cycles of one patient on both sides would let a threshold know whom it judges.
    place = {name: number % min(FOLDS, len(names)) for number, name in enumerate(names)}
    fold = np.asarray([place[patient] for patient in patients])
    found = []
    for number in range(min(FOLDS, len(names))):
        others = answers.sorted_margins(fold != number)
        if not len(others.normal) or not others.abnormal:
            return None
        thresholds = [
            *map(float, _thresholds_for_targets(others)),
            *(_best_threshold(others, judged, task.score) for judged in task.sensitivities),
        ]
        found.append(np.stack(answers.sorted_margins(fold == number).hits(thresholds)))
    return _in_percent(np.sum(found, axis=0), int(answers.normal.sum()), int(answers.abnormal.sum()), task)


def is_one_hot(scores: Floats) -> bool:
    """Whether each row of scores (n, k) has a single 1 and zeros: a class was given then, and no score."""
    return bool(np.isin(scores, (0.0, 1.0)).all() and (scores.sum(axis=1) == 1.0).all())


def _thresholds_for_targets(others: _SortedMargins) -> list[float]:
    """The lowest thresholds that call at least each target's share of the normal cycles normal."""
    cycles = len(others.normal)
    # A product that rounding leaves just above a whole number must not ask for one more cycle.
    places = [math.ceil(target * cycles - 1e-9) for target in TARGETS]
    return [float(others.normal[place - 1]) if place else -math.inf for place in places]


def _best_threshold(others: _SortedMargins, judged: str, law: ScoreLaw) -> float:
    """The lowest threshold with the best Score; between two neighbouring margins the hits do not change."""
    candidates = np.unique(np.concatenate([[-np.inf], others.normal, others.either]))
    normal, exact, either = others.hits(candidates)
    right = either if judged == ANY_ABNORMAL else exact
    scores = scores_of(np.stack([normal / len(others.normal), right / others.abnormal]), law, axis=0)
    return float(candidates[np.argmax(scores[0])])


def _in_percent(hits: NDArray[np.int64], normal: int, abnormal: int, task: TaskCard) -> OperatingPoints:
    """Turn correct cycles (3, thresholds), summed over the folds, into rates in percent."""
    rates = 100.0 * hits / np.asarray([[normal], [abnormal], [abnormal]])
    of_targets, of_best = rates[:, : len(TARGETS)], rates[:, len(TARGETS) :]
    rows = {judged: 2 if judged == ANY_ABNORMAL else 1 for judged in task.sensitivities}
    tuned = {judged: (float(of_best[0, n]), float(of_best[row, n])) for n, (judged, row) in enumerate(rows.items())}
    return OperatingPoints(tuple((float(sp), float(se), float(two)) for sp, se, two in of_targets.T), tuned)
