"""Pages of HTML from templates: text in values is escaped, style is inlined, so that a page is one file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bench.core.text import plain

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = "leaderboard.render"
"""The package that the style of every page lies in."""


def page(package: str, template: str, values: Mapping[str, Any]) -> str:
    """Fill in a template of a package's folder ``templates``; text in values is escaped."""
    style = resource(HERE, "static", "page.css")
    return environment(package).get_template(template).render(style=style, **values) + "\n"


def resource(package: str, folder: str, name: str) -> str:
    """The text of a file in a folder that comes with a package."""
    return files(package).joinpath(folder, name).read_text(encoding="utf-8")


@lru_cache(maxsize=3)
def environment(package: str, folder: str = "templates") -> Environment:
    """What templates are filled in by that come with a package: text in values is escaped, a value must be there.

    Args:
        package: The package.
        folder: Where they are in it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    return made
