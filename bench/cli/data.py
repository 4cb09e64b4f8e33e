"""``bench data``: get the data, check it, prepare features, make the simulated set."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.output import Plugins, check_format, print_json, print_written, stdout
from bench.core.errors import DataError, SpecError
from bench.core.paths import cache_folder, data_folder, expanded
from bench.core.progress import counted

if TYPE_CHECKING:
    from rich.table import Table

    from bench.data.datasets.icbhi.recordings import Dataset
    from bench.data.datasets.icbhi.verify import Counts, Report

logger = logging.getLogger(__name__)

BROKEN = 3
"""Exit code of a data folder that is broken."""

app = typer.Typer(
    help="Get the ICBHI data, check it, prepare features, make the simulated set.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    str | None,
    typer.Option("--data", help="Folder of the ICBHI data, or `demo` (default: BENCH_DATA or ./data/icbhi)."),
]
Cache = Annotated[Path | None, typer.Option("--cache", help="Cache folder (default: BENCH_CACHE or the user's).")]
Format = Annotated[str, typer.Option("--format", help="table or json.")]
Partial = Annotated[bool, typer.Option("--allow-partial", help="Accept that recordings are missing.")]
FrontEndId = Annotated[str, typer.Option("--frontend", help="Front-end id.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="frontend.KEY=VALUE: an option of the front-end; may be repeated.")
]


def register(parent: typer.Typer) -> None:
    """Add the commands to the application."""
    parent.add_typer(app, name="data")


def _folder(data: str | None, cache: Path) -> Path:
    if data != "demo":
        return data_folder(Path(data) if data is not None else None)
    from bench.data.datasets.simulated.demo import demo_folder

    return demo_folder(cache)


@app.command()
def fetch(
    data: Annotated[Path | None, typer.Option("--data", help="Where to (default: BENCH_DATA or ./data/icbhi).")] = None,
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
    from bench.core.download import Patience
    from bench.data.datasets.icbhi.fetch import fetch as fetch_files

    check_format(output)
    folder = data_folder(data)
    with counted("bytes") as update:
        fetch_files(
            folder,
            base_url=base_url,
            keep_archive=keep_archive,
            patience=Patience(insecure=insecure),
            on_progress=update,
        )
    _report(folder, None, output)


@app.command()
def verify(data: Data = None, cache: Cache = None, output: Format = "table") -> None:
    """Check every file: counts against the official ones, the split, and each fault with its file and line.

    Ends with exit code 3 when anything is wrong or missing.

    Example: bench data verify --data ~/icbhi --format json
    """
    check_format(output)
    folder = cache_folder(cache)
    _report(_folder(data, folder), folder, output)


def _report(folder: Path, cache: Path | None, output: str) -> None:
    from bench.data.datasets.icbhi.verify import verify as verify_files

    report = verify_files(folder, cache)
    if output == "json":
        print_json(report.to_json())
    else:
        _print_report(report)
    if not report.ok:
        raise typer.Exit(BROKEN)


def _print_report(report: Report) -> None:
    from bench.data.datasets.icbhi.verify import OFFICIAL

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
    from bench.data.datasets.icbhi.dataset import load_dataset
    from bench.data.datasets.icbhi.verify import count

    check_format(output)
    store = cache_folder(cache)
    dataset = load_dataset(_folder(data, store), allow_partial=True, cache=store)
    counts = count(dataset.recordings)
    if output == "json":
        print_json(_info_document(dataset, counts))
        return
    stdout().print(_count_table({"recordings · cycles": counts}))
    _print_lines(f"{name}: {value}" for name, value in _info_lines(dataset, counts).items())


def _info_document(dataset: Dataset, counts: Counts) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "root": str(dataset.root),
        "simulated": dataset.simulated,
        "partial": dataset.partial,
        "recordings": {"present": len(dataset.recordings), "expected": dataset.expected},
        "fingerprint": dataset.fingerprint,
        "counts": counts.to_json(),
        "seconds": round(sum(cycle.end - cycle.start for cycle in dataset.cycles), 3),
        "patients_with_diagnosis": len(dataset.diagnosis),
        "patients_with_demographics": len(dataset.demographics),
    }


def _info_lines(dataset: Dataset, counts: Counts) -> dict[str, str]:
    document = _info_document(dataset, counts)
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


def _frontend_options(frontend: str, settings: Iterable[str], plugins: Iterable[Path]) -> dict[str, str]:
    """``frontend.KEY=VALUE`` settings as options; unknown ids, keys and values are refused here."""
    from bench.core.options import build_options
    from bench.data.frontends import FRONTENDS
    from bench.experiment.plugins import load_plugins

    load_plugins(plugins)
    values: dict[str, str] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.startswith("frontend."):
            raise SpecError(f"--set {setting} cannot be read.", "Write it as --set frontend.KEY=VALUE.")
        values[name.removeprefix("frontend.")] = value
    build_options(FRONTENDS.card(frontend).options, values, f"front-end {frontend}")
    return values


@app.command()
def prepare(
    frontend: FrontEndId = "ast",
    settings: Settings = None,
    plugin: Plugins = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Recordings at a time (default: one per core).")] = None,
    allow_partial: Partial = False,
    data: Data = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Compute the features of every cycle once, into a cache that all runs share.

    Example: bench data prepare --frontend ast --workers 8
    """
    from bench.data.bank import prepare_bank
    from bench.data.datasets.icbhi.dataset import load_dataset

    check_format(output)
    options = _frontend_options(frontend, settings or (), plugin or ())
    store = cache_folder(cache)
    dataset = load_dataset(_folder(data, store), allow_partial=allow_partial, cache=store)
    began = time.monotonic()
    with counted("recordings") as update:
        bank = prepare_bank(
            dataset,
            frontend,
            options,
            store,
            workers=workers,
            on_progress=lambda done, total: update(f"features {frontend}", done, total),
        )
    sizes = _sizes(len(dataset.cycles), bank.features.shape)
    document = {
        "frontend": frontend,
        "path": str(bank.path),
        **sizes,
        "partial": dataset.partial,
        "seconds": round(time.monotonic() - began, 3),
    }
    _print_document(document, f"{_described(sizes)} in {bank.path}", output)


def _print_document(document: Mapping[str, Any], line: str, output: str) -> None:
    if output == "json":
        print_json(document)
    else:
        _print_lines([line])


@app.command()
def features(
    recording: Annotated[str, typer.Argument(help="A recording's name, or a WAV file with its .txt beside it.")],
    out: Annotated[Path, typer.Option("--out", help="The .npz file to write.")],
    frontend: FrontEndId = "ast",
    settings: Settings = None,
    plugin: Plugins = None,
    data: Data = None,
    cache: Cache = None,
    output: Format = "table",
) -> None:
    """Write the features of one recording's cycles to a file, to compare front-ends.

    The file holds `features` (cycles, frames, mels) float32, `labels`, `start` and `end`; a front-end that cuts cycles
    into pieces has a row for each.

    Example: bench data features 101_1b1_Al_sc_Meditron --out features.npz
    """
    from bench.data.bank import recording_features
    from bench.data.features import read_annotated, write_features

    check_format(output)
    options = _frontend_options(frontend, settings or (), plugin or ())
    path = expanded(recording)
    if path.suffix.lower() != ".wav":
        path = _audio_of(recording, _folder(data, cache_folder(cache)))
    found, notes = read_annotated(path)
    for note in notes:
        logger.info(f"note: {note}")
    array, cycles = recording_features(found, frontend, options)
    out = expanded(out)
    write_features(out, cycles, array.numpy())
    sizes = _sizes(len(found.cycles), array.shape)
    document = {"recording": found.name, "out": str(out), **sizes}
    print_written(out, document, f"{_described(sizes)} in {out}", output)


def _sizes(cycles: int, shape: Sequence[int]) -> dict[str, Any]:
    """How many cycles and rows there are, and what a row is; frames and mels where it is a picture."""
    rows, *row = shape
    frames, mels = row[-2:] if len(row) > 1 else (None, None)
    return {"cycles": cycles, "rows": rows, "shape": row, "frames": frames, "mels": mels}


def _described(sizes: Mapping[str, Any]) -> str:
    pieces = "" if sizes["rows"] == sizes["cycles"] else f" in {sizes['rows']} pieces"
    return f"{sizes['cycles']} cycles{pieces} of {' × '.join(map(str, sizes['shape']))}"


def _audio_of(name: str, folder: Path) -> Path:
    """The WAV file of a recording of the data folder."""
    from bench.data.files import scan

    known = {path.stem: path for paths in scan(folder).audio.values() for path in paths}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else "Name a recording, or a WAV file with its .txt beside it."
        raise DataError(f"There is no recording '{name}' with audio below {folder}.", hint)
    return known[name]


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    seed: Annotated[int, typer.Option(help="Which simulated set.")] = 0,
    output: Format = "table",
) -> None:
    """Write the simulated data set: ICBHI's file layout, made from a seed. It proves the pipeline, never a method.

    Example: bench data demo ./demo --seed 0
    """
    from bench.data.datasets.simulated.demo import write_demo

    check_format(output)
    folder = expanded(folder)
    with counted("recordings") as update:
        write_demo(folder, seed=seed, on_progress=lambda done, total: update("simulated recordings", done, total))
    number = sum(1 for _ in folder.rglob("*.wav"))
    document = {"folder": str(folder), "seed": seed, "recordings": number, "simulated": True}
    _print_document(document, f"{number} simulated recordings in {folder}", output)
