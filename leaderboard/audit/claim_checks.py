"""Whether claimed rates are those of the predictions and add up, and what else they are where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.core.datasets import FOUR_CLASSES, TaskCard
from bench.core.errors import ResultError, SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed
from leaderboard.audit.findings import Finding
from leaderboard.audit.metric_variants import (
    RATE_NAMES,
    MetricVariant,
    Rate,
    other_means,
    rates_named,
    rates_of,
    score_words,
    sensitivity_name,
)
from leaderboard.audit.printed import SLACK, Printed, is_too_coarse, some_count_gives
from leaderboard.metrics import Sensitivity, score_of

Claim = Mapping[Rate, Printed]
"""The rates that somebody claims, as they are printed; a rate that is not claimed is left out."""


def check_claimable(claim: Claim, task: TaskCard) -> None:
    """Refuse a claim of rates that a task has not; raises ResultError."""
    for rate in claim:
        if rate not in rates_named(task):
            known = ", ".join(rates_named(task))
            raise ResultError(
                f"The claim names {RATE_NAMES[rate]}, but the task {task.id} has no such rate.", f"It has {known}."
            )


def judged_in(task: TaskCard, judged: Sensitivity | None) -> Sensitivity:
    """The sensitivity of a task that a user names, the strictest one where none is named; raises SpecError."""
    if judged is None or judged in task.sensitivities:
        return judged or task.strict
    raise SpecError(f"Unknown way of judging '{echoed(judged)}': {suggestion(judged, task.sensitivities)}")


def explain_claim(
    claim: Claim,
    confusion: ArrayLike,
    where: str,
    judged: Sensitivity,
    others: Sequence[MetricVariant],
    task: TaskCard = FOUR_CLASSES,
) -> list[Finding]:
    """Say which of the claimed rates are not those of the predictions, and what they are instead.

    Args:
        claim: The rates as printed.
        confusion: Confusion matrix of the predictions.
        where: What the predictions are, for the sentence.
        judged: Which sensitivity the claim's Se is.
        others: Variants of the metric that a claimed rate may be instead.
        task: What is judged.
    """
    truth = rates_of(confusion, judged, task)
    wrong = [rate for rate in truth if rate in claim and not claim[rate].stands_for(truth[rate])]
    if {"sp", "se"} & set(wrong) and adds_up(claim, task):
        wrong = [rate for rate in wrong if rate in ("sp", "se")]  # The others follow from these.
    kinds = [_fitting_variants(claim[rate], rate, others) for rate in wrong]
    # A definition that explains all of the wrong rates is likelier than several that explain one each.
    shared = set.intersection(*({reading.kind for reading in fitting} for fitting in kinds)) if kinds else set()
    counts = np.asarray(confusion, dtype=np.int64)
    cycles: dict[Rate, int] = {"sp": int(counts[0].sum()), "se": int(counts[list(task.abnormal)].sum())}
    return [
        _wrong_rate_finding(
            _WrongRate(rate, claim[rate], truth[rate], where, judged, cycles.get(rate)),
            sorted(fitting, key=lambda reading: reading.kind not in shared),
        )
        for rate, fitting in zip(wrong, kinds, strict=True)
    ]


@dataclass(frozen=True)
class _Derived:
    """A rate that follows from Sp and Se.

    Attributes:
        rate: The rate.
        words: How it follows, in words.
        of: Gives it from Sp and Se, all in percent; neither may grow where it falls.
    """

    rate: Rate
    words: str
    of: Callable[[float, float], float]


def _derived_rates(task: TaskCard) -> tuple[_Derived, ...]:
    score = _Derived("score", score_words(task), lambda sp, se: score_of(sp, se, task.score))
    if task.score == "mean":
        return (score,)
    arithmetic = _Derived("as", "(Sp + Se)/2", score_of)
    # (AS + HS)/2 is the Score.
    harmonic = _Derived("hs", "2 Sp Se/(Sp + Se)", lambda sp, se: 2 * score.of(sp, se) - score_of(sp, se))
    return (arithmetic, harmonic, score)


def adds_up(claim: Claim, task: TaskCard = FOUR_CLASSES) -> bool:
    """Whether claimed rates can be what follows from the claimed Sp and Se, as far as these are claimed."""
    return not any(_contradicted(claim, task))


def _contradicted(claim: Claim, task: TaskCard) -> Iterator[_Derived]:
    """The claimed rates that do not follow from the claimed Sp and Se."""
    if "sp" not in claim or "se" not in claim:
        return
    for derived in _derived_rates(task):
        if derived.rate in claim and not _can_follow(claim[derived.rate], derived, claim["sp"], claim["se"]):
            yield derived


def _can_follow(printed: Printed, derived: _Derived, sp: Printed, se: Printed) -> bool:
    # Sp and Se were rounded before anybody could combine them: each may be half a unit off.
    low = derived.of(sp.value - sp.unit / 2, se.value - se.unit / 2)
    high = derived.of(sp.value + sp.unit / 2, se.value + se.unit / 2)
    slack = printed.unit / 2 + SLACK
    return low - slack <= printed.value <= high + slack


def sum_finding(claim: Claim, where: str, task: TaskCard = FOUR_CLASSES) -> Iterator[Finding]:
    """Say whether printed rates contradict one another, and what they are instead where that is seen."""
    for derived in _contradicted(claim, task):
        yield _contradiction(claim, derived, where, task)


def _contradiction(claim: Claim, derived: _Derived, where: str, task: TaskCard) -> Finding:
    sp, se, printed = claim["sp"], claim["se"], claim[derived.rate]
    mean = derived.of(sp.value, se.value)
    numbers = {"sp": sp.value, "se": se.value, derived.rate: printed.value, "mean": mean}
    name = "the Score" if derived.rate == "score" else RATE_NAMES[derived.rate]
    names = ("", "") if derived.words == "(Sp + Se)/2" else ("Sp ", "Se ")
    says = (
        f"In {where} {name} is {printed}, but {derived.words} of {names[0]}{sp} and {names[1]}{se} is "
        f"{mean:.{max(printed.digits, 2)}f}"
    )
    low, high = min(sp.value - sp.unit, se.value - se.unit), max(sp.value + sp.unit, se.value + se.unit)
    if not low <= printed.value <= high:
        return Finding("score-outside", where, f"{says}; no mean of the two lies outside them.", numbers)
    means = other_means(sp.value, se.value, task) if derived.rate == "score" else {}
    other = [words for words, value in means.items() if printed.stands_for(value)]
    end = f": it is {other[0]}." if other else "."
    return Finding("does-not-add-up", where, says + end, numbers)


def _fitting_variants(printed: Printed, rate: Rate, others: Sequence[MetricVariant]) -> list[MetricVariant]:
    return [one for one in others if one.rate == rate and printed.stands_for(one.value)]


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
    name, printed, where = RATE_NAMES[claimed.rate], claimed.printed, claimed.where
    says = (
        f"The claimed {name} of {printed} is not the {sensitivity_name(claimed.judged)} {name} of {where}, "
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
