"""Whether a row of a table of results can be true: each check needs nothing but the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES
from leaderboard.audit.claim_checks import Claim, explain_claim, sum_finding
from leaderboard.audit.findings import Finding
from leaderboard.audit.metric_variants import (
    RATE_NAMES,
    RATES,
    Rate,
    metric_variants,
    rates_named,
    score_words,
    sensitivity_name,
)
from leaderboard.audit.official import OfficialSplit
from leaderboard.audit.printed import MOST_DIGITS, SLACK, Printed, is_too_coarse, some_count_gives
from leaderboard.audit.result_rows import ResultRow
from leaderboard.metrics import score_of

Findings = Iterator[Finding]

_OTHER_SPLIT = re.compile(r"80\D{1,3}20|70\D{1,3}30|90\D{1,3}10|random|shuffle|fold|cross.?valid|leave.?one|\bother\b")
_DISJOINT_SPLIT = re.compile(r"disjoint|corrected")
_UNNAMED_SPLIT = re.compile(r"|unknown|unstated|n/?a|-|–|\?")
_FIELDS: dict[Rate, str] = {"as": "arithmetic", "hs": "harmonic"}
"""Fields of a row that hold a rate and have another name than it."""


def check_row(row: ResultRow, split: OfficialSplit) -> Findings:
    """Find all that contradicts itself, or the official split, within a row.

    Args:
        row: The row.
        split: The official split of the task that the table is of.
    """
    for check in _CHECKS:
        yield from check(row, split)


def claim_of(row: ResultRow, split: OfficialSplit) -> Claim:
    """Give the rates of the task that a row prints, by name."""
    found = {rate: getattr(row, _FIELDS.get(rate, rate)) for rate in rates_named(split.task)}
    return {rate: printed for rate, printed in found.items() if printed is not None}


def _judged_part(row: ResultRow, split: OfficialSplit) -> OfficialSplit | None:
    """The official split seen from the part that a row names; None where it names none of several."""
    return split.of_row(f"{row.part or ''} {row.split or ''}")


def _official_counts(row: ResultRow, split: OfficialSplit) -> list[tuple[int, ...]]:
    """The numbers of cycles by class that a confusion matrix of the row may have: of all classes, or of two."""
    seen = _judged_part(row, split)
    if seen is None or seen.test is None:
        return []
    return [seen.test, seen.divisors(seen.test) or ()]


def is_official(row: ResultRow, split: OfficialSplit) -> bool:
    """Whether nothing in a row says that it is of another split than the official one."""
    words = (row.split or "").lower()
    other = _OTHER_SPLIT.search(words) or _DISJOINT_SPLIT.search(words) or split.split_words(row.train, row.test)
    counts = _totals(row)
    return not other and (counts is None or counts in _official_counts(row, split))


def _totals(row: ResultRow) -> tuple[int, ...] | None:
    """Cycles of each class in the confusion matrix."""
    return None if row.confusion is None else tuple(map(sum, row.confusion))


# --- rates ------------------------------------------------------------------------------------------------------


def _percentages(row: ResultRow, split: OfficialSplit) -> Findings:
    for rate, printed in claim_of(row, split).items():
        if not 0 <= printed.value <= 100:
            sentence = f"In {row.where} {RATE_NAMES[rate]} is {printed}, but a percentage is from 0 to 100."
            yield Finding("no-percentage", row.where, sentence, {rate: printed.value})


def _sums(row: ResultRow, split: OfficialSplit) -> Findings:
    claim = claim_of(row, split)
    if all(0 <= printed.value <= 100 for printed in claim.values()):
        yield from sum_finding(claim, row.where, split.task)


def _binary_beside_strict(row: ResultRow, split: OfficialSplit) -> Findings:
    """The Se of the exact class beside the 2-class one of the same predictions."""
    if row.se is None or row.binary_se is None or row.judged == ANY_ABNORMAL:
        return
    yield from _above_binary(row, row.binary_se)
    if row.se.value == row.binary_se.value and row.se.value > 0:
        numbers = {"se": row.se.value, "binary_se": row.binary_se.value}
        sentence = (
            f"In {row.where} the {sensitivity_name(row.judged)} Se is the 2-class one, {row.se}: any abnormal class "
            f"was counted as a hit, or no {_abnormal_words(split)} was ever taken for another of them."
        )
        yield Finding("binary-hits", row.where, sentence, numbers)


def _abnormal_words(split: OfficialSplit) -> str:
    *others, last = (split.task.classes[number] for number in split.task.abnormal)
    return f"{', '.join(others)} or {last}" if others else last


def _above_binary(row: ResultRow, binary: Printed) -> Findings:
    if row.se is not None and row.se.value - row.se.unit / 2 > binary.value + binary.unit / 2:
        sentence = (
            f"In {row.where} the {sensitivity_name(row.judged)} Se is {row.se}, above the 2-class Se of "
            f"{binary.value:.2f}, but whoever finds the exact class has found an abnormal one."
        )
        numbers = {"se": row.se.value, "binary_se": binary.value}
        yield Finding("strict-above-binary", row.where, sentence, numbers)


def _accuracy(row: ResultRow, split: OfficialSplit) -> Findings:
    if row.accuracy is None:
        return
    if (
        row.score is not None
        and row.sp is not None
        and row.se is not None
        and _equal_as_printed(row.score, row.accuracy)
    ):
        mean = score_of(row.sp.value, row.se.value, split.task.score)
        if not row.score.stands_for(mean):
            words = score_words(split.task)
            sentence = f"In {row.where} the Score is the accuracy, {row.accuracy}; {words} is {mean:.2f}."
            yield Finding("accuracy", row.where, sentence, {"score": row.score.value, "mean": mean})
    seen = _judged_part(row, split)
    divisors = None if seen is None else seen.divisors(seen.test)
    if row.sp is None or row.se is None or divisors is None or not is_official(row, split):
        return
    # Cycles of classes that are neither normal nor abnormal count in the accuracy, and in neither of these rates.
    if seen is None or sum(divisors) != sum(seen.test or ()):
        return
    normal, abnormal = divisors
    expected = (row.sp.value * normal + row.se.value * abnormal) / (normal + abnormal)
    if abs(expected - row.accuracy.value) > row.accuracy.unit + max(row.sp.unit, row.se.unit):
        sentence = (
            f"In {row.where} the accuracy is {row.accuracy}, but Sp {row.sp} of {normal:,} normal and Se {row.se} of "
            f"{abnormal:,} abnormal cycles make {expected:.2f}: Se counts something else, or it is another test part."
        )
        yield Finding("accuracy-contradicts", row.where, sentence, {"accuracy": row.accuracy.value, "made": expected})


def _equal_as_printed(a: Printed, b: Printed) -> bool:
    return abs(a.value - b.value) <= max(a.unit, b.unit) / 2 + SLACK


# --- deviations -------------------------------------------------------------------------------------------------


def _deviations(row: ResultRow, split: OfficialSplit) -> Findings:
    stds = {rate: std for rate in RATES if (std := getattr(row, f"{rate}_std")) is not None}
    if row.seeds == 1 and stds:
        yield Finding(
            "deviation-of-one", row.where, f"In {row.where} one seed has a deviation; it takes two.", {"seeds": 1}
        )
    for rate, std in stds.items():
        if std.value == 0 and row.seeds != 1:
            sentence = (
                f"In {row.where} the deviation of {RATE_NAMES[rate]} is {std}: runs that differ in the seed never "
                "agree so closely, so that these are the same run, or one."
            )
            yield Finding("deviation-of-zero", row.where, sentence, {"rate": rate})
    if len(stds) == len(RATES) and split.task.score == "mean":
        yield from _joint_deviation(row, *(stds[rate] for rate in RATES))


def _joint_deviation(row: ResultRow, sp: Printed, se: Printed, score: Printed) -> Findings:
    """Check the Score's deviation: that of a mean lies between half the difference and half the sum of the two others.

    The ends are reached where Sp and Se of the seeds move against each other in step, or together in step.
    """
    slack = score.unit / 2 + (sp.unit + se.unit) / 4 + SLACK
    low, high = abs(sp.value - se.value) / 2, (sp.value + se.value) / 2
    if not low - slack <= score.value <= high + slack:
        sentence = (
            f"In {row.where} the Score's deviation is {score}, but with {sp} for Sp and {se} for Se it lies from "
            f"{low:.2f} to {high:.2f}."
        )
        yield Finding("deviation-outside", row.where, sentence, {"sp": sp.value, "se": se.value, "score": score.value})


# --- counts -----------------------------------------------------------------------------------------------------


def _confusion(row: ResultRow, split: OfficialSplit) -> Findings:
    """Rates and class counts against the confusion matrix of the same row."""
    if row.confusion is None:
        return
    task = split.task
    matrix, totals = np.asarray(row.confusion, dtype=np.int64), _totals(row) or ()
    is_of_all = len(matrix) == len(task.classes)
    abnormal = list(task.abnormal) if is_of_all else [1]
    if not matrix[0].sum() or not matrix[abnormal].sum():
        sentence = f"In {row.where} the confusion matrix has no normal or no abnormal cycle."
        yield Finding("no-cycles", row.where, sentence)
        return
    official = _official_counts(row, split)
    if official and totals not in official:
        names = task.classes if is_of_all else ("normal", "abnormal")
        sentence = (
            f"In {row.where} the confusion matrix has {_counts_by_class(totals, names)}, "
            f"but the official test part has {_counts_by_class(official[0 if is_of_all else 1], names)}."
        )
        yield Finding("class-counts", row.where, sentence, {"counts": list(totals)})
    yield from _rates_of_confusion(row, split, matrix, is_of_all=is_of_all)


def _rates_of_confusion(
    row: ResultRow, split: OfficialSplit, matrix: NDArray[np.int64], *, is_of_all: bool
) -> Findings:
    """Rates that are not those of the confusion matrix of the same row."""
    task, claim, where = split.task, claim_of(row, split), f"the confusion matrix in {row.where}"
    if is_of_all:
        variants = metric_variants(matrix, row.judged, task=task)
        yield from explain_claim(claim, matrix, where, row.judged, variants, task)
        return
    two = replace(FOUR_CLASSES, classes=("normal", "abnormal"), shared=(), score=task.score, counts={})
    if row.judged == ANY_ABNORMAL:
        yield from explain_claim(claim, matrix, where, row.judged, [], two)
        return
    # Two classes do not show which abnormal class was found; they bound it.
    of_normal: Claim = {rate: claim[rate] for rate in claim if rate == "sp"}
    yield from explain_claim(of_normal, matrix, where, row.judged, [], two)
    yield from _above_binary(row, Printed(100 * float(matrix[1, 1] / matrix[1].sum()), MOST_DIGITS))


def _counts_by_class(counts: tuple[int, ...], names: tuple[str, ...]) -> str:
    return ", ".join(f"{count:,} {name}" for count, name in zip(counts, names, strict=True))


def _split(row: ResultRow, split: OfficialSplit) -> Findings:
    words, wrong = (row.split or "").strip(), split.split_words(row.train, row.test)
    if wrong is not None:
        counts = {"training": row.train, "test": row.test}
        parts = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
        yield Finding("split", row.where, f"In {row.where} there are {parts} cycles: {wrong}.", counts)
    elif _OTHER_SPLIT.search(words.lower()):
        yield Finding(
            "split",
            row.where,
            f"In {row.where} the split is '{words[:60]}', {_not_official(split)}.",
            {"split": words[:60]},
        )


def _not_official(split: OfficialSplit) -> str:
    if split.train is None or not split.tests:
        return "not the official one"
    return f"not the official {split.ratio} one ({sum(split.train):,} and {split.test_words} cycles)"


def _counts(row: ResultRow, split: OfficialSplit) -> Findings:
    """Rates that no number of cycles of the official test part can give, in rows that say how many runs they are of."""
    runs, seen = 1 if row.seed is not None else row.seeds, _judged_part(row, split)
    divisors = None if seen is None else seen.divisors(seen.test)
    if runs is None or seen is None or divisors is None or not is_official(row, split):
        return
    for name, printed, place in (("Sp", row.sp, 0), ("Se", row.se, 1)):
        cycles = divisors[place]
        if printed is None or not 0 <= printed.value <= 100 or is_too_coarse(printed, cycles * runs):
            continue
        if not some_count_gives(printed, cycles * runs):
            yield _impossible_count(row, seen, name, printed, runs)


def _impossible_count(row: ResultRow, seen: OfficialSplit, name: str, printed: Printed, runs: int) -> Finding:
    place, kind = (0, "normal") if name == "Sp" else (1, "abnormal")
    cycles = (seen.divisors(seen.test) or (0, 0))[place]
    of = f"the official test part's {cycles:,} {kind} cycles" + (f" over {runs} runs" if runs > 1 else "")
    others = seen.divisors(seen.disjoint)
    is_other = others is not None and some_count_gives(printed, others[place] * runs)
    end = f"; of the {others[place]:,} without {seen.shared_words} one does" if others and is_other else ""
    sentence = f"In {row.where} {name} is {printed}, which no number of {of} gives, rounded or cut off{end}."
    return Finding("no-such-count", row.where, sentence, {"value": printed.value, "cycles": cycles, "runs": runs})


_CHECKS: tuple[Callable[[ResultRow, OfficialSplit], Findings], ...] = (
    _percentages,
    _sums,
    _binary_beside_strict,
    _accuracy,
    _deviations,
    _confusion,
    _split,
    _counts,
)


def unchecked_of(row: ResultRow, split: OfficialSplit) -> list[str]:
    """Say what of a row could not be checked, as reasons that many rows may share."""
    found = []
    if not all((row.sp, row.se, row.score)):
        found.append(f"Whether the Score is {score_words(split.task)}: one of the three is missing")
    if _judged_part(row, split) is None:
        parts = " or ".join(part.id for part in split.task.parts)
        found.append(f"The numbers of cycles: the row does not say which part it is of ({parts}; column part)")
    if row.seed is None and row.seeds is None:
        found.append("Whether whole numbers of cycles give the rates: the number of runs is not said (column seeds)")
    if _UNNAMED_SPLIT.fullmatch((row.split or "").strip().lower()) and row.test is None and row.confusion is None:
        found.append("Which split it is: neither its name nor numbers of cycles are given")
    if row.confusion is None:
        found.append("What counts as a hit in Se: there is no confusion matrix")
    if row.selection is None and not row.test_scores and row.chosen is None:
        found.append("How the epoch was chosen: neither a rule nor the test Score of each epoch is given")
    return found


def numbers_of(row: ResultRow, split: OfficialSplit) -> dict[str, Any]:
    """Give the place of a row and the rates that it prints, for scripts."""
    return {"where": row.where, **{rate: printed.value for rate, printed in claim_of(row, split).items()}}
