"""``bench run``: train and evaluate, once per seed."""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Plugins, check_format, print_json, stdout
from bench.core.errors import InterruptedRunError, RunError, SpecError

if TYPE_CHECKING:
    from bench.experiment.spec import RunSpec
    from bench.launch.once import Launched

logger = logging.getLogger(__name__)

SIMULATED = "simulated data prove that the pipeline works, never that a method does; the run is marked `simulated`"

Choice = Annotated[str | None, typer.Option()]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("run")(run)


def run(
    model: Annotated[str | None, typer.Option(help="Model id; see `bench models list`.")] = None,
    method: Annotated[str | None, typer.Option(help="Method id; see `bench methods list`.")] = None,
    pretrain: Annotated[
        str | None,
        typer.Option(help="none, imagenet, imagenet+audioset, audioset, file, folder or URL (default: the model's)."),
    ] = None,
    frontend: Annotated[str | None, typer.Option(help="Front-end id: ast or scl (default: the model's own).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed (default 1).")] = None,
    seeds: Annotated[str | None, typer.Option(help="Several seeds, one run each: 1-5 or 1,3,7.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Folder of the ICBHI data, or `demo` (default: BENCH_DATA or ./data/icbhi).")
    ] = None,
    profile: Annotated[str, typer.Option(help="auto, paper or demo.")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: any field of the spec or option; may be repeated.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Weight of the contrastive loss, α.")] = None,
    tau: Annotated[float | None, typer.Option(help="Temperature, τ.")] = None,
    beta: Annotated[float | None, typer.Option(help="Parameter of the Beta distribution of λ, β.")] = None,
    val_fraction: Annotated[float | None, typer.Option(help="Share of training cycles held out for best-val.")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes (GPUs) that share the run (default 1).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    allow_partial: Annotated[
        bool, typer.Option(help="Run although recordings are missing; marked as partial.")
    ] = False,
    spec: Annotated[Path | None, typer.Option(help="Replay the spec.json of a run.")] = None,
    plugin: Plugins = None,
    dry_run: Annotated[bool, typer.Option(help="Print the resolved spec and stop.")] = False,
    rerun: Annotated[bool, typer.Option(help="Run again although the result exists.")] = False,
    output: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    home: Annotated[Path | None, typer.Option(help="Results folder (default: BENCH_HOME or ./results).")] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder (default: BENCH_CACHE or the user's).")] = None,
) -> None:
    """Train a model with a method, evaluate it on the official test part, and store the result.

    An interrupted run goes on where it stopped when the same command is given again; a finished one is not run twice.

    Examples:
      bench run --model ast --method patchmix-cl
      bench run --model ast --method patchmix-cl --seeds 1-5 --data ~/icbhi
      bench run --model cnn6 --method ce --epochs 20 --set lr=3e-4 --format json
    """
    from bench.core.paths import cache_folder, home_folder
    from bench.experiment.recipes import Request
    from bench.launch.once import launch

    check_format(output)
    if spec is not None:
        changes = (model, method, settings, seed, seeds, pretrain, frontend, epochs, alpha, tau, beta, val_fraction)
        if any(change is not None for change in changes) or allow_partial or (profile, precision) != ("auto", "auto"):
            raise SpecError(
                "--spec replays a run as it was: give it without --model, --method, --set or --seed.",
                "What may be given beside it says where and how it runs: --data, --device, --processes, --plugin.",
            )
        specs = [_replayed(spec, data, cache_folder(cache), processes, device, plugin, output)]
    else:
        if model is None or method is None:
            raise SpecError("Name a model and a method.", "For example: bench run --model ast --method patchmix-cl")
        request = Request(
            model=model,
            method=method,
            pretrain=pretrain,
            frontend=frontend,
            profile=profile,
            data=data,
            cache=cache_folder(cache),
            settings=settings or (),
            fields={
                "epochs": epochs,
                "val_fraction": val_fraction,
                "method.alpha": alpha,
                "method.tau": tau,
                "method.beta": beta,
            },
            allow_partial=allow_partial,
            processes=1 if processes is None else processes,
            device=device,
            precision=precision,
            plugins=plugin or (),
        )
        specs = _resolved(request, seed, seeds)
    if dry_run:
        _check_starts(specs)
        _print_specs(specs, output)
        return
    if not _run_all(specs, home_folder(home), rerun, output, launch):
        raise typer.Exit(RunError.exit_code)


def _resolved(request: Any, seed: int | None, seeds: str | None) -> list[RunSpec]:
    from bench.experiment.recipes import choose_source, parse_seeds, resolve

    chosen = parse_seeds(seed, seeds)
    source = choose_source(request)
    logger.info(f"profile {source.profile}: {source.reason}")
    if source.profile == "demo":
        logger.info(SIMULATED)
    specs = resolve(request, source, chosen)
    for item in specs:
        logger.info(_headline(item))
    return specs


def _headline(spec: RunSpec) -> str:
    mark = "simulated" if spec.dataset == "demo" else spec.partial or "ICBHI 2017"
    return (
        f"run {spec.run_id}: {spec.model} ({spec.pretrain}) · {spec.method} · {mark} · seed {spec.seed} · "
        f"{spec.epochs} epochs · batch {spec.batch} · lr {spec.lr:g} · {spec.device} · {spec.precision} · "
        f"{spec.processes} process(es)"
    )


def _replayed(
    path: Path,
    data: str | None,
    cache: Path,
    processes: int | None,
    device: str,
    plugins: Sequence[Path] | None,
    output: str,
) -> RunSpec:
    from bench.cli.consent import agreed_plugins
    from bench.core.paths import data_folder
    from bench.data.datasets.icbhi.dataset import holds_dataset
    from bench.experiment.devices import choose_device
    from bench.experiment.plugins import load_plugins_of
    from bench.experiment.recipes import check_spec
    from bench.experiment.spec import read_spec

    spec = read_spec(path)
    folder = (
        spec.data if data is None and holds_dataset(Path(spec.data)) else str(data_folder(Path(data) if data else None))
    )
    replayed = dataclasses.replace(
        spec,
        data=folder,
        cache=str(cache.resolve()),
        device=choose_device(device),
        processes=spec.processes if processes is None else processes,
        plugins=agreed_plugins(spec, plugins, output),
    )
    load_plugins_of(replayed)
    check_spec(replayed)
    return replayed


def _check_starts(specs: Sequence[RunSpec]) -> None:
    """Check all that a start would; runs that differ in the seed alone are checked once."""
    from bench.engine.preflight import check_start

    for spec in {dataclasses.replace(spec, seed=1).run_id: spec for spec in specs}.values():
        check_start(spec)


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


def _run_all(specs: Sequence[RunSpec], home: Path, rerun: bool, output: str, launch: Any) -> bool:
    done: list[Launched] = []
    for spec in specs:
        try:
            launched = launch(spec, home, rerun=rerun)
        except (InterruptedRunError, KeyboardInterrupt) as error:
            message = error.message if isinstance(error, InterruptedRunError) else "Stopped at once."
            raise InterruptedRunError(message, f"Go on with: {same_command()}") from error
        if launched.error is not None:
            logger.warning(f"run {spec.run_id} failed: {launched.error.message} {launched.error.hint or ''}")
        done.append(launched)
    _print_results(done, output)
    return all(item.error is None for item in done)


def same_command() -> str:
    """The command that was given, as one line that goes on with it: without --rerun, with the folders it found."""
    import sys

    words = [word for word in sys.argv[1:] if word != "--rerun"]
    kept = [
        f"{name}={shlex.quote(os.environ[name])}"
        for name in ("BENCH_HOME", "BENCH_DATA", "BENCH_CACHE")
        if name in os.environ
    ]
    return " ".join([*kept, "bench", *map(shlex.quote, words)])


def contract_document(launched: Launched) -> dict[str, Any]:
    """The JSON of one run, as scripts rely on it (DESIGN)."""
    document = launched.document
    files = document["predictions"]
    return {
        "run_id": document["run_id"],
        "status": document["status"],
        "error": document["error"],
        "spec": document["spec"],
        "profile": document["profile"],
        "partial": document["partial"],
        "metrics": document["metrics"],
        "epochs": document["epochs"],
        "predictions": str(launched.folder / files["last"]) if files.get("last") else None,
        "predictions_by_rule": {rule: str(launched.folder / name) for rule, name in files.items() if name},
        "seconds": document["seconds"],
        "cycles_per_second": document["cycles_per_second"],
        "folder": str(launched.folder),
    }


def _print_results(done: Sequence[Launched], output: str) -> None:
    if output == "json":
        documents = [contract_document(item) for item in done]
        print_json(documents if len(documents) > 1 else documents[0])
        return
    from rich import box
    from rich.table import Table

    table = Table(
        title=_title(done[0].document), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for heading in ("seed", "run", "rule", "epoch", "Sp", "Se", "Score", "Score 2"):
        table.add_column(heading, justify="left" if heading in ("run", "rule") else "right", no_wrap=True)
    for item in done:
        _add_rows(table, item.document)
    _add_summary(table, [item.document for item in done])
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
