"""The way from a data set's card to its recordings: readers of folders, and which set a folder holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bench.core.datasets import DATASETS, DatasetCard, TaskCard
from bench.core.errors import BenchError, DataError
from bench.core.kept import once
from bench.core.paths import expanded
from bench.core.registry import RegistryEntry
from bench.core.text import counted_noun, plain
from bench.data.reading import check_dataset, told_by

if TYPE_CHECKING:
    from bench.core.download import Patience
    from bench.data.counts import CountTable
    from bench.data.dataset import Cycle, Dataset, Recording
    from bench.data.faults import Fault, FileProblem
    from bench.data.wav import WavHeader
    from leaderboard.results.official_part import OfficialPart

logger = logging.getLogger(__name__)


class DatasetReader(Protocol):
    """What the builder of a registered data set returns, when it is called with the card."""

    def holds(self, folder: Path) -> bool:
        """Whether anything below a folder is named as files of this set are; nothing is opened that is large."""
        ...

    def load(self, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
        """Load the recordings of a folder, labelled for a task.

        Args:
            folder: The data folder.
            task: One of the card's tasks.
            allow_partial: Accept that recordings are missing; the set then says so.
            cache: Cache folder, for hashes of files that did not change.

        Raises:
            DataError: If there are no data, recordings are missing, or anything is wrong that would change labels or
                features.
        """
        ...


class VerificationReport(Protocol):
    """What a reader says of a folder that it has checked."""

    @property
    def sound(self) -> bool:
        """Whether a run may use the data, with ``--allow-partial`` where something is missing."""
        ...

    @property
    def partial(self) -> str | None:
        """``partial (198 of 920)`` where recordings are missing, otherwise None."""
        ...

    @property
    def faults(self) -> Sequence[Fault]:
        """Everything that is wrong with the set."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences that are worth reading and change nothing."""
        ...

    @property
    def tables(self) -> Sequence[CountTable]:
        """What was counted, beside what is pinned."""
        ...

    @property
    def findings(self) -> Sequence[str]:
        """Sentences on how much there is, and how it compares with what is pinned."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The document of ``bench data verify --format json``: ``name``, ``complete``, ``faults``, ``notes``."""
        ...


@runtime_checkable
class VerifiableReader(Protocol):
    """A reader that can check a folder against the set's pinned facts."""

    def verify(self, folder: Path, cache: Path | None = None) -> VerificationReport:
        """Check everything below a folder; faults are named, not raised.

        Raises:
            DataError: If nothing below the folder is of this set.
        """
        ...


@runtime_checkable
class FetchableReader(Protocol):
    """A reader that can download its set."""

    def fetch(
        self,
        folder: Path,
        *,
        base_url: str | None = None,
        keep_archive: bool = False,
        patience: Patience | None = None,
        on_progress: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        """Download the set into a folder; a stopped download goes on where it ended.

        Raises:
            DataError: If a file cannot be had, or is another one.
        """
        ...


@runtime_checkable
class AnswerReader(Protocol):
    """A reader that knows the tested cycles without any audio."""

    def test_part(self, folder: Path, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
        """The tested cycles of all parts with their labels, from annotation files alone.

        Raises:
            DataError: If they are incomplete or broken.
        """
        ...


@runtime_checkable
class AnnotatedReader(Protocol):
    """A reader that gives single recordings with their cycles, also where others beside them are broken."""

    def audio_files(self, folder: Path) -> dict[str, Path]:
        """The audio files of the recordings below a folder, by name."""
        ...

    def annotated(self, audio: Path, task: TaskCard) -> tuple[Recording, list[str]]:
        """Read an audio file's header and the annotation beside it; any name and sampling rate will do.

        Args:
            audio: The audio file.
            task: One of the card's tasks.

        Returns:
            The recording, in no split where that is not known, and notes on what is odd about its cycles.

        Raises:
            DataError: If a file is missing or broken.
        """
        ...


@runtime_checkable
class AnnotationReader(Protocol):
    """A reader that knows the annotation of a single recording from its content, whatever the sound file is like."""

    @property
    def annotation_ending(self) -> str:
        """Ending of an annotation's name, as ``.txt``; it lies beside the sound file and is called the same."""
        ...

    def annotated_cycles(
        self, name: str, content: bytes, header: WavHeader, task: TaskCard
    ) -> tuple[tuple[Cycle, ...], list[FileProblem]]:
        """Read an annotation.

        Args:
            name: Name of its recording.
            content: The file's bytes.
            header: Says rate and length of the recording.
            task: One of the card's tasks.

        Returns:
            What can be read, labelled for the task, and what is wrong; as ``annotation-beyond`` cycles that end after
            the recording.
        """
        ...

    def device_in(self, name: str) -> str:
        """The device that recorded a recording, as its name or the set tells; empty where neither does."""
        ...


@runtime_checkable
class MadeReader(Protocol):
    """A reader whose set is made by a program on the spot."""

    def make(self, cache: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Path:
        """Make the set, unless it is there already.

        Args:
            cache: The cache folder.
            on_progress: Called with the number of recordings made, and their number in all.

        Returns:
            The folder with the set.

        Raises:
            StoreError: If it cannot be written.
        """
        ...

    def write(self, folder: Path, *, seed: int = 0, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Write the set to a new or empty folder.

        Args:
            folder: Where to.
            seed: Which of the sets that the program can make.
            on_progress: Called with the number of recordings made, and their number in all.

        Raises:
            SpecError: If the folder holds something, or there is no such seed.
            StoreError: If it cannot be written.
        """
        ...


def reader_of(dataset: str) -> Any:
    """Build the reader of a data set; raises RegistryError if there is no such set, DataError if it cannot be built."""
    entry = DATASETS.get(dataset)
    return told_by(entry, entry.load(), entry.card)


def dataset_folder(card: DatasetCard, flag: Path | str | None = None) -> Path:
    """The folder of a data set: the one that a user names, or that its environment variable holds, or the usual one.

    Args:
        card: The data set.
        flag: Folder that the user named; None for none.
    """
    named = flag or (os.environ.get(card.environment) if card.environment else None)
    return expanded(named or Path("data") / (card.folder or card.id))


def entries_in(folder: Path) -> list[RegistryEntry[DatasetCard]]:
    """The data sets whose files lie below a folder; a plug-in that fails when it is asked is named in the log."""
    return [entry for entry in DATASETS if _is_held(entry, folder)]


def is_held(dataset: str, folder: Path) -> bool:
    """Whether files of a data set lie below a folder.

    Args:
        dataset: Id of the data set.
        folder: The folder.

    Raises:
        RegistryError: If there is no such data set.
        DataError: If its reader fails at the question; a plug-in's line is named.
    """
    return bool(told_by(DATASETS.get(dataset), reader_of(dataset).holds, folder))


def _is_held(entry: RegistryEntry[DatasetCard], folder: Path) -> bool:
    try:
        return is_held(entry.id, folder)
    except BenchError as error:
        if entry.version is None:
            raise
        logger.warning(f"not usable: {error.message}")
        return False


def refuse_other_set(card: DatasetCard, reader: DatasetReader, folder: Path) -> None:
    """Refuse a folder that holds another data set than the one that was asked for.

    A folder that holds none is left to the reader, who knows what is missing.

    Args:
        card: The data set that was asked for.
        reader: Its reader.
        folder: The folder.

    Raises:
        DataError: If another set is there; its id is named.
    """
    others = [] if reader.holds(folder) else [entry.card for entry in entries_in(folder)]
    if others:
        raise DataError(
            f"The data below {plain(folder)} are not {card.title}, but {others[0].title}.",
            f"Use --dataset {others[0].id}, or name another folder with --data.",
        )


def how_to_complete(card: DatasetCard) -> str:
    """The beginning of a hint for a set of which recordings are missing: ``Complete the set (`bench data fetch`)``."""
    if not isinstance(reader_of(card.id), FetchableReader):
        return "Complete the set"
    flag = "" if card.primary else f" --dataset {card.id}"
    return f"Complete the set (`bench data fetch{flag}`)"


def missing_words(here: int, expected: int, what: str = "recording") -> str:
    """How many of a set are missing, as a sentence begins with it: ``3 of 920 recordings are missing``.

    Args:
        here: How many there are.
        expected: How many the set has.
        what: What is counted.
    """
    of = f"of {counted_noun(expected, what)}"
    return counted_noun(expected - here, f"{of} is missing", f"{of} are missing")


def load_dataset(
    folder: Path, dataset: str, task: str | None = None, *, allow_partial: bool = False, cache: Path | None = None
) -> Dataset:
    """Load a data set for a task.

    Args:
        folder: The data folder.
        dataset: Id of the data set.
        task: Id of the task; None for the first of the set.
        allow_partial: Accept that recordings are missing; the set then says so.
        cache: Cache folder, for hashes of files that did not change.

    Raises:
        RegistryError: If there is no such data set.
        SpecError: If it has no such task.
        DataError: If the data are missing or broken, or their reader is.
    """
    key = ("data set", folder, dataset, task, allow_partial, cache)
    return once(key, lambda: _load_dataset(folder, dataset, task, allow_partial, cache))


def _load_dataset(folder: Path, dataset: str, task: str | None, allow_partial: bool, cache: Path | None) -> Dataset:
    entry = DATASETS.get(dataset)
    card, judged = entry.card, entry.card.task(task)
    load = reader_of(dataset).load
    loaded: Dataset = told_by(entry, load, folder, judged, allow_partial=allow_partial, cache=cache)
    check_dataset(loaded, card, judged)
    if not loaded.recordings:
        raise DataError(f"There are no recordings of {card.title} below {folder}.", card.obtain or None)
    if loaded.partial and not allow_partial:
        raise DataError(
            f"The data of {card.title} below {folder} are {loaded.partial} recordings.",
            f"{how_to_complete(card)}, or add --allow-partial to run on what is there, marked as partial.",
        )
    return loaded
