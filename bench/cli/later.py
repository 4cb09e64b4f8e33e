"""Commands of the contract that a later version brings: they exist, and say so plainly, with exit code 2."""

from __future__ import annotations

from collections.abc import Callable

import typer

from bench.core.errors import SpecError

ANY_WORDS = {"allow_extra_args": True, "ignore_unknown_options": True}

COMMANDS = {
    "predict": "Classify the respiratory cycles of recordings with a trained run.",
}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for name, text in COMMANDS.items():
        app.command(name, help=f"{text} (Not in this version.)", context_settings=ANY_WORDS)(_refuse(name))


def _refuse(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        raise later(f"bench {name}")

    return command


def later(what: str) -> SpecError:
    """The error of something that a later version brings."""
    from bench.core.version import __version__

    return SpecError(f"`{what}` comes with a later version; this is lungbench {__version__}.", "See `bench --help`.")
