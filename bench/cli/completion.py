"""Completion of ids and names in a shell: what is offered, and what must never be.

A shell inserts what is offered into the command line as it is. A name that it would read as something else is left out:
a control character, or a command in the name of a system from elsewhere. Nothing that goes wrong is shown.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterable

import typer

VARIABLE = "_BENCH_COMPLETE"
"""The environment's variable by which a shell asks for completions."""

BASH = "complete_bash"

_PLAIN = re.compile(r"\w[\w.+:/@%=,-]*( [\w.+:/@%=,-]+)*")
"""Names that a shell reads as what they are, but for single spaces."""

Names = Callable[..., Iterable[str]]
"""Gives the names that exist in a results folder, or that go with another option."""


def completer(source: str, of: str = "home") -> Callable[[typer.Context, str], list[str]]:
    """What completes the words of an option or an argument.

    Args:
        source: A function of :mod:`bench.api.completion`.
        of: The option that the function is given: the results folder, or what the names depend on.
    """

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        with contextlib.suppress(Exception):  # a border of the process: a damaged board completes to nothing
            return offered(_names(source)(context.params.get(of)), incomplete)
        return []

    return complete


def _names(source: str) -> Names:
    from bench.api import completion

    found: Names = getattr(completion, source)
    return found


def offered(names: Iterable[str], incomplete: str) -> list[str]:
    """The names that a shell may be offered for the beginning of a word, sorted."""
    plain = sorted(name for name in set(names) if name.startswith(incomplete) and _PLAIN.fullmatch(name))
    # The other shells' scripts quote what they insert; bash's does not.
    return [name.replace(" ", "\\ ") if os.environ.get(VARIABLE) == BASH else name for name in plain]


def print_completions(app: typer.Typer, words: list[str]) -> None:
    """Answer a shell that asks for completions, and end the process; errors and warnings would garble its prompt.

    Args:
        app: The application.
        words: Words after ``bench``.
    """
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception):
        typer.main.get_command(app).main(words, prog_name="bench")
