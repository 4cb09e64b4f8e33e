"""How a data folder is printed: what was counted, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.cli.grid import print_grid
from bench.cli.output import print_json, stdout
from bench.core.text import counted_noun

COUNTED = ("split", "device", "part")
"""Headings of columns that say what is counted in a row; all others hold counts."""

if TYPE_CHECKING:
    from bench.api.datasets import CountTable, VerificationReport


def print_report(report: VerificationReport, output: str) -> None:
    """Print what a check of a data folder found, as tables and sentences or as JSON."""
    if output == "json":
        print_json(report.to_json())
        return
    for table in report.tables:
        print_counts(table)
    notes = (f"note: {note}" for note in report.notes)
    print_lines([*report.findings, *notes, *map(str, report.faults), _verdict(report)])


def _verdict(report: VerificationReport) -> str:
    number = len(report.faults)
    if not number:
        return "complete and sound"
    if report.sound:
        return (
            f"{counted_noun(number, 'fault')}; the set is {report.partial}: runs need --allow-partial and are marked so"
        )
    return (
        f"{counted_noun(number, 'fault')}; no run uses this data before {'it is' if number == 1 else 'they are'} mended"
    )


def print_counts(counts: CountTable) -> None:
    """Print a table of counts; the last row of each of its blocks is a total, and says so."""
    rows = [row for block in counts.blocks for row in block]
    print_grid(counts.title, counts.headings, rows, wrap=counts.headings, names=COUNTED)


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences, each on a line of its own, whatever the width of the terminal."""
    console = stdout()
    for line in lines:
        console.print(line, soft_wrap=True)
