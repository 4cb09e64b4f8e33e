"""Per-cycle predictions and the cycles they answer, as files: what every number on the board is computed from.

Runs write CSV; predictions may also come as Parquet, where every value is taken as the text that CSV would hold.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.documents import read_bytes
from bench.core.errors import ResultError
from bench.core.files import atomic_path
from bench.core.text import counted_noun, echoed
from leaderboard.metrics import CLASSES, predicted_classes
from leaderboard.results.parquet import PARQUET_INDEX, is_parquet, parquet_rows

Key = tuple[str, int]
"""A cycle's name: the recording's file name without ending, and the 0-based index in its annotation file."""

KEY = ("recording", "cycle")
CHOSEN = (*KEY, "predicted")
CYCLES = (*KEY, "label", "patient", "device")
CYCLES_OF_PARTS = (*CYCLES, "part")

MOST_ROWS = 200_000
"""Lines of a table; ICBHI has 6,898 cycles, the largest public sets of breath sounds some ten thousands."""

_INDEX = re.compile(r"|Unnamed: [0-9]+|index", re.IGNORECASE)
"""Names of the column of row numbers that pandas writes before the others."""

_CYCLE = re.compile(r"[0-9]{1,9}")
_CLASS = re.compile(r"([0-9]{1,2})(?:\.0*)?")
"""A class, also as programs write one that they keep as a decimal number: 3.0."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Answers for n cycles.

    Attributes:
        keys: The cycles, in the file's order.
        scores: (n, classes) float64, or None where the file holds only the chosen class.
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
        parts: Tested part of each; empty where the task has one part.
    """

    keys: tuple[Key, ...]
    labels: tuple[int, ...]
    patients: tuple[str, ...]
    devices: tuple[str, ...]
    parts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def order(self) -> list[int]:
        """Places of the cycles in sorted order."""
        return sorted(range(len(self)), key=self.keys.__getitem__)

    def subset(self, places: Sequence[int]) -> CycleSet:
        """The cycles at some places, in that order."""
        columns = (self.keys, self.labels, self.patients, self.devices, self.parts)
        return CycleSet(*(tuple(column[i] for i in places) for column in columns if column))  # type: ignore[arg-type]

    def places_of(self, part: str) -> list[int]:
        """Places of the cycles of a tested part, in their order: all of them where the task has one part."""
        return [i for i in range(len(self)) if not self.parts or self.parts[i] == part]

    def of_part(self, part: str) -> CycleSet:
        """The cycles of a tested part by themselves, as the set of a task of one part."""
        places = self.places_of(part)
        return replace(self, parts=()).subset(places)

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 over the cycles in sorted order: the same for the same cycles, however they are listed."""
        parts = [self.parts] if self.parts else []
        rows = sorted(zip(self.keys, self.labels, self.patients, self.devices, *parts, strict=True))
        return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def write_predictions(path: Path, keys: Sequence[Key], scores: ArrayLike, classes: Sequence[str] = CLASSES) -> None:
    """Write scores as CSV, atomically; reading them back gives the same float64 values.

    Args:
        path: The file.
        keys: (n) cycles.
        scores: (n, classes) finite scores.
        classes: Names of the classes.

    Raises:
        ResultError: If the scores do not fit the keys or are not finite.
        StoreError: If the file cannot be written.
    """
    _write_text(path, predictions_text(keys, scores, classes))


def predictions_text(keys: Sequence[Key], scores: ArrayLike, classes: Sequence[str] = CLASSES) -> str:
    """Scores as the text of a CSV file; arguments and ResultError as for :func:`write_predictions`."""
    predicted_classes(scores, len(classes))
    rows = np.asarray(scores, dtype=np.float64).tolist()
    if len(rows) != len(keys):
        raise ResultError(f"There are {len(keys)} cycles but {len(rows)} rows of scores.")
    return _csv_text((*KEY, *classes), ((*key, *map(repr, row)) for key, row in zip(keys, rows, strict=True)))


def write_cycles(path: Path, cycles: CycleSet) -> None:
    """Write the judged cycles as CSV, atomically; raises StoreError if the file cannot be written."""
    _write_text(path, cycles_text(cycles))


def cycles_text(cycles: CycleSet) -> str:
    """The judged cycles as the text of a CSV file."""
    parts = [cycles.parts] if cycles.parts else []
    facts = zip(cycles.keys, cycles.labels, cycles.patients, cycles.devices, *parts, strict=True)
    return _csv_text(CYCLES_OF_PARTS if parts else CYCLES, ((*key, *others) for key, *others in facts))


def _csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode())


def read_predictions(path: Path, classes: Sequence[str] = CLASSES) -> Predictions:
    """Read a file of predictions; raises ResultError as :func:`parse_predictions` does, or if it cannot be read."""
    return parse_predictions(read_bytes(path), str(path), classes)


def parse_predictions(content: bytes, where: str, classes: Sequence[str] = CLASSES) -> Predictions:
    """Read predictions: scores in a column for each class, or a class (its number or name) in one.

    Args:
        content: Of a CSV or Parquet file.
        where: Its name, for messages.
        classes: Names of the task's classes.

    Raises:
        ResultError: If it is neither, or a line is wrong; file and line are named.
    """
    keys: dict[Key, int] = {}
    values: list[list[float]] = []
    chosen: list[int] = []
    for line, row in parse_rows(content, where, ((*KEY, *classes), CHOSEN)):
        _add_key(keys, row, where, line)
        if "predicted" in row:
            chosen.append(read_class(row["predicted"], where, line, classes))
        else:
            values.append([_score(row[name], name, where, line) for name in classes])
    if not values:
        return Predictions(tuple(keys), None, np.asarray(chosen, dtype=np.int64))
    scores = np.asarray(values, dtype=np.float64)
    return Predictions(tuple(keys), scores, predicted_classes(scores, len(classes)))


def read_cycles(path: Path, classes: Sequence[str] = CLASSES) -> CycleSet:
    """Read a file of judged cycles; raises ResultError as :func:`read_predictions` does."""
    return parse_cycles(read_bytes(path), str(path), classes)


def parse_cycles(content: bytes, where: str, classes: Sequence[str] = CLASSES) -> CycleSet:
    """Read the judged cycles; arguments and ResultError as for :func:`parse_predictions`."""
    keys: dict[Key, int] = {}
    facts: list[tuple[Any, ...]] = []
    for line, row in parse_rows(content, where, (CYCLES, CYCLES_OF_PARTS)):
        _add_key(keys, row, where, line)
        words = (_name(row[column], column, where, line) for column in CYCLES_OF_PARTS[3:] if column in row)
        facts.append((read_class(row["label"], where, line, classes), *words))
    return CycleSet(tuple(keys), *zip(*facts, strict=True))


def align(predictions: Predictions, cycles: CycleSet, where: str) -> Predictions:
    """Put predictions into the order of the cycles that they must answer exactly.

    Args:
        predictions: In any order.
        cycles: What they must answer.
        where: Their file, for the message.

    Raises:
        ResultError: If cycles are missing or there are others; counts and examples are named.
    """
    place = {key: row for row, key in enumerate(predictions.keys)}
    missing = [key for key in cycles.keys if key not in place]
    extra = sorted(place.keys() - set(cycles.keys))
    if missing or extra:
        parts = [_some("lacks", missing)] * bool(missing) + [_some("holds other", extra)] * bool(extra)
        raise ResultError(
            f"{where} {' and '.join(parts)}: it must hold the {counted_noun(len(cycles), 'test cycle')} exactly once."
        )
    order = np.asarray([place[key] for key in cycles.keys], dtype=np.int64)
    scores = None if predictions.scores is None else predictions.scores[order]
    return Predictions(cycles.keys, scores, predictions.predicted[order])


def _some(verb: str, keys: Sequence[Key]) -> str:
    shown = ", ".join(f"{recording} cycle {cycle}" for recording, cycle in keys[:3])
    return f"{verb} {counted_noun(len(keys), 'cycle')} ({shown}{', ...' if len(keys) > 3 else ''})"


def parse_rows(content: bytes, where: str, headers: Sequence[Sequence[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a table, CSV or Parquet by its first bytes.

    Lines without content and a column of row numbers, as spreadsheets and pandas leave them, are left out.

    Args:
        content: Of the file.
        where: Its name, for messages.
        headers: The names of columns that it may have, in any order.

    Yields:
        The line (the header is 1; a Parquet file's first row counts as 2) and the row's texts by column.

    Raises:
        ResultError: If the file is neither, is empty, is longer than predictions are, or has other columns.
    """
    lines = parquet_rows(content, where, MOST_ROWS) if is_parquet(content) else _csv_rows(content, where)
    header = next(lines, (1, []))[1]
    taken = _columns(header)
    names = [header[place] for place in taken]
    _check_header(where, names, headers)
    count = 0
    for line, row in lines:
        if not any(cell.strip() for cell in row):
            continue
        count += 1
        if count > MOST_ROWS:
            raise ResultError(f"{where} has more than {MOST_ROWS:,} lines, which no predictions have.")
        if len(row) != len(header):
            raise ResultError(f"{where}:{line}: {counted_noun(len(row), 'column')} instead of {len(header)}.")
        yield line, dict(zip(names, (row[place] for place in taken), strict=True))
    if not count:
        raise ResultError(f"{where} holds a header but no cycle.")


def _columns(header: Sequence[str]) -> list[int]:
    """Places of the columns that count: all but one of row numbers, which pandas writes first, or last in Parquet."""
    kept = list(range(len(header)))
    if len(header) > 1 and _INDEX.fullmatch(header[0]):
        return kept[1:]
    if len(header) > 1 and header[-1] == PARQUET_INDEX:
        return kept[:-1]
    return kept


def _csv_rows(content: bytes, where: str) -> Iterator[tuple[int, list[str]]]:
    """The header, then the other lines."""
    try:
        # Decoded as it is read: a text of all of it would take four times its bytes.
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""))
        for number, row in enumerate(reader):
            yield reader.line_num, row if number else [name.strip() for name in row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ResultError(f"{where} is not a CSV file in UTF-8: {echoed(error)}.") from error


def _check_header(where: str, header: Sequence[str], headers: Sequence[Sequence[str]]) -> None:
    if sorted(header) in [sorted(names) for names in headers]:
        return
    near = min(headers, key=lambda names: len(set(names) ^ set(header)))
    faults = [
        *[f"{name} is missing" for name in near if name not in header],
        *[f"'{echoed(name, 40)}' is no column" for name in dict.fromkeys(header) if name and name not in near],
        *[f"column {place} has no name" for place, name in enumerate(header, start=1) if not name],
        *[f"{name} stands twice" for name in near if list(header).count(name) > 1],
    ]
    wanted = " or ".join(",".join(names) for names in headers)
    said = f" ({', '.join(faults[:6])})" if header and faults else ""
    raise ResultError(f"{where}:1: the header is '{echoed(','.join(header), 200)}', but must be {wanted}{said}.")


def read_key(row: dict[str, str], where: str, line: int) -> Key:
    """The cycle that a row names; raises ResultError if it names none."""
    recording, text = _name(row["recording"].strip(), "recording", where, line), row["cycle"].strip()
    if not recording:
        raise ResultError(f"{where}:{line}: the recording is empty.")
    if not _CYCLE.fullmatch(text):
        raise ResultError(f"{where}:{line}: cycle is '{echoed(text)}', but must be a whole number from 0.")
    return recording, int(text)


def _name(text: str, column: str, where: str, line: int) -> str:
    """A name as it stands; raises ResultError for one with control characters, which no file has."""
    if _CONTROL.search(text):
        raise ResultError(f"{where}:{line}: {column} is '{echoed(text)}', which holds a control character.")
    return text


def _add_key(keys: dict[Key, int], row: dict[str, str], where: str, line: int) -> None:
    key = read_key(row, where, line)
    if key in keys:
        raise ResultError(f"{where}:{line}: {key[0]} cycle {key[1]} stands twice, first in line {keys[key]}.")
    keys[key] = line


def class_of(text: str, classes: Sequence[str] = CLASSES) -> int | None:
    """The class that a text names, by number or name; None where it names none."""
    word, names = text.strip().lower(), [name.lower() for name in classes]
    if word in names:
        return names.index(word)
    number = _CLASS.fullmatch(word)
    return int(number[1]) if number and int(number[1]) < len(classes) else None


def read_class(text: str, where: str, line: int, classes: Sequence[str] = CLASSES) -> int:
    """The class that a text names; raises ResultError if it names none."""
    found = class_of(text, classes)
    if found is None:
        raise ResultError(
            f"{where}:{line}: the class is '{echoed(text)}', but must be 0 to {len(classes) - 1} or one of "
            f"{', '.join(classes)}."
        )
    return found


def read_number(text: str, name: str, where: str, line: int) -> float:
    """The number in a column, finite or not; raises ResultError if the text is none."""
    try:
        # Python would take 1_0 and the digits of other scripts too.
        return float(text if text.isascii() and "_" not in text else "")
    except ValueError:
        raise ResultError(f"{where}:{line}: {name} is '{echoed(text)}', but must be a number.") from None


def _score(text: str, name: str, where: str, line: int) -> float:
    value = read_number(text, name, where, line)
    if not math.isfinite(value):
        raise ResultError(f"{where}:{line}: {name} is {value}, but must be a finite number.")
    return value
