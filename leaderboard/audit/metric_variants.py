"""What else is printed under the names Sp, Se and Score: other definitions, computed from the same predictions.

The metric itself is in :mod:`leaderboard.metrics`. Each other reading occurs in published code or text: sensitivity
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

from leaderboard.audit.findings import Finding
from leaderboard.audit.official import ABNORMAL, NORMAL
from leaderboard.audit.printed import SLACK, Printed, is_too_coarse, some_count_gives
from leaderboard.metrics import Sensitivity, metrics_of

Rate = Literal["sp", "se", "score"]
RATES: tuple[Rate, ...] = get_args(Rate)
NAMES: Mapping[Rate, str] = {"sp": "Sp", "se": "Se", "score": "Score"}
JUDGED_WORDS: Mapping[Sensitivity, str] = {"4class": "4-class", "2class": "2-class"}

Claim = Mapping[Rate, Printed]
Confusion = NDArray[np.int64]


@dataclass(frozen=True)
class MetricVariant:
    """Another number that goes by the name of a rate.

    Attributes:
        kind: Short name, for scripts.
        rate: The rate.
        words: What it is, as the end of a sentence.
        value: Percent.
    """

    kind: str
    rate: Rate
    words: str
    value: float


@dataclass(frozen=True)
class PartConfusions:
    """A confusion matrix for each part of the cycles: devices, or patients.

    Attributes:
        name: What the parts are, in the plural.
        confusions: Their matrices.
    """

    name: str
    confusions: Sequence[ArrayLike]


def metric_variants(
    confusion: ArrayLike,
    judged: Sensitivity = "4class",
    groups: Sequence[PartConfusions] = (),
    disjoint: ArrayLike | None = None,
) -> list[MetricVariant]:
    """All other readings of the rates that the predictions have a value for.

    Args:
        confusion: Counts of all cycles.
        judged: What the rates should be.
        groups: Counts by device or patient.
        disjoint: Counts without the patients who are in the training part too.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [*_other_sensitivity(counts, judged), *_class_averages(counts), *_swapped(counts, judged)]
        found += [*_accuracy_and_precision(counts), *_other_means_of_rates(counts, judged)]
    for group in groups:
        found += _means_over_parts(group, judged)
    if disjoint is not None:
        values = _rates(disjoint, judged)
        found += [
            MetricVariant("patient-disjoint", rate, "that of the patients who were not trained on", value)
            for rate, value in values.items()
        ]
    return [reading for reading in found if np.isfinite(reading.value)]


def _rates(confusion: ArrayLike, judged: Sensitivity) -> dict[Rate, float]:
    """Sp, Se and Score; nothing where a side has no cycle."""
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
    values = _rates(counts, other)
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
    values = _rates(counts, judged)
    if values:
        yield MetricVariant("swapped", "sp", "Se: the two are swapped", values["se"])
        yield MetricVariant("swapped", "se", "Sp: the two are swapped", values["sp"])


def _accuracy_and_precision(counts: Confusion) -> Iterator[MetricVariant]:
    """Shares of all cycles, and of those that are called something."""
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


def _other_means_of_rates(counts: Confusion, judged: Sensitivity) -> Iterator[MetricVariant]:
    """Means of Sp and Se other than the arithmetic one."""
    values = _rates(counts, judged)
    if values:
        for words, value in _other_means(values["sp"], values["se"]).items():
            yield MetricVariant("other-mean", "score", words, value)


def _means_over_parts(group: PartConfusions, judged: Sensitivity) -> list[MetricVariant]:
    """Means over devices or patients, each weighing the same."""
    kind, words = f"mean-over-{group.name}", f"the mean over {group.name}"
    found = []
    for rate in RATES:
        values = [rates[rate] for rates in (_rates(confusion, judged) for confusion in group.confusions) if rates]
        if len(values) > 1:
            found.append(MetricVariant(kind, rate, words, float(np.mean(values))))
    return found


# --- claims -----------------------------------------------------------------------------------------------------


def explain_claim(
    claim: Claim, confusion: ArrayLike, where: str, judged: Sensitivity, others: Sequence[MetricVariant]
) -> list[Finding]:
    """Say which of the claimed rates are not those of the predictions, and what they are instead.

    Args:
        claim: The rates as printed.
        confusion: Counts of the predictions.
        where: What the predictions are, for the sentence.
        judged: How the claim counts hits.
        others: The other readings.
    """
    truth = _rates(confusion, judged)
    wrong = [rate for rate in RATES if rate in claim and rate in truth and not claim[rate].stands_for(truth[rate])]
    if {"sp", "se"} & set(wrong) and "score" in wrong and adds_up(claim):
        wrong.remove("score")  # It follows from the others.
    kinds = [_fitting_variants(claim[rate], rate, others) for rate in wrong]
    # A reading that explains all of the rates is likelier than several that explain one each.
    shared = set.intersection(*({reading.kind for reading in fitting} for fitting in kinds)) if kinds else set()
    counts = np.asarray(confusion, dtype=np.int64)
    cycles: dict[Rate, int] = {"sp": int(counts[0].sum()), "se": int(counts[1:].sum())}
    return [
        _wrong_rate_finding(
            _WrongRate(rate, claim[rate], truth[rate], where, judged, cycles.get(rate)),
            sorted(fitting, key=lambda reading: reading.kind not in shared),
        )
        for rate, fitting in zip(wrong, kinds, strict=True)
    ]


def adds_up(claim: Claim) -> bool:
    """Whether a claimed Score can be (Sp + Se)/2, as far as all three are claimed."""
    if not all(rate in claim for rate in RATES):
        return True
    sp, se, score = (claim[rate] for rate in RATES)
    bound = score.unit / 2 + (sp.unit + se.unit) / 4 + SLACK
    return abs((sp.value + se.value) / 2 - score.value) <= bound


def sum_finding(claim: Claim, where: str) -> Iterator[Finding]:
    """Say whether printed Sp, Se and Score contradict one another, and what the Score is instead where that is seen."""
    if adds_up(claim):
        return
    sp, se, score = (claim[rate] for rate in RATES)
    mean = (sp.value + se.value) / 2
    numbers = {"sp": sp.value, "se": se.value, "score": score.value, "mean": mean}
    says = f"In {where} the Score is {score}, but (Sp + Se)/2 of {sp} and {se} is {mean:.{max(score.digits, 2)}f}"
    low, high = min(sp.value - sp.unit, se.value - se.unit), max(sp.value + sp.unit, se.value + se.unit)
    if not low <= score.value <= high:
        yield Finding("score-outside", where, f"{says}; no mean of the two lies outside them.", numbers)
        return
    other = [words for words, value in _other_means(sp.value, se.value).items() if score.stands_for(value)]
    end = f": it is {other[0]}." if other else "."
    yield Finding("does-not-add-up", where, says + end, numbers)


def _other_means(sp: float, se: float) -> dict[str, float]:
    """Means of Sp and Se other than the arithmetic one, by what they are called."""
    harmonic = 2 * sp * se / (sp + se) if sp + se > 0 else 0.0
    return {
        "the harmonic mean of Sp and Se": harmonic,
        "the geometric mean of Sp and Se": math.sqrt(max(sp * se, 0.0)),
        "the mean of the arithmetic and the harmonic mean of Sp and Se": ((sp + se) / 2 + harmonic) / 2,
        "the mean weighted by the numbers of normal and abnormal cycles (accuracy)": (
            (sp * NORMAL + se * ABNORMAL) / (NORMAL + ABNORMAL)
        ),
    }


def _fitting_variants(printed: Printed, rate: Rate, others: Sequence[MetricVariant]) -> list[MetricVariant]:
    return [reading for reading in others if reading.rate == rate and printed.stands_for(reading.value)]


@dataclass(frozen=True)
class _WrongRate:
    """A claimed rate that is not the one of the predictions, and by how many cycles that one is divided."""

    rate: Rate
    printed: Printed
    truth: float
    where: str
    judged: Sensitivity
    cycles: int | None


def _wrong_rate_finding(claimed: _WrongRate, fitting: Sequence[MetricVariant]) -> Finding:
    name, printed, where = NAMES[claimed.rate], claimed.printed, claimed.where
    says = (
        f"The claimed {name} of {printed} is not the {JUDGED_WORDS[claimed.judged]} {name} of {where}, "
        f"{claimed.truth:.2f}"
    )
    numbers = {"rate": claimed.rate, "claimed": printed.value, "computed": claimed.truth}
    if fitting:
        best = fitting[0]
        return Finding(best.kind, where, f"{says}: it is {best.words}.", {**numbers, "reading": best.words})
    end = "no other definition that is known gives it either"
    if claimed.cycles and not is_too_coarse(printed, claimed.cycles) and not some_count_gives(printed, claimed.cycles):
        kind = "normal" if claimed.rate == "sp" else "abnormal"
        end += f", and no number of the {claimed.cycles:,} {kind} cycles does: it is of other cycles, or a mean"
    return Finding("unexplained-claim", where, f"{says}; {end}.", numbers)
