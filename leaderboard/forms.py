"""The forms that tables are written in: grids for the terminal, Markdown, CSV. Text is never read as markup."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core.text import decimal_number, plain
from leaderboard.links import pieces

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a section.

    Attributes:
        head: Its head.
        lines: The lines of a row's cell.
        number: Whether it is set to the right.
        share: Its share of the room that is left; 1 where it has none.
        wrap: Whether its words may be wrapped.
        comfort: Columns that wrapped words are given at least, as far as they have as many.
        expendable: Where the room is short, columns are left out, the highest number first; 0 stays.
        optional: Whether it is left out where no row has a value.
        card: Where it stands in a card: in its title, on a line of its own below that, or among the rest.
        pages_only: Whether it stands on pages and in Markdown alone, where an address is a link or takes no room.
        linked: Whether what it cites is a link where the form has links (:mod:`leaderboard.links`).
    """

    head: str
    lines: Callable[[Row], Sequence[str]]
    number: bool = True
    share: int | None = None
    wrap: bool = False
    comfort: int = 0
    expendable: int = 0
    optional: bool = False
    card: Literal["title", "lead", "rest"] = "rest"
    pages_only: bool = False
    linked: bool = False


def number(value: float | None, sign: str = "") -> str:
    """A number in print: two decimals, a dash where there is none."""
    return "–" if value is None else f"{value:{sign}.2f}"


def seeds(values: Sequence[int]) -> str:
    """Seeds in print: ``1-3, 5``."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts)


# --- terminal ---------------------------------------------------------------------------------------------------


def console(width: int | None, colour: bool) -> Console:
    """A console that writes into memory; see :func:`printed`.

    Args:
        width: Columns of the terminal; its own by default.
        colour: Whether to write colour codes.
    """
    from bench.core.terminal import PlainConsole

    columns = width or shutil.get_terminal_size((100, 24)).columns
    # Where colours are wanted, NO_COLOR of the environment still decides.
    return PlainConsole(io.StringIO(), width=columns, force_terminal=colour, no_color=None if colour else True)


def printed(target: Console, parts: Sequence[RenderableType]) -> str:
    """What a console of :func:`console` writes for some parts, without spaces at the ends of lines."""
    for part in parts:
        target.print(part)
    assert isinstance(target.file, io.StringIO)
    return "\n".join(line.rstrip() for line in target.file.getvalue().rstrip("\n").split("\n")) + "\n"


def grid(
    title: str, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], *, heads: bool = True
) -> RenderableType:
    """A table of the terminal under a title; see :class:`leaderboard.terminal_grid.Grid`."""
    from leaderboard.terminal_grid import Grid

    return Grid(title, columns, rows, heads=heads)


# --- Markdown ---------------------------------------------------------------------------------------------------

_MARKDOWN = str.maketrans(
    {**{mark: f"\\{mark}" for mark in "\\`*_[]#"}, **{mark: f"&#{ord(mark)};" for mark in "&<>|"}}
)


def escaped(text: str) -> str:
    """Text as Markdown shows it as it is."""
    return plain(text).translate(_MARKDOWN)


def _markdown_cell(column: Column, text: str) -> str:
    return "".join(
        escaped(piece.text) if piece.address is None else f"[{escaped(piece.text)}](<{piece.address}>)"
        for piece in pieces(text, linked=column.linked)
    )


def markdown_grid(title: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table under a title, and an empty one."""
    lines = [f"## {escaped(title)}", "", _bar(escaped(_one_line(column.head)) for column in columns)]
    lines.append(_bar("---:" if column.number else "---" for column in columns))
    return [*lines, *(_bar(map(_markdown_cell, columns, row)) for row in rows), ""]


def _one_line(head: str) -> str:
    return head.replace("\n", " ")


def _bar(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


# --- CSV --------------------------------------------------------------------------------------------------------


_FORMULA = frozenset("=+-@＝＋－＠−–—")
"""What a spreadsheet takes for the beginning of a formula, as such or once another program has spelt it in ASCII."""


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """One line for each row under the names; numbers in full precision, lists and objects as JSON.

    Text is on one line, and never a formula: what a spreadsheet would run has an apostrophe before it.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writerow({name: _csv_cell(name) for name in names})
    writer.writerows({name: _csv_cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return _csv_words(value)
    return _escaped_json(json.dumps(value, ensure_ascii=False)) if isinstance(value, list | dict | bool) else value


def _csv_words(text: str) -> str:
    line = plain(" ".join(text.split("\n")))
    first, rest = line.lstrip()[:1], line.lstrip()[1:]
    return f"'{line}" if rest and first in _FORMULA and not _is_number(line) else line


def _is_number(text: str) -> bool:
    try:
        decimal_number(text)
    except ValueError:
        return False
    return True


# --- JSON -------------------------------------------------------------------------------------------------------

_NOT_ASCII = re.compile(r"[^\n -~]")


def json_text(document: Any) -> str:
    """A document as JSON; characters that cannot be shown, or that a terminal would obey, are escaped."""
    return _escaped_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def _escaped_json(text: str) -> str:
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)
