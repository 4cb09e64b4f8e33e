"""What every command prints with: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.errors import SpecError

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="A file with models, methods or front-ends; may be repeated."),
]
"""The option of every command that looks up ids."""

WIDTH_OF_A_FILE = 160
"""Columns for tables that go into a file or a pipe."""


def stdout() -> Console:
    """The console for results (made anew, so that tests may redirect the stream)."""
    terminal = sys.stdout.isatty()
    return Console(file=sys.stdout, soft_wrap=not terminal, width=None if terminal else WIDTH_OF_A_FILE)


def stderr() -> Console:
    """The console for notices, progress and errors."""
    return Console(file=sys.stderr, stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False)


def check_format(output: str) -> None:
    """Refuse a ``--format`` that is neither ``table`` nor ``json``.

    Raises:
        SpecError: If it is another word.
    """
    if output not in ("table", "json"):
        raise SpecError(f"Unknown format '{output}': use table or json.")


def notice(text: str) -> None:
    """Print one line of plain text on stderr."""
    stderr().print(text, markup=False)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, without colour or wrapping."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """Print text on stdout as it is."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
