"""HTML from templates, and tables as one file that needs no script: text is escaped, style and data are inlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bench.core.text import plain
from leaderboard.forms import Column
from leaderboard.latex import Block

if TYPE_CHECKING:
    from jinja2 import Environment

HOME = "leaderboard.site"
"""The package that templates, styles and scripts lie in."""


def page(template: str, values: Mapping[str, Any]) -> str:
    """Fill in a template; text in values is escaped."""
    return _environment().get_template(template).render(style=resource("static", "page.css"), **values) + "\n"


def resource(folder: str, name: str) -> str:
    """The text of a file that comes with the package."""
    return files(HOME).joinpath(folder, name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class HtmlTable:
    """One table of a page.

    Attributes:
        title: What stands above it; nothing where it is empty.
        columns: Its columns; numbers are set to the right.
        blocks: Its rows, as in LaTeX.
        groups: Headings above the columns, as in LaTeX.
    """

    title: str
    columns: Sequence[Column]
    blocks: Sequence[Block]
    groups: Sequence[tuple[str, int]] = ()

    @property
    def starts(self) -> list[int]:
        """The columns at which groups begin, but for the first."""
        return [sum(width for _, width in self.groups[:place]) for place in range(1, len(self.groups))]


def tables_page(title: str, tables: Sequence[HtmlTable], caption: str, notes: Sequence[str]) -> str:
    """A page of tables with a caption and notes below them."""
    on_paper = resource("static", "print_tables.css")
    values = {"title": title, "tables": tables, "caption": caption, "notes": notes, "print_style": on_paper}
    return page("table.html.j2", values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(HOME, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment
