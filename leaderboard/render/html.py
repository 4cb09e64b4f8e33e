"""Reports as one page of HTML that needs no script and no other file; all text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from leaderboard.render.cells import Cell, Column, Place, Report, Table
from leaderboard.render.links import Piece, pieces
from leaderboard.render.pages import HERE, page, resource


def write(report: Report) -> str:
    """A report as a page: its tables, and below them the caption and the notes."""
    empty = [report.empty] if report.empty and not report.tables else []
    return page(
        HERE,
        "table.html.j2",
        {
            "title": report.heading or f"LungBench: {report.name}",
            # A heading is the title of the one table in full.
            "tables": [_table(table, "" if report.heading else table.title) for table in report.tables],
            "caption": report.caption,
            "notes": [*empty, *report.notes],
            "print_style": resource(HERE, "static", "print_tables.css"),
        },
    )


@dataclass(frozen=True)
class PageCell:
    """A cell as a page shows it: text in pieces with and without a link, its place, and text that follows it."""

    pieces: Sequence[Piece]
    place: Place
    tail: str


def _table(table: Table, title: str) -> Mapping[str, Any]:
    ends = list(accumulate(span for _, span in table.groups))
    return {
        "title": title,
        "columns": table.columns,
        "groups": table.groups,
        "starts": ends[:-1],  # A line stands between two groups.
        "blocks": [
            {
                "title": table.title_within(section),
                "rows": [list(map(_cell, table.columns, row.cells)) for row in section.shown()],
            }
            for section in table.sections
        ],
    }


def _cell(column: Column, cell: Cell) -> PageCell:
    text, tail = column.parts(cell)
    return PageCell(pieces(text, linked=column.linked), cell.place, tail)
