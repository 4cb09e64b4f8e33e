"""``bench report``: tables of the board, and figure2 by :mod:`bench.cli.report_figure`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.output import emit
from bench.core.errors import SpecError
from bench.core.paths import board_location, home_folder
from bench.core.registry import suggestion
from bench.core.text import echoed

if TYPE_CHECKING:
    from leaderboard.results.schema import Rule
    from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

PAPER = ("table1", "table2", "table3")
FIGURE = "figure2"
FORMATS = "table, markdown, latex, csv, json or html; of figure2 table, svg, pdf, png, html, csv or json."


def check_word(what: str, word: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is none of the known ones; raises SpecError with the nearest one."""
    if word not in known:
        raise SpecError(f"Unknown {what} '{echoed(word)}': {suggestion(word, known)}")


def report(
    what: Annotated[
        str,
        typer.Argument(metavar="[leaderboard|published|table1|table2|table3|figure2]", help="Which table or figure."),
    ] = "leaderboard",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Selection rule of the numbers: last, best-test or best-val (default: last; best-test, the paper's, "
            "for its tables).",
            metavar="RULE",
        ),
    ] = None,
    output: Annotated[str, typer.Option("--format", help=FORMATS, metavar="FORMAT")] = "table",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write to this file instead of the terminal (- is the terminal); of the board as html: a folder.",
            metavar="PATH",
        ),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(
            help="Study of figure2; may be repeated (default: figure2's own, or the only one).", metavar="NAME"
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where figure2's studies are kept, as for `bench search` (default: the results folder).",
            envvar="BENCH_STUDIES",
            metavar="PLACE",
        ),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Results folder (BENCH_HOME).", metavar="DIR")] = None,
) -> None:
    """Print the board, a table of the paper beside what was run here, what others published, or the figure of a search.

    Systems are ranked within one selection rule, on the whole of ICBHI alone.

    Examples:
      bench report leaderboard --protocol best-test --format markdown --out board.md
      bench report table3 --format latex
      bench report --format html --out site        # a page with figures; open site/index.html
      bench report figure2 --format pdf --out figure2.pdf
    """
    check_word("report", what, ("leaderboard", "published", *PAPER, FIGURE))
    if what == FIGURE:
        from bench.cli.report_figure import report_figure

        if protocol is not None:
            raise SpecError("--protocol is none of figure2's options.", "A study's Scores are those of its objective.")
        report_figure(home_folder(home), study or (), storage, output, out)
        return
    if study or (storage and "BENCH_STUDIES" not in os.environ):
        raise SpecError(f"--study and --storage are options of figure2, not of {what}.")
    from leaderboard.render.formats import check_format
    from leaderboard.results.schema import RULES
    from leaderboard.store.store import Store

    word = protocol or ("best-test" if what in PAPER else "last")
    check_word("protocol", word, RULES)
    check_format(output)
    rule = next(rule for rule in RULES if rule == word)
    store = Store.open(board_location(home_folder(home)))
    if what == "leaderboard" and output == "html":
        _page(store, rule, out)
        return
    show = {"leaderboard": _board, "published": _published}.get(what, _paper)
    emit(show(what, store, rule, output, out is None and sys.stdout.isatty()), out, output)


def _board(_what: str, store: Store, rule: Rule, output: str, colour: bool) -> str:
    from leaderboard.render.formats import render
    from leaderboard.tables.board_tables import leaderboard_table

    table = leaderboard_table(store, rule)
    if not table.sections and not table.notes:
        logger.info(f"The board {store} holds no run yet; `bench run --model ast --method patchmix-cl` makes one.")
    return render(table, output, colour=colour)


def _page(store: Store, rule: Rule, out: Path | None) -> None:
    from bench.core.files import STANDARD_OUTPUT, home_expanded
    from bench.core.version import __version__
    from leaderboard.site import write_site

    if out is None or out == STANDARD_OUTPUT:
        raise SpecError("The page of the board is a folder of files.", "Name it: bench report --format html --out DIR")
    logger.info(f"wrote {write_site(store, home_expanded(out), __version__, start=rule)}")


def _published(_what: str, _store: Store, _rule: Rule, output: str, colour: bool) -> str:
    from leaderboard.render.formats import render
    from leaderboard.tables.published_table import published_table

    return render(published_table(), output, colour=colour)


def _paper(what: str, store: Store, rule: Rule, output: str, colour: bool) -> str:
    from bench.experiment.paper_rows import table_of_board
    from leaderboard.render.formats import render

    table = table_of_board(what, store, rule)
    if not any(row["reproduced"] for row in table.rows):
        logger.info(f"The board {store} holds no run of {what} yet; `bench reproduce {what}` makes them.")
    return render(table, output, colour=colour)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)
