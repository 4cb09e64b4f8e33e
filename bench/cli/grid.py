"""A table of cells on the standard output."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from bench.cli.output import print_rendered, width_of_tables
from bench.core.terminal import wants_colour


def print_grid(
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    wrap: Collection[str] = (),
    names: Collection[str] = (),
) -> None:
    """Print cells as a table.

    Args:
        title: Its title.
        heads: The head of each column.
        rows: Cells by row; a line break in one begins a new line in it.
        numbers: Heads of columns whose cells stand to the right.
        wrap: Heads of columns whose cells may be wrapped.
        names: Heads of columns that tell the rows apart, where a narrow terminal has a card for each row; the first
            column by default.
    """
    from leaderboard.render.cells import Column, Report, text_table
    from leaderboard.render.terminal import write

    columns = [
        Column(head, number=head in numbers, wrap=head in wrap, card="title" if head in names else "rest")
        for head in heads
    ]
    report = Report(title, [text_table(title, columns, rows)])
    print_rendered(write(report, width=width_of_tables(), colour=wants_colour(sys.stdout)))
