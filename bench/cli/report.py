"""``bench report``: tables of the board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.later import later
from bench.cli.output import notice, print_text
from bench.errors import SpecError
from bench.paths import board_location, home_folder
from bench.registry import suggestion

LATER = ("table1", "table2", "table3", "figure2")


def check_word(what: str, word: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is none of the known ones; raises SpecError with the nearest one."""
    if word not in known:
        raise SpecError(f"Unknown {what} '{word}': {suggestion(word, known)}")


def emit(text: str, out: Path | None) -> None:
    """Print text, or write it to a file atomically and say so."""
    if out is None:
        print_text(text)
        return
    from leaderboard.files import atomic_path

    with atomic_path(out) as path:
        path.write_text(text, encoding="utf-8")
    notice(f"wrote {out}")


def report(
    what: Annotated[
        str, typer.Argument(metavar="[leaderboard|table1|table2|table3|figure2]", help="Which table.")
    ] = "leaderboard",
    protocol: Annotated[
        str, typer.Option(help="Selection rule of the numbers: last, best-test or best-val.", metavar="RULE")
    ] = "last",
    output: Annotated[str, typer.Option("--format", help="table, markdown, csv or json.", metavar="FORMAT")] = "table",
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of the terminal.", metavar="PATH")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Results folder (BENCH_HOME).", metavar="DIR")] = None,
) -> None:
    """Print the board, or a table of the paper beside what was run here.

    Systems are ranked within one selection rule, on the whole of ICBHI alone.

    Example:  bench report leaderboard --protocol best-test --format markdown --out board.md
    """
    from leaderboard.render import check_format, render
    from leaderboard.results import RULES
    from leaderboard.store import Store
    from leaderboard.tables import leaderboard_table

    check_word("report", what, ("leaderboard", *LATER))
    if what in LATER:
        raise later(f"bench report {what}")
    check_word("protocol", protocol, RULES)
    check_format(output)
    folder = home_folder(home)
    table = leaderboard_table(Store.open(board_location(folder)), next(rule for rule in RULES if rule == protocol))
    if not table.sections:
        notice(f"The board in {folder} holds no run yet; `bench run --model ast --method patchmix-cl` makes one.")
    emit(render(table, output, colour=out is None and sys.stdout.isatty()), out)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
