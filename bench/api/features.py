"""The features of a data set's cycles: prepared once for all runs, or written to a file to compare front-ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.inputs import UNNAMED, by_name, map_inputs
from bench.core.options import build_options
from bench.core.paths import cache_folder, expanded
from bench.data.feature_progress import features_counted
from bench.data.frontends import FRONTENDS
from bench.data.location import locate_data
from bench.data.sources import load_dataset
from bench.experiment.plugins import load_plugins

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureSizes:
    """How many features there are.

    Attributes:
        cycles: Cycles.
        rows: Rows; more than cycles where the front-end cuts them into pieces.
        shape: What a row is, or what each of its inputs is by name.
    """

    cycles: int
    rows: int
    shape: Sequence[int] | Mapping[str, Sequence[int]]

    @property
    def words(self) -> str:
        """The shape in words: ``798 × 128``, or ``left 126 × 64, right 9``."""
        words = {name: " × ".join(map(str, shape)) for name, shape in by_name(self.shape).items()}
        return ", ".join(f"{name} {size}".strip() for name, size in words.items())

    def to_json(self) -> dict[str, Any]:
        """Sizes as JSON; ``frames`` and ``mels`` where a row is a picture."""
        is_picture = not isinstance(self.shape, Mapping) and len(self.shape) > 1
        frames, mels = by_name(self.shape)[UNNAMED][-2:] if is_picture else (None, None)
        return {**vars(self), "frames": frames, "mels": mels}


@dataclass(frozen=True, kw_only=True)
class PreparedFeatures:
    """The features of a whole data set, in a cache that all runs share.

    Attributes:
        frontend: The front-end.
        path: Where they are.
        sizes: How many there are.
        partial: How much of the data set it is, where not all of it.
        seconds: How long it took.
    """

    frontend: str
    path: Path
    sizes: FeatureSizes
    partial: str | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench data prepare --format json`` prints."""
        place = {"frontend": self.frontend, "path": str(self.path)}
        return {**place, **self.sizes.to_json(), "partial": self.partial, "seconds": self.seconds}


def prepare_features(
    frontend: str = "ast",
    options: Mapping[str, Any] | None = None,
    *,
    data: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    cache: Path | None = None,
    plugins: Sequence[Path] = (),
    workers: int | None = None,
    allow_partial: bool = False,
) -> PreparedFeatures:
    """Compute the features of every cycle once.

    Args:
        frontend: Front-end id.
        options: Options of the front-end by name.
        data: Folder of the data, or ``demo``.
        dataset: Id of the data set (default: the one that the folder holds).
        task: Id of the task, which says what a cycle is (default: the first of the set).
        cache: The cache folder.
        plugins: Files with front-ends or data sets of your own.
        workers: Recordings at a time (default: one per core).
        allow_partial: Accept that recordings are missing.

    Raises:
        RegistryError: If there is no such front-end.
        SpecError: If an option is unknown or out of its range.
        DataError: If the data are missing or broken.
    """
    from bench.data.bank import prepare_bank

    chosen = _checked_options(frontend, options, plugins)
    store = cache_folder(cache)
    folder, card = locate_data(data, dataset, store)
    loaded = load_dataset(folder, card.id, task, allow_partial=allow_partial, cache=store)
    began = time.monotonic()
    with features_counted(frontend) as on_progress:
        bank = prepare_bank(loaded, frontend, chosen, store, workers=workers, on_progress=on_progress)
    return PreparedFeatures(
        frontend=frontend,
        path=bank.path,
        sizes=FeatureSizes(len(loaded.cycles), len(bank.cycles), map_inputs(_row_shape, bank.features)),
        partial=loaded.partial,
        seconds=round(time.monotonic() - began, 3),
    )


def _row_shape(rows: Any) -> list[int]:
    return list(rows.shape[1:])


def _checked_options(frontend: str, options: Mapping[str, Any] | None, plugins: Sequence[Path]) -> Mapping[str, Any]:
    """Options of a front-end; unknown ids, keys and values are refused here."""
    load_plugins(plugins)
    build_options(FRONTENDS.card(frontend).options, options or {}, f"front-end {frontend}")
    return options or {}


@dataclass(frozen=True, kw_only=True)
class RecordingFeatures:
    """The features of one recording's cycles, in a file.

    Attributes:
        recording: Its name.
        out: The file: ``features`` (rows, frames, mels) float32, or ``features-NAME`` for each name, and ``labels``,
            ``start`` and ``end`` of each row.
        sizes: How many there are.
    """

    recording: str
    out: Path
    sizes: FeatureSizes

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench data features --format json`` prints."""
        return {"recording": self.recording, "out": str(self.out), **self.sizes.to_json()}


def write_recording_features(
    recording: str,
    out: Path,
    frontend: str = "ast",
    options: Mapping[str, Any] | None = None,
    *,
    data: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    cache: Path | None = None,
    plugins: Sequence[Path] = (),
) -> RecordingFeatures:
    """Write the features of one recording's cycles to a file, to compare front-ends.

    Args:
        recording: Its name in the data folder, or a WAV file with its annotation beside it.
        out: The .npz file to write.
        frontend: Front-end id.
        options: Options of the front-end by name.
        data: Folder of the data, or ``demo``.
        dataset: Id of the data set (default: the one that the folder holds).
        task: Id of the task, which says what a cycle is (default: the first of the set).
        cache: The cache folder.
        plugins: Files with front-ends or data sets of your own.

    Raises:
        RegistryError: If there is no such front-end.
        SpecError: If an option is unknown or out of its range.
        DataError: If there is no such recording, or it is broken.
        StoreError: If the file cannot be written.
    """
    from bench.data.bank import recording_features
    from bench.data.features import read_recording, write_features

    chosen = _checked_options(frontend, options, plugins)
    store = cache_folder(cache)
    folder, card = locate_data(data, dataset, store)
    found, notes = read_recording(recording, card, card.task(task), folder, store)
    for note in notes:
        logger.info(f"note: {note}")
    inputs, cycles = recording_features(found, frontend, chosen)
    place = expanded(out)
    write_features(place, cycles, {name: array.numpy() for name, array in by_name(inputs).items()})
    sizes = FeatureSizes(len(found.cycles), len(cycles), map_inputs(_row_shape, inputs))
    return RecordingFeatures(recording=found.name, out=place, sizes=sizes)
