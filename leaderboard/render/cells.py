"""The one value that every table is before it is written: a report of tables, their sections, rows and cells.

A report holds text and how it is laid out, and no markup of any format. Text may come from outside: it is kept as it
came, and each writer makes it plain (:mod:`bench.core.text`) and escapes what its own format would read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

from bench.core.text import plain, plain_lines

Place = Literal["", "best", "second"]
"""How a number stands among those of its column: the best one, the second one, or neither."""

Values = Mapping[str, Any]
"""A row as plain values by name."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its head, and how it is laid out.

    Attributes:
        head: The text above its cells; in a terminal on as many lines as it has.
        group: A heading above the head, shared with the neighbours that have the same one; empty for none.
        number: Whether cells are set to the right, and a cell's lines belong to one number.
        share: Its part of the room that is left when each column has what it needs.
        wrap: Whether its words may be wrapped.
        comfort: Letters that wrapped words are given at least, as far as they have as many.
        expendable: Where the room is short, columns are left out, the highest number first; 0 stays.
        card: Where it stands in a card: in its title, on a line of its own below that, or among the rest.
        pages_only: Whether it stands on pages and in Markdown alone, where an address is a link or takes no room.
        linked: Whether what its text cites is a link where the format has links (:mod:`leaderboard.render.links`).
        separator: What stands between the lines of words where they share a line.
    """

    head: str
    group: str = ""
    number: bool = True
    share: int = 1
    wrap: bool = False
    comfort: int = 0
    expendable: int = 0
    card: Literal["title", "lead", "rest"] = "rest"
    pages_only: bool = False
    linked: bool = False
    separator: str = "; "

    @property
    def head_line(self) -> str:
        """The head on one line, without that of its group."""
        return self.head.replace("\n", " ")

    @property
    def label(self) -> str:
        """The heads of its group and its own on one line."""
        return f"{self.group} {self.head_line}" if self.group else self.head_line

    def line(self, cell: Cell) -> str:
        """The whole text of one of its cells on one line."""
        return (" " if self.number else self.separator).join(cell.plain_lines)

    def parts(self, cell: Cell) -> tuple[str, str]:
        """The text of a cell that its place emphasises, and what follows it: deviation and interval of a number."""
        if not self.number:
            return self.line(cell), ""
        first, *rest = cell.plain_lines or [""]
        return first, " ".join(rest)


@dataclass(frozen=True)
class Cell:
    """A cell: its text in lines, and how its first line stands among its column."""

    lines: Sequence[str] = ()
    place: Place = ""

    @property
    def plain_lines(self) -> list[str]:
        """The lines without anything that a terminal or a page could obey."""
        return [plain(line) for line in self.lines]


@dataclass(frozen=True)
class Row:
    """A row: its cells in the order of the columns, and the plain values that CSV holds instead, under their names."""

    cells: Sequence[Cell]
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """Rows that belong together.

    Attributes:
        title: What they have in common; may be empty.
        rows: The rows.
        reference: A row to compare with, which stands below the others and is not one of them; not in CSV.
        left_out: How many rows come after those that are here; nobody has made their cells.
    """

    title: str
    rows: Sequence[Row]
    reference: Row | None = None
    left_out: int = 0

    def shown(self) -> list[Row]:
        """The rows, and the one to compare with."""
        return [*self.rows, *([self.reference] if self.reference else [])]


@dataclass(frozen=True)
class Table:
    """Sections with the same columns.

    Attributes:
        title: What it shows; may be empty.
        columns: The columns.
        sections: The sections; each row has a cell for each column.
        narrow: The same rows in fewer columns, some values below others, for where the room is short.
        heads: Whether a terminal shows the heads of the columns; a table without them is never turned into cards.
    """

    title: str
    columns: Sequence[Column]
    sections: Sequence[Section]
    narrow: Table | None = None
    heads: bool = True

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The headings above the columns and how many columns each spans; none where no column has one."""
        return groups_of(self.columns)

    def title_of(self, section: Section) -> str:
        """What stands above a section where each is a table of its own."""
        return section.title or self.title

    def title_within(self, section: Section) -> str:
        """What stands above a section within one table: its title where there are several."""
        return section.title if len(self.sections) > 1 else ""

    def for_paper(self) -> Table:
        """The table without the columns that stand on pages alone."""
        kept = [place for place, column in enumerate(self.columns) if not column.pages_only]
        return self if len(kept) == len(self.columns) else self._of(kept)

    def _of(self, kept: Sequence[int]) -> Table:
        def of_row(row: Row) -> Row:
            return replace(row, cells=[row.cells[place] for place in kept])

        def of_section(section: Section) -> Section:
            reference = of_row(section.reference) if section.reference else None
            return replace(section, rows=[of_row(row) for row in section.rows], reference=reference)

        return replace(
            self,
            columns=[self.columns[place] for place in kept],
            sections=[of_section(section) for section in self.sections],
        )


@dataclass(frozen=True)
class Report:
    """Tables with what stands above and below them.

    Attributes:
        name: A word for the whole, which titles a page that has no heading.
        tables: The tables.
        heading: What stands above them and titles the page; the title of a single table in full, or empty.
        caption: What the numbers are; may be empty.
        notes: Sentences below the caption.
        listed: Whether text writes the notes as a list instead of one below the other.
        empty: What is said where there is no table.
        fields: Names of values that begin a line of CSV in this order; others follow as the rows have them.
    """

    name: str
    tables: Sequence[Table]
    heading: str = ""
    caption: str = ""
    notes: Sequence[str] = ()
    listed: bool = False
    empty: str = ""
    fields: Sequence[str] = ()


def groups_of(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """The groups of some columns with the number of columns in each; none where no column has one."""
    if not any(column.group for column in columns):
        return []
    return [(title, len(list(group))) for title, group in groupby(columns, key=lambda column: column.group)]


# --- how tables are filled --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilledColumn:
    """A column, and what its cells say of a row of values.

    Attributes:
        column: The column.
        lines: The lines of a row's cell.
        place: How a row's cell stands among the column.
        optional: Whether the column is left out where it says nothing of any row.
    """

    column: Column
    lines: Callable[[Values], Sequence[str]]
    place: Callable[[Values], Place] = lambda _row: ""
    optional: bool = False

    def cell(self, row: Values) -> Cell:
        """What it says of a row."""
        return Cell(self.lines(row), self.place(row))


def cells_of(columns: Iterable[FilledColumn], row: Values) -> list[Cell]:
    """The cells of a row of values."""
    return [column.cell(row) for column in columns]


def text_table(title: str, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, heads: bool = True) -> Table:
    """A table of text; a line break in a text begins a new line of its cell.

    Args:
        title: What it shows; may be empty.
        columns: The columns, no two of one label.
        rows: A text for each column.
        heads: Whether a terminal shows the heads of the columns.
    """
    return Table(title, columns, [Section("", [_text_row(columns, row) for row in rows])], heads=heads)


def _text_row(columns: Sequence[Column], texts: Sequence[str]) -> Row:
    cells = [Cell(plain_lines(text).split("\n")) for text in texts]
    return Row(cells, {column.label: column.line(cell) for column, cell in zip(columns, cells, strict=True)})
