"""``bench board``: what is remembered of each run."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import board_check, board_exchange, board_history, board_hub, board_snapshot, options
from bench.cli.options import Format, Home
from bench.cli.output import check_format, print_json, print_rendered
from bench.core.errors import StoreError
from bench.core.progress import PLAIN_SECONDS, counted
from bench.core.terminal import wants_colour
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.boards import Board
    from bench.api.upkeep import RebuildReport

logger = logging.getLogger(__name__)


def list_runs(home: Home = None, output: options.TableFormat = "table") -> None:
    """List every run on the board, the newest first.

    Example:  bench board list --format csv
    """
    from bench.api.boards import open_board
    from leaderboard.render import formats

    formats.check_format(output)
    board = open_board(home=home)
    table = board.table("runs")
    if not table.holds_runs:
        logger.info(f"The board {board} holds no run yet.")
    print_rendered(table.written(output, colour=wants_colour(sys.stdout)), output)


def show(run: options.Run, home: Home = None, output: Format = "table") -> None:
    """Show one run: metrics recomputed from its predictions, confusion matrices, epochs, spec, provenance.

    Example:  bench board show 3f2a --format json
    """
    from bench.api.boards import open_board
    from leaderboard.render.run import run_report
    from leaderboard.render.terminal import write

    check_format(output)
    found = open_board(home=home).run(run)
    if output == "json":
        print_json(found.to_json())
        return
    colour = wants_colour(sys.stdout)
    print_rendered(write(run_report(found.document), colour=colour))
    parts = found.parts()
    if parts.rows:
        print_rendered("\n" + parts.written(colour=colour))


def rebuild(home: Home = None, output: Format = "table") -> None:
    """Make the board anew from the run folders.

    Broken folders are named, and do not stop it; the exit code is then 4.

    Example:  bench board rebuild --home results
    """
    from bench.api.boards import open_board
    from bench.api.upkeep import rebuild as rebuild_board

    check_format(output)
    board = open_board(home=home)
    with counted("run folders", least=PLAIN_SECONDS) as update:
        done = rebuild_board(board, lambda number, total: update("entering into the board", number, total))
    if output == "json":
        print_json({"board": str(board), **done.to_json()})
    else:
        _tell_of_rebuild(board, done)
    if done.broken:
        raise StoreError(
            f"{counted_noun(len(done.broken), 'run folder')} could not be imported: {', '.join(done.broken)}.",
            "Run them again with --rerun, or remove them.",
        )


def _tell_of_rebuild(board: Board, done: RebuildReport) -> None:
    logger.info(f"The board {board} holds {counted_noun(len(done.imported) + len(done.kept), 'run')}.")
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


def compare(
    a: options.Compared,
    b: options.ComparedWith,
    protocol: options.Protocol = "last",
    single: Annotated[
        bool, typer.Option("--single", help="Compare the two runs alone, not all seeds of their systems.")
    ] = False,
    part: options.Part = None,
    home: Home = None,
    output: Format = "table",
) -> None:
    """Compare two systems on the same cycles: the difference of their Scores with an interval over patients.

    A run stands for its system: runs that differ in the seed alone are taken together.

    Example:  bench board compare 3f2a ast/ce --protocol best-test
    """
    from bench.api.boards import open_board

    check_format(output)
    found = open_board(home=home).compare(a, b, protocol, single=single, part=part)
    if output == "json":
        print_json(found.to_json())
    else:
        print_rendered(found.table.written(colour=wants_colour(sys.stdout)))


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        help="""The board, where every run is remembered: list, show, compare, exchange, publish.

        Examples:
          bench board list
          bench board show 0123abcd
          bench board export ward-3.zip
        """,
        no_args_is_help=True,
    )
    group.command("list")(list_runs)
    group.command()(show)
    group.command()(compare)
    group.command()(rebuild)
    board_exchange.register(group)
    board_hub.register(group)
    board_check.register(group)
    board_snapshot.register(group)
    board_history.register(group)
    app.add_typer(group, name="board")
