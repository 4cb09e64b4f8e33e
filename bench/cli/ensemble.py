"""``bench ensemble``: the predictions of finished runs, combined into one result."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer

from bench.cli.completion import completer
from bench.cli.options import DryRun, Format, Home
from bench.cli.output import check_format
from bench.cli.run_results import print_results

logger = logging.getLogger(__name__)


def ensemble(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Ids of at least two finished runs, beginnings of them, or run folders.",
            autocompletion=completer("runs"),
        ),
    ],
    combine: Annotated[
        str,
        typer.Option(
            "--combine", help="How scores become one: mean, product or max of the probabilities.", metavar="WORD"
        ),
    ] = "mean",
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name on the board (default: what it is made of).", metavar="NAME"),
    ] = None,
    dry_run: DryRun = False,
    output: Format = "table",
    home: Home = None,
) -> None:
    """Combine the predictions of finished runs, score them, and list the result on the board as an ensemble.

    Rule by rule, as far as all runs have predictions under it. A product multiplies probabilities of at least 1e-12;
    product and max are divided by their sum over classes; of equal scores the first class counts. The order of the
    runs does not matter, and nothing is done twice.

    Examples:
      bench ensemble 3f2a 91c4 b07e
      bench ensemble 3f2a 91c4 --combine product --name "two nets"
    """
    from bench.api.ensembles import ensemble as make_ensemble

    check_format(output)
    made = make_ensemble(runs, combine, name=name, home=home, dry_run=dry_run)
    _say(made, dry_run)
    print_results([made.to_json()], output)


def _say(made: Any, dry_run: bool) -> None:
    if dry_run:
        logger.info(f"ensemble {made.id}: nothing was stored (--dry-run)")
    elif made.new:
        logger.info(f"ensemble {made.id} is on the board")
    else:
        logger.info(f"ensemble {made.id} is there already")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ensemble)
