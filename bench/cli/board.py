"""``bench board``: what is remembered of each run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import board_exchange
from bench.cli.later import later
from bench.cli.output import notice, print_json, print_text, stderr
from bench.errors import StoreError
from bench.paths import board_location, home_folder

Home = Annotated[Path | None, typer.Option("--home", help="Results folder (BENCH_HOME).", metavar="DIR")]
Format = Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")]

SHOW_FORMATS = ("table", "json")


def list_runs(
    home: Home = None,
    output: Annotated[str, typer.Option("--format", help="table, markdown, csv or json.", metavar="FORMAT")] = "table",
) -> None:
    """List every run on the board, the newest first.

    Example:  bench board list --format csv
    """
    from leaderboard.render import check_format, render
    from leaderboard.store import Store
    from leaderboard.tables import runs_table

    check_format(output)
    store = Store.open(board_location(home_folder(home)))
    table = runs_table(store)
    if not table.sections:
        notice(f"The board {store} holds no run yet.")
    print_text(render(table, output, colour=sys.stdout.isatty()))


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")],
    home: Home = None,
    output: Format = "table",
) -> None:
    """Show one run: metrics recomputed from its predictions, confusion matrices, epochs, spec, provenance.

    Example:  bench board show 3f2a --format json
    """
    from leaderboard.render import check_format, run_table
    from leaderboard.store import Store

    check_format(output, SHOW_FORMATS)
    document = Store.open(board_location(home_folder(home))).run(run)
    if output == "json":
        print_json(document)
    else:
        print_text(run_table(document, colour=sys.stdout.isatty()))


def rebuild(home: Home = None) -> None:
    """Make the board anew from the run folders.

    Broken folders are named, and do not stop it; the exit code is then 4.

    Example:  bench board rebuild --home results
    """
    from rich.progress import Progress

    from leaderboard.rebuilding import rebuild as rebuild_board
    from leaderboard.store import Store

    folder = home_folder(home)
    store = Store.open(board_location(folder))
    with Progress(console=stderr(), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("run folders")
        done = rebuild_board(folder, lambda n, total: progress.update(task, completed=n, total=total), store)
    notice(f"The board {store} holds {len(done.imported) + len(done.kept)} runs.")
    for names, what in (
        (done.unfinished, "without a result"),
        (done.dropped, "no longer on the board: no run folder"),
        (done.kept, "kept without a run folder here"),
    ):
        if names:
            notice(f"{len(names)} {what}: {', '.join(names)}")
    if done.moved is not None:
        notice(f"The damaged database was moved to {done.moved}.")
    for name, reason in done.broken.items():
        notice(f"broken: {name}: {reason}")
    if done.broken:
        raise StoreError(
            f"{len(done.broken)} run folders could not be imported: {', '.join(done.broken)}.",
            "Run them again with --rerun, or remove them.",
        )


LATER = {
    "compare": "Compare two systems on the same cycles, with an interval over patients.",
}


def _add_later(group: typer.Typer, name: str, purpose: str) -> None:
    def command(
        words: Annotated[list[str] | None, typer.Argument(metavar="...", help="Not read yet.")] = None,
    ) -> None:
        raise later(f"bench board {name}")

    settings: dict[str, Any] = {"ignore_unknown_options": True}
    group.command(name, help=f"{purpose} (Not in this version.)", context_settings=settings)(command)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="What is remembered of each run.", no_args_is_help=True)
    group.command("list")(list_runs)
    group.command()(show)
    group.command()(rebuild)
    for name, purpose in LATER.items():
        _add_later(group, name, purpose)
    board_exchange.register(group)
    app.add_typer(group, name="board")
