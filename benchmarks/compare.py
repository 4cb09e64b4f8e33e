"""Two reports side by side: what got slower or quicker by more than the noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Literal

from bench.core.timing import Timing
from benchmarks.results import Report, Result

DEVIATIONS = 3.0
"""A change counts from so many standard errors on, …"""

LEAST = 0.03
"""… and from so large a share on: the deviation of five numbers is itself known to a half only."""

MEMORY = 0.05
"""Share by which peak memory may grow: pages and libraries differ from process to process."""

Verdict = Literal["slower", "quicker", "more memory", "same"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """How one result changed from a first report to a second.

    Attributes:
        name: The result.
        change: How much longer it takes in the second, as a share: 0.1 is a tenth longer.
        threshold: The share from which a change counts.
        by: ``ratio`` where both have a reference, whose own change, the machine's, is left out; else ``seconds``.
        verdict: What it comes to.
    """

    name: str
    change: float
    threshold: float
    by: str
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What changed between two reports.

    Attributes:
        changes: One for each result that both have.
        only_before: Results of the first alone.
        only_after: Results of the second alone.
        remarks: What makes them hard to compare: another machine, another setting.
    """

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def worse(self) -> tuple[Change, ...]:
        """What got slower, or takes more memory, by more than the noise."""
        return tuple(change for change in self.changes if change.verdict in ("slower", "more memory"))


def compare_reports(before: Report, after: Report, least: float = LEAST) -> Comparison:
    """Compare two reports, result by result.

    Args:
        before: The first.
        after: The second.
        least: Smallest share that counts as a change.
    """
    first = {result.name: result for result in before.results}
    second = {result.name: result for result in after.results}
    both = [name for name in first if name in second]
    changes = [_speed_change(first[name], second[name], least) for name in both]
    changes += [change for name in both if (change := _memory_change(first[name], second[name])) is not None]
    return Comparison(
        changes=tuple(changes),
        only_before=tuple(name for name in first if name not in second),
        only_after=tuple(name for name in second if name not in first),
        remarks=tuple(_remarks(before, after)),
    )


def _speed_change(before: Result, after: Result, least: float) -> Change:
    """How much longer a result takes: by its ratio to the reference where both have one."""
    earlier, later, by = after.ours, before.ours, "seconds"
    grown = _share(before.ours, after.ours, before.work, after.work)
    if before.ratio is not None and after.ratio is not None:
        # A ratio of half the size is a time of twice the size.
        earlier, later, by = before.ratio, after.ratio, "ratio"
        grown = before.ratio.median / after.ratio.median - 1
    threshold = max(least, DEVIATIONS * hypot(earlier.noise, later.noise))
    verdict: Verdict = "slower" if grown > threshold else "quicker" if 1 / (1 + grown) - 1 > threshold else "same"
    return Change(name=before.name, change=grown, threshold=threshold, by=by, verdict=verdict)


def _share(before: Timing, after: Timing, work_before: float, work_after: float) -> float:
    return (after.median / work_after) / (before.median / work_before) - 1


def _memory_change(before: Result, after: Result) -> Change | None:
    """A change of peak memory; None where it is not known twice, or did not grow."""
    if not before.peak_memory_mib or not after.peak_memory_mib:
        return None
    grown = after.peak_memory_mib / before.peak_memory_mib - 1
    if grown <= MEMORY:
        return None
    return Change(name=before.name, change=grown, threshold=MEMORY, by="memory", verdict="more memory")


def _remarks(before: Report, after: Report) -> list[str]:
    """What makes two reports hard to compare, one sentence each."""
    found = []
    one, other = before.machine["hardware"], after.machine["hardware"]
    if (one["cpu"], one["gpus"]) != (other["cpu"], other["gpus"]):
        found.append("The machines differ: compare ratios, and expect some of them to differ too.")
    different = [
        name for name in ("device", "threads", "quick", "clock", "batch") if _setting_differs(name, before, after)
    ]
    if different:
        found.append(f"The settings differ in {', '.join(different)}: results of other sizes say little.")
    return found


def _setting_differs(name: str, before: Report, after: Report) -> bool:
    return bool(before.setting.get(name) != after.setting.get(name))
