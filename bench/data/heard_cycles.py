"""What of a new recording is classified: the cycles of an annotation beside it, or windows over all of it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from bench.core.datasets import DATASETS, DatasetCard, TaskCard
from bench.core.errors import DataError, SpecError
from bench.core.registry import RegistryEntry
from bench.core.text import echoed
from bench.data.dataset import Cycle
from bench.data.faults import FileProblem
from bench.data.reading import told_by
from bench.data.regular_files import read_text_bytes
from bench.data.sounds import Sound
from bench.data.sources import AnnotationReader, reader_of
from bench.data.spans import holds_samples

CycleSource = Literal["auto", "annotations", "windows"]
SOURCES: tuple[CycleSource, ...] = get_args(CycleSource)
"""Where cycles are from: an annotation where there is one and windows otherwise, or one of the two alone."""

UNKNOWN = -1
"""Label of a window, of which nobody has said anything."""

MOST_WINDOWS = 100_000
"""Windows of a recording at most; what is more is a hop that was meant otherwise."""

AUDIO_WORD = "wav"
"""In names of folders of recordings; the annotations' ending stands in its place in the name of their own folder."""

BEYOND = "annotation-beyond"
"""The kind of problem of a cycle that ends after its recording."""


@dataclass(frozen=True)
class Windows:
    """How a recording without annotation is cut.

    Attributes:
        window: Seconds of a window.
        hop: Seconds from the beginning of one to that of the next.

    Raises:
        SpecError: If one of them is not above 0, or parts of the recording would lie between windows.
    """

    window: float
    hop: float

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("hop", self.hop)):
            if not 0.1 <= value <= 3600:
                raise SpecError(f"--{name} is {value:g} s, but must be 0.1 to 3600 s.")
        if self.hop > self.window:
            raise SpecError(
                f"--hop is {self.hop:g} s and --window {self.window:g} s: what lies between two windows would not be "
                "heard.",
                "Use a hop of at most the window.",
            )

    def spans(self, seconds: float) -> list[tuple[float, float]]:
        """Start and end of the windows over a recording, in seconds: all of one length, the last one ends with it.

        Args:
            seconds: Length of the recording; one that is shorter than a window is one window.

        Raises:
            DataError: If there are too many.
        """
        if seconds <= self.window:
            return [(0.0, seconds)]
        count = int((seconds - self.window) / self.hop + 1e-9) + 1
        if count > MOST_WINDOWS:
            raise DataError(
                f"{count:,} windows would cover {seconds:,.0f} s, but at most {MOST_WINDOWS:,} can be classified.",
                "Use a larger --hop.",
            )
        starts = [number * self.hop for number in range(count)]
        if starts[-1] + self.window < seconds - 1e-6:
            starts.append(seconds - self.window)
        return [(start, min(start + self.window, seconds)) for start in starts]


@dataclass(frozen=True)
class HeardCycles:
    """What of a recording is classified.

    Attributes:
        cycles: The cycles or windows, by time as the annotation has them; the label of a window is :data:`UNKNOWN`.
        classes: Names of the classes that the labels are numbers of; empty for windows.
        annotation: The file that they are from; None for windows.
        unit: What one of them is, in a word: ``cycle``, ``event``, ``recording`` or ``window``.
        device: Device that recorded it, where the name of the recording or its data set says so; otherwise empty.
        notes: Sentences on cycles that were cut.
    """

    cycles: tuple[Cycle, ...]
    classes: tuple[str, ...]
    annotation: Path | None
    unit: str
    device: str
    notes: tuple[str, ...] = ()

    def label_of(self, cycle: Cycle) -> str | None:
        """The name of the class that a cycle is said to be of; None where nobody has said it."""
        return None if cycle.label == UNKNOWN else self.classes[cycle.label]


@dataclass(frozen=True)
class _Annotated:
    """A data set whose annotations may lie beside recordings."""

    entry: RegistryEntry[DatasetCard]
    reader: AnnotationReader
    task: TaskCard


class CycleFinder:
    """Finds the cycles of new recordings.

    Args:
        source: Where they are from.
        windows: How recordings without annotation are cut.
        dataset: The data set that the model was trained on, whose annotations come before those of others.
        task: The task that it was trained on.

    Raises:
        SpecError: If there is no such source.
    """

    def __init__(self, source: str, windows: Windows, dataset: str, task: TaskCard) -> None:
        if source not in SOURCES:
            raise SpecError(f"cycles is '{echoed(source)}', but must be one of {', '.join(SOURCES)}.")
        self.source = source
        self.windows = windows
        self._known = list(_annotated_sets(dataset, task))
        # Of thousands of recordings in a folder each would look through the same one again.
        self._folders_in = functools.cache(_folders_in)

    @property
    def annotation_endings(self) -> tuple[str, ...]:
        """Endings of annotations that are known, those of the model's own data set first."""
        return tuple(dict.fromkeys(known.reader.annotation_ending for known in self._known))

    def find(self, sound: Sound, name: str, *, beside: bool = True) -> HeardCycles:
        """Find the cycles of a recording.

        Args:
            sound: The recording.
            name: Its name, without ending.
            beside: Whether something may lie beside the file.

        Raises:
            DataError: If the annotation is broken (the line is named), a cycle holds no sample, or there is none where
                one is needed.
        """
        for known in self._known if beside and self.source != "windows" else ():
            path = _beside(sound.path, known.reader.annotation_ending, self._folders_in)
            if path is not None:
                return _annotated(sound, name, path, known)
        if self.source == "annotations":
            raise DataError(
                f"{echoed(sound.path, 300)} has no annotation ({' or '.join(self.annotation_endings)}, same name) "
                "beside it.",
                "Add one, or use --cycles windows.",
            )
        cycles = (
            Cycle(name, index, start, end, UNKNOWN)
            for index, (start, end) in enumerate(self.windows.spans(sound.seconds))
        )
        return HeardCycles(tuple(cycles), (), None, "window", self._device(name))

    def _device(self, name: str) -> str:
        """The device that the name of a recording tells, as the names of the model's own data set do."""
        return next((device for known in self._known if (device := known.reader.device_in(name))), "")


def _annotated_sets(dataset: str, task: TaskCard) -> Iterable[_Annotated]:
    """Data sets with annotations beside recordings: the model's own first, and of others their first task."""
    cards: list[tuple[DatasetCard, TaskCard]] = [(entry.card, entry.card.tasks[0]) for entry in DATASETS]
    own = [(card, task) for card, _ in cards if card.id == dataset]
    seen: set[str] = set()
    for card, judged in [*own, *cards]:
        reader = reader_of(card.id)
        # Copies of a set have its annotations, which need not be tried again.
        if isinstance(reader, AnnotationReader) and reader.annotation_ending not in seen:
            seen.add(reader.annotation_ending)
            yield _Annotated(DATASETS.get(card.id), reader, judged)


def _beside(audio: Path, ending: str, folders_in: Callable[[Path], list[Path]]) -> Path | None:
    names = [audio.with_suffix(spelt).name for spelt in (ending, ending.upper())]
    paths = (folder / name for folder in _folders_of_annotations(audio.parent, ending, folders_in) for name in names)
    # What is there and cannot be read, as a link to nowhere, is named and not passed over.
    return next((path for path in paths if os.path.lexists(path)), None)


def _folders_of_annotations(folder: Path, ending: str, folders_in: Callable[[Path], list[Path]]) -> Iterator[Path]:
    """Where annotations of the recordings in a folder may lie: there, or in its twin and that one's folders.

    The twin of ``test_wav`` is ``test_json``, which may hold ``inter_test_json``.
    """
    yield folder
    whole = folder.absolute()  # of the current folder, "." tells no name
    if AUDIO_WORD not in whole.name:
        return
    twin = whole.with_name(whole.name.replace(AUDIO_WORD, ending.removeprefix(".")))
    if twin.is_dir():
        yield twin
        yield from folders_in(twin)


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        words = f"Cannot look for annotations in {echoed(folder, 300)}: {error.strerror or error}."
        raise DataError(words, "Mend the folder, or use --cycles windows, which does not read it.") from error


def _annotated(sound: Sound, name: str, path: Path, known: _Annotated) -> HeardCycles:
    try:
        content = read_text_bytes(path)
    except OSError as error:
        words = f"Cannot read {echoed(path, 300)}: {error.strerror or error}."
        raise DataError(words, "Mend the file, or use --cycles windows, which does not read it.") from error
    cycles, problems = told_by(known.entry, known.reader.annotated_cycles, name, content, sound.header, known.task)
    late = [problem for problem in problems if problem.kind == BEYOND]
    wrong = [problem for problem in problems if problem not in late]
    if any(cycle.start >= sound.seconds for cycle in cycles):
        wrong += late
    if wrong:
        raise _problem_error(path, wrong[0])
    if not cycles:
        raise DataError(
            f"{echoed(path, 300)}: the annotation names nothing to classify.",
            "To hear the recording all the same, use --cycles windows.",
        )
    unit = known.task.unit_word
    _check_samples(cycles, sound, path, unit)
    notes = tuple(f"{_place(path, problem)}: {problem.message}; it is cut there" for problem in late)
    return HeardCycles(cycles, known.task.classes, path, unit, known.reader.device_in(name), notes)


def _check_samples(cycles: Sequence[Cycle], sound: Sound, path: Path, unit: str) -> None:
    for cycle in cycles:
        if not holds_samples(cycle.start, cycle.end, sound.rate, sound.waves.shape[1]):
            words = f"{unit} {cycle.index} from {cycle.start:g} s to {cycle.end:g} s holds no sample of the recording"
            raise _problem_error(path, FileProblem("annotation-short", words))


def _place(path: Path, problem: FileProblem) -> str:
    return f"{echoed(path, 300)}:{problem.line}" if problem.line else echoed(path, 300)


def _problem_error(path: Path, problem: FileProblem) -> DataError:
    return DataError(
        f"{_place(path, problem)}: {problem.message}.",
        "Mend the file, or use --cycles windows, which does not read it.",
    )
