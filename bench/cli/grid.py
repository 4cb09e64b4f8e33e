"""A table of cells on the standard output."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from bench.cli.output import print_rendered


def print_grid(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str], wrap: Collection[str]
) -> None:
    """Print cells as a table.

    Args:
        title: Its title.
        heads: The head of each column.
        rows: Cells by row; a line break in one begins a new line in it.
        numbers: Heads of columns whose cells stand to the right.
        wrap: Heads of columns whose cells may be wrapped.
    """
    from leaderboard.render.cells import Column, Report, text_table
    from leaderboard.render.terminal import write

    columns = [Column(head, number=head in numbers, wrap=head in wrap) for head in heads]
    print_rendered(write(Report(title, [text_table(title, columns, rows)]), colour=sys.stdout.isatty()))
