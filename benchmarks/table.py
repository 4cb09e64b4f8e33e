"""Reports and comparisons as tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.core.text import counted_noun
from benchmarks.compare import Comparison
from benchmarks.results import Report, Result

TEXTS = ("benchmark", "more")


def print_report(report: Report, console: Console) -> None:
    """Print a report: a line for each result, then what failed and what a reader must know."""
    setting, hardware = report.setting, report.machine["hardware"]
    where = hardware["gpus"][0] if setting["device"] == "cuda" and hardware["gpus"] else hardware["cpu"]
    quick = f", quick: medians of {counted_noun(setting['passes'], 'pass')}" if setting["quick"] else ""
    table = Table(
        caption=f"{where}, {counted_noun(setting['threads'], 'thread')}, {setting['clock']}, "
        f"{counted_noun(setting['passes'], 'pass')}{quick}. "
        "The ratio says how many times as long the plain reference takes; ± is the noise of its median."
    )
    for heading in ("benchmark", "seconds", "rate", "ratio", "peak memory MiB", "more"):
        table.add_column(heading, justify="left" if heading in TEXTS else "right", no_wrap=heading == "benchmark")
    for result in report.results:
        table.add_row(*_cells(result))
    console.print(table)
    for name, reason in report.failed.items():
        console.print(f"{name} failed: {reason}")
    if report.note:
        console.print(report.note)


def _cells(result: Result) -> tuple[str, ...]:
    ratio = "-" if result.ratio is None else f"{result.ratio.median:.2f} ± {100 * result.ratio.noise:.1f} %"
    rate = f"{result.rate:,.1f} {result.unit}/s" if result.rate < 1000 else f"{result.rate:,.0f} {result.unit}/s"
    more = ", ".join(f"{name} {_value(value)}" for name, value in result.facts.items())
    return result.name, f"{result.ours.median:.4g}", rate, ratio, _memory(result), more


def _memory(result: Result) -> str:
    if result.peak_memory_mib is None:
        return ""
    of = result.reference_peak_memory_mib
    share = "" if not of else f" ({result.peak_memory_mib / of:.2f} of the reference's)"
    return f"{result.peak_memory_mib:,.0f}{share}"


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print what changed by more than the noise, the worst first, and how much stayed."""
    changed = sorted((one for one in comparison.changes if one.verdict != "same"), key=lambda one: -one.change)
    if changed:
        table = Table("benchmark", "verdict", "change", "by", "counts from")
        for one in changed:
            table.add_row(one.name, one.verdict, f"{one.change:+.1%}", one.by, f"{one.threshold:.1%}")
        console.print(table)
    same = sum(one.verdict == "same" for one in comparison.changes)
    console.print(f"{len(comparison.worse)} got worse, {same} stayed within the noise.")
    for what, names in (("the first", comparison.only_before), ("the second", comparison.only_after)):
        if names:
            console.print(f"Only in {what} report: {', '.join(names)}.")
    for remark in comparison.remarks:
        console.print(remark)
