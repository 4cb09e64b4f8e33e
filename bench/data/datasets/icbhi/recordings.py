"""Recordings, their annotated cycles, and the set of them that a run uses, as plain values."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import DataError
from bench.data.datasets.icbhi.annotation import Cycle
from bench.data.datasets.icbhi.tables import Demographics
from bench.data.wav import WavHeader


@dataclass(frozen=True)
class Recording:
    """One recording and its annotated cycles.

    Attributes:
        name: File name without ending.
        patient: Number of the patient, three digits.
        index: Recording index (``1b1``).
        location: Chest location (``Tc``, ``Al``, ``Ar``, ``Pl``, ``Pr``, ``Ll``, ``Lr``).
        mode: Acquisition, ``sc`` (sequential, single-channel) or ``mc`` (simultaneous, multi-channel).
        device: Stethoscope or microphone that recorded it, from the audio file's own name.
        split: ``train`` or ``test``.
        audio: WAV file, or None where it is missing.
        annotation: Annotation file.
        cycles: Annotated cycles in the order of the annotation file.
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
    """The recordings that a run uses.

    Attributes:
        name: ``icbhi``, or ``demo`` for a simulated set.
        root: The folder they lie in.
        recordings: The recordings that have audio, sorted by name.
        expected: Number of recordings of the complete set.
        fingerprint: Hex SHA-256 over names, splits, cycles and samples.
        diagnosis: Diagnosis by patient, empty without such a file.
        demographics: Demographics by patient, empty without such a file.
    """

    name: str
    root: Path
    recordings: tuple[Recording, ...]
    expected: int
    fingerprint: str
    diagnosis: Mapping[str, str] = field(default_factory=dict, hash=False)
    demographics: Mapping[str, Demographics] = field(default_factory=dict, hash=False)

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
        return self.name == "demo"

    @functools.cached_property
    def _splits(self) -> dict[str, str]:
        return {recording.name: recording.split for recording in self.recordings}

    def split_of(self, recording: str) -> str:
        """The split of a recording.

        Args:
            recording: Name of a recording.

        Returns:
            ``train`` or ``test``.

        Raises:
            DataError: If the set has no such recording.
        """
        try:
            return self._splits[recording]
        except KeyError:
            raise DataError(f"The data below {self.root} holds no recording '{recording}'.") from None
