"""``bench search list | show | best | delete``: what is known of studies."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import check_format, print_json, print_text
from bench.cli.search_output import count_words, judged_on, print_grid, print_study, score_words
from bench.core.errors import SpecError, StoreError
from bench.core.text import echoed

if TYPE_CHECKING:
    from bench.search.study import Search

logger = logging.getLogger(__name__)

Name = Annotated[str, typer.Argument(help="The study's name; see `bench search list`.")]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar="BENCH_STUDIES",
        show_envvar=True,
        help="postgresql://… or a journal file on a shared disk (default: HOME/studies/NAME.journal).",
    ),
]
Home = Annotated[Path | None, typer.Option(help="Results folder (default: BENCH_HOME or ./results).")]
Format = Annotated[str, typer.Option("--format", help="table or json.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("list")(list_studies)
    app.command("show")(show)
    app.command("best")(best)
    app.command("delete")(delete)


def opened(name: str, storage: str | None, home: Path | None) -> Search:
    """Open a study; raises SpecError where there is none of that name."""
    from bench.core.paths import home_folder
    from bench.search.storage import Place, check_name
    from bench.search.study import open_study

    return open_study(Place.of(storage, home_folder(home), check_name(name)), name)


def list_studies(storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """List the studies of the results folder, or of a storage.

    What cannot be read is named and does not stop it; the exit code is then 4.

    Example: bench search list
    """
    from bench.core.paths import home_folder
    from bench.search.storage import places_in
    from bench.search.study import studies_in, summary

    check_format(output)
    studies, damaged = studies_in(places_in(storage, home_folder(home)))
    rows = [summary(study) for study in studies]
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
    print_grid("studies", heads, cells, numbers=("best",))


def show(name: Name, storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """Show a study: what was asked for, what it cost, its best and all its trials.

    Example: bench search show ast-patchmix-cl-alpha-tau-beta --format json
    """
    check_format(output)
    print_study(opened(name, storage, home), output)


def best(name: Name, storage: Storage = None, output: Format = "table", home: Home = None) -> None:
    """Show the best trial of a study and its parameters; `bench search resume` trains them on the whole training part.

    Example: bench search best ast-patchmix-cl-alpha-tau-beta
    """
    from bench.search.study import describe_trial

    check_format(output)
    study = opened(name, storage, home)
    found = study.best
    if found is None:
        raise SpecError(
            f"The study '{name}' has no complete trial yet.", f"`bench search show {name}` shows its trials."
        )
    if output == "json":
        print_json({"study": study.name, "objective": study.request.objective, **describe_trial(found)})
        return
    print_text(f"trial {found.number}: Score {found.value:.2f}, {judged_on(study)}")
    for key, value in found.params.items():
        print_text(f"{key}: {value}")


def delete(
    name: Name,
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: Home = None,
) -> None:
    """Delete a study; its runs stay, in their folders and on the board.

    Example: bench search delete ast-patchmix-cl-alpha-tau-beta --yes
    """
    from bench.search.study import delete_study

    study = opened(name, storage, home)
    if not yes:
        if not sys.stdin.isatty():
            raise SpecError(f"Deleting '{name}' with its {len(study.trials)} trials needs --yes.")
        typer.confirm(f"Delete the study '{echoed(name)}' with its {len(study.trials)} trials?", abort=True, err=True)
    delete_study(study)
    logger.info(f"deleted the study {name}; its runs stay")
