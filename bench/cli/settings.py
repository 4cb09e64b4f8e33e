"""``bench settings``: what ``--set`` may change."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.completion import completer
from bench.cli.options import Dataset, FrontEnd, Method, Model, Plugins, Task
from bench.cli.output import print_rendered, width_of_tables
from bench.cli.run_options import Pretrain, System


def settings(
    part: Annotated[
        str | None,
        typer.Argument(
            metavar="PART",
            help="optim, schedule, sampling, augment, distribution, tracking, run (the rest); or model, method or "
            "frontend where it is named. All by default.",
            autocompletion=completer("parts"),
        ),
    ] = None,
    model: Model = None,
    method: Method = None,
    system: System = None,
    frontend: FrontEnd = None,
    pretrain: Pretrain = None,
    profile: Annotated[
        str, typer.Option("--profile", help="Whose recipes give the values: paper or demo.", metavar="PROFILE")
    ] = "paper",
    dataset: Dataset = None,
    task: Task = None,
    plugin: Plugins = None,
    output: Annotated[str, typer.Option("--format", help="table, json, csv or markdown.", metavar="FORMAT")] = "table",
) -> None:
    """List what --set may change: every field of a spec with default, range, search space and help, part by part.

    With --model, --method or --frontend their options are listed too, and of every setting the value that a run begins
    with: what the recipes say, and what the data set and the task change in them.

    Examples:
      bench settings
      bench settings augment
      bench settings schedule --model cnn6 --method ce
      bench settings augment --system scl
      bench settings frontend --model cnn6 --method ce --dataset sprsound --task event-2
      bench settings --format csv
    """
    from bench.api.settings import list_settings

    found = list_settings(
        part,
        model=model,
        method=method,
        system=system,
        frontend=frontend,
        pretrain=pretrain,
        profile=profile,
        dataset=dataset,
        task=task,
        plugins=plugin or (),
    )
    print_rendered(found.written(output, width=width_of_tables()), output)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(settings)
