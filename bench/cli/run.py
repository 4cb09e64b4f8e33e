"""``bench run``: train and evaluate, once per seed."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.consent import asked_on_terminal
from bench.cli.options import (
    AllowPartial,
    Cache,
    Data,
    Dataset,
    Device,
    DryRun,
    Format,
    FrontEnd,
    Home,
    Method,
    Model,
    Plugins,
    Precision,
    Profile,
    Settings,
    Task,
)
from bench.cli.output import check_format, print_json, stdout
from bench.cli.run_options import (
    Alpha,
    Beta,
    Deterministic,
    Epochs,
    InitFrom,
    Nodes,
    Pretrain,
    Rerun,
    RunProcesses,
    Seed,
    Seeds,
    Spec,
    System,
    Tau,
    Tracker,
    ValFraction,
    request_of,
    trackers_of,
)
from bench.cli.run_results import print_results
from bench.cli.what_next import is_first_run, say_what_next
from bench.core.errors import RunError, SpecError
from bench.core.process_group import processes_of_run

if TYPE_CHECKING:
    from bench.api.requests import RunSpec

EXAMPLE = "bench run --model ast --method patchmix-cl"

WHAT_A_RUN_IS = (
    *("model", "method", "seed", "seeds", "pretrain", "init_from", "frontend", "dataset", "task"),
    *("epochs", "alpha", "tau", "beta", "val_fraction", "deterministic"),
)
"""Options without a default that a replayed spec holds already."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run")(run)


def run(
    context: typer.Context,
    model: Model = None,
    method: Method = None,
    pretrain: Pretrain = None,
    init_from: InitFrom = None,
    frontend: FrontEnd = None,
    seed: Seed = None,
    seeds: Seeds = None,
    data: Data = None,
    dataset: Dataset = None,
    task: Task = None,
    profile: Profile = "auto",
    settings: Settings = None,
    epochs: Epochs = None,
    alpha: Alpha = None,
    tau: Tau = None,
    beta: Beta = None,
    val_fraction: ValFraction = None,
    processes: RunProcesses = None,
    nodes: Nodes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    deterministic: Deterministic = None,
    tracker: Tracker = None,
    allow_partial: AllowPartial = False,
    spec: Spec = None,
    system: System = None,
    plugin: Plugins = None,
    dry_run: DryRun = False,
    rerun: Rerun = False,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Train a model with a method, or a published system, evaluate it on the official test part, and store the result.

    An interrupted run goes on where it stopped when the same command is given again; a finished one is not run twice.

    Examples:
      bench run --model ast --method patchmix-cl --seeds 1-5 --data ~/icbhi
      bench run --system patchmix-cl --seeds 1-5 --data ~/icbhi
      bench run --model cnn6 --method ce --dataset sprsound --task event-7
      bench run --model cnn6 --method ce --epochs 20 --set optimiser=sgd --set lr=1e-2 --format json
      bench run --model ast --method patchmix-cl --set micro_batch=2 --set checkpointing=true
      bench run --spec fusion.toml --seeds 1-5
    """
    from bench.cli.run_composites import asks_for_composite, run_asked

    check_format(output)
    context.params["processes"] = processes_of_run(processes, nodes)
    first = is_first_run(home)
    if asks_for_composite(context.params):
        _end(run_asked(context.params, same_command()), context.params, first)
    elif dry_run:
        _print_specs(_startable(_asked_specs(context)), output, home)
    else:
        _run(_asked_specs(context), context.params, first)


def _startable(specs: Sequence[RunSpec]) -> Sequence[RunSpec]:
    """Specs that could start here and now; raises BenchError for the first that could not."""
    from bench.api.runs import check_starts

    check_starts(specs)
    return specs


def _run(specs: Sequence[RunSpec], given: Mapping[str, Any], first: bool) -> None:
    """Run specs and print their results."""
    from bench.api.calls import going_on_with
    from bench.api.runs import run_specs

    with going_on_with(same_command()):
        done = [item.to_json() for item in run_specs(specs, given["home"], rerun=given["rerun"])]
    _end(done, given, first)


def _end(done: Sequence[Mapping[str, Any]], given: Mapping[str, Any], first: bool) -> None:
    """Print results, if there are any, and exit with the code of a failure where one failed."""
    if done:
        print_results(done, given["output"])
        if given["output"] != "json":
            say_what_next(done, given["home"], first=first)
    if any(document["status"] != "finished" for document in done):
        raise typer.Exit(RunError.exit_code)


def _asked_specs(context: typer.Context) -> list[RunSpec]:
    """The specs of what is to be run: a replayed one, or one for each seed."""
    from bench.api.requests import resolve_request

    given = context.params
    if given["spec"] is not None:
        return [_replayed(context, given["spec"])]
    return resolve_request(request_of(given, EXAMPLE), given["seed"], given["seeds"])


def _replayed(context: typer.Context, spec: Path) -> RunSpec:
    from bench.api.runs import replayed_spec

    given = context.params
    chosen = any(given[name] != "auto" for name in ("profile", "precision"))
    if chosen or given["settings"] or given["allow_partial"] or any(given[name] is not None for name in WHAT_A_RUN_IS):
        raise SpecError(
            "--spec replays a run as it was: give it without --model, --method, --set or --seed.",
            "What may be given beside it says where and how: --data, --device, --processes, --plugin, --tracker.",
        )
    where = {name: given[name] for name in ("data", "home", "cache", "processes", "device")}
    trackers = trackers_of(given)
    return replayed_spec(spec, asked_on_terminal(given["output"]), plugins=given["plugin"], tracker=trackers, **where)


def _print_specs(specs: Sequence[RunSpec], output: str, home: Path | None) -> None:
    from bench.api.runs import estimated_memory

    documents = [{"run_id": spec.run_id, **spec.to_json(), "memory": estimated_memory(spec, home)} for spec in specs]
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
        return
    console = stdout()
    for document in documents:
        console.print(f"run_id: {document['run_id']}")
        for name, value in {**document["identity"], **document["execution"]}.items():
            console.print(f"  {name}: {value}")
        if (memory := document["memory"])["mib"] is not None:
            console.print(f"memory: about {memory['mib']:,.0f} MiB in each process ({memory['source']})")


def _folder_variables() -> list[str]:
    """The environment variables that name folders: of results, of the cache, and of each data set."""
    from bench.core.datasets import DATASETS

    data = [entry.card.environment for entry in DATASETS if entry.card.environment is not None]
    return ["BENCH_HOME", *data, "BENCH_CACHE"]


def same_command() -> str:
    """The command that was given, as one line that goes on with it: without --rerun, with the folders it found."""
    words = [word for word in sys.argv[1:] if word != "--rerun"]
    kept = [f"{name}={shlex.quote(os.environ[name])}" for name in _folder_variables() if name in os.environ]
    return " ".join([*kept, "bench", *map(shlex.quote, words)])
