"""What else is printed under the names Sp, Se and Score: variants of the metric, computed from the same predictions.

The metric itself is in :mod:`leaderboard.metrics`. Each variant occurs in published code or text: sensitivity
averaged over classes or taken of each class against the rest, any abnormal class as a hit, accuracy as Score, means
over devices, the Score by the law of another task. Shapes: a confusion matrix is k x k, rows are true classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, ScoreLaw, TaskCard
from leaderboard.metrics import Sensitivity, metrics_of, score_of

Rate = Literal["sp", "se", "as", "hs", "score"]
ALL_RATES: tuple[Rate, ...] = get_args(Rate)
RATES: tuple[Rate, ...] = ("sp", "se", "score")
"""The rates of every task."""

RATE_NAMES: Mapping[Rate, str] = {"sp": "Sp", "se": "Se", "as": "AS", "hs": "HS", "score": "Score"}

Confusion = NDArray[np.int64]

_OWN_MEAN: Mapping[ScoreLaw, str] = {
    "mean": "the arithmetic mean of Sp and Se",
    "challenge": "the mean of the arithmetic and the harmonic mean of Sp and Se",
}
"""What the Score is by each law."""

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def rates_named(task: TaskCard) -> tuple[Rate, ...]:
    """The rates of a task: AS and HS are among them where its Score is made of them."""
    return RATES if task.score == "mean" else ALL_RATES


def score_words(task: TaskCard) -> str:
    """How the Score of a task follows from other rates, in words."""
    return "(Sp + Se)/2" if task.score == "mean" else "(AS + HS)/2"


def sensitivity_name(judged: Sensitivity) -> str:
    """The name of a sensitivity in print: ``4-class``."""
    return judged.replace("class", "-class")


@dataclass(frozen=True)
class MetricVariant:
    """A number by another definition that goes by the name of a rate.

    Attributes:
        kind: Short name of the definition, for scripts; ``docs/audit.md`` lists them.
        rate: The rate under whose name it is printed.
        words: What the number is, as the end of a sentence.
        value: The number in percent.
    """

    kind: str
    rate: Rate
    words: str
    value: float


@dataclass(frozen=True)
class PartConfusions:
    """A confusion matrix for each part of the cycles: for each device, or for each patient.

    Attributes:
        name: What the parts are, in the plural.
        confusions: The confusion matrix of each part.
    """

    name: str
    confusions: Sequence[ArrayLike]


def metric_variants(
    confusion: ArrayLike,
    judged: Sensitivity = FOUR_CLASSES.strict,
    groups: Sequence[PartConfusions] = (),
    disjoint: ArrayLike | None = None,
    task: TaskCard = FOUR_CLASSES,
) -> list[MetricVariant]:
    """Compute all variants of the rates that the predictions have a value for.

    Args:
        confusion: Confusion matrix of all cycles.
        judged: Which sensitivity Se should be.
        groups: Confusion matrices by device or patient.
        disjoint: Confusion matrix without the patients who are in the training part too.
        task: What is judged.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [*_other_sensitivity(counts, judged, task), *_class_averages(counts, task)]
        found += [*_swapped(counts, judged, task), *_accuracy_and_precision(counts, task)]
        found += _variants_by_other_means(counts, judged, task)
    for group in groups:
        found += _means_over_parts(group, judged, task)
    if disjoint is not None:
        found += rate_variants(
            "patient-disjoint", "that of the patients who were not trained on", disjoint, judged, task
        )
    return [reading for reading in found if np.isfinite(reading.value)]


def rates_of(confusion: ArrayLike, judged: Sensitivity, task: TaskCard = FOUR_CLASSES) -> dict[Rate, float]:
    """Compute a task's rates in percent; an empty mapping where there is no normal or no abnormal cycle."""
    counts = np.asarray(confusion, dtype=np.int64)
    if not counts[0].sum() or not counts[list(task.abnormal)].sum():
        return {}
    found = cast(Mapping[str, Any], metrics_of(counts.tolist(), judged, task=task))
    return {rate: found[rate] for rate in rates_named(task)}


def rate_variants(
    kind: str, words: str, confusion: ArrayLike, judged: Sensitivity, task: TaskCard
) -> list[MetricVariant]:
    """The rates of other cycles, or of another epoch, as what a claim may be."""
    return [MetricVariant(kind, rate, words, value) for rate, value in rates_of(confusion, judged, task).items()]


def _other_sensitivity(counts: Confusion, judged: Sensitivity, task: TaskCard) -> Iterator[MetricVariant]:
    others = [name for name in task.sensitivities if name != judged]
    for other in others:
        kind, words = (
            ("binary-hits", "which counts any abnormal class as a hit")
            if other == ANY_ABNORMAL
            else ("strict-hits", "which asks for the exact abnormal class")
        )
        for rate, value in rates_of(counts, other, task).items():
            if rate != "sp":
                yield MetricVariant(kind, rate, f"the {sensitivity_name(other)} one, {words}", value)


def _class_averages(counts: Confusion, task: TaskCard) -> Iterator[MetricVariant]:
    """Sensitivity of single classes, averaged: each class weighs the same, however many cycles it has."""
    hits, true, called, all_cycles = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    recall = 100 * hits / true
    specificity = 100 * (all_cycles - true - called + hits) / (all_cycles - true)
    ill, all_of_them = recall[list(task.abnormal)], f"all {_number(len(counts))} classes"
    if len(ill) > 1:
        words = f"the {_number(len(ill))} abnormal classes"
        yield MetricVariant("class-mean", "se", f"the mean of the recalls of {words}", ill.mean())
        value = score_of(recall[0], ill.mean(), task.score)
        yield MetricVariant("class-mean", "score", f"{_mean_words(task)} of the recalls' mean over {words}", value)
    yield MetricVariant("one-vs-rest", "se", f"the mean of the recalls of {all_of_them}", recall.mean())
    words = f"the mean of the specificities of the {_number(len(counts))} classes, each against the rest"
    yield MetricVariant("one-vs-rest", "sp", words, specificity.mean())
    words = "the mean of sensitivity and specificity of each class against the rest"
    yield MetricVariant("one-vs-rest", "score", words, (recall.mean() + specificity.mean()) / 2)
    yield MetricVariant("one-vs-rest", "score", f"the mean of the recalls of {all_of_them}", recall.mean())
    words = f"the mean of the F1 scores of the {_number(len(counts))} classes"
    yield MetricVariant("macro-f1", "score", words, _f1(hits, true, called))


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _mean_words(task: TaskCard) -> str:
    return "the mean of Sp and" if task.score == "mean" else "the Score of Sp and"


def _f1(hits: Confusion, true: Confusion, called: Confusion) -> float:
    return float((200 * hits / np.maximum(true + called, 1)).mean())


def _swapped(counts: Confusion, judged: Sensitivity, task: TaskCard) -> Iterator[MetricVariant]:
    values = rates_of(counts, judged, task)
    if values:
        yield MetricVariant("swapped", "sp", "Se: the two are swapped", values["se"])
        yield MetricVariant("swapped", "se", "Sp: the two are swapped", values["sp"])


def _accuracy_and_precision(counts: Confusion, task: TaskCard) -> Iterator[MetricVariant]:
    """Shares of right answers among all cycles (accuracy), and among the cycles of one predicted class (precision)."""
    ill = list(task.abnormal)
    right, found = np.trace(counts), counts[np.ix_(ill, ill)]
    binary = (counts[0, 0] + found.sum()) / counts[[0, *ill]].sum()
    for rate in RATES:
        words = "the share of right answers among all cycles (accuracy)"
        yield MetricVariant("accuracy", rate, words, 100 * right / counts.sum())
    words = "the share of cycles rightly called normal or abnormal (binary accuracy)"
    yield MetricVariant("accuracy", "score", words, 100 * binary)
    words = "the share of right answers among cycles called abnormal (precision)"
    yield MetricVariant("precision", "se", words, 100 * np.trace(found) / counts[:, ill].sum())
    words = "the share of normal cycles among those called normal"
    yield MetricVariant("precision", "sp", words, 100 * counts[0, 0] / counts[:, 0].sum())


def _variants_by_other_means(counts: Confusion, judged: Sensitivity, task: TaskCard) -> Iterator[MetricVariant]:
    """Means of Sp and Se other than the one that is the task's Score."""
    values = rates_of(counts, judged, task)
    if values:
        for words, value in other_means(values["sp"], values["se"], task).items():
            yield MetricVariant("other-mean", "score", words, value)


def _means_over_parts(group: PartConfusions, judged: Sensitivity, task: TaskCard) -> list[MetricVariant]:
    """Means over devices or patients, each weighing the same."""
    kind, words = f"mean-over-{group.name}", f"the mean over {group.name}"
    parts = [rates for rates in (rates_of(confusion, judged, task) for confusion in group.confusions) if rates]
    if len(parts) < 2:
        return []
    means = {rate: float(np.mean([rates[rate] for rates in parts])) for rate in rates_named(task)}
    return [MetricVariant(kind, rate, words, value) for rate, value in means.items()]


def other_means(sp: float, se: float, task: TaskCard = FOUR_CLASSES) -> dict[str, float]:
    """Compute the means of Sp and Se other than the one that is the task's Score, by what they are called."""
    arithmetic, harmonic = (sp + se) / 2, 2 * sp * se / (sp + se) if sp + se > 0 else 0.0
    found = {
        "the arithmetic mean of Sp and Se": arithmetic,
        "the harmonic mean of Sp and Se": harmonic,
        "the geometric mean of Sp and Se": math.sqrt(max(sp * se, 0.0)),
        "the mean of the arithmetic and the harmonic mean of Sp and Se": (arithmetic + harmonic) / 2,
    }
    del found[_OWN_MEAN[task.score]]
    counts = task.counts.get(task.main.id)
    if counts is not None:
        normal, abnormal = counts[0], sum(counts[number] for number in task.abnormal)
        words = "the mean weighted by the numbers of normal and abnormal cycles (accuracy)"
        found[words] = (sp * normal + se * abnormal) / (normal + abnormal)
    return found
