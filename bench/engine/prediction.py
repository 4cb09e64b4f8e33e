"""Scores for new recordings, one after the other: by a trained run, or by several that are combined.

Pictures of several recordings share a batch, so that a file with a single cycle costs no forward pass of its own. At
most a batch of rows, and the recordings that they are of, are held at a time, however many files there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core.errors import BenchError, DataError, RunError
from bench.core.text import echoed
from bench.data.dataset import Recording
from bench.data.units import Inputs
from bench.engine.trained import TrainedRun, batches
from leaderboard.results.combinations import POOLINGS, ROUTE, pool, route

T = TypeVar("T")

Scores: TypeAlias = NDArray[np.float64]

NUMERIC = (ValueError, IndexError, ArithmeticError, RuntimeError)
"""What numerical code raises for a waveform that it was not made for, such as one that is shorter than its window."""


@dataclass(frozen=True, eq=False)
class TrainedSystem:
    """A trained run, or a small graph of such whose scores are combined.

    Attributes:
        name: Name of it among the parts of another.
        run: The run; None where parts are combined.
        combination: How the scores of the parts become one: ``mean``, ``product``, ``max`` or ``route:device``.
        parts: The parts by name.
        served: For a route, by part the device that it serves, or None for that of all others.
    """

    name: str
    run: TrainedRun | None = None
    combination: str = ""
    parts: Mapping[str, TrainedSystem] = field(default_factory=dict)
    served: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def runs(self) -> tuple[TrainedRun, ...]:
        """The runs that it is made of, each once."""
        found = {} if self.run is None else {self.run.run.name: self.run}
        for part in self.parts.values():
            found |= {run.run.name: run for run in part.runs}
        return tuple(found.values())

    @property
    def asks_for_device(self) -> bool:
        """Whether the device that recorded a file decides which part scores it."""
        return self.combination == ROUTE or any(part.asks_for_device for part in self.parts.values())

    def combined(self, scores: Mapping[str, Scores], device: str) -> Scores:
        """The scores of a recording from those of the runs.

        Args:
            scores: By name of the run with its weights, (cycles, classes).
            device: Device that recorded it; empty where nobody knows.

        Raises:
            ResultError: If no part serves the device.
        """
        if self.run is not None:
            return scores[self.run.run.name]
        of_parts = {name: part.combined(scores, device) for name, part in sorted(self.parts.items())}
        if self.combination == ROUTE:
            return route(of_parts, self.served, [device] * len(next(iter(of_parts.values()))))
        (pooling,) = (known for known in POOLINGS if known == self.combination)
        # By name, as a composite's own predictions are, so that the sum over parts is the same.
        return pool(list(of_parts.values()), pooling)


@dataclass(frozen=True, eq=False)
class Heard(Generic[T]):
    """A recording that is to be classified.

    Attributes:
        recording: Name, device, header and the cycles.
        wave: (samples,) float32, −1..1.
        rate: Samples per second.
        of: Whatever the caller wants beside its scores.
    """

    recording: Recording
    wave: torch.Tensor
    rate: int
    of: T


@dataclass(frozen=True, eq=False)
class Scored(Generic[T]):
    """What came of a recording.

    Attributes:
        of: What the caller gave with it.
        scores: (cycles, classes) probabilities; None where there is an error.
        error: What is wrong with the recording.
    """

    of: T
    scores: Scores | None = None
    error: BenchError | None = None


@dataclass(frozen=True, eq=False)
class _Waiting(Generic[T]):
    """A recording whose pictures wait for the batch to be full: by run, the pictures and the cycle of each row."""

    heard: Heard[T]
    pictures: list[tuple[Inputs, NDArray[np.int64]]]

    @property
    def rows(self) -> int:
        return max(len(cycle_of) for _, cycle_of in self.pictures)


def scores_of(system: TrainedSystem, recordings: Iterable[Heard[T] | Scored[T]], batch: int) -> Iterator[Scored[T]]:
    """Classify recordings as they come.

    Args:
        system: The trained system.
        recordings: The recordings; what could not be read already is handed on in its place.
        batch: Rows of a forward pass.

    Yields:
        For each recording, in the order in which they came, its scores or what is wrong with it.

    Raises:
        RunError: If memory runs out.
    """
    waiting: list[_Waiting[T]] = []
    for one in recordings:
        if isinstance(one, Heard) and len(one.recording.cycles) <= _at_once(system):
            made = _prepared(system, one)
            if isinstance(made, _Waiting):
                waiting.append(made)
                if sum(other.rows for other in waiting) >= batch:
                    yield from _flushed(system, waiting, batch)
                continue
            one = made
        yield from _flushed(system, waiting, batch)
        yield _scored_alone(system, one, batch) if isinstance(one, Heard) else one
    yield from _flushed(system, waiting, batch)


def _at_once(system: TrainedSystem) -> int:
    return min(run.cycles_at_once for run in system.runs)


def _prepared(system: TrainedSystem, heard: Heard[T]) -> _Waiting[T] | Scored[T]:
    """Make the pictures of a recording for every run, which is where it fails if it is odd."""
    try:
        return _Waiting(heard, [run.pictures(heard.recording, heard.wave, heard.rate) for run in system.runs])
    except BenchError as error:
        return Scored(heard.of, error=error.detached())
    except NUMERIC as error:
        return Scored(heard.of, error=_refused(heard.recording, error))


def _refused(recording: Recording, error: BaseException) -> DataError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(
        f"The front-end makes nothing of {echoed(recording.name)}: {echoed(lines[0].rstrip('.'), 200)}.",
        "Is it long enough, and of a rate that the run's front-end takes?",
    )


def _flushed(system: TrainedSystem, waiting: list[_Waiting[T]], batch: int) -> Iterator[Scored[T]]:
    """Classify the recordings that wait, and let go of them."""
    if not waiting:
        return
    taken = list(waiting)
    waiting.clear()
    by_run: dict[str, list[Scores]] = {}
    for place, run in enumerate(system.runs):
        parts = [one.pictures[place] for one in taken]
        pieces = np.concatenate([_forward(run, rows) for rows in batches([inputs for inputs, _ in parts], batch)])
        ends = np.cumsum([len(cycle_of) for _, cycle_of in parts])[:-1]
        votes = zip(np.split(pieces, ends), parts, strict=True)
        by_run[run.run.name] = [run.voted(rows, cycle_of) for rows, (_, cycle_of) in votes]
    for place, one in enumerate(taken):
        yield _combined(system, one.heard, {name: scores[place] for name, scores in by_run.items()})


def _forward(run: TrainedRun, inputs: Inputs) -> Scores:
    try:
        return run.probabilities(inputs)
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"The memory of the device ran out in a batch of run {run.run.run_id}.", "Use a smaller --batch."
        ) from error


def _scored_alone(system: TrainedSystem, heard: Heard[T], batch: int) -> Scored[T]:
    """Classify a recording of many cycles, of which no more than a few hundred pictures are made at a time."""
    scores: dict[str, Scores] = {}
    try:
        for run in system.runs:
            scores[run.run.name] = run.scores(heard.recording, heard.wave, heard.rate, batch)
    except BenchError as error:
        return Scored(heard.of, error=error.detached())
    except NUMERIC as error:
        return Scored(heard.of, error=_refused(heard.recording, error))
    return _combined(system, heard, scores)


def _combined(system: TrainedSystem, heard: Heard[T], scores: Mapping[str, Scores]) -> Scored[T]:
    odd = next((name for name, found in scores.items() if not np.isfinite(found).all()), None)
    if odd is not None:
        words = f"The outputs of run {odd} for {echoed(heard.recording.name)} are not finite."
        return Scored(heard.of, error=DataError(words, "Use --precision fp32."))
    try:
        return Scored(heard.of, system.combined(scores, heard.recording.device))
    except BenchError as error:
        return Scored(heard.of, error=error.detached())
