"""A table of the terminal that fits itself to the width: whole, with fewer columns, or as one card for each row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.core.text import plain
from leaderboard.render.cells import Cell, Column, Place
from leaderboard.render.widths import allotted, kept_sets

CARDS_BELOW = 80
"""Columns of a terminal below which a table that does not fit as it is becomes cards."""
WIDE = 124
"""Columns of a terminal from which numbers are kept on one line before words are."""

BROKEN = 16
"""Columns that a word is given at least before it is broken."""

_EDGES, _GAP = 2, 2
"""What rich's box and padding take: at both edges together, and between two columns."""
_INDENT = 2
_EMPTY = frozenset(("", "–"))
_STYLES: Mapping[Place, str] = {"best": "bold", "second": "underline", "": ""}

Cells = Sequence[Sequence[Text]]


@dataclass(frozen=True)
class _Layout:
    """Which columns are shown, at which widths, and the cells of all columns."""

    kept: Sequence[int]
    widths: Sequence[int]
    cells: Cells


class Grid:
    """A table under a title.

    What is shown depends on the width that it is printed at. Where all cells fit without wrapping, they do. Below
    :data:`CARDS_BELOW` columns each row is a card otherwise. Above, words are wrapped, and columns are left out in the
    order that they declare until the others fit; what was left out is said below. A word is broken only where it is
    longer than a third of the line, or where nothing else is left.

    Args:
        title: What stands above; nothing where it is empty.
        columns: Its columns.
        rows: Cells by row.
        heads: Whether the heads are shown; a table without them is never turned into cards.
    """

    def __init__(
        self, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, heads: bool = True
    ) -> None:
        self.title, self.columns, self.heads = plain(title), columns, heads
        self.cells: Cells = [[_text(cell) for cell in row] for row in rows]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, and the table as it fits."""
        if self.title:
            yield Text(self.title, style="bold")
        layout = self._layout(options.max_width)
        if layout is None:
            yield from self._cards(options.max_width)
            return
        yield self._table(layout)
        gone = [self.columns[place].label for place in range(len(self.columns)) if place not in layout.kept]
        if gone:
            yield Text(
                f"Left out here: {', '.join(gone)} (a wider terminal and --format csv show them).\n", style="dim"
            )

    # --- as a table -------------------------------------------------------------------------------------------------

    def _layout(self, width: int) -> _Layout | None:
        """How the table fits; None where only cards do."""
        every = list(range(len(self.columns)))
        flat = [self._flat(row) for row in self.cells]
        for cells in (flat, self.cells):
            if self._room(width, every) >= sum(whole := [self._whole(place, cells) for place in every]):
                return _Layout(every, whole, cells)
        if not self.heads:
            return self._squeezed(width)
        if width < CARDS_BELOW:
            return None
        tries = [(every, flat)] if width >= WIDE else []
        for kept, cells in [*tries, *((kept, self.cells) for kept in kept_sets(self.columns))]:
            least = [self._least(place, cells, width // 3) for place in kept]
            if found := self._dealt(kept, cells, least, width):
                return found
        # Words are broken before a whole table is taken apart.
        kept = list(kept_sets(self.columns))[-1]
        return self._dealt(kept, self.cells, [self._least(place, self.cells, BROKEN) for place in kept], width)

    def _squeezed(self, width: int) -> _Layout:
        """All columns, each with an equal part of the room at most; words are broken where they must be."""
        every = list(range(len(self.columns)))
        part = max(1, self._room(width, every) // len(every))
        least = [min(part, self._least(place, self.cells, part)) for place in every]
        return self._dealt(every, self.cells, least, width) or _Layout(every, least, self.cells)

    def _dealt(self, kept: Sequence[int], cells: Cells, least: Sequence[int], width: int) -> _Layout | None:
        shares = [self.columns[place].share for place in kept]
        found = allotted(least, [self._whole(place, cells) for place in kept], shares, self._room(width, kept))
        return _Layout(kept, [int(one) for one in found], cells) if found else None

    def _flat(self, row: Sequence[Text]) -> list[Text]:
        """A row whose numbers stand on one line."""
        return [_one_line(cell, " ") if col.number else cell for col, cell in zip(self.columns, row, strict=True)]

    @staticmethod
    def _room(width: int, kept: Sequence[int]) -> int:
        return width - _EDGES - _GAP * (len(kept) - 1)

    def _head(self, place: int) -> str:
        return _head(self.columns[place]) if self.heads else ""

    def _whole(self, place: int, cells: Cells) -> int:
        """What a column takes without wrapping."""
        lines = [*self._head(place).split("\n"), *(line for row in cells for line in row[place].plain.split("\n"))]
        return max(1, *map(cell_len, lines))

    def _least(self, place: int, cells: Cells, most: int) -> int:
        """What a column needs: its longest word, ``most`` at most, or its longest line where it may not wrap."""
        whole, column = self._whole(place, cells), self.columns[place]
        if not column.wrap:
            return whole
        texts = [self._head(place), *(row[place].plain for row in cells)]
        word = max(cell_len(word) for text in texts for word in re.split(r"\s", text))
        return min(max(word, min(whole, column.comfort), 1), most)

    def _table(self, layout: _Layout) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_header=self.heads)
        for place, width in zip(layout.kept, layout.widths, strict=True):
            column = self.columns[place]
            justify: Literal["left", "right"] = "right" if column.number else "left"
            table.add_column(Text(_head(column)), justify=justify, overflow="fold", width=width)
        for row in layout.cells:
            table.add_row(*(row[place] for place in layout.kept))
        return table

    # --- as cards ---------------------------------------------------------------------------------------------------

    def _cards(self, width: int) -> Iterator[Text | Padding]:
        for row in self.cells:
            yield Text("")
            yield from self._card(row, max(1, width - _INDENT))
        yield Text("")

    def _card(self, row: Sequence[Text], width: int) -> Iterator[Text | Padding]:
        """Names first, then what leads with its label, then the other values that are known, as many as fit a line."""
        named = any(column.card == "title" for column in self.columns)
        roles = [column.card if named or place else "title" for place, column in enumerate(self.columns)]
        by_role: dict[str, list[tuple[Column, Text]]] = {}
        for role, column, cell in zip(roles, self.columns, row, strict=True):
            by_role.setdefault(role, []).append((column, cell))
        titles = [cell.split("\n") for _, cell in by_role.get("title", []) if cell.plain]
        if not named and titles and self.columns[0].number:
            titles[0][0] = Text(f"{self.columns[0].label} ") + titles[0][0]  # a number alone names nothing
        if titles:
            yield Text("  ").join(lines[0] for lines in titles)
        if more := [line for lines in titles for line in lines[1:]]:
            yield _indented(Text(", ").join(more))
        for column, cell in by_role.get("lead", []):
            yield _indented(_pair(column, cell))
        rest = [_pair(column, cell) for column, cell in by_role.get("rest", []) if cell.plain not in _EMPTY]
        yield from map(_indented, _packed(rest, width))


def _text(cell: Cell) -> Text:
    first, *rest = cell.plain_lines or [""]
    return Text.assemble((first, _STYLES[cell.place]), *(f"\n{line}" for line in rest))


def _head(column: Column) -> str:
    return f"{column.group}\n{column.head}" if column.group else column.head


def _one_line(cell: Text, gap: str) -> Text:
    return Text(gap).join(cell.split("\n"))


def _pair(column: Column, cell: Text) -> Text:
    value = _one_line(cell, " " if column.number else "; ")
    return Text.assemble((f"{column.label}: ", "dim"), value) if column.head else value


def _packed(pieces: Sequence[Text], width: int) -> list[Text]:
    """Pieces side by side, as many on a line as it takes; a longer one has lines of its own."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and lines[-1].cell_len + 3 + piece.cell_len <= width:
            lines[-1] = Text("   ").join([lines[-1], piece])
        else:
            lines.append(piece)
    return lines


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, _INDENT))
