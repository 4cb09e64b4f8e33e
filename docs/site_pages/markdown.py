"""Small pieces of Markdown: tables, code, text that is to be shown as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.core.text import setting_text

PLACEHOLDER = re.compile(r"(`[^`\n]+`)")


def text(value: object) -> str:
    """A text for a paragraph or a cell: nothing in it is markup but what stands in backquotes.

    Args:
        value: What is to be shown; None is a dash.
    """
    words = "–" if value is None or value == "" else " ".join(str(value).split())
    parts = PLACEHOLDER.split(words)
    return "".join(part if part.startswith("`") and len(part) > 1 else _escaped(part) for part in parts)


def _escaped(part: str) -> str:
    return re.sub(r"([\\*_\[\]|#~^])", r"\\\1", html.escape(part, quote=False))


def code(value: object) -> str:
    """A value in code letters, also within a table."""
    words = html.escape(" ".join(str(value).split()), quote=False)
    shown = re.sub(r"[|_*\[\]`\\]", lambda sign: f"&#{ord(sign[0])};", words)
    return f"<code>{shown}</code>" if words else "–"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty where it has no row.

    Args:
        heads: Titles of the columns.
        rows: Cells, already as Markdown.
    """
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines])


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """What is known of a thing, a line for each fact that there is."""
    return table(("", ""), ((f"**{name}**", value) for name, value in pairs if value and value != "–"))


def block(language: str, lines: str) -> str:
    """A block of code."""
    return f"```{language}\n{lines.strip()}\n```"


def settings(values: Mapping[str, Any]) -> str:
    """Settings as ``--set`` takes them, in code letters."""
    return ", ".join(code(f"{name}={setting_text(value)}") for name, value in values.items()) or "–"


def folded(title: str, body: str) -> str:
    """What is shown when its title is clicked."""
    indented = "\n".join(f"    {line}" if line else "" for line in body.splitlines())
    return f'??? note "{title}"\n\n{indented}'


def page(*parts: str) -> str:
    """A page of parts, those that are empty left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
