"""The forms that tables are written in: grids for the terminal, Markdown, CSV. Text is never read as markup."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from leaderboard.text import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a section: its head, the lines of a cell, and whether it is a number, takes spare room, may wrap.

    In terminals of fewer columns than ``least`` it is left out.
    """

    head: str
    lines: Callable[[Row], Sequence[str]]
    number: bool = True
    share: int | None = None
    wrap: bool = False
    least: int = 0


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
    from rich.console import Console

    columns = width or shutil.get_terminal_size((100, 24)).columns
    return Console(
        file=io.StringIO(), width=columns, force_terminal=colour, no_color=not colour, highlight=False, emoji=False
    )


def printed(target: Console, parts: Sequence[RenderableType]) -> str:
    """What a console of :func:`console` writes for some parts, without spaces at the ends of lines."""
    for part in parts:
        target.print(part)
    assert isinstance(target.file, io.StringIO)
    return "\n".join(line.rstrip() for line in target.file.getvalue().rstrip("\n").split("\n")) + "\n"


def grid(
    title: str, columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], *, heads: bool = True
) -> RenderableType:
    """A table of the terminal under a title; a cell is text, or text with a style."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(
        title=Text(plain(title), style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_header=heads,
    )
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.number else "left"
        text = Text(column.head)
        table.add_column(text, justify=justify, no_wrap=not column.wrap, overflow="fold", ratio=column.share)
    for row in rows:
        table.add_row(*[Text(cell) if isinstance(cell, str) else cell for cell in row])
    return table


# --- Markdown ---------------------------------------------------------------------------------------------------

_MARKDOWN = str.maketrans(
    {**{mark: f"\\{mark}" for mark in "\\`*_[]#"}, **{mark: f"&#{ord(mark)};" for mark in "&<>|"}}
)


def escaped(text: str) -> str:
    """Text as Markdown shows it as it is."""
    return plain(text).translate(_MARKDOWN)


def markdown_grid(title: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table under a title, and an empty one."""
    lines = [f"## {escaped(title)}", "", _bar(escaped(_one_line(column.head)) for column in columns)]
    lines.append(_bar("---:" if column.number else "---" for column in columns))
    return [*lines, *(_bar(map(escaped, row)) for row in rows), ""]


def _one_line(head: str) -> str:
    return head.replace("\n", " ")


def _bar(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


# --- CSV --------------------------------------------------------------------------------------------------------


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """One line for each row under the names; numbers in full precision, lists and objects as JSON."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _csv_cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value
