"""Help of commands as running text: Typer breaks the lines of a second paragraph where the source does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

EXAMPLE = "Example"
"""Lines that begin with this, or with a space, are lines of their own."""


def flowing_help(app: typer.Typer) -> None:
    """Have the help of all commands of an application fill its lines, whatever the width of the terminal.

    Args:
        app: The application with its groups, before a command line is parsed.
    """
    for info in _commands(app):
        text = inspect.getdoc(info.callback)
        if text and not info.help:
            info.help = "\n\n".join(_flowing(paragraph) for paragraph in text.split("\n\n"))


def _commands(app: typer.Typer) -> Iterator[Any]:
    yield from app.registered_commands
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance)


def _flowing(paragraph: str) -> str:
    """A paragraph on one line, but for lines that are examples."""
    lines: list[str] = []
    flows = False
    for line in paragraph.split("\n"):
        is_own = line.startswith((" ", EXAMPLE))
        if flows and not is_own:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        flows = not is_own
    return "\n".join(lines)
