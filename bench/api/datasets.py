"""The data: which sets there are, getting them, checking them, saying what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.datasets import DATASETS, DatasetCard, extent_words
from bench.core.download import Patience
from bench.core.errors import SpecError
from bench.core.paths import cache_folder, expanded
from bench.core.progress import counted, waiting
from bench.core.text import counted_noun, plural
from bench.data.counts import Counts, CountTable, count_recordings, count_table
from bench.data.dataset import Dataset
from bench.data.location import held_set, locate_data
from bench.data.sources import (
    FetchableReader,
    MadeReader,
    VerifiableReader,
    VerificationReport,
    dataset_folder,
    load_dataset,
    reader_of,
)
from bench.experiment.plugins import load_plugins
from leaderboard.tasks import is_first_task

__all__ = [
    "CountTable",
    "Counts",
    "DataDescription",
    "Dataset",
    "VerificationReport",
    "describe_data",
    "fetch_data",
    "make_simulated_data",
    "verify_data",
]


def fetch_data(
    folder: Path | None = None,
    dataset: str | None = None,
    *,
    base_url: str | None = None,
    keep_archive: bool = False,
    insecure: bool = False,
    plugins: Sequence[Path] = (),
) -> VerificationReport:
    """Download a data set from its owners and unpack it; a stopped download goes on where it ended.

    Args:
        folder: Where to (default: the folder of the set, as ``bench data show`` tells it).
        dataset: Id of the data set (default: the one that the folder holds a part of, or else the primary one).
        base_url: Where the files are (default: the owners' server, or what a variable of the environment says).
        keep_archive: Keep the archive after unpacking.
        insecure: Accept a server certificate that cannot be verified.
        plugins: Files with data sets of your own.

    Returns:
        What is there now.

    Raises:
        SpecError: If the set cannot be fetched by a program, or a file cannot be imported.
        DataError: If a file cannot be had, or is another one.
    """
    load_plugins(plugins)
    card = DATASETS.card(dataset) if dataset else _begun_set(folder)
    reader = reader_of(card.id)
    if not isinstance(reader, FetchableReader):
        raise SpecError(f"The data set '{card.id}' cannot be fetched by a program.", card.obtain or None)
    place = dataset_folder(card, folder)
    with counted("bytes") as update:
        reader.fetch(
            place,
            base_url=base_url,
            keep_archive=keep_archive,
            patience=Patience(insecure=insecure),
            on_progress=update,
        )
    # What was put there by hand may be another set that its reader unpacks too.
    return _verified(place, card if dataset else held_set(place) or card, None)


def _begun_set(folder: Path | None) -> DatasetCard:
    """The set that a folder holds, if that can be fetched; otherwise the primary one."""
    primary = DATASETS.primary().card
    held = held_set(dataset_folder(primary, folder))
    return held if held is not None and isinstance(reader_of(held.id), FetchableReader) else primary


def verify_data(
    data: str | None = None, dataset: str | None = None, *, cache: Path | None = None, plugins: Sequence[Path] = ()
) -> VerificationReport:
    """Check every file: counts and hashes against the pinned ones, and each fault with its file and line.

    Args:
        data: Folder of the data, or ``demo``.
        dataset: Id of the data set (default: the one that the folder holds).
        cache: The cache folder.
        plugins: Files with data sets of your own.

    Raises:
        SpecError: If nothing is pinned of the set, so that there is nothing to check against.
        DataError: If there are no data.
    """
    load_plugins(plugins)
    store = cache_folder(cache)
    return _verified(*locate_data(data, dataset, store), store)


def _verified(folder: Path, card: DatasetCard, cache: Path | None) -> VerificationReport:
    reader = reader_of(card.id)
    if not isinstance(reader, VerifiableReader):
        raise SpecError(
            f"The data set '{card.id}' has nothing to be checked against.",
            f"`bench data info --dataset {card.id}` says what is there.",
        )
    with waiting("checking every file"):
        return reader.verify(folder, cache)


@dataclass(frozen=True)
class DataDescription:
    """What is there of a data set.

    Attributes:
        dataset: The data set, with its recordings and cycles.
        counts: Recordings and cycles per split, device, patient, chest location, mode and rate.
    """

    dataset: Dataset
    counts: Counts

    @property
    def table(self) -> CountTable:
        """Recordings and cycles per split and device."""
        return count_table({f"recordings · {plural(self.dataset.task.unit_word)}": self.counts})

    @property
    def lines(self) -> dict[str, str]:
        """What is to be said of the set, by name."""
        dataset, counts, task = self.dataset, self.counts, self.dataset.task
        mark = extent_words(dataset.partial, simulated=dataset.simulated) or "complete"
        units = plural(task.unit_word)
        return {
            "data": f"{dataset.name}, {mark}, in {dataset.root}",
            **({} if is_first_task(task) else {"task": f"{task.id}, {task.title}"}),
            "recordings": f"{len(dataset.recordings)} of {dataset.expected}, "
            f"{counted_noun(counts.patients, 'patient')}",
            "labelled recordings" if units == "recordings" else units: f"{counts.cycles} ({self.seconds:,.0f} s)",
            "rates": _pairs(counts.by_rate, " Hz"),
            "chest locations": _pairs(counts.by_location),
            "modes": _pairs(counts.by_mode),
            "diagnosis": counted_noun(len(dataset.diagnosis), "patient") if dataset.diagnosis else "no file",
            "demographics": counted_noun(len(dataset.demographics), "patient") if dataset.demographics else "no file",
            "fingerprint": dataset.fingerprint,
        }

    @property
    def seconds(self) -> float:
        """Length of all cycles, s."""
        return round(sum(cycle.end - cycle.start for cycle in self.dataset.cycles), 3)

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench data info --format json`` prints."""
        dataset = self.dataset
        return {
            "name": dataset.name,
            **({} if is_first_task(dataset.task) else {"task": dataset.task.id}),
            "root": str(dataset.root),
            "simulated": dataset.simulated,
            "partial": dataset.partial,
            "recordings": {"present": len(dataset.recordings), "expected": dataset.expected},
            "fingerprint": dataset.fingerprint,
            "counts": self.counts.to_json(),
            "seconds": self.seconds,
            "patients_with_diagnosis": len(dataset.diagnosis),
            "patients_with_demographics": len(dataset.demographics),
        }


def _pairs(numbers: Mapping[Any, int], unit: str = "") -> str:
    return ", ".join(f"{name}{unit}: {number}" for name, number in numbers.items() if name != "") or "not stated"


def describe_data(
    data: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    *,
    cache: Path | None = None,
    plugins: Sequence[Path] = (),
) -> DataDescription:
    """Say what is there: recordings, cycles, and the data's fingerprint.

    Args:
        data: Folder of the data, or ``demo``.
        dataset: Id of the data set (default: the one that the folder holds).
        task: Id of the task whose labels are counted (default: the first of the set).
        cache: The cache folder.
        plugins: Files with data sets of your own.

    Raises:
        DataError: If there are no data, or they are broken.
    """
    load_plugins(plugins)
    store = cache_folder(cache)
    folder, card = locate_data(data, dataset, store)
    with waiting("reading the annotations and the heads of the recordings"):
        loaded = load_dataset(folder, card.id, task, allow_partial=True, cache=store)
    return DataDescription(loaded, count_recordings(loaded.recordings, loaded.task))


def make_simulated_data(folder: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write the simulated data set, made from a seed. It proves the pipeline, never a method.

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
    reader: MadeReader = reader_of(DATASETS.simulated().id)
    with counted("recordings") as update:
        reader.write(place, seed=seed, on_progress=lambda done, total: update("simulated recordings", done, total))
    number = sum(1 for _ in place.rglob("*.wav"))
    return {"folder": str(place), "seed": seed, "recordings": number, "simulated": True}
