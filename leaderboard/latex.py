"""Tables as LaTeX that fit a page of A4: booktabs rules, nothing that needs another package; all text is escaped."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from leaderboard.forms import Column
from leaderboard.latex_text import breakable, escaped, widest_part, widest_word, width
from leaderboard.links import Piece, pieces
from leaderboard.widths import allotted, kept_sets

PACKAGES = "% \\usepackage{booktabs}"
LINKS = "\\providecommand{\\href}[2]{#2}% links with \\usepackage{hyperref}"

LINE = 345.0
"""Points of a line on A4 in LaTeX's own classes; on other pages the table is as much wider as the line is."""
PAGE = 490.0
"""Points of a page's height that rows and notes may take; a page has 598."""
BOLD = 1.17
"""How much wider bold text is set."""
_EMPHASIS = {"best": "\\textbf", "second": "\\underline"}


@dataclass(frozen=True)
class Cell:
    """A cell: its text, how it stands among its column (``best``, ``second`` or neither), and text that follows it.

    What the text of a ``linked`` one cites is a link.
    """

    text: str
    place: str = ""
    tail: str = ""
    linked: bool = False

    @property
    def pieces(self) -> list[Piece]:
        """The text in pieces, with and without a link."""
        return pieces(self.text, linked=self.linked)

    def __str__(self) -> str:
        return self.shown(escaped)

    @property
    def whole(self) -> str:
        """All its text."""
        return f"{self.text} {self.tail}" if self.tail else self.text

    @property
    def width(self) -> float:
        """How wide it is set on one line."""
        return width(self.whole) * (BOLD if self.place == "best" else 1.0)

    def widest(self, measure: Callable[[str], float]) -> float:
        """The widest in it, as a function of a text tells it."""
        bold = BOLD if self.place == "best" else 1.0
        return max(bold * measure(self.text), measure(self.tail))

    def shown(self, form: Callable[[str], str]) -> str:
        """Its text and what follows it as LaTeX, with links and the emphasis of its place.

        Args:
            form: Makes LaTeX of plain text: :func:`escaped`, or :func:`breakable` for text that may be wrapped.
        """
        body = "".join(_piece(piece, form) for piece in self.pieces)
        if self.place:
            body = f"{_EMPHASIS[self.place]}{{{body}}}"
        return f"{body} {form(self.tail)}" if self.tail else body


@dataclass(frozen=True)
class Block:
    """Rows under a title of their own; an empty one is not shown."""

    title: str
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class _Size:
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
    _Size("\\fontsize{8}{9.5}\\selectfont", 8.5, 9.5, 2.5, 0.5),
    _Size("\\fontsize{7}{8}\\selectfont", 7.97, 8.0, 2.0, 0.5),
    _Size("\\fontsize{7}{8}\\selectfont", 7.97, 8.0, 1.3, 0.3),
    _Size("\\fontsize{7}{8}\\selectfont", 7.97, 8.0, 1.3, 0.3, breaks=True),
)
"""Sizes of print that are tried in this order; the last one is as narrow as can be read."""


@dataclass(frozen=True)
class _Layout:
    """A table as it fits: size of print, columns with their cells, groups, and widths in points.

    A width is None where all cells of the column stand on one line.
    """

    size: _Size
    columns: Sequence[Column]
    blocks: Sequence[Block]
    groups: Sequence[tuple[str, int]]
    widths: Sequence[float | None]
    gone: Sequence[str] = ()

    @property
    def heads(self) -> list[str]:
        """Heads of the columns; under a heading of a group without what stands before the line break."""
        titles = [title for title, width in self.groups for _ in range(width)] or [""] * len(self.columns)
        return [_head(column, title) for column, title in zip(self.columns, titles, strict=True)]


def fits(columns: Sequence[Column], blocks: Sequence[Block], groups: Sequence[tuple[str, int]] = ()) -> bool:
    """Whether all columns fit on a line."""
    return _laid_out(columns, blocks, groups) is not None


def _piece(piece: Piece, form: Callable[[str], str]) -> str:
    if piece.address is None:
        return form(piece.text)
    address = re.sub(r"([%#&_~])", r"\\\1", piece.address)
    return f"\\href{{{address}}}{{{form(piece.text)}}}"


def table(
    caption: str,
    columns: Sequence[Column],
    blocks: Sequence[Block],
    notes: Sequence[str] = (),
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A floating table over the page's width, or several where it is longer than a page.

    Columns that are too many for a line are left out in the order that they declare; a note says so.

    Args:
        caption: What it shows.
        columns: Its columns; numbers are set to the right.
        blocks: Its rows.
        notes: Sentences below it.
        groups: Headings above the columns with the number of columns that each spans, all columns in order; a
            heading may be empty, and replaces what stands before a line break in the columns' own.
    """
    layout = _fitted(columns, blocks, groups)
    gone = [f"Left out for want of room: {', '.join(layout.gone)} (--format csv has them)."] if layout.gone else []
    notes = [*notes, *gone]
    pages = list(_pages(layout))
    height = sum(_lines_of_row(layout, row) for block in pages[-1] for row in block.rows) * layout.size.line
    below = notes if height + _height(notes, layout.size) <= PAGE else []
    parts = []
    for number, page in enumerate(pages):
        last = number == len(pages) - 1
        title = f"{caption} (continued)" if number else caption
        parts.append(_float(replace(layout, blocks=page), title, below if last else [], number > 0))
    if not below:
        parts.append([f"{{{layout.size.command}\\noindent", *_note_lines(notes), "}"])
    linked = any(cell.linked for block in blocks for row in block.rows for cell in row)
    head = "\n".join([PACKAGES, *[LINKS] * linked])
    return f"{head}\n" + "\\clearpage\n".join("\n".join(part) + "\n" for part in parts)


def _float(layout: _Layout, caption: str, notes: Sequence[str], continued: bool) -> list[str]:
    aligned = "".join("r" if column.number else "l" for column in layout.columns)
    lines = [
        "\\begin{table*}",
        *(["\\addtocounter{table}{-1}"] if continued else []),
        f"\\centering{layout.size.command}\\setlength{{\\tabcolsep}}{{{layout.size.gap:g}pt}}",
        f"\\caption{{{escaped(caption)}}}",
        f"\\begin{{tabular}}{{{aligned}}}",
        "\\toprule",
        *_group_lines(layout.groups),
        _line(_boxed(layout, place, Cell(head), "b", breakable(head)) for place, head in enumerate(layout.heads)),
    ]
    for block in layout.blocks:
        lines.append("\\midrule")
        if block.title:
            lines.append(f"\\multicolumn{{{len(layout.columns)}}}{{l}}{{\\textit{{{escaped(block.title)}}}}} \\\\")
        lines += [_line(_boxed(layout, place, cell, "t") for place, cell in enumerate(row)) for row in block.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if notes:
        lines += ["", "\\smallskip", "\\begin{minipage}{\\linewidth}", *_note_lines(notes), "\\end{minipage}"]
    return [*lines, "\\end{table*}"]


def _note_lines(notes: Sequence[str]) -> list[str]:
    return [f"{breakable(note)}\\par" for note in notes]


def _group_lines(groups: Sequence[tuple[str, int]]) -> list[str]:
    heads, rules, first = [], [], 1
    for title, span in groups:
        heads.append(f"\\multicolumn{{{span}}}{{c}}{{{escaped(title)}}}")
        if title and span > 1:
            rules.append(f"\\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    return [_line(heads), " ".join(rules)] if groups else []


def _head(column: Column, group: str) -> str:
    return re.sub(r"^.*\n", "", column.head) if group else column.head.replace("\n", " ")


def _boxed(layout: _Layout, place: int, cell: Cell, stands: str, shown: str | None = None) -> str:
    """A cell, in a box of its column's width where it is too long for one line of it.

    Args:
        layout: The table as it fits.
        place: The place of its column.
        cell: The cell.
        stands: Which line of the box stands on that of its row: ``t`` for the top one, ``b`` for the bottom one.
        shown: What is shown in the box; by default numbers as they are, and words so that they may be broken.
    """
    room, column = layout.widths[place], layout.columns[place]
    if room is None or cell.width * layout.size.em <= room:
        return str(cell)
    if shown is None:
        whole = column.number and not layout.size.breaks
        shown = str(cell) if whole else cell.shown(breakable)
    ragged = "\\raggedleft" if column.number else "\\raggedright"
    return f"\\parbox[{stands}]{{{room / LINE:.3f}\\linewidth}}{{{ragged} {shown}\\strut}}"


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\"


# --- what fits on a line ----------------------------------------------------------------------------------------


def _fitted(columns: Sequence[Column], blocks: Sequence[Block], groups: Sequence[tuple[str, int]]) -> _Layout:
    """The table with as many of its columns as fit on a line."""
    for kept in kept_sets(columns):
        part = _part(columns, blocks, groups, kept)
        layout = _laid_out(*part)
        if layout:
            gone = [column.head.replace("\n", " ") for column in columns if column not in layout.columns]
            return replace(layout, gone=gone)
    return _squeezed(*part)


def _part(
    columns: Sequence[Column], blocks: Sequence[Block], groups: Sequence[tuple[str, int]], kept: Sequence[int]
) -> tuple[list[Column], list[Block], list[tuple[str, int]]]:
    """Some columns of a table, the others left out of rows and groups."""
    spans, first = [], 0
    for title, span in groups:
        spans.append((title, sum(first <= place < first + span for place in kept)))
        first += span
    rows = [Block(block.title, [[row[place] for place in kept] for row in block.rows]) for block in blocks]
    return [columns[place] for place in kept], rows, [group for group in spans if group[1]]


def _laid_out(columns: Sequence[Column], blocks: Sequence[Block], groups: Sequence[tuple[str, int]]) -> _Layout | None:
    """All columns in the largest size of print in which they fit; None where none does."""
    shares = [column.share or 1 for column in columns]
    for size in _SIZES:
        bare = _Layout(size, columns, blocks, groups, [None] * len(columns))
        whole, least = _wishes(bare)
        found = allotted(least, whole, shares, size.room(len(columns)))
        if found:
            return replace(bare, widths=[None if has >= wish else has for has, wish in zip(found, whole, strict=True)])
    return None


def _squeezed(columns: Sequence[Column], blocks: Sequence[Block], groups: Sequence[tuple[str, int]]) -> _Layout:
    """All columns in the smallest size, each as much narrower than it needs as the line is too short."""
    bare = _Layout(_SIZES[-1], columns, blocks, groups, [None] * len(columns))
    least = _wishes(bare)[1]
    part = bare.size.room(len(columns)) / sum(least)
    return replace(bare, widths=[need * part for need in least])


def _wishes(layout: _Layout) -> tuple[list[float], list[float]]:
    """What each column takes on one line, and what it needs, in points."""
    whole, least = [], []
    for place, (column, head) in enumerate(zip(layout.columns, layout.heads, strict=True)):
        cells = [row[place] for block in layout.blocks for row in block.rows]
        wish = max(width(head), *(cell.width for cell in cells))
        widest = widest_part if column.wrap or layout.size.breaks else widest_word
        part = max(widest_part(head), *(cell.widest(widest) for cell in cells))
        need = max(part, min(wish, layout.size.letter * column.comfort)) if column.wrap or column.number else wish
        whole.append(wish * layout.size.em)
        least.append(need * layout.size.em)
    return whole, least


# --- what fits on a page ----------------------------------------------------------------------------------------


def _pages(layout: _Layout) -> Iterator[list[Block]]:
    """The rows in parts that fit on a page each."""
    page: list[Block] = []
    height = 0.0
    for block in layout.blocks:
        rows: list[Sequence[Cell]] = []
        for row in block.rows:
            taller = _lines_of_row(layout, row) * layout.size.line
            if height and height + taller > PAGE:
                yield [*page, *([Block(block.title, rows)] if rows else [])]
                page, rows, height = [], [], 0.0
            rows.append(row)
            height += taller
        page.append(Block(block.title, rows))
    yield page


def _lines_of_row(layout: _Layout, row: Sequence[Cell]) -> int:
    """How many lines a row takes, rather too many than too few."""
    lines = [1]
    for room, cell in zip(layout.widths, row, strict=True):
        if room is not None:
            lines.append(math.ceil(1.2 * cell.width * layout.size.em / room))
    return max(lines)


def _height(notes: Sequence[str], size: _Size) -> float:
    return sum(math.ceil(width(note) * size.em / LINE) for note in notes) * size.line
