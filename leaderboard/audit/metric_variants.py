"""What else is printed under the names Sp, Se and Score: variants of the metric, computed from the same predictions.

The metric itself is in :mod:`leaderboard.metrics`. Each variant occurs in published code or text: sensitivity
averaged over classes or taken of each class against the rest, any abnormal class as a hit, accuracy as Score, means
over devices. Shapes: a confusion matrix is 4 x 4, rows are true classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.audit.official import ABNORMAL, NORMAL
from leaderboard.metrics import Sensitivity, metrics_of

Rate = Literal["sp", "se", "score"]
RATES: tuple[Rate, ...] = get_args(Rate)
RATE_NAMES: Mapping[Rate, str] = {"sp": "Sp", "se": "Se", "score": "Score"}
SENSITIVITY_NAMES: Mapping[Sensitivity, str] = {"4class": "4-class", "2class": "2-class"}

Confusion = NDArray[np.int64]


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
    judged: Sensitivity = "4class",
    groups: Sequence[PartConfusions] = (),
    disjoint: ArrayLike | None = None,
) -> list[MetricVariant]:
    """Compute all variants of the rates that the predictions have a value for.

    Args:
        confusion: Confusion matrix of all cycles.
        judged: Which sensitivity Se should be.
        groups: Confusion matrices by device or patient.
        disjoint: Confusion matrix without the patients who are in the training part too.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [*_other_sensitivity(counts, judged), *_class_averages(counts), *_swapped(counts, judged)]
        found += [*_accuracy_and_precision(counts), *_variants_by_other_means(counts, judged)]
    for group in groups:
        found += _means_over_parts(group, judged)
    if disjoint is not None:
        values = rates_of(disjoint, judged)
        found += [
            MetricVariant("patient-disjoint", rate, "that of the patients who were not trained on", value)
            for rate, value in values.items()
        ]
    return [reading for reading in found if np.isfinite(reading.value)]


def rates_of(confusion: ArrayLike, judged: Sensitivity) -> dict[Rate, float]:
    """Compute Sp, Se and Score in percent; an empty mapping where there is no normal or no abnormal cycle."""
    counts = np.asarray(confusion, dtype=np.int64)
    if not counts[0].sum() or not counts[1:].sum():
        return {}
    found = metrics_of(counts.tolist(), judged)
    return {"sp": found["sp"], "se": found["se"], "score": found["score"]}


def _other_sensitivity(counts: Confusion, judged: Sensitivity) -> Iterator[MetricVariant]:
    other: Sensitivity = "2class" if judged == "4class" else "4class"
    words = {
        "2class": "the 2-class one, which counts any abnormal class as a hit",
        "4class": "the 4-class one, which asks for the exact abnormal class",
    }[other]
    values = rates_of(counts, other)
    for rate in ("se", "score"):
        if rate in values:
            yield MetricVariant("binary-hits" if other == "2class" else "strict-hits", rate, words, values[rate])


def _class_averages(counts: Confusion) -> Iterator[MetricVariant]:
    """Sensitivity of single classes, averaged: each class weighs the same, however many cycles it has."""
    hits, true, called, all_cycles = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    recall = 100 * hits / true
    specificity = 100 * (all_cycles - true - called + hits) / (all_cycles - true)
    normal = recall[0]
    yield MetricVariant("class-mean", "se", "the mean of the recalls of the three abnormal classes", recall[1:].mean())
    yield MetricVariant("one-vs-rest", "se", "the mean of the recalls of all four classes", recall.mean())
    yield MetricVariant(
        "one-vs-rest",
        "sp",
        "the mean of the specificities of the four classes, each against the rest",
        specificity.mean(),
    )
    yield MetricVariant(
        "one-vs-rest",
        "score",
        "the mean of sensitivity and specificity of each class against the rest",
        (recall.mean() + specificity.mean()) / 2,
    )
    yield MetricVariant(
        "class-mean",
        "score",
        "the mean of Sp and of the recalls' mean over the three abnormal classes",
        (normal + recall[1:].mean()) / 2,
    )
    yield MetricVariant("one-vs-rest", "score", "the mean of the recalls of all four classes", recall.mean())
    yield MetricVariant("macro-f1", "score", "the mean of the F1 scores of the four classes", _f1(hits, true, called))


def _f1(hits: Confusion, true: Confusion, called: Confusion) -> float:
    return float((200 * hits / np.maximum(true + called, 1)).mean())


def _swapped(counts: Confusion, judged: Sensitivity) -> Iterator[MetricVariant]:
    values = rates_of(counts, judged)
    if values:
        yield MetricVariant("swapped", "sp", "Se: the two are swapped", values["se"])
        yield MetricVariant("swapped", "se", "Sp: the two are swapped", values["sp"])


def _accuracy_and_precision(counts: Confusion) -> Iterator[MetricVariant]:
    """Shares of right answers among all cycles (accuracy), and among the cycles of one predicted class (precision)."""
    right, binary = np.trace(counts), counts[0, 0] + counts[1:, 1:].sum()
    accuracy, binary_accuracy = 100 * right / counts.sum(), 100 * binary / counts.sum()
    for rate in RATES:
        yield MetricVariant("accuracy", rate, "the share of right answers among all cycles (accuracy)", accuracy)
    yield MetricVariant(
        "accuracy", "score", "the share of cycles rightly called normal or abnormal (binary accuracy)", binary_accuracy
    )
    abnormal = counts[:, 1:].sum()
    yield MetricVariant(
        "precision",
        "se",
        "the share of right answers among cycles called abnormal (precision)",
        100 * np.trace(counts[1:, 1:]) / abnormal,
    )
    yield MetricVariant(
        "precision",
        "sp",
        "the share of normal cycles among those called normal",
        100 * counts[0, 0] / counts[:, 0].sum(),
    )


def _variants_by_other_means(counts: Confusion, judged: Sensitivity) -> Iterator[MetricVariant]:
    """Means of Sp and Se other than the arithmetic one."""
    values = rates_of(counts, judged)
    if values:
        for words, value in other_means(values["sp"], values["se"]).items():
            yield MetricVariant("other-mean", "score", words, value)


def _means_over_parts(group: PartConfusions, judged: Sensitivity) -> list[MetricVariant]:
    """Means over devices or patients, each weighing the same."""
    kind, words = f"mean-over-{group.name}", f"the mean over {group.name}"
    found = []
    for rate in RATES:
        values = [rates[rate] for rates in (rates_of(confusion, judged) for confusion in group.confusions) if rates]
        if len(values) > 1:
            found.append(MetricVariant(kind, rate, words, float(np.mean(values))))
    return found


def other_means(sp: float, se: float) -> dict[str, float]:
    """Compute the means of Sp and Se other than the arithmetic one, by what they are called."""
    harmonic = 2 * sp * se / (sp + se) if sp + se > 0 else 0.0
    return {
        "the harmonic mean of Sp and Se": harmonic,
        "the geometric mean of Sp and Se": math.sqrt(max(sp * se, 0.0)),
        "the mean of the arithmetic and the harmonic mean of Sp and Se": ((sp + se) / 2 + harmonic) / 2,
        "the mean weighted by the numbers of normal and abnormal cycles (accuracy)": (
            (sp * NORMAL + se * ABNORMAL) / (NORMAL + ABNORMAL)
        ),
    }
