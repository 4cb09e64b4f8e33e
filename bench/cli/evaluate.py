"""``bench evaluate``: a trained run, judged on another task or data set than its own."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from bench.cli import options
from bench.cli.completion import completer
from bench.cli.consent import asked_on_terminal
from bench.cli.output import check_format, print_json, print_text
from bench.cli.run_options import Rerun

logger = logging.getLogger(__name__)

JudgedDataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Id of the data set to judge on (default: that of the run).",
        metavar="ID",
        autocompletion=completer("datasets"),
    ),
]
JudgedTask = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="Id of the task to judge on (default: the data set's first).",
        metavar="ID",
        autocompletion=completer("tasks", "dataset"),
    ),
]
JudgedData = Annotated[
    str | None,
    typer.Option("--data", help="Folder of that data set (default: its usual one).", metavar="DIR"),
]


def evaluate(
    run: options.TrainedRun,
    dataset: JudgedDataset = None,
    task: JudgedTask = None,
    data: JudgedData = None,
    protocol: options.Protocol = "last",
    device: options.Device = "auto",
    allow_partial: options.AllowPartial = False,
    plugin: options.Plugins = None,
    rerun: Rerun = False,
    output: options.Format = "table",
    home: options.Home = None,
    cache: options.Cache = None,
) -> None:
    """Judge the weights of a finished run on another task: train here, judge there.

    Both tasks say which of their classes are normal and which abnormal; over these two the run is judged, its
    probability of abnormal being the sum over its abnormal classes. What is neither is left out on both sides. Nothing
    is trained. The result is kept by itself and never ranked; `bench report transfer` shows all of them.

    Examples:
      bench evaluate 3f2a --dataset sprsound --task event-2
      bench evaluate hf:lab/small-ast --dataset sprsound --task event-2
      bench evaluate 91c4 --dataset icbhi --data ~/icbhi --protocol best-val --format json
    """
    from bench.api.transfers import transfer

    check_format(output)
    found = transfer(
        run,
        dataset=dataset,
        task=task,
        data=data,
        rule=protocol,
        device=device,
        allow_partial=allow_partial,
        rerun=rerun,
        home=home,
        cache=cache,
        plugins=plugin or (),
        allow=asked_on_terminal(output),
    )
    if output == "json":
        print_json(found.to_json())
        return
    logger.info(f"transfer {found.id} {'is kept in' if found.new else 'was made before:'} {found.folder}")
    print_text(found.table.to_text())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)
