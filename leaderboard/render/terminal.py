"""Reports for a terminal: each table fits itself to the width; text is never read as markup."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from bench.core.terminal import PlainConsole
from bench.core.text import plain
from leaderboard.render.cells import Report, Section, Table
from leaderboard.render.terminal_grid import CARDS_BELOW, Grid

EVERY_COLUMN_FROM = 170
"""Columns of a terminal from which a table that has a narrow form is shown in its wide one."""


def write(report: Report, *, width: int | None = None, colour: bool = False) -> str:
    """A report for a terminal.

    Args:
        report: The report.
        width: Columns of the terminal; its own by default.
        colour: Whether to write colour codes.
    """
    screen = console(width, colour)
    return printed(screen, list(parts(report, screen.width)))


def parts(report: Report, width: int) -> Iterator[RenderableType]:
    """What a console of some columns prints of a report, one below the other."""
    if report.heading:
        yield Text(plain(report.heading), style="bold")
    if not report.tables and report.empty:
        yield Text(plain(report.empty))
    for table in report.tables:
        shown = _fitting(table, width)
        yield from (_grid(shown, section) for section in shown.sections)
    if report.tables and report.caption:
        yield Text(plain(report.caption), style="dim")
    yield from (Text(f"- {plain(note)}" if report.listed else plain(note)) for note in report.notes)


def _fitting(table: Table, width: int) -> Table:
    """The narrow form of a table where it has one and the room is short; cards have room for every column."""
    is_narrow = table.narrow is not None and CARDS_BELOW <= width < EVERY_COLUMN_FROM
    return (table.narrow if is_narrow and table.narrow else table).for_paper()


def _grid(table: Table, section: Section) -> Grid:
    title, there = table.title_of(section), len(section.rows)
    if section.left_out:
        title += f" (first {there} of {there + section.left_out}; all with --format csv or json)"
    return Grid(title, table.columns, [row.cells for row in section.shown()], heads=table.heads)


# --- printing ---------------------------------------------------------------------------------------------------


def console(width: int | None, colour: bool) -> Console:
    """A console that writes into memory; see :func:`printed`.

    Args:
        width: Columns of the terminal; its own by default.
        colour: Whether to write colour codes.
    """
    columns = width or shutil.get_terminal_size((100, 24)).columns
    # Where colours are wanted, NO_COLOR of the environment still decides.
    return PlainConsole(io.StringIO(), width=columns, force_terminal=colour, no_color=None if colour else True)


def printed(target: Console, shown: Sequence[RenderableType]) -> str:
    """What a console of :func:`console` writes for some parts, without spaces at the ends of lines."""
    for part in shown:
        target.print(part)
    assert isinstance(target.file, io.StringIO)
    return "\n".join(line.rstrip() for line in target.file.getvalue().rstrip("\n").split("\n")) + "\n"
