"""The data: getting them, checking them, preparing features, making the simulated set."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.datasets import DATASETS
from bench.core.download import Patience
from bench.core.errors import DataError
from bench.core.inputs import UNNAMED, by_name, map_inputs
from bench.core.options import build_options
from bench.core.paths import cache_folder, data_folder, expanded
from bench.core.progress import counted
from bench.data.dataset import Dataset
from bench.data.datasets.icbhi import fetch, verify
from bench.data.datasets.icbhi.files import scan
from bench.data.datasets.icbhi.verify import OFFICIAL, Counts, Report
from bench.data.datasets.simulated.demo import demo_folder, write_demo
from bench.data.frontends import FRONTENDS
from bench.data.sources import entries_in, load_dataset
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import DEMO

__all__ = [
    "OFFICIAL",
    "Counts",
    "DataDescription",
    "Dataset",
    "FeatureSizes",
    "PreparedFeatures",
    "RecordingFeatures",
    "Report",
    "describe_data",
    "fetch_data",
    "make_simulated_data",
    "prepare_features",
    "verify_data",
    "write_recording_features",
]

logger = logging.getLogger(__name__)


def _folder(data: str | None, cache: Path) -> Path:
    """The folder that a user's word for data means; the simulated set is made on first use."""
    return demo_folder(cache) if data == DEMO else data_folder(data)


def _located(data: str | None, cache: Path) -> tuple[Path, str]:
    """The folder that a user's word for data means, and the data set that it holds."""
    folder = _folder(data, cache)
    found = [entry.id for entry in entries_in(folder)]
    return folder, found[0] if found else DATASETS.primary().id


# --- getting and checking them ----------------------------------------------------------------------------------


def fetch_data(
    folder: Path | None = None, *, base_url: str | None = None, keep_archive: bool = False, insecure: bool = False
) -> Report:
    """Download ICBHI 2017 from its owners (2 GB) and unpack it; a stopped download goes on where it ended.

    Args:
        folder: Where to (default: ``BENCH_DATA`` or ./data/icbhi).
        base_url: Where the files are (default: ``BENCH_ICBHI_URL`` or the owners' server).
        keep_archive: Keep the archive after unpacking.
        insecure: Accept a server certificate that cannot be verified.

    Returns:
        What is there now.

    Raises:
        DataError: If a file cannot be had, or is another one.
    """
    place = data_folder(folder)
    with counted("bytes") as update:
        fetch.fetch(
            place,
            base_url=base_url,
            keep_archive=keep_archive,
            patience=Patience(insecure=insecure),
            on_progress=update,
        )
    return verify.verify(place, None)


def verify_data(data: str | None = None, *, cache: Path | None = None) -> Report:
    """Check every file: counts against the official ones, the split, and each fault with its file and line.

    Args:
        data: Folder of the data, or ``demo``.
        cache: The cache folder.

    Raises:
        DataError: If there are no data.
    """
    store = cache_folder(cache)
    return verify.verify(_folder(data, store), store)


@dataclass(frozen=True)
class DataDescription:
    """What is there of a data set.

    Attributes:
        dataset: The data set, with its recordings and cycles.
        counts: Recordings and cycles per split, device, patient, chest location, mode and rate.
    """

    dataset: Dataset
    counts: Counts

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench data info --format json`` prints."""
        dataset = self.dataset
        return {
            "name": dataset.name,
            "root": str(dataset.root),
            "simulated": dataset.simulated,
            "partial": dataset.partial,
            "recordings": {"present": len(dataset.recordings), "expected": dataset.expected},
            "fingerprint": dataset.fingerprint,
            "counts": self.counts.to_json(),
            "seconds": round(sum(cycle.end - cycle.start for cycle in dataset.cycles), 3),
            "patients_with_diagnosis": len(dataset.diagnosis),
            "patients_with_demographics": len(dataset.demographics),
        }


def describe_data(data: str | None = None, *, cache: Path | None = None) -> DataDescription:
    """Say what is there: recordings, cycles, and the data's fingerprint.

    Args:
        data: Folder of the data, or ``demo``.
        cache: The cache folder.

    Raises:
        DataError: If there are no data, or they are broken.
    """
    store = cache_folder(cache)
    dataset = load_dataset(*_located(data, store), allow_partial=True, cache=store)
    return DataDescription(dataset, verify.count(dataset.recordings))


def make_simulated_data(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the simulated data set: ICBHI's file layout, made from a seed. It proves the pipeline, never a method.

    Args:
        folder: A new or empty folder.
        seed: Which simulated set.

    Returns:
        The document that ``bench data demo --format json`` prints.

    Raises:
        SpecError: If the folder holds something, or the seed is negative or has more than 64 bits.
        StoreError: If it cannot be written.
    """
    place = expanded(folder)
    with counted("recordings") as update:
        write_demo(place, seed=seed, on_progress=lambda done, total: update("simulated recordings", done, total))
    number = sum(1 for _ in place.rglob("*.wav"))
    return {"folder": str(place), "seed": seed, "recordings": number, "simulated": True}


# --- features ---------------------------------------------------------------------------------------------------


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
        cache: The cache folder.
        plugins: Files with front-ends of your own.
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
    dataset = load_dataset(*_located(data, store), allow_partial=allow_partial, cache=store)
    began = time.monotonic()
    with counted("recordings") as update:
        bank = prepare_bank(
            dataset,
            frontend,
            chosen,
            store,
            workers=workers,
            on_progress=lambda done, total: update(f"features {frontend}", done, total),
        )
    return PreparedFeatures(
        frontend=frontend,
        path=bank.path,
        sizes=FeatureSizes(len(dataset.cycles), len(bank.cycles), map_inputs(_row_shape, bank.features)),
        partial=dataset.partial,
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
    cache: Path | None = None,
    plugins: Sequence[Path] = (),
) -> RecordingFeatures:
    """Write the features of one recording's cycles to a file, to compare front-ends.

    Args:
        recording: Its name in the data folder, or a WAV file with its .txt beside it.
        out: The .npz file to write.
        frontend: Front-end id.
        options: Options of the front-end by name.
        data: Folder of the data, or ``demo``.
        cache: The cache folder.
        plugins: Files with front-ends of your own.

    Raises:
        RegistryError: If there is no such front-end.
        SpecError: If an option is unknown or out of its range.
        DataError: If there is no such recording, or it is broken.
        StoreError: If the file cannot be written.
    """
    from bench.data.bank import recording_features
    from bench.data.features import read_annotated, write_features

    chosen = _checked_options(frontend, options, plugins)
    path = expanded(recording)
    if path.suffix.lower() != ".wav":
        path = _audio_of(recording, _folder(data, cache_folder(cache)))
    found, notes = read_annotated(path)
    for note in notes:
        logger.info(f"note: {note}")
    inputs, cycles = recording_features(found, frontend, chosen)
    place = expanded(out)
    write_features(place, cycles, {name: array.numpy() for name, array in by_name(inputs).items()})
    sizes = FeatureSizes(len(found.cycles), len(cycles), map_inputs(_row_shape, inputs))
    return RecordingFeatures(recording=found.name, out=place, sizes=sizes)


def _audio_of(name: str, folder: Path) -> Path:
    """The WAV file of a recording of the data folder."""
    known = {path.stem: path for paths in scan(folder).audio.values() for path in paths}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else "Name a recording, or a WAV file with its .txt beside it."
        raise DataError(f"There is no recording '{name}' with audio below {folder}.", hint)
    return known[name]
