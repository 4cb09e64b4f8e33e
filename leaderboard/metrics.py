"""The metrics of the board: specificity, sensitivity and what follows from them, in percent, from a confusion matrix.

Source: PROTOCOL "The metric"; ICBHI 2017 challenge; ``validate()`` of the Patch-Mix code @ 836b09f; for AS, HS and
their mean the BioCAS 2022 challenge. Class 0 is the normal one. Shapes: n cycles, k classes of the task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval, Len
from numpy.typing import ArrayLike, NDArray
from typing_extensions import TypedDict

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, MOST_CLASSES, ScoreLaw, TaskCard
from bench.core.errors import ResultError

CLASSES = FOUR_CLASSES.classes
"""The classes of the task that a result of no other task has."""

Sensitivity = str
"""Which abnormal cycles Se counts as correct: ``2class`` those that are given any abnormal class, any other name, as
``4class``, those of the exact class (:attr:`bench.core.datasets.TaskCard.sensitivities`).

Documents and the database name it ``judged``.
"""

SENSITIVITIES: tuple[Sensitivity, ...] = FOUR_CLASSES.sensitivities

OFFICIAL_DIVISOR = 1e-10
"""What the official code adds to each divisor: 100 % on 12 cycles becomes 99.999999999167 % there."""

SMALLEST_SE = 5.0
"""An epoch of the official code is kept as best only where Se, in percent, is above this (quirk D2)."""


LARGEST_COUNT = 2**31 - 1
"""The largest number of cycles or epochs: a column of PostgreSQL holds 32 bits."""


class _FailFast:
    """Mark of a list whose validation ends at the first wrong item: pydantic's own, which would bring pydantic in."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(source), "fail_fast": True}


_EACH_CLASS = Len(2, MOST_CLASSES)
_Counts = Annotated[list[Annotated[int, Interval(ge=0, le=LARGEST_COUNT)]], _EACH_CLASS, _FailFast()]


_Means = TypedDict("_Means", {"as": float, "hs": float}, total=False)
"""Arithmetic and harmonic mean of SE and SP in percent, where the task's Score is made of them."""


class Metrics(_Means):
    """Metrics of judged cycles, as they are computed, and as documents hold them."""

    sp: float
    """Specificity in percent: normal cycles that were taken for normal ones."""
    se: float
    """Sensitivity in percent: abnormal cycles that were found."""
    score: float
    """The Score in percent: the mean of specificity and sensitivity, or of AS and HS where the task says so."""
    confusion: Annotated[list[_Counts], _EACH_CLASS, _FailFast()]
    """Confusion matrix: numbers of cycles, a row for each true class, in it one for each predicted class."""
    n: int
    """Number of judged cycles."""


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int = len(CLASSES)) -> list[list[int]]:
    """Count cycles by true class (rows) and predicted class (columns).

    Args:
        labels: (n,) true classes.
        predicted: (n,) predicted classes.
        classes: Number k of classes.

    Returns:
        k x k counts.

    Raises:
        ResultError: If the lengths differ or a class lies outside 0..k-1.
    """
    true, guess = _classes(labels, "labels", classes), _classes(predicted, "predicted classes", classes)
    if true.shape != guess.shape:
        raise ResultError(f"There are {true.size} labels but {guess.size} predicted classes.")
    counts = np.bincount(true * classes + guess, minlength=classes**2)
    return [[int(count) for count in row] for row in counts.reshape(classes, classes)]


def _classes(values: ArrayLike, what: str, classes: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ResultError(f"The {what} must be one row of whole numbers, not {array.dtype} of shape {array.shape}.")
    wrong = array[(array < 0) | (array >= classes)]
    if wrong.size:
        raise ResultError(f"The {what} hold the class {int(wrong[0])}, but classes are 0 to {classes - 1}.")
    return array.astype(np.int64)


def metrics_of(
    confusion: Sequence[Sequence[int]],
    judged: Sensitivity = "4class",
    *,
    divisor: float = 0.0,
    task: TaskCard | None = None,
) -> Metrics:
    """Compute Sp, Se and Score from counts, in float64.

    Args:
        confusion: k x k counts, rows are true classes, class 0 is normal.
        judged: ``2class`` asks for any abnormal class, any other name for the exact one. Sp is the same.
        divisor: Added to each divisor. The metric's definition has 0; :data:`OFFICIAL_DIVISOR` repeats the
            official code to the last digit (it gives 0 % where there is no cycle to divide by).
        task: Whose classes they are: it says which are abnormal (those that are neither that nor normal count in
            neither rate) and how the Score follows from Se and Sp. Where none is given, all classes but the first
            are abnormal, and the Score is the mean.

    Raises:
        ResultError: If the matrix is none, or not one of the task's classes, or a rate is undefined because there is
            no normal or no abnormal cycle.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2 or counts.min() < 0:
        raise ResultError(f"A confusion matrix must be square and hold counts, not {counts.tolist()}.")
    if task is not None and len(task.classes) != len(counts):
        raise ResultError(f"The task '{task.id}' has {len(task.classes)} classes, but a matrix has {len(counts)}.")
    # Python's own sums: of so few numbers they are taken twice as fast, and documents hold thousands of matrices.
    cells = counts.tolist()
    normal, abnormal = cells[0], task.abnormal if task else range(1, len(cells))
    hits = sum(cells[i][j] for i in abnormal for j in abnormal if judged == ANY_ABNORMAL or i == j)
    sp = _percent(normal[0], sum(normal), divisor, "normal", "Sp")
    se = _percent(hits, sum(sum(cells[i]) for i in abnormal), divisor, "abnormal", "Se")
    metrics = Metrics(sp=sp, se=se, score=(sp + se) / 2.0, confusion=cells, n=sum(map(sum, cells)))
    return metrics if task is None or task.score == "mean" else {**metrics, **_challenge_means(sp, se)}


class _ChallengeMeans(_Means):
    score: float


def _challenge_means(sp: float, se: float) -> _ChallengeMeans:
    mean = (sp + se) / 2.0
    harmonic = 2.0 * sp * se / (sp + se) if sp + se > 0 else 0.0
    return {"as": mean, "hs": harmonic, "score": (mean + harmonic) / 2.0}


def score_of(sp: float, se: float, law: ScoreLaw = "mean") -> float:
    """The Score that follows from Sp and Se, all in percent."""
    return rates_of(sp, se, law)["score"]


def rates_of(sp: float, se: float, law: ScoreLaw = "mean") -> dict[str, float]:
    """Sp and Se by name, in percent, with what follows from them: the Score, and AS and HS where it is made of them."""
    if law == "mean":
        return {"sp": sp, "se": se, "score": (sp + se) / 2.0}
    means = _challenge_means(sp, se)
    return {"sp": sp, "se": se, "as": means["as"], "hs": means["hs"], "score": means["score"]}


def rate_names(law: ScoreLaw) -> tuple[str, ...]:
    """The names of the rates that tables show, in their order."""
    return ("sp", "se", "score") if law == "mean" else ("sp", "se", "as", "hs", "score")


def _percent(hits: int, cycles: int, divisor: float, kind: str, name: str) -> float:
    if cycles == 0 and divisor == 0.0:
        raise ResultError(
            f"{name} is undefined: the judged cycles hold no {kind} one.",
            "Use a set whose test part has normal and abnormal cycles.",
        )
    return hits / (cycles + divisor) * 100.0


def predicted_classes(scores: ArrayLike, classes: int | None = len(CLASSES)) -> NDArray[np.int64]:
    """Choose the class of the largest score; of equal ones the first.

    Args:
        scores: (n, k) finite scores or probabilities.
        classes: How many classes there must be; None for any number.

    Returns:
        (n,) classes.

    Raises:
        ResultError: If the shape is another or a score is not finite.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 2 or classes not in (None, array.shape[1]):
        raise ResultError(f"Scores must have the shape (cycles, {classes or 'classes'}), not {array.shape}.")
    broken = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if broken.size:
        raise ResultError(f"The scores of {broken.size} of {len(array)} cycles are not finite, first row {broken[0]}.")
    chosen: NDArray[np.int64] = array.argmax(axis=1).astype(np.int64)
    return chosen


def score_cycles(labels: ArrayLike, scores: ArrayLike, task: TaskCard = FOUR_CLASSES) -> dict[str, Metrics]:
    """Judge scored cycles in all the ways of their task.

    Args:
        labels: (n,) true classes.
        scores: (n, k) scores.
        task: What is judged.

    Returns:
        Metrics by the task's sensitivities, as ``4class`` and ``2class``.

    Raises:
        ResultError: As :func:`confusion_matrix`, :func:`predicted_classes` and :func:`metrics_of`.
    """
    classes = len(task.classes)
    confusion = confusion_matrix(labels, predicted_classes(scores, classes), classes)
    return {judged: metrics_of(confusion, judged, task=task) for judged in task.sensitivities}
