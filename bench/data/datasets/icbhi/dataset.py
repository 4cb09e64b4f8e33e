"""The ICBHI 2017 set on disk as recordings and cycles, in the official archive's layout or the Kaggle copy's.

Source: Rocha et al., "An open access database for the evaluation of respiratory sound classification algorithms",
Physiological Measurement 40 (2019) 035001; labels from the crackle and wheeze flags as in the Patch-Mix code @ 836b09f.

``inspect_folder`` reads whatever is there and names every fault; ``load_dataset`` gives what a run may use and refuses
the rest.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.errors import DataError
from bench.core.text import counted_noun, plain
from bench.data.dataset import Cycle, Dataset, Recording
from bench.data.datasets.icbhi.annotation import parse_annotation
from bench.data.datasets.icbhi.files import MARKER, SPLIT_NAMES, FoundFiles, scan
from bench.data.datasets.icbhi.pinned import ALIASES, RECORDINGS, SPLIT_SHA256
from bench.data.datasets.icbhi.rates import RESAMPLED_HINT, rate_problem
from bench.data.datasets.icbhi.rebuilt import rebuilt_split
from bench.data.datasets.icbhi.tables import Demographics, Split, parse_demographics, parse_diagnoses, parse_split
from bench.data.faults import Fault, FileProblem
from bench.data.files import MOST_ENTRIES
from bench.data.fingerprint import fingerprint, hash_audio
from bench.data.regular_files import read_text_bytes
from bench.data.sources import how_to_complete, missing_words
from bench.data.wav import inspect_wav

logger = logging.getLogger(__name__)

UNLISTED = "unlisted"
"""The split of a recording that the split file does not name; only in a :class:`InspectedFolder`."""

READERS = 4
"""Threads that read headers and annotations; they hide the waiting of a slow or cold disk."""

VERIFY_HINT = "Run `bench data verify` to see everything that is wrong with the data."

SHOWN = 3
"""Files that an error names."""

TableT = TypeVar("TableT")


@dataclass(frozen=True)
class InspectedFolder:
    """Everything that lies below a data folder, sound or not.

    Attributes:
        card: The data set.
        root: The folder.
        recordings: All recordings with an annotation file, sorted by name; audio may be missing.
        expected: Number of recordings of the complete set.
        split: Content of the split file.
        split_file: Path of the split file, or None without one.
        faults: Everything that is wrong with the set.
        notes: Sentences that are worth reading and change nothing.
        diagnosis: Diagnosis by patient, empty without such a file.
        demographics: Demographics by patient, empty without such a file.
    """

    card: DatasetCard
    root: Path
    recordings: tuple[Recording, ...]
    expected: int
    split: Split
    split_file: Path | None
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    diagnosis: Mapping[str, str]
    demographics: Mapping[str, Demographics]

    @property
    def present(self) -> tuple[Recording, ...]:
        """The recordings whose audio is there."""
        return tuple(recording for recording in self.recordings if recording.audio is not None)


class _FolderInspector:
    """Reads what :func:`scan` found and gathers what is wrong with it."""

    def __init__(self, card: DatasetCard, root: Path, found: FoundFiles) -> None:
        self.card = card
        self.root = root
        self.found = found
        self.faults: list[Fault] = []
        self.notes: list[str] = []

    def fault(self, path: Path | str, problem: FileProblem, *, blocking: bool = True) -> Fault:
        """Make a fault of the set from a problem inside a file."""
        file = path if isinstance(path, str) else self.shown(path)
        return problem.in_file(file, blocking=blocking)

    def shown(self, path: Path) -> str:
        """A file as messages name it: relative to the data folder."""
        return plain(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def content(self, path: Path) -> bytes | None:
        """Read a text file; where it cannot be read, give None and keep the fault."""
        content = _read_text(path)
        if isinstance(content, FileProblem):
            self.faults.append(self.fault(path, content))
            return None
        return content

    def expected(self) -> int:
        """Number of recordings of the complete set; a simulated one says it itself."""
        if not self.card.simulated:
            return RECORDINGS
        marker = self.found.markers[0]
        try:
            count = json.loads(self.content(marker) or b"")["recordings"]
        except (ValueError, KeyError, TypeError, RecursionError):
            count = None
        if type(count) is not int or not 1 <= count <= MOST_ENTRIES:
            problem = FileProblem("marker", "does not say how many recordings the simulated set has")
            self.faults.append(self.fault(marker, problem))
            return 0
        return count

    def split(self) -> tuple[Split, Path | None]:
        """Read the split file; where there are several, all must say the same."""
        splits = [(path, parse_split(content)) for path in self.found.splits if (content := self.content(path))]
        if not splits and not self.found.splits and not self.card.simulated:
            rebuilt = rebuilt_split({*self.found.audio, *self.found.annotations})
            if rebuilt is not None:
                self.notes.extend(rebuilt.notes)
                return rebuilt, None
        if not splits:
            names = " or ".join(SPLIT_NAMES)
            problem = FileProblem("split-missing", f"there is no split file ({names}) in the data folder or below it")
            self.faults.append(self.fault(SPLIT_NAMES[0], problem))
            return Split(), None
        file, split = splits[0]
        for other, second in splits[1:]:
            if second.sides != split.sides:
                problem = FileProblem("split-conflict", f"splits the recordings otherwise than {self.shown(file)} does")
                self.faults.append(self.fault(other, problem))
        self.faults.extend(self.fault(file, problem) for problem in split.problems)
        self.notes.extend(split.notes)
        return split, file

    def table(
        self, files: list[Path], read: Callable[[bytes], tuple[dict[str, TableT], list[FileProblem]]]
    ) -> dict[str, TableT]:
        """Read the first companion file of a kind; what is wrong with it blocks nothing, as no run depends on it."""
        content = self.content(files[0]) if files else None
        if content is None:
            return {}
        table, problems = read(content)
        self.faults.extend(self.fault(files[0], problem, blocking=False) for problem in problems)
        return table

    def recording(self, key: str, split: Split) -> tuple[Recording | None, list[Fault]]:
        """One recording from its files, and what is wrong with them."""
        audio, annotations = self.found.audio.get(key, []), self.found.annotations.get(key, [])
        name = _best_name(audio or annotations) if audio or annotations else split.names[key]
        faults: list[Fault] = []
        header = None
        if audio:
            header, problems = inspect_wav(audio[0])
            problem = None if header is None else rate_problem(self.card, name, header)
            faults += [self.fault(audio[0], problem) for problem in (*problems, problem) if problem is not None]
        else:
            faults.append(
                self.fault(f"{name}.wav", FileProblem("audio-missing", "the recording is missing"), blocking=False)
            )
        if not annotations:
            problem = FileProblem("annotation-missing", "the annotation file is missing")
            return None, [*faults, self.fault(f"{name}.txt", problem, blocking=bool(audio))]
        content, wrong = self._same_text(annotations)
        cycles: tuple[Cycle, ...] = ()
        if content is not None:
            cycles, problems = parse_annotation(name, content, header if header and header.frames else None)
            wrong += problems
        faults += [self.fault(annotations[0], problem, blocking=bool(audio)) for problem in wrong]
        if self.found.splits and key not in split.sides:
            problem = FileProblem("split-unlisted", "the split file does not list the recording")
            faults.append(self.fault(audio[0] if audio else annotations[0], problem, blocking=bool(audio)))
        patient, index, location, mode, device = name.split("_")
        side = split.sides.get(key, UNLISTED)
        path = audio[0] if audio else None
        found = Recording(name, patient, index, location, mode, device, side, path, annotations[0], cycles, header)
        return found, faults

    def _same_text(self, paths: list[Path]) -> tuple[bytes | None, list[FileProblem]]:
        """Content of an annotation file; copies of it must hold the same words."""
        contents = []
        for path in paths:
            content = _read_text(path)
            if isinstance(content, FileProblem):
                return None, [content]
            contents.append(content)
        for path, content in zip(paths[1:], contents[1:], strict=True):
            if content.split() != contents[0].split():
                return contents[0], [FileProblem("duplicate", f"differs from its second copy {self.shown(path)}")]
        return contents[0], []

    def copies(self, cache: Path | None) -> None:
        """Check that second copies of a recording (the Kaggle archive holds all files twice) are the same sound."""
        several = [paths for paths in self.found.audio.values() if len(paths) > 1]
        headers = {path: header for paths in several for path in paths if (header := inspect_wav(path)[0])}
        hashes = hash_audio(headers, cache)
        sounds = {path: (header.rate, header.bits, hashes[path]) for path, header in headers.items()}
        for first, *others in several:
            for other in others:
                if other not in sounds or sounds[other] != sounds.get(first):
                    problem = FileProblem("duplicate", f"differs from its second copy {self.shown(other)}")
                    self.faults.append(self.fault(first, problem))

    def check_split(self, split: Split, file: Path | None) -> None:
        """Compare the split with the official one, which is pinned by its hash."""
        if file is None or self.card.simulated or split.sha256 == SPLIT_SHA256:
            return
        listed = len(split.sides)
        problem = FileProblem(
            "split-differs",
            f"lists {counted_noun(listed, 'recording')}, but not as the official split of {RECORDINGS} does",
        )
        self.faults.append(self.fault(file, problem, blocking=listed >= RECORDINGS))


def _read_text(path: Path) -> bytes | FileProblem:
    """A text file's bytes, or why it cannot be read."""
    try:
        return read_text_bytes(path)
    except OSError as error:
        return FileProblem("unreadable", f"cannot be read: {error.strerror or error}")


def _best_name(paths: Iterable[Path]) -> str:
    """The name of a recording's files; the archive's own name where copies go by two."""
    return min((path.stem for path in paths), key=lambda name: (name in ALIASES, name))


def inspect_folder(card: DatasetCard, folder: Path, cache: Path | None = None) -> InspectedFolder:
    """Read everything that lies below a data folder and name every fault; audio may be missing.

    Args:
        card: The data set: ICBHI's, or one of its layout.
        folder: The data folder; files may be nested anywhere below it.
        cache: Cache folder, for hashes of recordings that lie there twice.

    Raises:
        DataError: If nothing below the folder is named as ICBHI's files are, or the set there is simulated where the
            card's is not, or the other way round.
    """
    found = scan(folder)
    if not (found.audio or found.annotations):
        raise DataError(f"The data folder {plain(folder)} {_why_no_dataset(card, folder, found)}.", card.obtain)
    if bool(found.markers) != card.simulated:
        words = f"holds {MARKER}, the mark of" if found.markers else f"does not hold {MARKER}, the mark of"
        hint = "Leave --dataset out, or name another folder with --data."
        raise DataError(f"The data folder {plain(folder)} {words} a simulated set, but {card.title} was named.", hint)
    reader = _FolderInspector(card, folder, found)
    expected = reader.expected()
    split, file = reader.split()
    reader.check_split(split, file)
    reader.copies(cache)
    keys = sorted({*found.audio, *found.annotations, *split.sides})
    with ThreadPoolExecutor(READERS) as pool:
        read = list(pool.map(lambda key: reader.recording(key, split), keys, chunksize=32))
    recordings = sorted((recording for recording, _ in read if recording is not None), key=lambda found: found.name)
    diagnosis = reader.table(found.diagnoses, parse_diagnoses)
    demographics = reader.table(found.demographics, parse_demographics)
    reader.notes += [f"{reader.shown(path)} is not named as a recording and is not used." for path in found.strays]
    reader.notes += [f"{reader.shown(path)} {why} and is not used." for path, why in found.unusable.items()]
    faults = [*reader.faults, *(fault for _, faults in read for fault in faults)]
    return InspectedFolder(
        card=card,
        root=folder,
        recordings=tuple(recordings),
        expected=expected,
        split=split,
        split_file=file,
        faults=tuple(faults),
        notes=tuple(reader.notes),
        diagnosis=diagnosis,
        demographics=demographics,
    )


def _why_no_dataset(card: DatasetCard, folder: Path, found: FoundFiles) -> str:
    """Why a folder is no data folder."""
    if not os.path.lexists(folder):
        return "does not exist"
    return found.unusable.get(folder, f"holds no {card.short_title} recordings or annotations")


def _refuse_faults(inspected: InspectedFolder) -> None:
    blocking = [fault for fault in inspected.faults if fault.blocking]
    if not blocking:
        return
    if inspected.split_file is None:
        where = f"Put {SPLIT_NAMES[0]} (or {SPLIT_NAMES[1]}) into {inspected.root}; `bench data fetch` gets it."
        raise DataError(f"There is no split file {' or '.join(SPLIT_NAMES)} below {inspected.root}.", where)
    _refuse_mixed_rates(inspected)
    more = f" ({len(blocking)} faults in all)" if len(blocking) > 1 else ""
    raise DataError(f"The data below {inspected.root} is broken: {blocking[0]}{more}.", VERIFY_HINT)


def _refuse_mixed_rates(inspected: InspectedFolder) -> None:
    """Refuse a folder in which several recordings have rates that neither the set nor a resampled copy of it has."""
    wrong = [fault for fault in inspected.faults if fault.kind == "audio-rate"]
    if len(wrong) > 1:
        files = ", ".join(fault.file for fault in wrong[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise DataError(
            f"{len(wrong)} recordings below {inspected.root} have other rates than those of {inspected.card.title}: "
            f"{files}{more}.",
            f"{RESAMPLED_HINT}; recordings of mixed rates are no data set. {VERIFY_HINT}",
        )


def _refuse_missing(inspected: InspectedFolder, allow_partial: bool) -> None:
    here = len(inspected.present)
    if here == 0:
        words = "holds annotations, but no recording (WAV)"
        raise DataError(f"The data folder {inspected.root} {words}.", inspected.card.obtain)
    if here > inspected.expected:
        raise DataError(f"{here} recordings are there, but the set has {inspected.expected}.", VERIFY_HINT)
    if here < inspected.expected and not allow_partial:
        raise DataError(
            f"{missing_words(here, inspected.expected)} below {inspected.root}.",
            f"{how_to_complete(inspected.card)}, or add --allow-partial to run on the {here} that are there; "
            "the result is marked as partial.",
        )


def load_dataset(
    card: DatasetCard, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None
) -> Dataset:
    """Load the recordings and cycles of a run.

    Args:
        card: The data set: ICBHI's, or one of its layout.
        folder: The data folder; files may be nested anywhere below it.
        task: The task, of four classes.
        allow_partial: Accept that recordings are missing; the set then says so.
        cache: Cache folder, for hashes of files that did not change.

    Raises:
        DataError: If there is no data, recordings are missing, or anything is wrong that would change labels or
            features.
    """
    inspected = inspect_folder(card, folder, cache)
    _refuse_faults(inspected)
    _refuse_missing(inspected, allow_partial)
    try:
        identity = fingerprint(inspected.present, cache)
    except OSError as error:
        raise DataError(f"Cannot read {error.filename}: {error.strerror or error}.", VERIFY_HINT) from error
    logger.debug(
        "data set %s in %s: %d of %d recordings, fingerprint %s",
        *(card.id, folder, len(inspected.present), inspected.expected, identity),
    )
    return Dataset(
        card=card,
        task=task,
        root=folder,
        recordings=inspected.present,
        expected=inspected.expected,
        fingerprint=identity,
        diagnosis=inspected.diagnosis,
        demographics=inspected.demographics,
    )
