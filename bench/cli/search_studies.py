"""``bench search list | show | best | cancel | delete``: what is known of studies, and the end of their workers."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bench.cli.grid import print_grid
from bench.cli.options import Format, Home, Storage, Study
from bench.cli.output import check_format, print_json, print_text
from bench.cli.search_output import WRAPPED, count_words, judged_on, print_study, score_words
from bench.core.errors import SpecError, StoreError
from bench.core.text import counted_noun, echoed, plain

logger = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("list")(list_studies)
    app.command("show")(show)
    app.command("best")(best)
    app.command("cancel")(cancel)
    app.command("delete")(delete)


def list_studies(storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """List the studies of the results folder, or of a storage.

    What cannot be read is named and does not stop it; the exit code is then 4.

    Example: bench search list
    """
    from bench.api import searches

    check_format(output)
    rows, damaged = searches.list_studies(storage, home)
    if output == "json":
        print_json(rows)
    elif rows:
        _print_rows(rows)
    elif not damaged:
        print_text("There is no study yet.")
    for error in damaged:
        logger.error(error.message)
    if damaged:
        raise typer.Exit(StoreError.exit_code)


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    heads = ("study", "model", "method", "params", "objective", "trials", "best")
    cells = [
        [
            row["study"],
            row["model"],
            row["method"],
            ", ".join(row["params"]),
            "TEST SET" if row["objective"] == "test" else row["objective"],
            count_words(row),
            score_words(row["best"]),
        ]
        for row in rows
    ]
    print_grid("studies", heads, [[plain(cell) for cell in row] for row in cells], numbers=("best",), wrap=WRAPPED)


def show(name: Study, storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """Show a study: what was asked for, what it cost, its best and all its trials.

    Example: bench search show ast-patchmix-cl-alpha-tau-beta --format json
    """
    from bench.api.searches import open_study

    check_format(output)
    print_study(open_study(name, storage, home).to_json(), output)


def best(name: Study, storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """Show the best trial of a study and its parameters; `bench search resume` trains them on the whole training part.

    Example: bench search best ast-patchmix-cl-alpha-tau-beta
    """
    from bench.api.searches import open_study

    check_format(output)
    document = open_study(name, storage, home).to_json()
    found = document["best"]
    if found is None:
        raise SpecError(
            f"The study '{name}' has no complete trial yet.", f"`bench search show {name}` shows its trials."
        )
    if output == "json":
        print_json({"study": document["study"], "objective": document["objective"], **found})
        return
    print_text(f"trial {found['number']}: Score {found['value']:.2f}, {judged_on(document)}")
    for key, value in found["params"].items():
        print_text(f"{key}: {value}")


def cancel(name: Study, output: Format = "table", home: Home = None) -> None:
    """Stop the workers of a study that Slurm goes on with; `bench search resume` goes on from their saved states.

    Example: bench search cancel ast-patchmix-cl-alpha-tau-beta
    """
    from bench.api.searches import cancel_search

    check_format(output)
    stopped = cancel_search(name, home)
    if output == "json":
        print_json({"study": name, "jobs": stopped})
    else:
        print_text(f"{counted_noun(stopped, 'job')} of the study {name} cancelled in Slurm.")


def delete(
    name: Study,
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    output: Format = "table",
    home: Home = None,
) -> None:
    """Delete a study; its runs stay, in their folders and on the board.

    Example: bench search delete ast-patchmix-cl-alpha-tau-beta --yes
    """
    from bench.api.searches import delete_study, open_study

    check_format(output)
    study = open_study(name, storage, home)
    trials = len(study.trials)
    if not yes:
        count = counted_noun(trials, "trial")
        if not sys.stdin.isatty():
            raise SpecError(f"Deleting '{name}' with its {count} needs --yes.")
        typer.confirm(f"Delete the study '{echoed(name)}' with its {count}?", abort=True, err=True)
    delete_study(study)
    if output == "json":
        print_json({"study": study.name, "storage": str(study.search.place), "trials": trials})
