"""``bench audit``: what is wrong with somebody's predictions or table of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.cli.output import check_format, print_json, print_text
from bench.core.errors import RunError

if TYPE_CHECKING:
    from bench.api.audits import Audit


HOLDS = {
    "predictions": "predictions",
    "table": "a table of results",
    "runs": "results of runs",
    "transfer": "a run judged on another task",
}
"""What a file holds, in words."""


Judged = Annotated[
    str | None,
    typer.Option(
        help="What the claim counts as a hit: the exact class (4class of four, as 7class of seven; the default) or "
        "2class.",
        metavar="WORD",
    ),
]


def audit(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Predictions (CSV, Parquet), a table of results (CSV, Markdown, JSON) or a run's result.",
        ),
    ],
    claimed: Annotated[
        str | None,
        typer.Option(
            help="What is claimed of predictions or runs, in percent as printed: sp=…,se=…,score=….", metavar="RATES"
        ),
    ] = None,
    judged: Judged = None,
    data: options.TestData = None,
    dataset: options.Dataset = None,
    task: options.Task = None,
    part: options.Part = None,
    plugin: options.Plugins = None,
    home: options.Home = None,
    cache: options.Cache = None,
    output: options.Format = "table",
) -> None:
    """Say what is wrong with predictions, a table of results, or the result of a run: one sentence for each fault.

    Predictions are compared with the official test cycles, and a claim about them with what they give; a table of
    results with itself and with the counts of the official split. Nothing is stored. Exit code 1 where something is
    wrong, 0 where nothing was found.

    Examples:
      bench audit predictions.csv --claimed sp=81.66,se=43.07,score=62.37 --data ~/icbhi
      bench audit predictions.csv --claimed score=71.32 --dataset sprsound --task event-2 --part inter
      bench audit results.csv             # columns such as system, seed, sp, se, score, epoch, selection, split
      bench audit results/runs/3f2a…/result.json --format json
    """
    from bench.api.audits import audit as audit_file
    from bench.api.boards import open_board

    check_format(output)
    where: dict[str, Any] = {"data": data, "dataset": dataset, "task": task, "cache": cache}
    found = audit_file(
        open_board(home=home), file, claimed=claimed, judged=judged, part=part, plugins=plugin or (), **where
    )
    if output == "json":
        print_json(found.to_json())
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(RunError.exit_code)


def _print(found: Audit) -> None:
    holds = HOLDS[found.holds]
    count = len(found.findings)
    wrong = "nothing wrong was found" if not count else f"{count:,} thing{'s are' if count > 1 else ' is'} wrong"
    lines = [f"{found.file}, {holds}: {wrong}"]
    lines += [f"  {number}. {finding.sentence}" for number, finding in enumerate(found.findings, start=1)]
    for title, sentences in (("What its numbers are", found.facts), ("Not checked", found.unchecked)):
        if sentences:
            lines += ["", f"{title}:", *(f"  - {sentence}" for sentence in sentences)]
    print_text("\n".join(lines))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)
