"""Whether a row of a table of results can be true: each check needs nothing but the row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from leaderboard.audit.claim_checks import Claim, explain_claim, sum_finding
from leaderboard.audit.findings import Finding
from leaderboard.audit.metric_variants import RATE_NAMES, RATES, metric_variants
from leaderboard.audit.official import ABNORMAL, DISJOINT_TEST, NORMAL, TEST, split_words
from leaderboard.audit.printed import MOST_DIGITS, SLACK, Printed, is_too_coarse, some_count_gives
from leaderboard.audit.tables import ResultRow
from leaderboard.metrics import CLASSES

Findings = Iterator[Finding]

_OTHER_SPLIT = re.compile(r"80\D{1,3}20|70\D{1,3}30|90\D{1,3}10|random|shuffle|fold|cross.?valid|leave.?one|\bother\b")
_DISJOINT_SPLIT = re.compile(r"disjoint|corrected")
_UNNAMED_SPLIT = re.compile(r"|unknown|unstated|n/?a|-|–|\?")


def check_row(row: ResultRow) -> Findings:
    """Find all that contradicts itself, or the official split, within a row."""
    for check in _CHECKS:
        yield from check(row)


def claim_of(row: ResultRow) -> Claim:
    """Give the rates that a row prints, by name."""
    return {rate: printed for rate in RATES if (printed := getattr(row, rate)) is not None}


def is_official(row: ResultRow) -> bool:
    """Whether nothing in a row says that it is of another split than the official one."""
    words = (row.split or "").lower()
    other = _OTHER_SPLIT.search(words) or _DISJOINT_SPLIT.search(words) or split_words(row.train, row.test)
    counts = _totals(row)
    return not other and (counts is None or counts in (TEST, (NORMAL, ABNORMAL)))


def _totals(row: ResultRow) -> tuple[int, ...] | None:
    """Cycles of each class in the confusion matrix."""
    return None if row.confusion is None else tuple(map(sum, row.confusion))


# --- rates ------------------------------------------------------------------------------------------------------


def _percentages(row: ResultRow) -> Findings:
    for rate, printed in claim_of(row).items():
        if not 0 <= printed.value <= 100:
            sentence = f"In {row.where} {RATE_NAMES[rate]} is {printed}, but a percentage is from 0 to 100."
            yield Finding("no-percentage", row.where, sentence, {rate: printed.value})


def _sums(row: ResultRow) -> Findings:
    claim = claim_of(row)
    if all(0 <= printed.value <= 100 for printed in claim.values()):
        yield from sum_finding(claim, row.where)


def _binary_beside_strict(row: ResultRow) -> Findings:
    """The 4-class Se beside the 2-class one of the same predictions."""
    if row.se is None or row.binary_se is None or row.judged != "4class":
        return
    yield from _above_binary(row, row.binary_se)
    if row.se.value == row.binary_se.value and row.se.value > 0:
        numbers = {"se": row.se.value, "binary_se": row.binary_se.value}
        sentence = (
            f"In {row.where} the 4-class Se is the 2-class one, {row.se}: any abnormal class was counted as a hit, or "
            "no crackle, wheeze or both was ever taken for another of them."
        )
        yield Finding("binary-hits", row.where, sentence, numbers)


def _above_binary(row: ResultRow, binary: Printed) -> Findings:
    if row.se is not None and row.se.value - row.se.unit / 2 > binary.value + binary.unit / 2:
        sentence = (
            f"In {row.where} the 4-class Se is {row.se}, above the 2-class Se of {binary.value:.2f}, but whoever finds "
            "the exact class has found an abnormal one."
        )
        numbers = {"se": row.se.value, "binary_se": binary.value}
        yield Finding("strict-above-binary", row.where, sentence, numbers)


def _accuracy(row: ResultRow) -> Findings:
    if row.accuracy is None:
        return
    if (
        row.score is not None
        and row.sp is not None
        and row.se is not None
        and _equal_as_printed(row.score, row.accuracy)
    ):
        mean = (row.sp.value + row.se.value) / 2
        if not row.score.stands_for(mean):
            sentence = f"In {row.where} the Score is the accuracy, {row.accuracy}; (Sp + Se)/2 is {mean:.2f}."
            yield Finding("accuracy", row.where, sentence, {"score": row.score.value, "mean": mean})
    if row.sp is None or row.se is None or not is_official(row):
        return
    expected = (row.sp.value * NORMAL + row.se.value * ABNORMAL) / (NORMAL + ABNORMAL)
    if abs(expected - row.accuracy.value) > row.accuracy.unit + max(row.sp.unit, row.se.unit):
        sentence = (
            f"In {row.where} the accuracy is {row.accuracy}, but Sp {row.sp} of {NORMAL:,} normal and Se {row.se} of "
            f"{ABNORMAL:,} abnormal cycles make {expected:.2f}: Se counts something else, or it is another test part."
        )
        yield Finding("accuracy-contradicts", row.where, sentence, {"accuracy": row.accuracy.value, "made": expected})


def _equal_as_printed(a: Printed, b: Printed) -> bool:
    return abs(a.value - b.value) <= max(a.unit, b.unit) / 2 + SLACK


# --- deviations -------------------------------------------------------------------------------------------------


def _deviations(row: ResultRow) -> Findings:
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
    if len(stds) == len(RATES):
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


def _confusion(row: ResultRow) -> Findings:
    """Rates and class counts against the confusion matrix of the same row."""
    if row.confusion is None:
        return
    matrix, totals = np.asarray(row.confusion, dtype=np.int64), _totals(row)
    if not matrix[0].sum() or not matrix[1:].sum():
        sentence = f"In {row.where} the confusion matrix has no normal or no abnormal cycle."
        yield Finding("no-cycles", row.where, sentence)
        return
    if totals not in (TEST, (NORMAL, ABNORMAL)):
        names = CLASSES if len(matrix) == len(CLASSES) else ("normal", "abnormal")
        expected = TEST if len(matrix) == len(CLASSES) else (NORMAL, ABNORMAL)
        sentence = (
            f"In {row.where} the confusion matrix has {_counts_by_class(totals or (), names)}, "
            f"but the official test part has {_counts_by_class(expected, names)}."
        )
        yield Finding("class-counts", row.where, sentence, {"counts": list(totals or ())})
    claim, where = claim_of(row), f"the confusion matrix in {row.where}"
    if len(matrix) == len(CLASSES):
        yield from explain_claim(claim, matrix, where, row.judged, metric_variants(matrix, row.judged))
    elif row.judged == "2class":
        yield from explain_claim(claim, matrix, where, row.judged, [])
    else:
        # Two classes do not show which abnormal class was found; they bound it.
        yield from explain_claim({rate: claim[rate] for rate in claim if rate == "sp"}, matrix, where, row.judged, [])
        yield from _above_binary(row, Printed(100 * float(matrix[1, 1] / matrix[1].sum()), MOST_DIGITS))


def _counts_by_class(counts: tuple[int, ...], names: tuple[str, ...]) -> str:
    return ", ".join(f"{count:,} {name}" for count, name in zip(counts, names, strict=True))


def _split(row: ResultRow) -> Findings:
    words, wrong = (row.split or "").strip(), split_words(row.train, row.test)
    if wrong is not None:
        counts = {"training": row.train, "test": row.test}
        parts = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count is not None)
        yield Finding("split", row.where, f"In {row.where} there are {parts} cycles: {wrong}.", counts)
    elif _OTHER_SPLIT.search(words.lower()):
        sentence = f"In {row.where} the split is '{words[:60]}', not the official 60-40 one (4,142 and 2,756 cycles)."
        yield Finding("split", row.where, sentence, {"split": words[:60]})


def _counts(row: ResultRow) -> Findings:
    """Rates that no number of cycles of the official test part can give, in rows that say how many runs they are of."""
    runs = 1 if row.seed is not None else row.seeds
    if runs is None or not is_official(row):
        return
    for name, printed, cycles, kind in (("Sp", row.sp, NORMAL, "normal"), ("Se", row.se, ABNORMAL, "abnormal")):
        if printed is None or not 0 <= printed.value <= 100 or is_too_coarse(printed, cycles * runs):
            continue
        if not some_count_gives(printed, cycles * runs):
            yield _impossible_count(row, name, printed, cycles, kind, runs)


def _impossible_count(row: ResultRow, name: str, printed: Printed, cycles: int, kind: str, runs: int) -> Finding:
    other = DISJOINT_TEST[0] if kind == "normal" else sum(DISJOINT_TEST[1:])
    of = f"the official test part's {cycles:,} {kind} cycles" + (f" over {runs} runs" if runs > 1 else "")
    end = f"; of the {other:,} without patients 156 and 218 one does" if some_count_gives(printed, other * runs) else ""
    sentence = f"In {row.where} {name} is {printed}, which no number of {of} gives, rounded or cut off{end}."
    return Finding("no-such-count", row.where, sentence, {"value": printed.value, "cycles": cycles, "runs": runs})


_CHECKS: tuple[Callable[[ResultRow], Findings], ...] = (
    _percentages,
    _sums,
    _binary_beside_strict,
    _accuracy,
    _deviations,
    _confusion,
    _split,
    _counts,
)


def unchecked_of(row: ResultRow) -> list[str]:
    """Say what of a row could not be checked, as reasons that many rows may share."""
    found = []
    if not all((row.sp, row.se, row.score)):
        found.append("Whether the Score is (Sp + Se)/2: one of the three is missing")
    if row.seed is None and row.seeds is None:
        found.append("Whether whole numbers of cycles give the rates: the number of runs is not said (column seeds)")
    if _UNNAMED_SPLIT.fullmatch((row.split or "").strip().lower()) and row.test is None and row.confusion is None:
        found.append("Which split it is: neither its name nor numbers of cycles are given")
    if row.confusion is None:
        found.append("What counts as a hit in Se: there is no confusion matrix")
    if row.selection is None and not row.test_scores and row.chosen is None:
        found.append("How the epoch was chosen: neither a rule nor the test Score of each epoch is given")
    return found


def numbers_of(row: ResultRow) -> dict[str, Any]:
    """Give the place of a row and the rates that it prints, for scripts."""
    return {"where": row.where, **{rate: printed.value for rate, printed in claim_of(row).items()}}
