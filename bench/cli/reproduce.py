"""``bench reproduce``: the runs of a table of the paper, and the table; or the searches of its Figure 2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.api.words import known_word
from bench.cli.grid import print_grid
from bench.cli.launch_options import (
    Account,
    Devices,
    Gpus,
    Jobs,
    Launcher,
    Nodes,
    Partition,
    Qos,
    Retries,
    Scheduler,
    Slurm,
    Time,
    Timeout,
    launch_options_of,
)
from bench.cli.matrix_output import estimate_cells, print_total
from bench.cli.options import AllowPartial, Cache, Data, Device, DryRun, Format, Home, Precision, Profile, Settings
from bench.cli.output import check_format, print_json, print_rendered
from bench.cli.run import same_command
from bench.cli.run_options import Epochs, Processes, Rerun, request_fields
from bench.cli.search_output import finish, print_planned
from bench.core import paper
from bench.core.errors import RunError
from bench.core.terminal import wants_colour

if TYPE_CHECKING:
    from bench.api.launching import LaunchOptions
    from bench.api.reproductions import PlannedTable, ReproducedTable

What = Annotated[str, typer.Argument(metavar="|".join((*paper.TABLES, paper.FIGURE)), help="Which table.")]
RowSeeds = Annotated[
    str | None,
    typer.Option("--seeds", help="Seeds of each row: 1-5 or 1,3,7 (default 1-5; 1 in the demo profile)."),
]
Only = Annotated[
    str | None, typer.Option(help="Rows, or systems, whose id matches; see --dry-run for ids.", metavar="GLOB")
]
FigureWorkers = Annotated[
    int, typer.Option("--workers", help="figure2: workers side by side, each with its own device.")
]
FigureObjective = Annotated[
    str,
    typer.Option("--objective", help="figure2: held-out training patients, or `test`, as the paper's own figure."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reproduce)


def reproduce(
    context: typer.Context,
    what: What,
    seeds: RowSeeds = None,
    only: Only = None,
    launcher: Launcher = "local",
    jobs: Jobs = None,
    devices: Devices = None,
    retries: Retries = 2,
    timeout: Timeout = None,
    scheduler: Scheduler = None,
    partition: Partition = None,
    account: Account = None,
    qos: Qos = None,
    gpus: Gpus = None,
    time: Time = None,
    nodes: Nodes = None,
    slurm: Slurm = None,
    dry_run: DryRun = False,
    profile: Profile = "auto",
    data: Data = None,
    settings: Settings = None,
    epochs: Epochs = None,
    workers: FigureWorkers = 1,
    objective: FigureObjective = "held-out",
    allow_partial: AllowPartial = False,
    processes: Processes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    rerun: Rerun = False,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Run the rows of a table of the paper, and print it with what was run beside what was printed.

    Finished runs are not run twice: an interrupted command goes on when it is given again. Rows that this version
    cannot run are listed with the reason.

    Examples:
      bench reproduce table2
      bench reproduce table1 --only 'ast*' --seeds 1-3 --data ~/icbhi
      bench reproduce table2 --profile demo --dry-run
      bench reproduce table3 --jobs 2 --timeout 12h
      bench reproduce table3 --launcher slurm --partition gpu --device cuda --precision bf16
      bench reproduce figure2 --workers 4
    """
    known_word("table", what, (*paper.TABLES, paper.FIGURE))
    check_format(output)
    (_search_figure if what == paper.FIGURE else _make_table)(context.params, launch_options_of(context.params))


def _search_figure(given: Mapping[str, Any], options: LaunchOptions) -> None:
    """Plan the searches of the figure, and print them or work on them."""
    from bench.api import reproductions

    _check_use(given, options)
    asked = {name: given[name] for name in ("only", "seeds", "objective", "workers", "home")}
    request = reproductions.rows_request(**request_fields(given))
    planned = reproductions.plan_figure2(request, launch=options, **asked)
    if given["dry_run"]:
        print_planned(planned, given["output"])
    else:
        finish(reproductions.start_figure2(planned), given["output"])


def _make_table(given: Mapping[str, Any], options: LaunchOptions) -> None:
    """Plan the runs of a table, and print them or carry them out."""
    from bench.api import reproductions

    _check_use(given, options)
    asked = {name: given[name] for name in ("only", "seeds", "home")}
    request = reproductions.rows_request(**request_fields(given))
    table = reproductions.plan_table(given["what"], request, options=options, **asked)
    if given["dry_run"]:
        _print_runs(table.to_json(), given["output"])
    else:
        _run_rows(table, given["rerun"], given["output"])


def _check_use(given: Mapping[str, Any], options: LaunchOptions) -> None:
    from bench.api.reproductions import check_use

    check_use(given["what"], options, **{name: given[name] for name in ("rerun", "workers", "objective")})


def _run_rows(planned: PlannedTable, rerun: bool, output: str) -> None:
    """Run the rows of a table and print it; the exit code says whether every one was run."""
    from bench.api.calls import going_on_with
    from bench.api.reproductions import reproduce_table, say_how_it_ended

    with going_on_with(same_command()):
        done = reproduce_table(planned, rerun=rerun)
    _print_table(done, output)
    if output != "json":
        say_how_it_ended(done)
    if not done.well:
        raise typer.Exit(RunError.exit_code)


def _print_runs(document: Mapping[str, Any], output: str) -> None:
    if output == "json":
        print_json(document)
        return
    heads = ("rows", "system", "run", "model", "pretrain", "method", "options", "seed", "status")
    names = ("run_id", "model", "pretrain", "method")
    more, cells = estimate_cells(document["runs"])
    rows = [
        [
            "\n".join(run["rows"]),
            "\n".join(run["systems"]),
            *(str(run[name]) for name in names),
            "\n".join(f"{name} {value}" for name, value in run["options"].items()),
            str(run["seed"]),
            run["status"],
            *cells[place],
        ]
        for place, run in enumerate(document["runs"])
    ]
    title = f"{document['table']}, profile {document['profile']}"
    print_grid(title, (*heads, *more), rows, numbers=("seed",), wrap=("options",))
    print_total(document)


def _print_table(done: ReproducedTable, output: str) -> None:
    from leaderboard.render.formats import render

    if output == "json":
        print_json(done.to_json())
    else:
        print_rendered(render(done.table, colour=wants_colour(sys.stdout)))
