"""Recordings, their annotated cycles, and the set of them that a run uses, as plain values."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.datasets import DatasetCard, TaskCard
from bench.data.wav import WavHeader


@dataclass(frozen=True)
class Cycle:
    """What one label is of: a respiratory cycle, an event, or a whole recording, as the task says.

    Attributes:
        recording: Name of its recording, without ending.
        index: Number of it in the annotation of its recording, counted from 0 in the order of the file.
        start: Time at which it begins, s.
        end: Time at which it ends, s.
        label: Number of its class, 0 normal.
    """

    recording: str
    index: int
    start: float
    end: float
    label: int


@dataclass(frozen=True)
class Recording:
    """One recording and its annotated cycles.

    Attributes:
        name: File name without ending.
        patient: Patient, or whatever else makes recordings depend on each other.
        index: Number of the recording among those of the patient; empty where the set has none.
        location: Where on the chest it was recorded; empty where the set does not say.
        mode: How it was acquired; empty where the set does not say.
        device: What recorded it; the same word for all where the set does not say.
        split: ``train``, or the id of the tested part that it belongs to.
        audio: WAV file, or None where it is missing.
        annotation: File that its labels are from.
        cycles: What is labelled of it, in the order of the annotation file.
        header: Header of the WAV file; None where the audio is missing or has none.
    """

    name: str
    patient: str
    index: str
    location: str
    mode: str
    device: str
    split: str
    audio: Path | None
    annotation: Path
    cycles: tuple[Cycle, ...]
    header: WavHeader | None = None


@dataclass(frozen=True)
class Dataset:
    """The recordings that a run uses, labelled for one task.

    Attributes:
        card: The data set.
        task: What is judged.
        root: The folder they lie in.
        recordings: The recordings that have audio, sorted by name.
        expected: Number of recordings of the complete set.
        fingerprint: Hex SHA-256 over names, splits, cycles and samples (:func:`bench.data.fingerprint.fingerprint`).
        diagnosis: Diagnosis by patient, empty where none is known.
        demographics: Demographics by patient, empty where none are known.
    """

    card: DatasetCard
    task: TaskCard
    root: Path
    recordings: tuple[Recording, ...]
    expected: int
    fingerprint: str
    diagnosis: Mapping[str, str] = field(default_factory=dict, hash=False)
    demographics: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """Id of the data set."""
        return self.card.id

    @functools.cached_property
    def cycles(self) -> tuple[Cycle, ...]:
        """All cycles, in order of recording and index."""
        return tuple(cycle for recording in self.recordings for cycle in recording.cycles)

    @property
    def partial(self) -> str | None:
        """``partial (198 of 920)`` where recordings are missing, otherwise None."""
        here = len(self.recordings)
        return None if here == self.expected else f"partial ({here} of {self.expected})"

    @property
    def simulated(self) -> bool:
        """Tell whether the set was simulated, so that its numbers say nothing about lungs."""
        return self.card.simulated
