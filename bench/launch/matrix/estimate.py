"""How long runs will take and how much memory they will need: from runs of the board, or from what models cost.

The history of the board is the better source: the same system with another seed first, then other runs of the same
model, method, front-end, data set and device. Where there is none, what `bench models bench` measured gives a rough
number: its training step, as often as there will be steps, with loading and the method left out.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from bench.core.datasets import TRAIN
from bench.core.documents import read_document
from bench.core.errors import ResultError
from bench.core.kept import looked_up_once
from bench.experiment.spec import RunSpec
from bench.launch.matrix.heads import has_finished
from bench.launch.matrix.plans import PlannedRun
from bench.launch.run_memory import DECIDING, MIB, peaks_of
from leaderboard.store.costs import RunCost
from leaderboard.store.result_rows import system_hash
from leaderboard.store.store import Store

ALIKE = ("model", "method", "frontend", "dataset")
"""Fields that two runs share whose epochs take about as long."""

Source = Literal["other seeds", "board", "rough", "nothing"]
SOURCES: tuple[Source, ...] = ("other seeds", "board", "rough", "nothing")
"""Where an estimate may be from, the best first."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        seconds: How long it will take; None where nothing is known.
        memory_mib: The most memory that a process of it will have, of the GPU where it runs on one; None if not known.
        source: Where that is from: ``other seeds`` of the same system, the ``board``, or ``rough``, from what
            `bench models bench` measured.
    """

    seconds: float | None = None
    memory_mib: float | None = None
    source: Source = "nothing"

    def to_json(self) -> dict[str, Any]:
        """The estimate as documents hold it."""
        return {"seconds": self.seconds, "memory_mib": self.memory_mib, "source": self.source}


class History:
    """What finished runs of a board took.

    Args:
        costs: What each took.
        measured: Rows of `bench models bench`, where it was run here.
    """

    def __init__(self, costs: Sequence[RunCost] = (), measured: Sequence[Mapping[str, Any]] = ()) -> None:
        self._of_system: dict[tuple[Any, ...], list[RunCost]] = {}
        self._alike: dict[tuple[Any, ...], list[RunCost]] = {}
        for cost in costs:
            place = (cost.device, cost.processes)
            self._of_system.setdefault((cost.system, *place), []).append(cost)
            self._alike.setdefault((*(cost.spec.get(name) for name in ALIKE), *place), []).append(cost)
        self._measured = {(row["model"], row["device"]): row for row in measured if not row["error"]}
        self._known: dict[str, Estimate] = {}

    @classmethod
    def of(cls, store: Store | None, measured: Sequence[Mapping[str, Any]] = ()) -> Self:
        """The history of a board; an empty one where there is none."""
        return cls(() if store is None else store.costs(), measured)

    def memory(self, spec: RunSpec) -> int | None:
        """Bytes of GPU memory that a run is known to take, by runs like it; None where nobody knows."""
        if spec.distribution.device != "cuda":
            return None
        found = self.estimate(spec)
        known = found.memory_mib is not None and found.source != "rough"
        return int(found.memory_mib * MIB) if known and found.memory_mib is not None else None

    def estimate(self, spec: RunSpec) -> Estimate:
        """What a run will take; runs that differ in the seed alone are looked up once."""
        system = system_hash(spec.identity()) if self._of_system or self._measured else ""
        key = f"{system} {[getattr(spec.distribution, name) for name in ('device', 'processes', *DECIDING)]}"
        if key not in self._known:
            self._known[key] = self._estimate(spec, system)
        return self._known[key]

    def _estimate(self, spec: RunSpec, system: str) -> Estimate:
        place = (spec.distribution.device, spec.distribution.processes)
        own = self._of_system.get((system, *place))
        if own:
            return _from_runs(spec, own, "other seeds")
        alike = self._alike.get((*(getattr(spec, name) for name in ALIKE), *place))
        if alike:
            return _from_runs(spec, alike, "board")
        measured = self._measured.get((spec.model, spec.distribution.device))
        return Estimate() if measured is None else _from_measurement(spec, measured)


def _from_runs(spec: RunSpec, runs: Sequence[RunCost], source: Source) -> Estimate:
    """By the median time of an epoch, or of an iteration where the schedule counts these."""
    unit = "iterations" if spec.schedule.iterations else "epochs"
    rates = [run.seconds / run.spec[unit] for run in runs if run.spec.get(unit)]
    peaks = list(peaks_of(spec, runs))
    length = getattr(spec.schedule, unit)
    return Estimate(
        seconds=statistics.median(rates) * length if rates else None,
        memory_mib=max(peaks) if peaks else None,
        source=source,
    )


def _from_measurement(spec: RunSpec, row: Mapping[str, Any]) -> Estimate:
    """By the time of a step with a batch of another size, which is taken to grow with the batch."""
    from bench.engine.data import load_run_dataset

    dataset = load_run_dataset(spec)
    counts = [(recording.split == TRAIN, len(recording.cycles)) for recording in dataset.recordings]
    trained = sum(count for is_train, count in counts if is_train)
    judged = sum(count for is_train, count in counts if not is_train)
    clip = row["training"]["seconds_per_step"] / row["batch"]
    steps = spec.sampling.steps_of_epoch(trained)
    epochs = spec.schedule.iterations / max(steps, 1) if spec.schedule.iterations else spec.schedule.epochs
    seconds = epochs * (trained * clip + judged * row["evaluation"]["seconds_per_cycle"])
    memory = row["training"]["peak_memory_mib"]
    return Estimate(seconds=seconds, memory_mib=memory, source="rough")


def estimates_of(runs: Sequence[PlannedRun], home: Path, store: Store | None) -> list[Estimate]:
    """What each run will take; of a composite, what its parts that are not finished will.

    Args:
        runs: The planned runs.
        home: The results folder, which may hold measurements of models.
        store: The board whose history counts; None for none.
    """
    history = History.of(store, read_measurements(home))
    with looked_up_once():
        return [_estimate_of(run, home, history) for run in runs]


def _estimate_of(run: PlannedRun, home: Path, history: History) -> Estimate:
    if isinstance(run.spec, RunSpec):
        return history.estimate(run.spec)
    parts = [history.estimate(part.spec) for part in run.spec.parts if not has_finished(home, part.spec.run_id)]
    known = [part.seconds for part in parts if part.seconds is not None]
    memory = [part.memory_mib for part in parts if part.memory_mib is not None]
    sources = sorted({part.source for part in parts}, key=SOURCES.index)
    # One part of which nothing is known makes a sum of the others no estimate of the whole.
    complete = len(known) == len(parts) and bool(parts)
    source: Source = sources[-1] if complete else "nothing"
    return Estimate(sum(known) if complete else None, max(memory, default=None), source)


# --- what `bench models bench` measured -------------------------------------------------------------------------


def measurements_file(home: Path) -> Path:
    """The file of a results folder that keeps what `bench models bench` measured."""
    return home / "measurements.json"


def read_measurements(home: Path) -> list[dict[str, Any]]:
    """What was measured here, the newest of each model and device last; nothing where nothing was.

    Raises:
        ResultError: If the file is broken.
    """
    path = measurements_file(home)
    if not path.is_file():
        return []
    found = read_document(path)
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise ResultError(f"{path} holds no measurements.", "Remove it, and run `bench models bench` again.")
    return rows


def joined_measurements(
    before: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Measurements with new ones in the place of those that measured the same; a failed one replaces nothing."""

    def key(row: Mapping[str, Any]) -> str:
        return json.dumps([row.get(name) for name in ("model", "device", "batch", "frames", "classes")])

    kept = {key(row): row for row in before}
    for row in new:
        if not row["error"]:
            kept.pop(key(row), None)
            kept[key(row)] = row
    return list(kept.values())
