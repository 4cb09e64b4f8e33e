"""Writers of predictions: each takes recording after recording, so that no more than one is in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bench.api.prediction_notices import RESEARCH
from bench.api.prediction_values import PredictedRecording, row_names
from bench.api.predictions import Predictions
from bench.core.errors import SpecError
from bench.core.text import plural
from leaderboard.render.csv import csv_text
from leaderboard.render.json_text import escaped

Emit = Callable[[str], object]
"""Takes a piece of text, which ends with a line."""

SCHEMA = "lungbench-predictions/1"
"""Form of the JSON document (docs/predict.md)."""

ROWS_AT_ONCE = 20_000
"""Rows of a group in a Parquet file."""


class Writer(Protocol):
    """Writes predictions as they come."""

    def begin(self, predictions: Predictions) -> None:
        """Called before the first recording."""
        ...

    def add(self, recording: PredictedRecording) -> None:
        """Called with each recording."""
        ...

    def end(self, predictions: Predictions) -> None:
        """Called after the last one."""
        ...


class TableWriter:
    """A table for each recording, fitted to the terminal.

    Args:
        emit: Where text goes.
        width: Columns of the terminal; its own by default.
        colour: Whether to write colour codes.
    """

    def __init__(self, emit: Emit, width: int | None = None, *, colour: bool = False) -> None:
        self._emit, self._width, self._colour = emit, width, colour

    def begin(self, predictions: Predictions) -> None:
        """Nothing stands above the first table."""

    def add(self, recording: PredictedRecording) -> None:
        """Write the table of a recording."""
        from leaderboard.render.cells import Report, text_table
        from leaderboard.render.terminal import write

        title, columns = recording_title(recording), _columns(recording)
        rows = [_cells(recording, place) for place in range(len(recording.cycles))]
        report = Report(title, [text_table(title, columns, rows)])
        # One empty line below it, whether it was drawn as a table or as cards.
        self._emit(write(report, width=self._width, colour=self._colour).rstrip() + "\n\n")

    def end(self, predictions: Predictions) -> None:
        """Write the sentence that stands below every prediction."""
        self._emit(RESEARCH + "\n")


def recording_title(recording: PredictedRecording) -> str:
    """What a recording is in a line: file, channel, length, and where its cycles are from."""
    channel = f" · channel {recording.channel} of {recording.channels}" if recording.channels > 1 else ""
    source = f"{plural(recording.unit)} of {recording.annotation.name}" if recording.annotation else "windows"
    return f"{recording.file}{channel} · {recording.seconds:.1f} s at {recording.rate:,} Hz · {source}"


def _columns(recording: PredictedRecording) -> list[Any]:
    from leaderboard.render.cells import Column

    classes = recording.cycles[0].scores if recording.cycles else {}
    labelled = [Column("annotated", number=False)] if recording.annotation else []
    return [
        Column(recording.unit),
        Column("start"),
        Column("end"),
        Column("predicted", number=False),
        *labelled,
        Column("probability"),
        # The narrower the terminal, the fewer of them: the chosen one's probability stays.
        *(Column(name, expendable=1 + place) for place, name in enumerate(classes)),
    ]


def _cells(recording: PredictedRecording, place: int) -> list[str]:
    cycle = recording.cycles[place]
    labelled = [cycle.label or ""] if recording.annotation else []
    times = [f"{cycle.start:.2f}", f"{cycle.end:.2f}"]
    scores = [f"{score:.3f}" for score in cycle.scores.values()]
    return [str(cycle.cycle), *times, cycle.predicted, *labelled, f"{cycle.score:.3f}", *scores]


class JsonWriter:
    """One JSON document, a recording a line.

    Args:
        emit: Where text goes.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit, self._is_first = emit, True
        self._begun: Predictions | None = None

    def begin(self, predictions: Predictions) -> None:
        """Write what is known before: the runs, and what is to be known of them."""
        self._begun = predictions
        head = {"schema": SCHEMA, **head_of(predictions)}
        lines = [f"  {json.dumps(name)}: {_json(value)},\n" for name, value in head.items()]
        self._emit("{\n" + "".join(lines) + '  "recordings": [\n')

    def add(self, recording: PredictedRecording) -> None:
        """Write a recording."""
        self._emit(("    " if self._is_first else "    ,") + _json(recording.to_json()) + "\n")
        self._is_first = False

    def end(self, predictions: Predictions) -> None:
        """Write the files that were left out, and how long all took."""
        self._begun = None
        self._close(tail_of(predictions))

    def break_off(self, reason: str) -> None:
        """End a document in which not every recording is, so that it can be read; where none was begun, write nothing.

        Args:
            reason: Why it ends here.
        """
        if self._begun is not None:
            self._close({**tail_of(self._begun), "error": reason})

    def _close(self, tail: Mapping[str, Any]) -> None:
        fields = ",\n".join(f"  {json.dumps(name)}: {_json(value)}" for name, value in tail.items())
        self._emit("  ],\n" + fields + "\n}\n")


def head_of(predictions: Predictions) -> dict[str, Any]:
    """What is known before the first recording."""
    system = predictions.system
    return {
        "runs": predictions.runs,
        "combine": system.combination or None,
        "classes": list(predictions.classes),
        "notices": [*predictions.notices, RESEARCH],
    }


def tail_of(predictions: Predictions) -> dict[str, Any]:
    """What is known after the last recording."""
    return {
        "skipped": [skipped.to_json() for skipped in predictions.skipped],
        "files": len(predictions.files),
        "cycles": predictions.cycles,
        "seconds": round(predictions.seconds, 3),
        "cycles_per_second": predictions.cycles_per_second,
    }


def _json(value: Any) -> str:
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False))


class JsonLinesWriter:
    """A JSON object a line: for each cycle or window, and at the end for each file that was left out.

    Args:
        emit: Where text goes.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def begin(self, predictions: Predictions) -> None:
        """Nothing stands before the first line."""

    def add(self, recording: PredictedRecording) -> None:
        """Write the cycles of a recording."""
        place = {"file": recording.file, "recording": recording.recording, "channel": recording.channel}
        self._emit("".join(_json({**place, **cycle.to_json()}) + "\n" for cycle in recording.cycles))

    def end(self, predictions: Predictions) -> None:
        """Write the files that were left out."""
        for skipped in predictions.skipped:
            self._emit(_json(skipped.to_json()) + "\n")


class CsvWriter:
    """A line for each cycle, as files of predictions have it.

    Args:
        emit: Where text goes.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit, self._names = emit, list[str]()

    def begin(self, predictions: Predictions) -> None:
        """Write the names of the columns."""
        self._names = row_names(predictions.classes)
        self._emit(csv_text(self._names, []))

    def add(self, recording: PredictedRecording) -> None:
        """Write the cycles of a recording."""
        lines = csv_text(self._names, recording.rows()).split("\n", 1)
        self._emit(lines[1])

    def end(self, predictions: Predictions) -> None:
        """Nothing stands below the last line."""


class ParquetWriter:
    """A Parquet file with a row for each cycle.

    Args:
        path: The file.

    Raises:
        SpecError: If pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise SpecError(f"Parquet cannot be written: {error}.", "pip install 'lungbench[parquet]'") from error
        self._arrow, self._parquet, self._path = pyarrow, parquet, path
        self._rows: list[Mapping[str, Any]] = []
        self._file: Any = None

    def begin(self, predictions: Predictions) -> None:
        """Begin the file, with the types of its columns."""
        arrow = self._arrow
        kinds = {"channel": arrow.int32(), "cycle": arrow.int32(), "start": arrow.float64(), "end": arrow.float64()}
        words = {name: arrow.string() for name in ("file", "recording", "label", "predicted")}
        names = row_names(predictions.classes)
        schema = arrow.schema([(name, {**kinds, **words}.get(name, arrow.float64())) for name in names])
        document = json.dumps({"schema": SCHEMA, **head_of(predictions)})
        self._file = self._parquet.ParquetWriter(self._path, schema.with_metadata({"lungbench": document}))

    def add(self, recording: PredictedRecording) -> None:
        """Take the cycles of a recording."""
        self._rows += recording.rows()
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def end(self, predictions: Predictions) -> None:
        """Write what is left, and close the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._rows:
            self._file.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._file.schema))
        self._rows = []
