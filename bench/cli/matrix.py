"""``bench matrix``: runs of a TOML file, carried out on an engine, looked at and cancelled from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.completion import completer
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
from bench.cli.matrix_output import print_ended, print_list, print_planned_matrix, print_status
from bench.cli.options import Cache, Data, Device, DryRun, Format, Home, Plugins, Precision
from bench.cli.output import check_format, print_json, print_text
from bench.cli.run import same_command
from bench.cli.run_options import Processes, Rerun
from bench.core.errors import RunError

if TYPE_CHECKING:
    from bench.api.launching import LaunchOptions
    from bench.api.matrices import PlannedMatrix

File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="What is run; docs/matrices.md describes it.")]
_matrices = completer("matrices")
Name = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The matrix (default: the one begun last).", autocompletion=_matrices),
]
NamedMatrix = Annotated[str, typer.Argument(metavar="NAME", help="The matrix.", autocompletion=_matrices)]

NONE_YET = "There is no matrix in this results folder; `bench matrix run FILE` begins one."


def register(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(
        help="""Matrices of systems, settings, seeds and data sets, from a TOML file: run, look at, cancel.

        Examples:
          bench matrix run table.toml --dry-run
          bench matrix run table.toml --jobs 2
          bench matrix status table
        """,
        no_args_is_help=True,
    )
    group.command("run")(run_matrix)
    group.command("status")(status)
    group.command("cancel")(cancel)
    group.command("list")(list_matrices)
    app.add_typer(group, name="matrix")


def run_matrix(
    context: typer.Context,
    file: File,
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
    data: Data = None,
    processes: Processes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    plugin: Plugins = None,
    rerun: Rerun = False,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Do the runs of a file that are missing; what failed is listed at the end, with cause and log.

    Finished runs are not run twice: an interrupted command goes on when it is given again.

    Examples:
      bench matrix run cnns.toml --jobs 2 --dry-run
      bench matrix run cnns.toml --devices 0,1,2,3 --timeout 6h
      bench matrix run cnns.toml --launcher slurm --partition gpu --time 4:00:00 --device cuda --precision bf16
    """
    from bench.api.matrices import plan_file

    check_format(output)
    options = launch_options_of(context.params)
    planned = plan_file(
        file,
        options,
        data=data,
        processes=1 if processes is None else processes,
        device=device,
        precision=precision,
        plugins=plugin or (),
        home=home,
        cache=cache,
    )
    if dry_run:
        _print(planned.to_json(options), output, print_planned_matrix)
    else:
        _run(planned, options, rerun, output)


def _run(planned: PlannedMatrix, options: LaunchOptions, rerun: bool, output: str) -> None:
    """Carry a matrix out and print how it ended; the exit code says whether every run is done."""
    from bench.api.calls import going_on_with
    from bench.api.matrices import run_planned, say_how_matrix_ended

    with going_on_with(same_command()):
        done = run_planned(planned, options, rerun=rerun)
    _print(done.to_json(), output, print_ended)
    say_how_matrix_ended(done, "all of them: bench report leaderboard")
    if not done.well:
        raise typer.Exit(RunError.exit_code)


def _print(document: Any, output: str, table: Any) -> None:
    if output == "json":
        print_json(document)
    else:
        table(document)


def status(name: Name = None, output: Format = "table", home: Home = None) -> None:
    """Show how far each run is, from its result and its progress; also while another process is at it.

    Results that jobs of a cluster have left are brought to the board.

    Examples:
      bench matrix status
      bench matrix status table3 --format json
    """
    from bench.api import begun_matrices

    check_format(output)
    found = begun_matrices.matrix_status(name, home)
    if output == "json":
        print_json(None if found is None else found.to_json())
    elif found is None:
        print_text(NONE_YET)
    else:
        print_status(found)


def cancel(name: NamedMatrix, output: Format = "table", home: Home = None) -> None:
    """Stop a matrix from elsewhere: its runs save their state and end, and jobs in a queue are taken out of it.

    The command that began it goes on with what is missing when it is given again.

    Example: bench matrix cancel cnns
    """
    from bench.api.begun_matrices import cancel_matrix, cancelled_words

    check_format(output)
    done = cancel_matrix(name, home)
    _print({**vars(done)}, output, lambda _: print_text(cancelled_words(done)))


def list_matrices(output: Format = "table", home: Home = None) -> None:
    """List the matrices of the results folder, and of the paper's tables, the one begun last first.

    Example: bench matrix list
    """
    from bench.api import begun_matrices

    check_format(output)
    rows = begun_matrices.list_matrices(home)
    if not rows and output != "json":
        print_text(NONE_YET)
        return
    _print(rows, output, print_list)
