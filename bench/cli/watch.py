"""``bench watch``: a live view of runs, matrices and searches, from their files alone."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from bench.cli.completion import completer
from bench.cli.options import Format, Home
from bench.cli.output import check_format, print_json, print_laid_out, stdout
from bench.core.errors import RunError

logger = logging.getLogger(__name__)

INTERRUPTED = 130

Watched = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN]...",
        help="Ids of runs or their beginnings, folders of runs, names of matrices or studies (default: all that goes "
        "on in the results folder, and what ended within the last hour).",
        autocompletion=completer("runs"),
    ),
]
Every = Annotated[float, typer.Option("--every", help="Seconds between two looks.", min=0.2, max=3600.0)]
Once = Annotated[bool, typer.Option("--once", help="Print what there is to see now, and end; so it is in a pipe too.")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("watch")(watch)


def is_terminal() -> bool:
    """Whether somebody sees what is drawn."""
    return sys.stdout.isatty()


def watch(
    names: Watched = None, every: Every = 2.0, once: Once = False, output: Format = "table", home: Home = None
) -> None:
    """Watch runs, matrices and searches: epoch, loss, Score, pace and time left, drawn anew as they go on.

    Their files alone are read: it may be done from any machine that sees the results folder, and disturbs nothing. It
    ends when all that is watched has ended, with exit code 1 where something of it failed or was stopped. Ctrl-C ends
    the watching alone (exit code 130).

    Examples:
      bench watch
      bench watch 3f2a cnns --every 10
      bench watch --home /mnt/cluster/results --once
      bench watch 3f2a --format json
    """
    from bench.api.watching import Watch

    check_format(output)
    watched = Watch(names or (), home)
    if output == "json" or once or not is_terminal():
        seen = watched.look()
        if output == "json":
            print_json(seen.to_json())
        else:
            from bench.cli.watch_output import view

            print_laid_out(view(seen, stdout().width))
    else:
        from bench.cli.watch_output import show_live

        try:
            seen = show_live(watched.each(every), stdout())
        except KeyboardInterrupt:
            logger.info("no longer watched; whatever was going on goes on")
            raise typer.Exit(INTERRUPTED) from None
    if watched.ended_badly(seen):
        raise typer.Exit(RunError.exit_code)
