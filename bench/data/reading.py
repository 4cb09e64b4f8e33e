"""The border to readers of data sets: what they return is checked, and what fails in one of a plug-in is told as such.

Everything behind it (banks, splits, predictions, statistics) may so rely on recordings that have patient, part and
audio, and on cycles that last some time.
"""

from __future__ import annotations

import math
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from bench.core.datasets import TRAIN, DatasetCard, TaskCard
from bench.core.errors import BenchError, DataError
from bench.core.registry import RegistryEntry
from bench.core.text import counted_noun, echoed
from bench.data.dataset import Cycle, Dataset, Recording
from bench.data.wav import WavHeader, inspect_wav

T = TypeVar("T")

OWN_PATIENT = "Where it is not known who was recorded, make each recording a patient of its own: patient=name."


def wav_header(path: Path) -> WavHeader:
    """Read the header of a WAV file whose samples can be read.

    Args:
        path: The file.

    Raises:
        DataError: If it is missing or broken, or no mono file of PCM samples or 32-bit floats; what is wrong is told.
    """
    header, problems = inspect_wav(path)
    if header is None or problems:
        raise DataError(f"{path}: {problems[0].message}.", "Write it again as a mono WAV file.")
    return header


def told_by(entry: RegistryEntry[DatasetCard], call: Callable[..., T], *given: Any, **named: Any) -> T:
    """Call the code of a data set's reader; a failure in that of a plug-in becomes one sentence.

    Args:
        entry: The data set.
        call: What is called: its builder, or a method of the reader.
        *given: Arguments.
        **named: Arguments by name.

    Raises:
        DataError: If the code of a plug-in fails; it is named with the line. What it says itself goes through.
    """
    try:
        return call(*given, **named)
    except BenchError:
        raise
    except Exception as error:
        if entry.version is None:
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = str(error).strip().partition("\n")[0].rstrip(".")
        what = f"{type(error).__name__}: {echoed(text, 300)}" if text else type(error).__name__
        raise DataError(
            f"The reader of the data set '{entry.id}' ({entry.origin}) failed: {what} ({last.filename}, line "
            f"{last.lineno}).",
            "`bench --debug …` shows the traceback; docs/datasets.md says what a reader returns.",
        ) from error


def check_dataset(dataset: Any, card: DatasetCard, task: TaskCard) -> None:
    """Check that a reader returned a data set that can be trained and judged on.

    Args:
        dataset: What it returned.
        card: The data set that it was asked for.
        task: The task that it was asked for.

    Raises:
        DataError: At the first fault; recording and cycle are named.
    """
    if not isinstance(dataset, Dataset):
        raise _reader_error(card, f"returned a {type(dataset).__name__}, but must return a Dataset")
    if (dataset.card, dataset.task) != (card, task):
        raise _reader_error(card, f"was asked for {task.id}, but returned {dataset.card.id} ({dataset.task.id})")
    if len(dataset.fingerprint) != 64:
        raise _reader_error(card, "gave no fingerprint: it is what `fingerprint(recordings, cache)` returns")
    names = [recording.name for recording in dataset.recordings]
    if names != sorted(names):
        raise _reader_error(card, "returned recordings that are not in the order of their names")
    for fault, hint in _faults(dataset):
        raise DataError(f"The data below {dataset.root} cannot be used: {fault}.", hint)


def _reader_error(card: DatasetCard, what: str) -> DataError:
    return DataError(f"The reader of the data set '{card.id}' {what}.", "See docs/datasets.md.")


Faults = Iterator[tuple[str, str]]
"""Clauses that each tell one fault, with a hint; the first is enough."""


def _faults(dataset: Dataset) -> Faults:
    twice = [name for name, count in Counter(recording.name for recording in dataset.recordings).items() if count > 1]
    if twice:
        yield f"the recording {echoed(twice[0])} stands twice", "Each recording has a name of its own."
    if len(dataset.recordings) > dataset.expected:
        counts = (
            f"{counted_noun(len(dataset.recordings), 'recording is', 'recordings are')} there, but the "
            f"set has {dataset.expected}"
        )
        yield counts, "Remove what does not belong to it, or correct the number on its card."
    parts = [TRAIN, *(part.id for part in dataset.task.parts)]
    for recording in dataset.recordings:
        yield from _faults_of_recording(recording, parts)
        for cycle in recording.cycles:
            yield from _faults_of_cycle(cycle, recording, dataset.task)
        if len({cycle.index for cycle in recording.cycles}) < len(recording.cycles):
            yield f"two cycles of {recording.name} have one index", "Count the cycles of a recording from 0."


def _faults_of_recording(recording: Recording, parts: list[str]) -> Faults:
    name = f"the recording {echoed(recording.name)}"
    if not recording.patient:
        yield f"{name} has no patient, by whom held-out parts and intervals are drawn", OWN_PATIENT
    if not recording.device:
        yield f"{name} has no device", "Where it is not known, give all recordings one word: device='unknown'."
    if recording.split not in parts:
        hint = "A recording of none of these parts is left out by the reader."
        yield f"{name} is of the part '{echoed(recording.split)}', but the task has {', '.join(parts)}", hint
    if recording.audio is None or recording.header is None:
        hint = "Leave recordings without audio out; `bench.plugins.wav_header` reads a header."
        yield f"{name} has no {'audio' if recording.audio is None else 'header'}", hint


def _faults_of_cycle(cycle: Cycle, recording: Recording, task: TaskCard) -> Faults:
    name = f"{task.unit} {cycle.index} of {echoed(recording.name)}"
    times, last = f"{cycle.start:g} s to {cycle.end:g} s", recording.header.seconds if recording.header else math.inf
    if cycle.recording != recording.name:
        yield f"{name} names the recording {echoed(cycle.recording)}", "A cycle names the recording that it is of."
    if not 0 <= cycle.start < math.inf or not math.isfinite(cycle.end):
        yield f"{name} lasts from {times}, which are no times of a recording", "Times are seconds from its beginning."
    if not cycle.start < cycle.end:
        yield f"{name} lasts no time ({times})", f"Correct {recording.annotation}, or have the reader leave it out."
    if cycle.start >= last:
        hint = f"Correct {recording.annotation}: times are in seconds."
        yield f"{name} begins at {cycle.start:g} s, but the recording ends at {last:g} s", hint
    if cycle.label not in range(len(task.classes)):
        yield f"{name} is of class {cycle.label}, but classes are 0 to {len(task.classes) - 1}", _numbers_of(task)


def _numbers_of(task: TaskCard) -> str:
    return f"Classes by number: {', '.join(f'{number} {name}' for number, name in enumerate(task.classes))}."
