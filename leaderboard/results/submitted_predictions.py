"""Reading a submitted file of predictions, whether or not it is what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.documents import read_bytes
from leaderboard.metrics import CLASSES
from leaderboard.results.predictions import CHOSEN, KEY, Key, parse_rows, read_key, read_number

LARGEST_FILE = 64 * 2**20
"""Bytes; 2,756 cycles take less than one of 64 parts of it, so that a larger file is another one."""


@dataclass(frozen=True, eq=False)
class SubmittedPredictions:
    """The predictions in a submitted file as they were read, sound or not, in the order of the file.

    Attributes:
        content: The bytes of the file.
        keys: (n,) recording and number of each cycle; a cycle may stand twice.
        scores: (n, classes) scores, finite or not; None where the file holds classes.
        words: (n,) texts that name classes; None where the file holds scores.
        stripped: How many lines name the recording with the ending ``.wav``.
    """

    content: bytes
    keys: tuple[Key, ...]
    scores: NDArray[np.float64] | None
    words: tuple[str, ...] | None
    stripped: int = 0


def read_submitted(path: Path, classes: Sequence[str] = CLASSES) -> SubmittedPredictions:
    """Read a submitted file, CSV or Parquet, without checking its cycles and values.

    :func:`leaderboard.results.submission_checks.check_predictions` checks them.

    Recordings may be written with the ending ``.wav``, which is left out.

    Raises:
        ResultError: If it cannot be read, has other columns, or a line that names no cycle or number.
    """
    return parse_submitted(read_bytes(path, LARGEST_FILE, "the file of predictions of a test part"), str(path), classes)


def parse_submitted(content: bytes, where: str, classes: Sequence[str] = CLASSES) -> SubmittedPredictions:
    """Read the content of a submitted file as :func:`read_submitted` does.

    Args:
        content: The bytes of a CSV or Parquet file.
        where: The name of the file, for messages.
        classes: Names of the task's classes.

    Raises:
        ResultError: If it has other columns, or a line that names no cycle or number.
    """
    keys: list[Key] = []
    values: list[list[float]] = []
    words: list[str] = []
    stripped = 0
    for line, row in parse_rows(content, where, ((*KEY, *classes), CHOSEN)):
        recording, cycle = read_key(row, where, line)
        bare = recording[:-4] if recording.lower().endswith(".wav") else recording
        stripped += bare != recording
        keys.append((bare, cycle))
        if "predicted" in row:
            words.append(row["predicted"])
        else:
            values.append([read_number(row[name], name, where, line) for name in classes])
    scores = np.asarray(values, dtype=np.float64) if values else None
    return SubmittedPredictions(content, tuple(keys), scores, None if values else tuple(words), stripped)
