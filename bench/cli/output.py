"""What every command prints with: results on stdout, everything else on stderr.

Nothing else in the program writes to a stream. Text is shown as it is and never obeyed (:mod:`bench.core.terminal`);
messages hold no secrets and are not endless (:mod:`bench.core.messages`).
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from bench.core.errors import BenchError, SpecError
from bench.core.messages import message_text, sentence_text
from bench.core.streams import write_as_utf_8
from bench.core.terminal import PlainConsole
from bench.core.text import echoed, plain_lines

logger = logging.getLogger(__name__)

WIDTH_OF_A_FILE = 160
"""Columns for tables that go into a file or a pipe."""


def width_of_tables() -> int | None:
    """Columns of what takes the results, where it has none by itself and nobody says how many there are."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_FILE


def stdout() -> PlainConsole:
    """The console for results (made anew, so that tests may redirect the stream)."""
    terminal = sys.stdout.isatty()
    return PlainConsole(sys.stdout, soft_wrap=not terminal, width=None if terminal else WIDTH_OF_A_FILE)


def stderr() -> PlainConsole:
    """The console for notices, progress and errors."""
    return PlainConsole(sys.stderr, soft_wrap=not sys.stderr.isatty())


def check_format(output: str) -> None:
    """Refuse a ``--format`` that is neither ``table`` nor ``json``.

    Raises:
        SpecError: If it is another word.
    """
    if output not in ("table", "json"):
        raise SpecError(f"Unknown format '{echoed(output)}': use table or json.")


# --- messages ---------------------------------------------------------------------------------------------------


def show_error(error: BenchError) -> None:
    """Print an error and its hint on stderr."""
    _print_labelled("error", "bold red", sentence_text(error.message))
    if error.hint:
        _print_labelled("hint", "bold", message_text(error.hint))


def show_internal_error(error: BaseException) -> None:
    """Print what nobody expected on stderr, and what to do about it."""
    _print_labelled("internal error", "bold red", sentence_text(f"{type(error).__name__}: {error}"))
    _print_labelled("hint", "bold", "run it again as `bench --debug …` and report the traceback")


def _print_labelled(label: str, style: str, text: str) -> None:
    stderr().print(Text.assemble((f"{label}:", style), f" {text}"))


# --- results ----------------------------------------------------------------------------------------------------


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, without colour or wrapping."""
    from leaderboard.render.json_text import json_text

    print_rendered(json_text(document), "json")


def print_text(text: str) -> None:
    """Print plain text on stdout, without colour or wrapping."""
    print_rendered(plain_lines(text))


def print_laid_out(renderable: Any) -> None:
    """Print what rich lays out, on stdout, without the blanks with which it fills lines."""
    console = stdout()
    with console.capture() as text:
        console.print(renderable)
    print_rendered("\n".join(line.rstrip() for line in text.get().splitlines()))


def print_rendered(text: str, output: str = "table") -> None:
    """Print on stdout what a renderer has written, its colours included.

    Args:
        text: The text.
        output: Its format. A table is for people, and spelt as the terminal can show it; what programs read (JSON,
            CSV, Markdown, …) is UTF-8 there too, since a character spelt out would be another value.
    """
    text = text if text.endswith("\n") else text + "\n"
    if output == "table":
        sys.stdout.write(text)
    else:
        write_as_utf_8(sys.stdout, text)


def emit(content: str | bytes, out: Path | None, output: str) -> None:
    """Print a result, or write it where ``--out`` says, and say so.

    Args:
        content: The result; text goes into files as UTF-8.
        out: What ``--out`` names, if anything.
        output: Its format.

    Raises:
        StoreError: If it cannot be written.
    """
    from bench.core.files import STANDARD_OUTPUT, output_path

    to_stdout = out is None or out == STANDARD_OUTPUT
    if to_stdout and isinstance(content, str):
        print_rendered(content, output)
        return
    with output_path(out or STANDARD_OUTPUT) as path:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    if not to_stdout:
        logger.info(f"wrote {out}")


def print_written(out: Path, document: Any, line: str, output: str) -> None:
    """Say what a command has written to ``out``: on stderr where that was the standard output itself."""
    from bench.core.files import STANDARD_OUTPUT

    if out == STANDARD_OUTPUT:
        logger.info(line)
    elif output == "json":
        print_json(document)
    else:
        print_text(line)
