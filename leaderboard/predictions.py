"""Per-cycle predictions and the cycles they answer, as files: what every number on the board is computed from.

Runs write CSV; predictions may also come as Parquet, where every value is taken as the text that CSV would hold.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.errors import ResultError
from leaderboard.files import atomic_path
from leaderboard.metrics import CLASSES, predicted_classes

Key = tuple[str, int]
"""A cycle's name: the recording's file name without ending, and the 0-based index in its annotation file."""

SCORED = ("recording", "cycle", *CLASSES)
CHOSEN = ("recording", "cycle", "predicted")
CYCLES = ("recording", "cycle", "label", "patient", "device")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Answers for n cycles.

    Attributes:
        keys: The cycles, in the file's order.
        scores: (n, 4) float64, or None where the file holds only the chosen class.
        predicted: (n,) chosen classes.
    """

    keys: tuple[Key, ...]
    scores: NDArray[np.float64] | None
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class CycleSet:
    """The cycles that a run was judged on, with their true classes.

    Attributes:
        keys: The cycles.
        labels: True class of each.
        patients: Patient of each.
        devices: Recording device of each.
    """

    keys: tuple[Key, ...]
    labels: tuple[int, ...]
    patients: tuple[str, ...]
    devices: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def order(self) -> list[int]:
        """Places of the cycles in sorted order."""
        return sorted(range(len(self)), key=self.keys.__getitem__)

    def subset(self, places: Sequence[int]) -> CycleSet:
        """The cycles at some places, in that order."""
        columns = (self.keys, self.labels, self.patients, self.devices)
        return CycleSet(*(tuple(column[i] for i in places) for column in columns))  # type: ignore[arg-type]

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 over the cycles in sorted order: the same for the same cycles, however they are listed."""
        rows = sorted(zip(self.keys, self.labels, self.patients, self.devices, strict=True))
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def write_predictions(path: Path, keys: Sequence[Key], scores: ArrayLike) -> None:
    """Write scores as CSV, atomically; reading them back gives the same float64 values.

    Args:
        path: The file.
        keys: (n) cycles.
        scores: (n, 4) finite scores.

    Raises:
        ResultError: If the scores do not fit the keys or are not finite.
        StoreError: If the file cannot be written.
    """
    _write_text(path, predictions_text(keys, scores))


def predictions_text(keys: Sequence[Key], scores: ArrayLike) -> str:
    """Scores as the text of a CSV file; arguments and ResultError as for :func:`write_predictions`."""
    predicted_classes(scores)
    rows = np.asarray(scores, dtype=np.float64).tolist()
    if len(rows) != len(keys):
        raise ResultError(f"There are {len(keys)} cycles but {len(rows)} rows of scores.")
    return _csv_text(SCORED, ((*key, *map(repr, row)) for key, row in zip(keys, rows, strict=True)))


def write_cycles(path: Path, cycles: CycleSet) -> None:
    """Write the judged cycles as CSV, atomically; raises StoreError if the file cannot be written."""
    _write_text(path, cycles_text(cycles))


def cycles_text(cycles: CycleSet) -> str:
    """The judged cycles as the text of a CSV file."""
    facts = zip(cycles.keys, cycles.labels, cycles.patients, cycles.devices, strict=True)
    return _csv_text(CYCLES, ((*key, label, patient, device) for key, label, patient, device in facts))


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def read_predictions(path: Path) -> Predictions:
    """Read predictions: scores in four columns, or a class (0-3 or its name) in one.

    Raises:
        ResultError: If the file cannot be read or a line is wrong; file and line are named.
    """
    keys: dict[Key, int] = {}
    values: list[list[float]] = []
    chosen: list[int] = []
    for line, row in read_rows(path, (SCORED, CHOSEN)):
        _add_key(keys, row, path, line)
        if "predicted" in row:
            chosen.append(read_class(row["predicted"], path, line))
        else:
            values.append([_score(row[name], name, path, line) for name in CLASSES])
    if not values:
        return Predictions(tuple(keys), None, np.asarray(chosen, dtype=np.int64))
    scores = np.asarray(values, dtype=np.float64)
    return Predictions(tuple(keys), scores, predicted_classes(scores))


def read_cycles(path: Path) -> CycleSet:
    """Read the judged cycles; raises ResultError as :func:`read_predictions` does."""
    keys: dict[Key, int] = {}
    facts: list[tuple[int, str, str]] = []
    for line, row in read_rows(path, (CYCLES,)):
        _add_key(keys, row, path, line)
        facts.append((read_class(row["label"], path, line), row["patient"], row["device"]))
    labels, patients, devices = zip(*facts, strict=True)
    return CycleSet(tuple(keys), labels, patients, devices)


def align(predictions: Predictions, cycles: CycleSet, path: Path) -> Predictions:
    """Put predictions into the order of the cycles that they must answer exactly.

    Args:
        predictions: In any order.
        cycles: What they must answer.
        path: Their file, for the message.

    Raises:
        ResultError: If cycles are missing or there are others; counts and examples are named.
    """
    place = {key: row for row, key in enumerate(predictions.keys)}
    missing = [key for key in cycles.keys if key not in place]
    extra = sorted(place.keys() - set(cycles.keys))
    if missing or extra:
        parts = [_some("lacks", missing)] * bool(missing) + [_some("holds other", extra)] * bool(extra)
        raise ResultError(f"{path} {' and '.join(parts)}: it must hold the {len(cycles)} test cycles exactly once.")
    order = np.asarray([place[key] for key in cycles.keys], dtype=np.int64)
    scores = None if predictions.scores is None else predictions.scores[order]
    return Predictions(cycles.keys, scores, predictions.predicted[order])


def _some(verb: str, keys: Sequence[Key]) -> str:
    shown = ", ".join(f"{recording} cycle {cycle}" for recording, cycle in keys[:3])
    return f"{verb} {len(keys)} cycles ({shown}{', ...' if len(keys) > 3 else ''})"


def read_rows(path: Path, headers: Sequence[Sequence[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a table, CSV or Parquet by its first bytes.

    Args:
        path: The file.
        headers: The names of columns that it may have, in any order.

    Yields:
        The line (the header is 1; a Parquet file's first row counts as 2) and the row's texts by column.

    Raises:
        ResultError: If the file cannot be read, is empty, or has other columns.
    """
    empty = True
    for line, row in _parquet_rows(path, headers) if is_parquet(path) else _csv_rows(path, headers):
        empty = False
        yield line, row
    if empty:
        raise ResultError(f"{path} holds a header but no cycle.")


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet files do; raises ResultError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PAR1"
    except OSError as error:
        raise ResultError(f"Cannot read {path}: {error.strerror or error}.") from error


def _csv_rows(path: Path, headers: Sequence[Sequence[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, headers)
            for row in reader:
                if len(row) != len(header):
                    raise ResultError(f"{path}:{reader.line_num}: {len(row)} columns instead of {len(header)}.")
                yield reader.line_num, dict(zip(header, row, strict=True))
    except OSError as error:
        raise ResultError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ResultError(f"{path} is not a CSV file in UTF-8: {error}.") from error


def _parquet_rows(path: Path, headers: Sequence[Sequence[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ResultError(
            f"{path} is a Parquet file, and no reader is installed: {error}.",
            "Install one (pip install 'lungbench[parquet]'), or write CSV.",
        ) from error
    try:
        table = parquet.read_table(path)
        columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
    except (pyarrow.ArrowException, OSError) as error:
        raise ResultError(f"{path} is no Parquet file that can be read: {' '.join(str(error).split())}.") from error
    _check_header(path, table.column_names, headers)
    for line, row in enumerate(zip(*columns, strict=True), start=2):
        yield line, dict(zip(table.column_names, row, strict=True))


def _check_header(path: Path, header: Sequence[str], headers: Sequence[Sequence[str]]) -> None:
    if sorted(header) in [sorted(names) for names in headers]:
        return
    near = min(headers, key=lambda names: len(set(names) ^ set(header)))
    faults = [
        *[f"{name} is missing" for name in near if name not in header],
        *[f"'{name}' is no column" for name in dict.fromkeys(header) if name and name not in near],
        *[f"{name} stands twice" for name in near if list(header).count(name) > 1],
    ]
    wanted = " or ".join(",".join(names) for names in headers)
    said = f" ({', '.join(faults[:6])})" if header and faults else ""
    raise ResultError(f"{path}:1: the header is '{','.join(header)[:200]}', but must be {wanted}{said}.")


def read_key(row: dict[str, str], path: Path, line: int) -> Key:
    """The cycle that a row names; raises ResultError if it names none."""
    recording, text = row["recording"].strip(), row["cycle"].strip()
    if not recording:
        raise ResultError(f"{path}:{line}: the recording is empty.")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ResultError(f"{path}:{line}: cycle is '{text}', but must be a whole number from 0.")
    return recording, int(text)


def _add_key(keys: dict[Key, int], row: dict[str, str], path: Path, line: int) -> None:
    key = read_key(row, path, line)
    if key in keys:
        raise ResultError(f"{path}:{line}: {key[0]} cycle {key[1]} stands twice, first in line {keys[key]}.")
    keys[key] = line


def class_of(text: str) -> int | None:
    """The class that a text names, by number or name; None where it names none."""
    word = text.strip().lower()
    if word in CLASSES:
        return CLASSES.index(word)
    return int(word) if word in {"0", "1", "2", "3"} else None


def read_class(text: str, path: Path, line: int) -> int:
    """The class that a text names; raises ResultError if it names none."""
    found = class_of(text)
    if found is None:
        raise ResultError(f"{path}:{line}: the class is '{text}', but must be 0 to 3 or one of {', '.join(CLASSES)}.")
    return found


def read_number(text: str, name: str, path: Path, line: int) -> float:
    """The number in a column, finite or not; raises ResultError if the text is none."""
    try:
        return float(text)
    except ValueError:
        raise ResultError(f"{path}:{line}: {name} is '{text}', but must be a number.") from None


def _score(text: str, name: str, path: Path, line: int) -> float:
    value = read_number(text, name, path, line)
    if not math.isfinite(value):
        raise ResultError(f"{path}:{line}: {name} is {value}, but must be a finite number.")
    return value
