"""The formats that tables are written in: a table becomes a report, and a report is written by its format's writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.core.documents import collector_paused
from bench.core.errors import ResultError
from leaderboard.render import csv, html, latex, markdown, terminal
from leaderboard.render.board import board_report
from leaderboard.render.cells import Report
from leaderboard.render.json_text import json_text
from leaderboard.render.paper import paper_report
from leaderboard.tables.board_tables import Table
from leaderboard.tables.paper_tables import PaperTable

FORMATS = ("table", "markdown", "latex", "csv", "json", "html")

WRITERS: Mapping[str, Callable[..., str]] = {
    "table": terminal.write,
    "markdown": markdown.write,
    "latex": latex.write,
    "csv": csv.write,
    "html": html.write,
}
"""What writes a report, by format; that of the terminal takes a width too. JSON is written from the table itself."""


@collector_paused()
def render(
    table: Table | PaperTable,
    format: str = "table",  # noqa: A002
    *,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Write a table as text.

    Args:
        table: A table of the board or of the paper.
        format: One of :data:`FORMATS`.
        width: Columns of the terminal (``table`` only); its own by default.
        colour: Whether to write colour codes (``table`` only).

    Raises:
        ResultError: If the format is unknown.
    """
    check_format(format)
    if format == "json":
        return json_text(table.to_json()) + "\n"
    layout = {"width": width, "colour": colour} if format == "table" else {}
    return WRITERS[format](report_of(table, whole=format != "table"), **layout)


def report_of(table: Table | PaperTable, *, whole: bool = True) -> Report:
    """The report of a table, as :func:`~leaderboard.render.board.board_report` makes it."""
    return paper_report(table) if isinstance(table, PaperTable) else board_report(table, whole=whole)


def check_format(format: str, known: Sequence[str] = FORMATS) -> None:  # noqa: A002
    """Refuse a format that cannot be written; raises ResultError, which names those that can."""
    if format not in known:
        raise ResultError(f"Unknown format '{format}'.", f"Use {', '.join(known)}.")
