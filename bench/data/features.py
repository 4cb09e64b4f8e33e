"""A single recording, and its features in a file, for comparing front-ends."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.errors import DataError
from bench.core.files import output_path
from bench.core.paths import expanded
from bench.core.text import echoed
from bench.data.dataset import Cycle, Recording
from bench.data.sources import AnnotatedReader, load_dataset, reader_of


def read_recording(
    name: str, card: DatasetCard, task: TaskCard, folder: Path, cache: Path | None = None
) -> tuple[Recording, list[str]]:
    """Read one recording with its cycles.

    A reader that gives single recordings does not look at the others, which may be broken.

    Args:
        name: Name of a recording of the data folder, or an audio file with its annotation beside it.
        card: The data set.
        task: One of its tasks.
        folder: The data folder.
        cache: Cache folder, for hashes of files that did not change.

    Returns:
        The recording, and notes on what is odd about its cycles.

    Raises:
        DataError: If there is no such recording, or it is broken.
    """
    reader = reader_of(card.id)
    if isinstance(reader, AnnotatedReader):
        is_file = Path(name).suffix.lower() == ".wav"
        audio = expanded(name) if is_file else _named(reader.audio_files(folder), name, folder)
        return reader.annotated(audio, task)
    dataset = load_dataset(folder, card.id, task.id, allow_partial=True, cache=cache)
    return _named({recording.name: recording for recording in dataset.recordings}, name, folder), []


NamedT = TypeVar("NamedT")


def _named(known: Mapping[str, NamedT], name: str, folder: Path) -> NamedT:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]}?" if close else "Name a recording, or a WAV file with its annotation beside it."
    raise DataError(f"There is no recording '{echoed(name)}' with audio below {folder}.", hint)


def write_features(out: Path, cycles: Sequence[Cycle], features: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write features with labels and times as a compressed NumPy archive, atomically.

    Args:
        out: Path of the archive, which ends in ``.npz``.
        cycles: The cycle of each row.
        features: (rows, frames, mels) by name of the input. The archive holds ``features`` for the one without a name
            and ``features-NAME`` for the others.

    Raises:
        StoreError: If it cannot be written.
    """
    arrays: dict[str, Any] = {
        **{f"features-{name}".removesuffix("-"): array for name, array in features.items()},
        "labels": np.array([cycle.label for cycle in cycles], dtype=np.int64),
        "start": np.array([cycle.start for cycle in cycles]),
        "end": np.array([cycle.end for cycle in cycles]),
    }
    with output_path(out) as path, path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
