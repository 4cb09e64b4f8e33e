"""``bench data``: get a data set, check it, prepare features, make the simulated set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import data_sets, options
from bench.cli.completion import completer
from bench.cli.data_report import print_counts, print_lines, print_report
from bench.cli.options import Cache, Data, Dataset, Format, Task
from bench.cli.output import check_format, print_json, print_written
from bench.core.errors import SpecError
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.datasets import VerificationReport
    from bench.api.features import FeatureSizes

PreparedSystem = Annotated[
    str | None,
    typer.Option(
        "--system",
        help="System id, in place of a front-end; see `bench systems list`.",
        metavar="ID",
        autocompletion=completer("published_systems"),
    ),
]

BROKEN = 3
"""Exit code of a data folder that is broken."""

app = typer.Typer(
    help="""The data sets: list and show them, get one, check it, prepare features, make the simulated set.

    Examples:
      bench data list
      bench data fetch
      bench data verify --format json
    """,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(parent: typer.Typer) -> None:
    """Add the commands to the application."""
    data_sets.register(app)
    parent.add_typer(app, name="data")


@app.command()
def fetch(
    data: options.DataFolder = None,
    dataset: Dataset = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the files are (default: the owners' server, or BENCH_<ID>_URL).")
    ] = None,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the archive after unpacking.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept a server certificate that cannot be verified.")
    ] = False,
    plugin: options.Plugins = None,
    output: Format = "table",
) -> None:
    """Download a data set from its owners and unpack it; a stopped download goes on where it ended.

    Without internet, put the files into the folder by hand, archives or unpacked folders, and run the command again,
    which unpacks and checks them; `bench data show ID` says where they are from.

    Examples:
      bench data fetch --data ~/icbhi
      bench data fetch --dataset sprsound
    """
    from bench.api.datasets import fetch_data

    check_format(output)
    report = fetch_data(
        data, dataset, base_url=base_url, keep_archive=keep_archive, insecure=insecure, plugins=plugin or ()
    )
    _end(report, output)


@app.command()
def verify(
    data: Data = None,
    dataset: Dataset = None,
    plugin: options.Plugins = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Check every file: counts against the official ones, the split, and each fault with its file and line.

    Ends with exit code 3 when anything is wrong or missing.

    Examples:
      bench data verify --data ~/icbhi --format json
      bench data verify --dataset sprsound
    """
    from bench.api.datasets import verify_data

    check_format(output)
    _end(verify_data(data, dataset, cache=cache, plugins=plugin or ()), output)


def _end(report: VerificationReport, output: str) -> None:
    """Print what a check found, and exit with the code of a broken folder where it is one."""
    print_report(report, output)
    if report.faults:
        raise typer.Exit(BROKEN)


@app.command()
def info(
    data: Data = None,
    dataset: Dataset = None,
    task: Task = None,
    plugin: options.Plugins = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Say what is there: recordings and cycles per split, class, device, patient and rate, and the data's fingerprint.

    Examples:
      bench data info --format json
      bench data info --dataset sprsound --task record-5
    """
    from bench.api.datasets import describe_data

    check_format(output)
    found = describe_data(data, dataset, task, cache=cache, plugins=plugin or ())
    if output == "json":
        print_json(found.to_json())
        return
    print_counts(found.table)
    print_lines(f"{name}: {value}" for name, value in found.lines.items())


def _frontend_options(settings: Iterable[str]) -> dict[str, str]:
    """``frontend.KEY=VALUE`` settings as options by name."""
    values: dict[str, str] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.startswith("frontend."):
            raise SpecError(f"--set {setting} cannot be read.", "Write it as --set frontend.KEY=VALUE.")
        values[name.removeprefix("frontend.")] = value
    return values


@app.command()
def prepare(
    frontend: options.PreparedFrontEnd = None,
    system: PreparedSystem = None,
    profile: options.Profile = "auto",
    settings: options.FrontEndSettings = None,
    plugin: options.Plugins = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Recordings at a time (default: one per core).")] = None,
    allow_partial: options.AllowPartial = False,
    data: Data = None,
    dataset: Dataset = None,
    task: Task = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Compute the features of every cycle once, into a cache that all runs share.

    Of a system, what its runs read: pictures, and waveforms where those are augmented; --profile says whose recipes
    these runs follow, as for `bench run`.

    Examples:
      bench data prepare --frontend ast --workers 8
      bench data prepare --system scl
      bench data prepare --system scl --profile demo
      bench data prepare --dataset sprsound --task event-2 --set frontend.seconds=3
    """
    from bench.api.features import prepare_features
    from bench.api.system_features import prepare_system

    check_format(output)
    where: dict[str, Any] = {
        "data": data,
        "dataset": dataset,
        "task": task,
        "cache": cache,
        "plugins": plugin or (),
        "workers": workers,
        "allow_partial": allow_partial,
    }
    if system is None:
        _refuse_profile(profile)
        done = [prepare_features(frontend or "ast", _frontend_options(settings or ()), **where)]
    elif frontend is None:
        done = prepare_system(system, settings or (), profile=profile, **where)
    else:
        raise SpecError("--system and --frontend both say what is prepared.", "Give one of them.")
    documents = [one.to_json() for one in done]
    if output == "json":
        print_json(documents if system is not None else documents[0])
    else:
        print_lines(f"{_described(one.sizes)} in {one.path}" for one in done)


def _refuse_profile(profile: str) -> None:
    if profile != "auto":
        raise SpecError("--profile chooses among a system's recipes.", "Name the system: --system ID.")


def _print_document(document: Mapping[str, Any], line: str, output: str) -> None:
    if output == "json":
        print_json(document)
    else:
        print_lines([line])


@app.command()
def features(
    recording: Annotated[str, typer.Argument(help="A recording's name, or a WAV file with its annotation beside it.")],
    out: options.FeatureFile,
    frontend: options.FrontEndId = "ast",
    settings: options.FrontEndSettings = None,
    plugin: options.Plugins = None,
    data: Data = None,
    dataset: Dataset = None,
    task: Task = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Write the features of one recording's cycles to a file, to compare front-ends.

    The file holds `features` (cycles, frames, mels) float32, `labels`, `start` and `end`; a front-end that cuts cycles
    into pieces has a row for each, one that names its inputs `features-NAME`.

    Example: bench data features 101_1b1_Al_sc_Meditron --out features.npz
    """
    from bench.api.features import write_recording_features

    check_format(output)
    values = _frontend_options(settings or ())
    where: dict[str, Any] = {"data": data, "dataset": dataset, "task": task, "cache": cache}
    done = write_recording_features(recording, out, frontend, values, plugins=plugin or (), **where)
    print_written(done.out, done.to_json(), f"{_described(done.sizes)} in {done.out}", output)


def _described(sizes: FeatureSizes) -> str:
    pieces = "" if sizes.rows == sizes.cycles else f" in {counted_noun(sizes.rows, 'piece')}"
    return f"{counted_noun(sizes.cycles, 'cycle')}{pieces} of {sizes.words}"


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    seed: Annotated[int, typer.Option(help="Which simulated set.")] = 0,
    output: Format = "table",
) -> None:
    """Write the simulated data set: ICBHI's file layout, made from a seed. It proves the pipeline, never a method.

    Example: bench data demo ./demo --seed 0
    """
    from bench.api.datasets import make_simulated_data

    check_format(output)
    document = make_simulated_data(folder, seed=seed)
    _print_document(document, f"{document['recordings']} simulated recordings in {document['folder']}", output)
