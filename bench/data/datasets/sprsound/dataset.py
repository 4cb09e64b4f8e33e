"""SPRSound 2022 on disk as recordings and their events or labels.

Source: Zhang et al., "SPRSound: Open-Source SJTU Paediatric Respiratory Sound Database", IEEE TBioCAS 16 (2022).

``inspect_folder`` reads whatever is there and names every fault; ``load_dataset`` gives what a run may use and refuses
the rest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.core.datasets import TRAIN, DatasetCard, TaskCard
from bench.core.errors import DataError
from bench.core.text import counted_noun, plain
from bench.data.dataset import Dataset, Recording
from bench.data.datasets.sprsound.annotation import Annotation, parse_annotation
from bench.data.datasets.sprsound.layout import INTER, INTRA, NAME, PARTS, FoundFiles, scan
from bench.data.datasets.sprsound.pinned import ID, OBTAIN, RATE, RECORDINGS
from bench.data.faults import Fault, FileProblem
from bench.data.fingerprint import fingerprint, hash_audio
from bench.data.regular_files import read_text_bytes
from bench.data.sources import missing_words
from bench.data.wav import WavHeader, inspect_wav

DEVICE = "Yunting model II"
"""The stethoscope of all recordings."""

READERS = 4
"""Threads that read headers and annotations; they hide the waiting of a slow or cold disk."""

VERIFY_HINT = f"Run `bench data verify --dataset {ID}` to see everything that is wrong with the data."


@dataclass(frozen=True)
class Annotated:
    """A recording as its files tell it, before a task is asked for.

    Attributes:
        name: File name without ending.
        part: ``train``, ``inter`` or ``intra``.
        audio: WAV file, or None where it is missing.
        header: Header of the WAV file; None where the audio is missing or has none.
        file: The annotation file.
        annotation: What the file says.
    """

    name: str
    part: str
    audio: Path | None
    header: WavHeader | None
    file: Path
    annotation: Annotation

    @property
    def patient(self) -> str:
        """Patient, the first word of the name."""
        return self.name.partition("_")[0]

    def recording(self, task: str) -> Recording:
        """The recording with what a task judges of it."""
        patient, _, _, location, number = self.name.split("_")
        cycles = self.annotation.cycles(self.name, task, self.header.seconds if self.header else 0.0)
        return Recording(
            self.name, patient, number, location, "", DEVICE, self.part, self.audio, self.file, cycles, self.header
        )


@dataclass(frozen=True)
class InspectedFolder:
    """Everything that lies below a data folder, sound or not.

    Attributes:
        root: The folder.
        recordings: All recordings with an annotation file that can be read and a part, sorted by name.
        faults: Everything that is wrong with the set.
        notes: Sentences that are worth reading and change nothing.
    """

    root: Path
    recordings: tuple[Annotated, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    @property
    def present(self) -> tuple[Annotated, ...]:
        """The recordings whose audio is there."""
        return tuple(recording for recording in self.recordings if recording.audio is not None)

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """The faults that keep runs from using the data."""
        return tuple(fault for fault in self.faults if fault.blocking)


class _FolderInspector:
    """Reads what :func:`scan` found and gathers what is wrong with it."""

    def __init__(self, root: Path, found: FoundFiles) -> None:
        self.root = root
        self.found = found

    def shown(self, path: Path) -> str:
        """A file as messages name it: relative to the data folder."""
        return plain(path.relative_to(self.root))

    def fault(self, path: Path | str, problem: FileProblem, *, blocking: bool = True) -> Fault:
        """Make a fault of the set from a problem inside a file."""
        file = path if isinstance(path, str) else self.shown(path)
        return problem.in_file(file, blocking=blocking)

    def recording(self, name: str) -> tuple[Annotated | None, list[Fault]]:
        """One recording from its files, and what is wrong with them."""
        audio, files = self.found.audio.get(name, []), self.found.annotations.get(name, [])
        header, faults = self._header(name, audio)
        if not files:
            problem = FileProblem("annotation-missing", "the annotation file is missing; fetch the set again")
            return None, [*faults, self.fault(f"{name}.json", problem)]
        annotation, problems = self._annotation([path for path, _ in files], header)
        part, misplaced = self._part(files)
        problems += [misplaced] if misplaced else []
        faults += [self.fault(files[0][0], problem, blocking=bool(audio)) for problem in problems]
        if annotation is None or part is None:
            return None, faults
        return Annotated(name, part, audio[0] if audio else None, header, files[0][0], annotation), faults

    def _header(self, name: str, audio: list[Path]) -> tuple[WavHeader | None, list[Fault]]:
        if not audio:
            problem = FileProblem("audio-missing", "the recording is missing")
            return None, [self.fault(f"{name}.wav", problem, blocking=False)]
        header, problems = inspect_wav(audio[0])
        wrong = None if header is None or problems else _rate_problem(header)
        return header, [self.fault(audio[0], problem) for problem in (*problems, wrong) if problem is not None]

    def _annotation(self, files: list[Path], header: WavHeader | None) -> tuple[Annotation | None, list[FileProblem]]:
        """Content of a recording's annotation file; copies of it must say the same."""
        read = []
        for path in files:
            try:
                read.append(parse_annotation(read_text_bytes(path), header if header and header.frames else None))
            except OSError as error:
                return None, [FileProblem("unreadable", f"cannot be read: {error.strerror or error}")]
        annotation, problems = read[0]
        for path, (other, _) in zip(files[1:], read[1:], strict=True):
            if other != annotation:
                words = f"differs from its second copy {self.shown(path)}; remove the wrong one"
                problems = [*problems, FileProblem("duplicate", words)]
        return annotation, problems

    def _part(self, files: Sequence[tuple[Path, str | None]]) -> tuple[str | None, FileProblem | None]:
        parts = {part for _, part in files if part is not None}
        if not parts:
            words = f"lies in no folder named for its part; put it below one named train_json, {INTER}_test_json or "
            return None, FileProblem("part-unknown", f"{words}{INTRA}_test_json, as the owners have it")
        if len(parts) > 1:
            words = f"lies in the folders of several parts ({', '.join(sorted(parts))}); remove the wrong copies"
            return None, FileProblem("part-conflict", words)
        return parts.pop(), None

    def copies(self, cache: Path | None) -> list[Fault]:
        """Check that second copies of a recording are the same sound."""
        several = [paths for paths in self.found.audio.values() if len(paths) > 1]
        headers = {path: header for paths in several for path in paths if (header := inspect_wav(path)[0])}
        hashes = hash_audio(headers, cache)
        faults = []
        for first, *others in several:
            for other in others:
                if hashes.get(other) != hashes.get(first):
                    words = f"differs from its second copy {self.shown(other)}; remove the wrong one"
                    faults.append(self.fault(first, FileProblem("duplicate", words)))
        return faults

    def notes(self) -> list[str]:
        """What lies there and is not used."""
        found = self.found
        notes = [
            f"{counted_noun(number, f'recording of {other} is', f'recordings of {other} are')} not used: this set "
            "is that of 2022 for classification."
            for other, number in found.others.items()
        ]
        if found.strays:
            one, several = "WAV file is not named as a recording", "WAV files are not named as recordings"
            notes.append(f"{counted_noun(found.strays, one, several)} and not used.")
        return notes + [f"{self.shown(path)} {why} and is not used." for path, why in found.unusable.items()]


def _rate_problem(header: WavHeader) -> FileProblem | None:
    if header.rate == RATE:
        return None
    words = f"has a rate of {header.rate} Hz, but SPRSound's is {RATE} Hz: it was resampled; fetch the original"
    return FileProblem("audio-rate", words)


def inspect_folder(folder: Path, cache: Path | None = None) -> InspectedFolder:
    """Read everything that lies below a data folder and name every fault; audio may be missing.

    Args:
        folder: The data folder; files may be nested anywhere below it.
        cache: Cache folder, for hashes of recordings that lie there twice.

    Raises:
        DataError: If nothing below the folder is named as SPRSound's files of 2022 are.
    """
    found = scan(folder)
    if not (found.audio or found.annotations):
        raise DataError(f"The data folder {plain(folder)} {_why_no_dataset(folder, found)}.", OBTAIN)
    inspector = _FolderInspector(folder, found)
    names = sorted({*found.audio, *found.annotations})
    with ThreadPoolExecutor(READERS) as pool:
        read = list(pool.map(inspector.recording, names, chunksize=32))
    recordings = tuple(recording for recording, _ in read if recording is not None)
    faults = [*inspector.copies(cache), *(fault for _, faults in read for fault in faults)]
    faults += _patient_faults(recordings)
    return InspectedFolder(folder, recordings, tuple(faults), tuple(inspector.notes()))


def _why_no_dataset(folder: Path, found: FoundFiles) -> str:
    """Why a folder is no data folder."""
    if not os.path.lexists(folder):
        return "does not exist"
    if found.others:
        return f"holds recordings of {' and '.join(found.others)} alone, but this set is that of 2022"
    return found.unusable.get(folder, "holds no recordings or annotations of SPRSound")


def _patient_faults(recordings: Sequence[Annotated]) -> list[Fault]:
    """Patients of the inter-patient test with recordings in training: parts were mixed up."""
    parts: dict[str, dict[str, Annotated]] = {part: {} for part in PARTS}
    for recording in recordings:
        parts[recording.part].setdefault(recording.patient, recording)
    message = "is of the inter-patient test, but its patient is in training too; put it into the folder of its part"
    shared = sorted(parts[INTER].keys() & parts[TRAIN].keys())
    return [Fault(f"{parts[INTER][patient].name}.json", None, "part-patient", message) for patient in shared]


def _refuse(inspected: InspectedFolder, allow_partial: bool) -> None:
    """Refuse data that are broken, and incomplete ones where these were not asked for."""
    root, here, blocking = inspected.root, len(inspected.present), inspected.blocking
    if blocking:
        more = f" ({len(blocking)} faults in all)" if len(blocking) > 1 else ""
        raise DataError(f"The data below {root} is broken: {blocking[0]}{more}.", VERIFY_HINT)
    if here == 0:
        raise DataError(f"The data folder {root} holds annotations, but no recording (WAV).", OBTAIN)
    if here > RECORDINGS:
        raise DataError(f"{here} recordings are there, but the set has {RECORDINGS}.", VERIFY_HINT)
    if here < RECORDINGS and not allow_partial:
        raise DataError(
            f"{missing_words(here, RECORDINGS)} below {root}.",
            f"Complete the set (`bench data fetch --dataset {ID}`), or add --allow-partial to run on the "
            f"{here} that are there; the result is marked as partial.",
        )


def load_dataset(
    card: DatasetCard, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None
) -> Dataset:
    """Load the recordings of a run, labelled for a task.

    Args:
        card: The data set.
        folder: The data folder; files may be nested anywhere below it.
        task: One of the card's tasks.
        allow_partial: Accept that recordings are missing; the set then says so.
        cache: Cache folder, for hashes of files that did not change.

    Raises:
        DataError: If there is no data, recordings are missing, or anything is wrong that would change labels or
            features.
    """
    inspected = inspect_folder(folder, cache)
    _refuse(inspected, allow_partial)
    recordings = tuple(recording.recording(task.id) for recording in inspected.present)
    try:
        identity = fingerprint(recordings, cache)
    except OSError as error:
        raise DataError(f"Cannot read {error.filename}: {error.strerror or error}.", VERIFY_HINT) from error
    return Dataset(card, task, folder, recordings, RECORDINGS, identity, demographics=_demographics(inspected))


def _demographics(inspected: InspectedFolder) -> dict[str, dict[str, object]]:
    """Age and sex by patient, from the names; a patient recorded at several ages has the first."""
    people: dict[str, dict[str, object]] = {}
    for recording in inspected.present:
        found = NAME.fullmatch(recording.name)
        if found is not None:
            people.setdefault(found[1], {"age": float(found[2]), "sex": "F" if found[3] == "1" else "M"})
    return people
