"""Whether claimed rates are those of the predictions and add up, and what else they are where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from leaderboard.audit.findings import Finding
from leaderboard.audit.metric_variants import (
    RATE_NAMES,
    RATES,
    SENSITIVITY_NAMES,
    MetricVariant,
    Rate,
    other_means,
    rates_of,
)
from leaderboard.audit.printed import SLACK, Printed, is_too_coarse, some_count_gives
from leaderboard.metrics import Sensitivity

Claim = Mapping[Rate, Printed]
"""The rates that somebody claims, as they are printed; a rate that is not claimed is left out."""


def explain_claim(
    claim: Claim, confusion: ArrayLike, where: str, judged: Sensitivity, others: Sequence[MetricVariant]
) -> list[Finding]:
    """Say which of the claimed rates are not those of the predictions, and what they are instead.

    Args:
        claim: The rates as printed.
        confusion: Confusion matrix of the predictions.
        where: What the predictions are, for the sentence.
        judged: Which sensitivity the claim's Se is.
        others: Variants of the metric that a claimed rate may be instead.
    """
    truth = rates_of(confusion, judged)
    wrong = [rate for rate in RATES if rate in claim and rate in truth and not claim[rate].stands_for(truth[rate])]
    if {"sp", "se"} & set(wrong) and "score" in wrong and adds_up(claim):
        wrong.remove("score")  # It follows from the others.
    kinds = [_fitting_variants(claim[rate], rate, others) for rate in wrong]
    # A definition that explains all of the wrong rates is likelier than several that explain one each.
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
    # Sp and Se were rounded before anybody could add them: each may be half a unit off, and the Score has half of both.
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
    other = [words for words, value in other_means(sp.value, se.value).items() if score.stands_for(value)]
    end = f": it is {other[0]}." if other else "."
    yield Finding("does-not-add-up", where, says + end, numbers)


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
        f"The claimed {name} of {printed} is not the {SENSITIVITY_NAMES[claimed.judged]} {name} of {where}, "
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
