"""Predictions, written where a user wants them: as text, as a table file, as pictures, as a page; all in one pass."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.api.prediction_values import PredictedRecording
from bench.api.prediction_writers import (
    CsvWriter,
    Emit,
    JsonLinesWriter,
    JsonWriter,
    ParquetWriter,
    TableWriter,
    Writer,
)
from bench.api.predictions import Predictions
from bench.api.words import known_word
from bench.core.errors import BenchError, SpecError, StoreError
from bench.core.files import STANDARD_OUTPUT, advice, output_path
from bench.core.paths import expanded
from bench.core.text import echoed
from bench.data.sound_files import SoundFile

logger = logging.getLogger(__name__)

FORMATS = ("table", "json", "jsonl", "csv", "parquet")

PICTURES = (".svg", ".png")


@dataclass(frozen=True)
class Wanted:
    """What is written of predictions.

    Attributes:
        output: One of :data:`FORMATS`.
        out: The file for it; None for ``emit``.
        figure: A picture (``.svg``, ``.png``), or a folder for one of each recording.
        html: A page.

    Raises:
        SpecError: If there is no such format, or one that no terminal shows has no file.
    """

    output: str = "table"
    out: Path | None = None
    figure: Path | None = None
    html: Path | None = None

    def __post_init__(self) -> None:
        known_word("format", self.output, FORMATS)
        if self.output == "parquet" and self.out in (None, STANDARD_OUTPUT):
            raise SpecError("Parquet is no text that a terminal shows.", "Name a file with --out.")
        if self.figure == STANDARD_OUTPUT:
            raise SpecError(
                "Pictures are not written to the standard output.", "Name a file or a folder with --figure."
            )
        if self.html == STANDARD_OUTPUT and self.out in (None, STANDARD_OUTPUT):
            raise SpecError("The page and the results would both go to the standard output.", "Name a file with --out.")

    @property
    def files(self) -> dict[str, Path]:
        """The paths that are written to, by their options; the standard output is none."""
        named = {"--out": self.out, "--html": self.html, "--figure": self.figure}
        return {option: path for option, path in named.items() if path is not None and path != STANDARD_OUTPUT}


def write_predictions(predictions: Predictions, wanted: Wanted, emit: Emit, *, colour: bool = False) -> None:
    """Classify, and write each recording as it comes.

    Args:
        predictions: The predictions.
        wanted: What is written.
        emit: Takes text where no file is named.
        colour: Whether a table has colours.

    Raises:
        SpecError: If one picture is named for several files, one file for two results, or a sound for a result.
        StoreError: If something cannot be written; of files nothing is left half-written.
    """
    _check_nothing_is_lost(predictions, wanted)
    with contextlib.ExitStack() as stack:
        takers: list[Writer] = [stack.enter_context(_text_writer(wanted, emit, colour=colour))]
        if wanted.figure is not None:
            takers.append(_pictures(wanted.figure, predictions))
        if wanted.html is not None:
            takers.append(stack.enter_context(_page(wanted.html)))
        for taker in takers:
            taker.begin(predictions)
        for recording in predictions:
            for taker in takers:
                taker.add(recording)
        for taker in takers:
            taker.end(predictions)
    for option, path in wanted.files.items():
        # Where every file was skipped there is nothing to draw.
        if option != "--figure" or predictions.cycles:
            logger.info(f"wrote {path}")


def _check_nothing_is_lost(predictions: Predictions, wanted: Wanted) -> None:
    """Refuse to write a result over another one, or over a sound that is heard; raises SpecError."""
    options: dict[str, str] = {}
    for option, path in wanted.files.items():
        place = os.path.realpath(expanded(path))
        if place in options:
            raise SpecError(f"{options[place]} and {option} are one file, {path}.", "Name a file for each.")
        options[place] = option
    for file in predictions.files:
        if isinstance(file, SoundFile) and file.path and (place := os.path.realpath(file.path)) in options:
            raise SpecError(
                f"{options[place]} would be written over the sound {echoed(file.shown, 300)}.", "Name another file."
            )


@contextlib.contextmanager
def _text_writer(wanted: Wanted, emit: Emit, *, colour: bool) -> Iterator[Writer]:
    if wanted.out is None or wanted.out == STANDARD_OUTPUT:
        writer = _writer(wanted.output, emit, colour=colour)
        try:
            yield writer
        except (BenchError, KeyboardInterrupt) as error:
            # A file is not written at all then; what was printed already stays one document.
            if isinstance(writer, JsonWriter):
                writer.break_off(error.message if isinstance(error, BenchError) else "interrupted")
            raise
        return
    with output_path(wanted.out) as path:
        if wanted.output == "parquet":
            yield ParquetWriter(path)
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            yield _writer(wanted.output, file.write, colour=False)


def _writer(output: str, emit: Emit, *, colour: bool) -> Writer:
    if output == "json":
        return JsonWriter(emit)
    if output == "jsonl":
        return JsonLinesWriter(emit)
    return CsvWriter(emit) if output == "csv" else TableWriter(emit, colour=colour)


@contextlib.contextmanager
def _page(html: Path) -> Iterator[Writer]:
    from bench.api.prediction_page import PageWriter

    with output_path(html) as path, path.open("w", encoding="utf-8") as file:
        yield PageWriter(file.write)


# --- pictures ---------------------------------------------------------------------------------------------------


def _pictures(figure: Path, predictions: Predictions) -> _PictureWriter:
    place, is_file = expanded(figure), figure.suffix.lower() in PICTURES
    if is_file and len(predictions.files) > 1:
        raise SpecError(
            f"{figure} is one picture, but {len(predictions.files):,} files are classified.",
            "Name a folder with --figure: each recording then has a picture in it.",
        )
    if not is_file and figure.suffix and not place.is_dir():
        raise SpecError(
            f"A picture cannot be written as {figure.suffix}.",
            "Name a file that ends in .svg or .png, or a folder.",
        )
    return _PictureWriter(place, is_file=is_file)


class _PictureWriter:
    """Draws each recording, into a file or into a folder."""

    def __init__(self, place: Path, *, is_file: bool) -> None:
        self._place, self._is_file = place, is_file
        self._names: dict[str, int] = {}
        self._subtitle = ""

    def begin(self, predictions: Predictions) -> None:
        self._subtitle = subtitle(predictions)

    def add(self, recording: PredictedRecording) -> None:
        from bench.api.prediction_figures import PictureFormat, recording_picture

        path = self._path(recording)
        output: PictureFormat = "png" if path.suffix.lower() == ".png" else "svg"
        picture = recording_picture(recording, output, subtitle=self._subtitle)
        with output_path(path) as target:
            target.write_bytes(picture)

    def end(self, predictions: Predictions) -> None:
        """Nothing is left to do."""

    def _path(self, recording: PredictedRecording) -> Path:
        channel = f"-channel-{recording.channel}" if recording.channels > 1 else ""
        if self._is_file:
            several = channel if self._names.setdefault("", 0) else ""
            self._names[""] += 1
            return self._place.with_name(f"{self._place.stem}{several}{self._place.suffix}")
        try:
            self._place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot write {self._place}: {error.strerror or error}.", advice(error)) from error
        name = f"{recording.recording}{channel}"
        # Recordings of several folders may have one name.
        self._names[name] = number = self._names.get(name, 0) + 1
        return self._place / (f"{name}.svg" if number == 1 else f"{name}-{number}.svg")


def subtitle(predictions: Predictions) -> str:
    """Which runs predictions are by, in a line."""
    runs = predictions.runs
    names = [f"{run['model']} · {run['method']} · run {run['run_id']} ({run['weights']})" for run in runs]
    combined = f"{predictions.system.combination} of {len(runs)} runs: " if len(runs) > 1 else ""
    shown = names if len(names) <= 2 else [names[0], f"and {len(names) - 1} others"]
    marks = " · simulated data" if any(run["simulated"] for run in runs) else ""
    marks += "".join(f" · {partial}" for partial in dict.fromkeys(run["partial"] for run in runs) if partial)
    return f"{combined}{', '.join(shown)}{marks} · research, not diagnosis"
