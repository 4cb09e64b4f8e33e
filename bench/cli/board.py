"""``bench board``: what is remembered of each run."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import board_exchange, board_history, board_snapshot
from bench.cli.output import print_json, print_rendered, stderr
from bench.cli.report import check_word
from bench.core.errors import StoreError
from bench.core.paths import board_location, home_folder

logger = logging.getLogger(__name__)

Home = Annotated[Path | None, typer.Option("--home", help="Results folder (BENCH_HOME).", metavar="DIR")]
Format = Annotated[str, typer.Option("--format", help="table or json.", metavar="FORMAT")]

SHOW_FORMATS = ("table", "json")


def list_runs(
    home: Home = None,
    output: Annotated[
        str, typer.Option("--format", help="table, markdown, csv, json or html.", metavar="FORMAT")
    ] = "table",
) -> None:
    """List every run on the board, the newest first.

    Example:  bench board list --format csv
    """
    from leaderboard.render.formats import check_format, render
    from leaderboard.store.store import Store
    from leaderboard.tables.board_tables import runs_table

    check_format(output)
    store = Store.open(board_location(home_folder(home)))
    table = runs_table(store)
    if not table.sections:
        logger.info(f"The board {store} holds no run yet.")
    print_rendered(render(table, output, colour=sys.stdout.isatty()), output)


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")],
    home: Home = None,
    output: Format = "table",
) -> None:
    """Show one run: metrics recomputed from its predictions, confusion matrices, epochs, spec, provenance.

    Example:  bench board show 3f2a --format json
    """
    from leaderboard.render.formats import check_format, render
    from leaderboard.render.run import run_report
    from leaderboard.render.terminal import write
    from leaderboard.store.store import Store
    from leaderboard.tables.run_parts import parts_table

    check_format(output, SHOW_FORMATS)
    store = Store.open(board_location(home_folder(home)))
    document = store.run(run)
    if output == "json":
        print_json(document)
        return
    colour = sys.stdout.isatty()
    print_rendered(write(run_report(document), colour=colour))
    parts = parts_table(store, document)
    if parts.sections:
        print_rendered("\n" + render(parts, colour=colour))


def rebuild(home: Home = None) -> None:
    """Make the board anew from the run folders.

    Broken folders are named, and do not stop it; the exit code is then 4.

    Example:  bench board rebuild --home results
    """
    from rich.progress import Progress

    from leaderboard.store.rebuilding import rebuild as rebuild_board
    from leaderboard.store.store import Store

    folder = home_folder(home)
    store = Store.open(board_location(folder))
    with Progress(console=stderr(), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("run folders")
        done = rebuild_board(folder, lambda n, total: progress.update(task, completed=n, total=total), store)
    logger.info(f"The board {store} holds {len(done.imported) + len(done.kept)} runs.")
    for names, what in (
        (done.unfinished, "without a result"),
        (done.dropped, "no longer on the board: no run folder"),
        (done.kept, "kept without a run folder here"),
        (done.retracted, "retracted, and left out"),
        (done.not_official, "not judged on the official test cycles, in a section of their own"),
    ):
        if names:
            logger.info(f"{len(names)} {what}: {', '.join(names)}")
    if done.moved is not None:
        logger.warning(f"The damaged database was moved to {done.moved}.")
    for fault in done.log_faults:
        logger.warning(f"log: {fault}")
    for name, reason in done.broken.items():
        logger.warning(f"broken: {name}: {reason}")
    if done.broken:
        raise StoreError(
            f"{len(done.broken)} run folders could not be imported: {', '.join(done.broken)}.",
            "Run them again with --rerun, or remove them.",
        )


def compare(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A run's id, its beginning, model/method, or a submission's name.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What to compare it with.")],
    protocol: Annotated[
        str, typer.Option(help="Selection rule of the numbers: last, best-test or best-val.", metavar="RULE")
    ] = "last",
    single: Annotated[
        bool, typer.Option("--single", help="Compare the two runs alone, not all seeds of their systems.")
    ] = False,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Compare two systems on the same cycles: the difference of their Scores with an interval over patients.

    A run stands for its system: runs that differ in the seed alone are taken together.

    Example:  bench board compare 3f2a ast/ce --protocol best-test
    """
    from leaderboard.render.formats import check_format, render
    from leaderboard.results.schema import RULES
    from leaderboard.statistics.comparison import compare as compare_systems
    from leaderboard.statistics.comparison import comparison_table, runs_of
    from leaderboard.store.store import Store

    check_format(output, SHOW_FORMATS)
    check_word("protocol", protocol, RULES)
    rule = next(known for known in RULES if known == protocol)
    store = Store.open(board_location(home_folder(home)))
    board = store.runs()
    of_a, of_b = (runs_of(store, board, text, rule, single=single) for text in (a, b))
    found = compare_systems(store, of_a, of_b, rule)
    if output == "json":
        print_json(found.to_json())
    else:
        print_rendered(render(comparison_table(found), colour=sys.stdout.isatty()))


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="What is remembered of each run.", no_args_is_help=True)
    group.command("list")(list_runs)
    group.command()(show)
    group.command()(compare)
    group.command()(rebuild)
    board_exchange.register(group)
    board_snapshot.register(group)
    board_history.register(group)
    app.add_typer(group, name="board")
