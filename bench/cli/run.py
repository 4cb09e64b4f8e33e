"""``bench run``: train and evaluate, once per seed."""

from __future__ import annotations

import os
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.consent import asked_on_terminal
from bench.cli.options import (
    AllowPartial,
    Cache,
    Data,
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
)
from bench.cli.output import check_format, print_json, stdout
from bench.cli.run_options import (
    Alpha,
    Beta,
    Epochs,
    InitFrom,
    Pretrain,
    Processes,
    Rerun,
    Seed,
    Seeds,
    Tau,
    ValFraction,
    request_of,
)
from bench.core.errors import RunError, SpecError

if TYPE_CHECKING:
    from bench.api.requests import RunSpec

EXAMPLE = "bench run --model ast --method patchmix-cl"

WHAT_A_RUN_IS = (
    *("model", "method", "seed", "seeds", "pretrain", "init_from", "frontend"),
    *("epochs", "alpha", "tau", "beta", "val_fraction"),
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
    profile: Profile = "auto",
    settings: Settings = None,
    epochs: Epochs = None,
    alpha: Alpha = None,
    tau: Tau = None,
    beta: Beta = None,
    val_fraction: ValFraction = None,
    processes: Processes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    allow_partial: AllowPartial = False,
    spec: Annotated[Path | None, typer.Option(help="Replay the spec.json of a run.")] = None,
    plugin: Plugins = None,
    dry_run: DryRun = False,
    rerun: Rerun = False,
    output: Format = "table",
    home: Home = None,
    cache: Cache = None,
) -> None:
    """Train a model with a method, evaluate it on the official test part, and store the result.

    An interrupted run goes on where it stopped when the same command is given again; a finished one is not run twice.

    Examples:
      bench run --model ast --method patchmix-cl
      bench run --model ast --method patchmix-cl --seeds 1-5 --data ~/icbhi
      bench run --model cnn6 --method ce --epochs 20 --set lr=3e-4 --format json
    """
    from bench.api.calls import going_on_with
    from bench.api.requests import resolve_request
    from bench.api.runs import check_starts, run_specs

    check_format(output)
    if spec is not None:
        specs = [_replayed(context, spec)]
    else:
        specs = resolve_request(request_of(context.params, EXAMPLE), seed, seeds)
    if dry_run:
        check_starts(specs)
        _print_specs(specs, output)
        return
    with going_on_with(same_command()):
        done = [item.to_json() for item in run_specs(specs, home, rerun=rerun)]
    _print_results(done, output)
    if any(document["status"] != "finished" for document in done):
        raise typer.Exit(RunError.exit_code)


def _replayed(context: typer.Context, spec: Path) -> RunSpec:
    from bench.api.runs import replayed_spec

    given = context.params
    chosen = any(given[name] != "auto" for name in ("profile", "precision"))
    if chosen or given["settings"] or given["allow_partial"] or any(given[name] is not None for name in WHAT_A_RUN_IS):
        raise SpecError(
            "--spec replays a run as it was: give it without --model, --method, --set or --seed.",
            "What may be given beside it says where and how it runs: --data, --device, --processes, --plugin.",
        )
    where = {name: given[name] for name in ("data", "home", "cache", "processes", "device")}
    return replayed_spec(spec, asked_on_terminal(given["output"]), plugins=given["plugin"], **where)


def _print_specs(specs: Sequence[RunSpec], output: str) -> None:
    documents = [{"run_id": spec.run_id, **spec.to_json()} for spec in specs]
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
        return
    console = stdout()
    for document in documents:
        console.print(f"run_id: {document['run_id']}")
        for name, value in {**document["identity"], **document["execution"]}.items():
            console.print(f"  {name}: {value}")


def same_command() -> str:
    """The command that was given, as one line that goes on with it: without --rerun, with the folders it found."""
    words = [word for word in sys.argv[1:] if word != "--rerun"]
    kept = [
        f"{name}={shlex.quote(os.environ[name])}"
        for name in ("BENCH_HOME", "BENCH_DATA", "BENCH_CACHE")
        if name in os.environ
    ]
    return " ".join([*kept, "bench", *map(shlex.quote, words)])


def _print_results(documents: Sequence[Mapping[str, Any]], output: str) -> None:
    if output == "json":
        print_json(documents if len(documents) > 1 else documents[0])
        return
    from rich import box
    from rich.table import Table

    table = Table(
        title=_title(documents[0]), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for heading in ("seed", "run", "rule", "epoch", "Sp", "Se", "Score", "Score 2"):
        table.add_column(heading, justify="left" if heading in ("run", "rule") else "right", no_wrap=True)
    for document in documents:
        _add_rows(table, document)
    _add_summary(table, documents)
    console = stdout()
    console.print(table)
    console.print("Percent; Score 2: any abnormal class is a hit. Board: bench report leaderboard")


def _title(document: Mapping[str, Any]) -> str:
    spec = document["spec"]
    mark = "simulated data" if spec["dataset"] == "demo" else document["partial"] or "ICBHI 2017, official split"
    return f"{spec['model']} · {spec['method']} · {mark}"


def _add_rows(table: Any, document: Mapping[str, Any]) -> None:
    seed, run_id = str(document["spec"]["seed"]), document["run_id"]
    if document["status"] != "finished":
        table.add_row(seed, run_id, "failed")
        return
    for rule, metrics in document["metrics"].items():
        if metrics is None:
            continue
        strict, binary = metrics["4class"], metrics["2class"]
        numbers = (strict["sp"], strict["se"], strict["score"], binary["score"])
        table.add_row(seed, run_id, rule, str(strict["epoch"]), *(f"{number:.2f}" for number in numbers))


def _add_summary(table: Any, documents: Sequence[Mapping[str, Any]]) -> None:
    finished = [document for document in documents if document["status"] == "finished"]
    if len(finished) < 2:
        return
    table.add_section()
    for rule in finished[0]["metrics"]:
        metrics = [document["metrics"][rule] for document in finished if document["metrics"][rule] is not None]
        if len(metrics) < 2:
            continue
        columns = (("4class", "sp"), ("4class", "se"), ("4class", "score"), ("2class", "score"))
        values = [[item[judged][name] for item in metrics] for judged, name in columns]
        cells = [f"{statistics.mean(column):.2f} ± {statistics.stdev(column):.2f}" for column in values]
        table.add_row(f"{len(metrics)} seeds", "", rule, "", *cells)
