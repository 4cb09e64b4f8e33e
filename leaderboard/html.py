"""HTML from templates, and tables as one file that needs no script: text is escaped, style and data are inlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from leaderboard.forms import Column, plain
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


def table_page(
    title: str,
    caption: str,
    columns: Sequence[Column],
    blocks: Sequence[Block],
    notes: Sequence[str],
    groups: Sequence[tuple[str, int]],
) -> str:
    """A page of one table; arguments as for :func:`leaderboard.latex.table`."""
    starts = [sum(width for _, width in groups[:place]) for place in range(1, len(groups))]
    values = {"title": title, "caption": caption, "columns": columns, "blocks": blocks, "notes": notes}
    return page("table.html.j2", {**values, "groups": groups, "starts": starts})


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
