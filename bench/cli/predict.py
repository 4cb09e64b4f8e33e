"""``bench predict``: a trained run on sound files that it has never seen."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.completion import completer
from bench.cli.consent import asked_on_terminal
from bench.cli.output import print_rendered
from bench.core.errors import DataError
from bench.core.progress import counted
from bench.core.text import counted_noun, plural

if TYPE_CHECKING:
    from bench.api.predictions import Predictions

logger = logging.getLogger(__name__)

TrainedRun = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A finished run: its id, the beginning of it, its folder, or hf:OWNER/NAME for one on the Hub; "
        "RUN:best-test for other weights than the last.",
        autocompletion=completer("runs"),
    ),
]
Sounds = Annotated[
    list[str],
    typer.Argument(
        metavar="WAV...",
        help="Sound files, folders, patterns in quotes as 'ward/**/*.wav', or - for the standard input.",
        show_default=False,
    ),
]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        help="Another run, whose probabilities are combined with those of RUN; may be repeated.",
        metavar="RUN",
        autocompletion=completer("runs"),
    ),
]
Combine = Annotated[
    str, typer.Option("--combine", help="How those of several runs become one: mean, product or max.", metavar="WORD")
]
Cycles = Annotated[
    str,
    typer.Option(
        "--cycles",
        help="annotations (of a file beside each recording), windows, or auto: annotations where there are some.",
        metavar="WORD",
    ),
]
Window = Annotated[
    float | None,
    typer.Option(
        "--window", help="Seconds of a window (default: the length that the front-end has).", metavar="SECONDS"
    ),
]
Hop = Annotated[
    float | None,
    typer.Option("--hop", help="Seconds from one window to the next (default: half a window).", metavar="SECONDS"),
]
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel",
        help="Which channel of files with several is heard, from 1; all for each by itself. They are never mixed.",
        metavar="N|all",
    ),
]
RecordedWith = Annotated[
    str | None,
    typer.Option(
        "--recorded-with",
        help="Device that recorded the files, for runs that ask (default: what their names say).",
        metavar="DEVICE",
    ),
]
Batch = Annotated[
    int | None,
    typer.Option("--batch", help="Rows of a forward pass (default: as in the run's evaluations).", min=1),
]
EvaluationPrecision = Annotated[
    str, typer.Option("--precision", help="run (that of the run), fp32, bf16 or fp16.", metavar="PRECISION")
]
OutputFormat = Annotated[
    str, typer.Option("--format", help="table, json, jsonl, csv, or parquet (with --out).", metavar="FORMAT")
]
PredictionFile = Annotated[
    Path | None, typer.Option("--out", help="Write to this file instead of the terminal.", metavar="PATH")
]
Figure = Annotated[
    Path | None,
    typer.Option("--figure", help="Draw a picture (.svg, .png), or one of each recording in a folder.", metavar="PATH"),
]
Page = Annotated[
    Path | None, typer.Option("--html", help="Write all as one page with pictures, which needs no network.")
]


def predict(
    run: TrainedRun,
    wav: Sounds,
    with_runs: With = None,
    combine: Combine = "mean",
    cycles: Cycles = "auto",
    window: Window = None,
    hop: Hop = None,
    channel: Channel = None,
    recorded_with: RecordedWith = None,
    batch: Batch = None,
    device: options.Device = "auto",
    precision: EvaluationPrecision = "run",
    output: OutputFormat = "table",
    out: PredictionFile = None,
    figure: Figure = None,
    html: Page = None,
    plugin: options.Plugins = None,
    home: options.Home = None,
    cache: options.Cache = None,
) -> None:
    """Classify the respiratory cycles of sound files with a trained run: for research, never a diagnosis.

    Cycles are those of an annotation beside each file (start, end, crackle, wheeze in a .txt, or a data set's .json),
    otherwise windows over the recording. A file that cannot be used is named and skipped, the others are done, and the
    exit code is 3. Several runs make an ensemble; the id of a composite or an ensemble stands for its parts.

    Examples:
      bench predict 3f2a cough.wav
      bench predict hf:lab/small-ast:best-test ward/ --format csv --out ward.csv --html ward.html
      bench predict 3f2a --with 91c4 --with b07e 'ward/**/*.flac' --channel 1 --window 4 --hop 1
      ffmpeg -i stethoscope.m4a -f wav - | bench predict results/runs/3f2a… - --figure sound.svg
    """
    from bench.api.prediction_output import Wanted, write_predictions
    from bench.api.predictions import predict as predicted

    wanted = Wanted(output, out, figure, html)
    with counted("files") as update:
        found = predicted(
            [run, *(with_runs or [])],
            wav,
            combine=combine,
            cycles=cycles,
            window=window,
            hop=hop,
            channel=channel,
            recorded_with=recorded_with,
            batch=batch,
            device=device,
            precision=precision,
            home=home,
            cache=cache,
            plugins=plugin or (),
            allow=asked_on_terminal("table" if output == "table" else "json"),
            on_progress=None if _fills_the_terminal(out) else lambda done, total: update("predict", done, total),
        )
        _say(found)
        write_predictions(found, wanted, lambda text: print_rendered(text, output), colour=sys.stdout.isatty())
    _end(found)


def _fills_the_terminal(out: Path | None) -> bool:
    """Whether the results themselves show how far it is, which a bar would run through."""
    return out is None and sys.stdout.isatty()


def _say(found: Predictions) -> None:
    for notice in found.notices:
        logger.warning(notice)


def _end(found: Predictions) -> None:
    """Say what was done, and end with the code of broken data where a file was skipped."""
    unit = plural(next(iter(found.units))) + "/s" if len(found.units) == 1 else "a second"
    speed = f" ({found.cycles_per_second:,} {unit})" if found.cycles_per_second else ""
    files = counted_noun(len(found.files), "file")
    logger.info(f"classified {found.units_in_words} of {files} in {found.seconds:.2f} s{speed}")
    if found.skipped:
        logger.warning(f"{len(found.skipped):,} of them skipped, for the reasons above")
        raise typer.Exit(DataError.exit_code)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)
