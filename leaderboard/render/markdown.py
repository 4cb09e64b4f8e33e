"""Reports as Markdown; text is never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.core.text import plain
from leaderboard.render.cells import Cell, Column, Report, Section, Table
from leaderboard.render.links import pieces

_MARKS = {**{mark: f"\\{mark}" for mark in "\\`*_[]#"}, **{mark: f"&#{ord(mark)};" for mark in "&<>|"}}
_ESCAPES = str.maketrans(_MARKS)
_ESCAPES_IN_SENTENCES = str.maketrans({mark: shown for mark, shown in _MARKS.items() if mark != "#"})
"""A # makes a heading at the beginning of a line alone, where no sentence of a caption has one."""


def write(report: Report) -> str:
    """A report as Markdown: a heading and a table for each section, then the caption and the notes."""
    lines = [f"# {escaped(report.heading)}", ""] if report.heading else []
    if not report.tables:
        lines += [escaped(report.empty), ""]
    for table in report.tables:
        for section in table.sections:
            lines += _section(table, section)
    return "\n".join([*lines, *_below(report)]) + "\n"


def escaped(text: str) -> str:
    """Text as Markdown shows it as it is."""
    return plain(text).translate(_ESCAPES)


def _below(report: Report) -> list[str]:
    caption = [plain(report.caption).translate(_ESCAPES_IN_SENTENCES)] if report.caption else []
    if report.listed:
        return [*caption, "", *(f"- {escaped(note)}" for note in report.notes)]
    return [*caption, *map(escaped, report.notes)]


def _section(table: Table, section: Section) -> Iterator[str]:
    yield from (f"## {escaped(table.title_of(section))}", "")
    yield _bar(escaped(column.label) for column in table.columns)
    yield _bar("---:" if column.number else "---" for column in table.columns)
    for row in section.shown():
        yield _bar(map(_cell, table.columns, row.cells))
    yield ""


def _cell(column: Column, cell: Cell) -> str:
    return "".join(
        escaped(piece.text) if piece.address is None else f"[{escaped(piece.text)}](<{piece.address}>)"
        for piece in pieces(column.line(cell), linked=column.linked)
    )


def _bar(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
