"""``bench report``: tables of the board, and figure2 by :mod:`bench.cli.report_figure`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.api.completion import reports
from bench.api.words import known_word
from bench.cli import options
from bench.cli.completion import completer
from bench.cli.output import emit
from bench.cli.report_figure import report_figure
from bench.core import paper
from bench.core.errors import SpecError
from bench.core.terminal import wants_colour

if TYPE_CHECKING:
    from bench.api.boards import Board

logger = logging.getLogger(__name__)

TRANSFER = "transfer"


def report(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[leaderboard|published|transfer|table1|table2|table3|figure2|DATASET]",
            help="Which table or figure; the id of a data set shows what was printed of it beside what was run.",
            autocompletion=completer("reports"),
        ),
    ] = "leaderboard",
    dataset: options.ReportedDataset = None,
    task: options.ReportedTask = None,
    protocol: options.ReportProtocol = None,
    output: options.ReportFormat = "table",
    out: options.Out = None,
    plugin: options.Plugins = None,
    study: options.Studies = None,
    storage: options.Storage = None,
    home: options.Home = None,
) -> None:
    """Print the board, a table of the paper beside what was run here, what others published, or the figure of a search.

    The id of a data set shows the results that were printed of it beside the board's, task by task and part by part.
    `transfer` shows runs that `bench evaluate` judged on another task than their own.

    Systems are ranked within one selection rule, one task and one tested part, on the whole of a data set alone.

    Examples:
      bench report leaderboard --protocol best-test --format markdown --out board.md
      bench report leaderboard --dataset sprsound --task event-7
      bench report sprsound --format markdown
      bench report mine --plugin my_data.py
      bench report table3 --format latex
      bench report --format html --out site        # a page with figures; open site/index.html
      bench report figure2 --format pdf --out figure2.pdf
    """
    from bench.api.boards import open_board

    board = open_board(home=home, plugins=plugin or ())
    _check_report(what, output, has_sections=bool(dataset or task))
    if what == paper.FIGURE:
        if protocol is not None:
            raise SpecError("--protocol is none of figure2's options.", "A study's Scores are those of its objective.")
        report_figure(home, study or (), storage, output, out)
        return
    if study or (storage and "BENCH_STUDIES" not in os.environ):
        raise SpecError(f"--study and --storage are options of figure2, not of {what}.")
    from bench.api.transfers import transfer_report
    from bench.api.words import selection_rule
    from leaderboard.render.formats import check_format

    selection_rule(protocol or "last")
    check_format(output)
    if what == "leaderboard" and output == "html":
        _page(board, protocol, out)
        return
    rule, asked = protocol or "last", {"dataset": dataset, "task": task}
    table = transfer_report(home, rule) if what == TRANSFER else board.table(what, protocol, **asked)
    if not table.holds_runs:
        logger.info(f"The board {board} holds no run {_of_what(what, dataset, task)}.")
    emit(table.written(output, colour=out is None and wants_colour(sys.stdout)), out, output)


def _check_report(what: str, output: str, *, has_sections: bool) -> None:
    """Refuse a word that is no table and no data set, and sections of what has none.

    A data set of a plug-in is known where its file is named.
    """
    try:
        known_word("report", what, reports())
    except SpecError as error:
        if "did you mean" in error.message:
            raise
        raise SpecError(str(error), "A data set of your own is known with its file: --plugin FILE.py.") from None
    if has_sections:
        _check_sections(what, output)


def _check_sections(what: str, output: str) -> None:
    """Refuse --dataset and --task for what has no sections of data sets and tasks."""
    is_page = what == "leaderboard" and output == "html"
    if is_page or what in (paper.FIGURE, TRANSFER):
        shown = "the page" if is_page else what
        raise SpecError(f"--dataset and --task choose sections of tables, not of {shown}.", "Leave them out.")


def _of_what(what: str, dataset: str | None, task: str | None) -> str:
    sections = ", ".join(filter(None, (dataset, task)))
    if sections:
        return f"of {sections} yet; `bench run --dataset ID --task ID` makes one"
    if what in paper.TABLES:
        return f"of {what} yet; `bench reproduce {what}` makes them"
    if what == TRANSFER:
        return "that was judged elsewhere yet; `bench evaluate RUN --dataset ID` does that"
    return "yet; `bench run --model ast --method patchmix-cl` makes one"


def _page(board: Board, protocol: str | None, out: Path | None) -> None:
    from bench.api.pages import write_page
    from bench.core.files import STANDARD_OUTPUT

    if out is None or out == STANDARD_OUTPUT:
        raise SpecError("The page of the board is a folder of files.", "Name it: bench report --format html --out DIR")
    logger.info(f"wrote {write_page(board, out, protocol or 'last')}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
