"""``bench data``: get the data, check it, prepare features, make the simulated set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.cli.options import Cache, Data, Format
from bench.cli.output import check_format, print_json, print_written, stdout
from bench.core.errors import SpecError

if TYPE_CHECKING:
    from rich.table import Table

    from bench.api.datasets import Counts, DataDescription, FeatureSizes, Report

BROKEN = 3
"""Exit code of a data folder that is broken."""

app = typer.Typer(
    help="Get the ICBHI data, check it, prepare features, make the simulated set.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def register(parent: typer.Typer) -> None:
    """Add the commands to the application."""
    parent.add_typer(app, name="data")


@app.command()
def fetch(
    data: options.DataFolder = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the files are (default: BENCH_ICBHI_URL or the owners' server).")
    ] = None,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the archive after unpacking.")] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept a server certificate that cannot be verified.")
    ] = False,
    output: Format = "table",
) -> None:
    """Download ICBHI 2017 from its owners (2 GB) and unpack it; a stopped download goes on where it ended.

    Without internet, put these into the folder by hand and run the command again, which unpacks and checks them:
    ICBHI_final_database.zip (or its unpacked folder), ICBHI_challenge_train_test.txt, ICBHI_challenge_diagnosis.txt and
    ICBHI_challenge_demographic_information.txt.

    Example: bench data fetch --data ~/icbhi
    """
    from bench.api.datasets import fetch_data

    check_format(output)
    report = fetch_data(data, base_url=base_url, keep_archive=keep_archive, insecure=insecure)
    _print_report(report, output)


@app.command()
def verify(data: Data = None, cache: Cache = None, output: Format = "table") -> None:
    """Check every file: counts against the official ones, the split, and each fault with its file and line.

    Ends with exit code 3 when anything is wrong or missing.

    Example: bench data verify --data ~/icbhi --format json
    """
    from bench.api.datasets import verify_data

    check_format(output)
    _print_report(verify_data(data, cache=cache), output)


def _print_report(report: Report, output: str) -> None:
    if output == "json":
        print_json(report.to_json())
    else:
        _print_counts(report)
    if not report.ok:
        raise typer.Exit(BROKEN)


def _print_counts(report: Report) -> None:
    from bench.api.datasets import OFFICIAL

    columns = {"with audio": report.counts}
    if report.annotated != report.counts:
        columns["annotated"] = report.annotated
    if report.name == "icbhi":
        columns["official"] = OFFICIAL
    stdout().print(_count_table(columns))
    patients = {patient for _, patient in report.counts.by_patient}
    _print_lines(
        [
            f"{report.present} of {report.expected} recordings, {len(patients)} patients in {report.root}",
            *_comparison(report),
            *(f"note: {note}" for note in report.notes),
            *(str(fault) for fault in report.faults),
            _verdict(report),
        ]
    )


def _comparison(report: Report) -> list[str]:
    """How split and counts compare with the official ones."""
    if report.name != "icbhi":
        return []
    verdict = "the official one" if report.split_official else "NOT the official one"
    counts = {
        True: "equal the official ones",
        False: "differ from the official ones",
        None: "not compared, as annotation files or the split file are missing",
    }
    return [
        f"split: {verdict} (sha256 {report.split_sha256})",
        f"annotated cycles per split, class, device and patient: {counts[report.counts_official]}",
    ]


def _print_lines(lines: Iterable[str]) -> None:
    console = stdout()
    for line in lines:
        console.print(line, soft_wrap=True)


def _verdict(report: Report) -> str:
    if report.ok:
        return "complete and sound"
    number = len(report.faults)
    if report.runnable:
        return f"{number} faults; the set is {report.partial}: runs need --allow-partial and are marked so"
    return f"{number} faults; no run uses this data before they are mended"


def _count_table(columns: Mapping[str, Counts]) -> Table:
    """Recordings and cycles per split and device, one column for each set of counts."""
    from rich.table import Table

    table = Table(title="recordings · normal/crackle/wheeze/both")
    for title in ("split", "device", *columns):
        table.add_column(title)
    splits = sorted({split for counts in columns.values() for split in counts.by_split}, reverse=True)
    for split in splits:
        devices = sorted({name for counts in columns.values() for side, name in counts.by_device if side == split})
        for device in devices:
            table.add_row(split, device, *(_cell(counts.by_device.get((split, device))) for counts in columns.values()))
        total = (_cell(counts.by_split.get(split)) for counts in columns.values())
        table.add_row(split, "all", *total, style="bold", end_section=True)
    return table


def _cell(count: Any) -> str:
    return "–" if count is None else f"{count.recordings} · {'/'.join(str(cycles) for cycles in count[1:])}"


@app.command()
def info(data: Data = None, cache: Cache = None, output: Format = "table") -> None:
    """Say what is there: recordings and cycles per split, class, device, patient and rate, and the data's fingerprint.

    Example: bench data info --format json
    """
    from bench.api.datasets import describe_data

    check_format(output)
    found = describe_data(data, cache=cache)
    if output == "json":
        print_json(found.to_json())
        return
    stdout().print(_count_table({"recordings · cycles": found.counts}))
    _print_lines(f"{name}: {value}" for name, value in _info_lines(found).items())


def _info_lines(found: DataDescription) -> dict[str, str]:
    dataset, counts, document = found.dataset, found.counts, found.to_json()
    totals = document["counts"]
    mark = "simulated" if dataset.simulated else dataset.partial or "complete"
    return {
        "data": f"{dataset.name}, {mark}, in {dataset.root}",
        "recordings": f"{len(dataset.recordings)} of {dataset.expected}, {totals['patients']} patients",
        "cycles": f"{totals['cycles']} ({document['seconds']:,.0f} s)",
        "rates": _pairs(counts.by_rate, " Hz"),
        "chest locations": _pairs(counts.by_location),
        "modes": _pairs(counts.by_mode),
        "diagnosis": f"{len(dataset.diagnosis)} patients" if dataset.diagnosis else "no file",
        "demographics": f"{len(dataset.demographics)} patients" if dataset.demographics else "no file",
        "fingerprint": dataset.fingerprint,
    }


def _pairs(numbers: Mapping[Any, int], unit: str = "") -> str:
    return ", ".join(f"{name}{unit}: {number}" for name, number in numbers.items())


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
    frontend: options.FrontEndId = "ast",
    settings: options.FrontEndSettings = None,
    plugin: options.Plugins = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Recordings at a time (default: one per core).")] = None,
    allow_partial: options.AllowPartial = False,
    data: Data = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Compute the features of every cycle once, into a cache that all runs share.

    Example: bench data prepare --frontend ast --workers 8
    """
    from bench.api.datasets import prepare_features

    check_format(output)
    done = prepare_features(
        frontend,
        _frontend_options(settings or ()),
        data=data,
        cache=cache,
        plugins=plugin or (),
        workers=workers,
        allow_partial=allow_partial,
    )
    _print_document(done.to_json(), f"{_described(done.sizes)} in {done.path}", output)


def _print_document(document: Mapping[str, Any], line: str, output: str) -> None:
    if output == "json":
        print_json(document)
    else:
        _print_lines([line])


@app.command()
def features(
    recording: Annotated[str, typer.Argument(help="A recording's name, or a WAV file with its .txt beside it.")],
    out: options.FeatureFile,
    frontend: options.FrontEndId = "ast",
    settings: options.FrontEndSettings = None,
    plugin: options.Plugins = None,
    data: Data = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Write the features of one recording's cycles to a file, to compare front-ends.

    The file holds `features` (cycles, frames, mels) float32, `labels`, `start` and `end`; a front-end that cuts cycles
    into pieces has a row for each, one that names its inputs `features-NAME`.

    Example: bench data features 101_1b1_Al_sc_Meditron --out features.npz
    """
    from bench.api.datasets import write_recording_features

    check_format(output)
    values = _frontend_options(settings or ())
    done = write_recording_features(recording, out, frontend, values, data=data, cache=cache, plugins=plugin or ())
    print_written(done.out, done.to_json(), f"{_described(done.sizes)} in {done.out}", output)


def _described(sizes: FeatureSizes) -> str:
    pieces = "" if sizes.rows == sizes.cycles else f" in {sizes.rows} pieces"
    return f"{sizes.cycles} cycles{pieces} of {sizes.words}"


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
