"""Pieces of Markdown for documents about a run; text from outside is never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.core.text import plain, plain_lines
from leaderboard.render.markdown import escaped

DASH = "–"

FENCE = "```"


def section(title: str, *paragraphs: Iterable[str]) -> Iterator[str]:
    """A section: its heading, then paragraphs with an empty line between them; empty ones are left out.

    Args:
        title: The heading, which is not escaped.
        *paragraphs: Lines of each, which are not escaped.
    """
    yield from (f"## {title}", "")
    for paragraph in paragraphs:
        lines = list(paragraph)
        if lines:
            yield from (*lines, "")


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """A table; every cell is text, and None is a dash."""
    yield _bar(heads)
    yield _bar(["---"] * len(heads))
    for row in rows:
        yield _bar(DASH if cell is None else str(cell) for cell in row)


def facts(values: Mapping[str, Any]) -> Iterator[str]:
    """A list of facts by name; those that are None or empty are left out."""
    for name, value in values.items():
        if value not in (None, "", ()):
            yield f"- **{escaped(name)}**: {escaped(str(value))}"


def code(text: str, language: str = "") -> Iterator[str]:
    """A block of code, whose end no text in it can bring about."""
    fence = FENCE
    while fence in text:
        fence += "`"
    yield fence + language
    yield from plain_lines(text).split("\n")
    yield fence


def inline(text: object) -> str:
    """A word as code within a line; what would end it is left out."""
    return f"`{plain(text).replace('`', '')}`"


def _bar(cells: Iterable[str]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"
