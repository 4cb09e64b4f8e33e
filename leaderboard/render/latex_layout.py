"""How a table fits a page of A4 in LaTeX: the size of print, the width of each column, the rows of each page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from leaderboard.render.cells import Cell, Column, Place, Table, groups_of
from leaderboard.render.latex_text import escaped, widest_part, widest_word, width
from leaderboard.render.links import Piece, pieces
from leaderboard.render.widths import allotted, kept_sets

LINE = 345.0
"""Points of a line on A4 in LaTeX's own classes; on other pages the table is as much wider as the line is."""
PAGE = 490.0
"""Points of a page's height that rows and notes may take; a page has 598."""
BOLD = 1.17
"""How much wider bold text is set."""
_EMPHASIS = {"best": "\\textbf", "second": "\\underline"}


@dataclass(frozen=True)
class TypesetCell:
    """A cell as LaTeX sets it: its text, its place among its column, and text that follows it.

    What the text of a ``linked`` one cites is a link.
    """

    text: str
    place: Place = ""
    tail: str = ""
    linked: bool = False

    @property
    def whole(self) -> str:
        """All its text."""
        return f"{self.text} {self.tail}" if self.tail else self.text

    @property
    def width(self) -> float:
        """How wide it is set on one line, in ems."""
        return width(self.whole) * (BOLD if self.place == "best" else 1.0)

    def widest(self, measure: Callable[[str], float]) -> float:
        """The widest in it, in ems, as a function of a text tells it."""
        bold = BOLD if self.place == "best" else 1.0
        return max(bold * measure(self.text), measure(self.tail))

    def shown(self, form: Callable[[str], str] = escaped) -> str:
        """Its text and what follows it as LaTeX, with links and the emphasis of its place.

        Args:
            form: Makes LaTeX of plain text: :func:`leaderboard.render.latex_text.escaped`, or ``breakable`` for text
                that may be wrapped.
        """
        body = "".join(_piece(piece, form) for piece in pieces(self.text, linked=self.linked))
        if self.place:
            body = f"{_EMPHASIS[self.place]}{{{body}}}"
        return f"{body} {form(self.tail)}" if self.tail else body


def _piece(piece: Piece, form: Callable[[str], str]) -> str:
    if piece.address is None:
        return form(piece.text)
    address = re.sub(r"([%#&_~])", r"\\\1", piece.address)
    return f"\\href{{{address}}}{{{form(piece.text)}}}"


@dataclass(frozen=True)
class Block:
    """Rows under a title of their own; an empty one is not shown."""

    title: str
    rows: Sequence[Sequence[TypesetCell]]


@dataclass(frozen=True)
class Size:
    """A size of print, in points.

    Attributes:
        command: What sets it, in points too: LaTeX's names of sizes stand for larger ones in documents of larger type.
        em: An em, which widths are told in.
        line: The height of a line.
        gap: What is kept on either side of a column.
        letter: Parts of an em that wrapped words are given for each letter that their column is to have at least.
        breaks: Whether intervals may be broken after their dash.
    """

    command: str
    em: float
    line: float
    gap: float
    letter: float
    breaks: bool = False

    def room(self, columns: int) -> float:
        """Points of a line that are left for some columns."""
        return LINE - 2 * self.gap * columns


_SIZES = (
    Size("\\fontsize{8}{9.5}\\selectfont", 8.5, 9.5, 2.5, 0.5),
    Size("\\fontsize{7}{8}\\selectfont", 7.97, 8.0, 2.0, 0.5),
    Size("\\fontsize{7}{8}\\selectfont", 7.97, 8.0, 1.3, 0.3),
    Size("\\fontsize{7}{8}\\selectfont", 7.97, 8.0, 1.3, 0.3, breaks=True),
)
"""Sizes of print that are tried in this order; the last one is as narrow as can be read."""


@dataclass(frozen=True)
class Layout:
    """A table as it fits a line.

    Attributes:
        size: The size of print.
        columns: The columns that are shown.
        blocks: The rows, with cells for these columns alone.
        widths: The widths of the columns in points; None where all cells of one stand on one line.
        gone: Labels of the columns that are left out.
    """

    size: Size
    columns: Sequence[Column]
    blocks: Sequence[Block]
    widths: Sequence[float | None]
    gone: Sequence[str] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The headings above the columns and how many columns each spans."""
        return groups_of(self.columns)


# --- what fits on a line ----------------------------------------------------------------------------------------


def fitted(table: Table) -> Layout:
    """A table with all its columns where they fit on a line, else its narrow form with as many columns as fit."""
    blocks = _blocks(table)
    whole = _laid_out(table.columns, blocks)
    if whole or table.narrow is None:
        return whole or _with_fewer_columns(table.columns, blocks)
    return _with_fewer_columns(table.narrow.columns, _blocks(table.narrow))


def _blocks(table: Table) -> list[Block]:
    return [
        Block(
            table.title_within(section),
            [list(map(_typeset, table.columns, row.cells)) for row in section.shown()],
        )
        for section in table.sections
    ]


def _typeset(column: Column, cell: Cell) -> TypesetCell:
    text, tail = column.parts(cell)
    return TypesetCell(text, cell.place, tail, column.linked)


def _with_fewer_columns(columns: Sequence[Column], blocks: Sequence[Block]) -> Layout:
    """The table with as many of its columns as fit on a line."""
    for kept in kept_sets(columns):
        part = [columns[place] for place in kept], _blocks_of(blocks, kept)
        layout = _laid_out(*part)
        if layout:
            gone = [column.label for place, column in enumerate(columns) if place not in kept]
            return replace(layout, gone=gone)
    return _squeezed(*part)


def _blocks_of(blocks: Sequence[Block], kept: Sequence[int]) -> list[Block]:
    """Blocks with the cells of some columns."""
    return [Block(block.title, [[row[place] for place in kept] for row in block.rows]) for block in blocks]


def _laid_out(columns: Sequence[Column], blocks: Sequence[Block]) -> Layout | None:
    """All columns in the largest size of print in which they fit; None where none does."""
    shares = [column.share for column in columns]
    for size in _SIZES:
        bare = Layout(size, columns, blocks, [None] * len(columns))
        whole, least = _wishes(bare)
        found = allotted(least, whole, shares, size.room(len(columns)))
        if found:
            return replace(bare, widths=[None if has >= wish else has for has, wish in zip(found, whole, strict=True)])
    return None


def _squeezed(columns: Sequence[Column], blocks: Sequence[Block]) -> Layout:
    """All columns in the smallest size, each as much narrower than it needs as the line is too short."""
    bare = Layout(_SIZES[-1], columns, blocks, [None] * len(columns))
    least = _wishes(bare)[1]
    part = bare.size.room(len(columns)) / sum(least)
    return replace(bare, widths=[need * part for need in least])


def _wishes(layout: Layout) -> tuple[list[float], list[float]]:
    """What each column takes on one line, and what it needs, in points."""
    whole, least = [], []
    for place, column in enumerate(layout.columns):
        cells = [row[place] for block in layout.blocks for row in block.rows]
        wish = max([width(column.head_line), *(cell.width for cell in cells)])
        widest = widest_part if column.wrap or layout.size.breaks else widest_word
        part = max([widest_part(column.head_line), *(cell.widest(widest) for cell in cells)])
        need = max(part, min(wish, layout.size.letter * column.comfort)) if column.wrap or column.number else wish
        whole.append(wish * layout.size.em)
        least.append(need * layout.size.em)
    return whole, least


# --- what fits on a page ----------------------------------------------------------------------------------------


def pages(layout: Layout) -> Iterator[list[Block]]:
    """The rows in parts that fit on a page each."""
    page: list[Block] = []
    height = 0.0
    for block in layout.blocks:
        rows: list[Sequence[TypesetCell]] = []
        for row in block.rows:
            taller = _lines_of_row(layout, row) * layout.size.line
            if height and height + taller > PAGE:
                yield [*page, *([Block(block.title, rows)] if rows else [])]
                page, rows, height = [], [], 0.0
            rows.append(row)
            height += taller
        page.append(Block(block.title, rows))
    yield page


def fit_one_page(layout: Layout, blocks: Sequence[Block], notes: Sequence[str]) -> bool:
    """Whether some rows of a table and the notes below it fit on one page."""
    rows = sum(_lines_of_row(layout, row) for block in blocks for row in block.rows)
    below = sum(math.ceil(width(note) * layout.size.em / LINE) for note in notes)
    return rows * layout.size.line + below * layout.size.line <= PAGE


def _lines_of_row(layout: Layout, row: Sequence[TypesetCell]) -> int:
    """How many lines a row takes, rather too many than too few."""
    lines = [1]
    for room, cell in zip(layout.widths, row, strict=True):
        if room is not None:
            lines.append(math.ceil(1.2 * cell.width * layout.size.em / room))
    return max(lines)
