"""Which runs of a board are of the systems that stand for a printed row, and how they deviate from the recipes.

A run is of a system when its model, method and pretraining are the system's, and so are the settings that make the
system what it is. Simulated runs are the exception: the demo trains from scratch, so that their pretraining is not
compared. A composite is of a system when its parts are. Of the board's systems that are of one system one is shown: on
the whole of the paper's data set before a part of it before simulated data; then the one with the recipe; then the one
with most seeds; then the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.core.datasets import extent_words
from leaderboard.store.board_rows import BoardSystem
from leaderboard.store.store import Store
from leaderboard.tasks import OFFICIAL_SPLIT, JudgedTask, is_first_task, judged_task

ALONE = ""
"""Name of the one run of a system that is no composite."""

SIZES = ("model_options.", "frontend_options.")
"""Options that say how large model and spectrogram are."""

LENGTHS = ("epochs", "iterations", "batch")
"""Fields that say how long the training is."""

DatasetId = str
"""Id of a data set that rows of the paper can be run on: the paper's own, and the simulated one."""

Complete = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Writes out in the identity fields of a spec what it leaves out because it has its default."""

Differences = Mapping[str, Mapping[str, Any]]
"""Values ``here`` and in the ``recipe``, by field."""


@dataclass(frozen=True, kw_only=True)
class SystemRun:
    """What a run must be to be of a system, and what its recipe would have it be.

    Attributes:
        model: Id of the model.
        method: Id of the method.
        pretrain: Name of the weights on real data.
        settings: Fields that make the system what it is, under dotted names (``method_options.mix``).
        recipes: Fields that its recipe sets, by data set; without an entry nothing deviates.
        each_device: Whether it stands for one part of a composite for each recording device, ``NAME-DEVICE``.
    """

    model: str
    method: str
    pretrain: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[DatasetId, Mapping[str, Any]] = field(default_factory=dict)
    each_device: bool = False


@dataclass(frozen=True, kw_only=True)
class RowSystem:
    """A system that stands for a printed row.

    Attributes:
        id: Its id.
        title: Its name in print.
        fidelity: Ground that its implementation rests on.
        runs: Its run, named :data:`ALONE`; of a composite the run of each part by name.
        name: Name that a composite has on the board; None for a single run.
        combine: How a composite's parts become one; None for a single run.
    """

    id: str
    title: str
    fidelity: str
    runs: Mapping[str, SystemRun]
    name: str | None = None
    combine: str | None = None

    @property
    def pair(self) -> tuple[str, str]:
        """What stands for model and method on the board."""
        if self.name is not None and self.combine is not None:
            return self.name, self.combine
        run = self.runs[ALONE]
        return run.model, run.method

    def run_of(self, part: str) -> SystemRun | None:
        """The run that a part of a board's composite should be; None where the system has no such part.

        Args:
            part: Name of the part, or :data:`ALONE`.
        """
        devices = (run for name, run in self.runs.items() if run.each_device and part.startswith(f"{name}-"))
        return self.runs.get(part) or next(devices, None)


RowSystems = Mapping[str, Sequence[RowSystem]]
"""The systems of each row by its id, the one that stands in it first."""


@dataclass(frozen=True)
class MatchingSystem:
    """A board's system that is of a row's, where it deviates from the recipe, and where a simulated one is smaller."""

    system: BoardSystem
    differs: Differences
    reduced: Differences

    @property
    def judged(self) -> JudgedTask:
        """What its runs were judged on."""
        return _judged(self.system)

    @property
    def data(self) -> str:
        """What its data are called."""
        return extent_words(self.system.partial, simulated=self.judged.simulated) or self.judged.title

    @property
    def is_whole(self) -> bool:
        """Whether it was run on the whole of the paper's data set."""
        return not self.judged.simulated and not self.system.partial


class SystemFinder:
    """Finds what is shown of the systems of rows, among the board's runs that were judged as the printed table was.

    Args:
        store: The board.
        systems: The systems of all rows.
        dataset: Id of the data set that the printed rows are of.
        rule: The selection rule that runs must have numbers under.
        complete: Writes out in a run's spec what it leaves out because it has its default.
    """

    def __init__(self, store: Store, systems: RowSystems, dataset: DatasetId, rule: str, complete: Complete) -> None:
        pairs = {system.pair for found in systems.values() for system in found}
        self._dataset, self._specs = dataset, _SpecReader(store, complete)
        self._systems = [one for one in store.systems(pairs, rule) if _is_of_data_set(one, dataset)]

    def find(self, wanted: RowSystem) -> MatchingSystem | None:
        """The board's system that is shown for a system; None where there is none."""
        mine = [one for one in self._systems if _may_belong(one, wanted)]
        for place in sorted({_data_preference(one) for one in mine}):
            equal = [one for one in mine if _data_preference(one) == place]
            equal.sort(key=lambda one: (one.runs, one.newest), reverse=True)
            found = self._best_match(equal, wanted)
            if found:
                return found
        return None

    def _best_match(self, systems: Sequence[BoardSystem], wanted: RowSystem) -> MatchingSystem | None:
        """The first with the system's settings and recipe; without any, the first one with the settings."""
        first = None
        for one, specs in self._specs.of(systems):
            if not _is_of(specs, wanted, simulated=_judged(one).simulated):
                continue
            deviations = dict(_deviations(specs, wanted, None))
            found = MatchingSystem(one, deviations, self._reduced(one, specs, wanted))
            if not deviations:
                return found
            first = first or found
        return first

    def _reduced(self, one: BoardSystem, specs: _Specs, wanted: RowSystem) -> Differences:
        """Where a simulated run is smaller than the recipe for real data: geometry and length of the training."""
        if not _judged(one).simulated:
            return {}
        return {
            name: values
            for name, values in _deviations(specs, wanted, self._dataset)
            if (flat := name.partition(":")[2] or name) in LENGTHS or flat.startswith(SIZES)
        }


_Specs = Mapping[str, Mapping[str, Any]]
"""Complete specs of a run's parts by name; of a single run the one named :data:`ALONE`."""


class _SpecReader:
    """Specs of the board's systems, read in portions and only as far as they are asked for."""

    PORTION = 100

    def __init__(self, store: Store, complete: Complete) -> None:
        self._store, self._complete = store, complete
        self._known: dict[str, _Specs] = {}

    def of(self, systems: Sequence[BoardSystem]) -> Iterator[tuple[BoardSystem, _Specs]]:
        for start in range(0, len(systems), self.PORTION):
            portion = systems[start : start + self.PORTION]
            self._read([system for system in portion if system.first not in self._known])
            for system in portion:
                yield system, self._known[system.first]

    def _read(self, systems: Sequence[BoardSystem]) -> None:
        composites = [system.first for system in systems if system.kind == "composite"]
        parts = self._store.parts(composites) if composites else {}
        parts |= {system.first: {ALONE: system.first} for system in systems if system.first not in parts}
        specs = self._store.specs({run_id for found in parts.values() for run_id in found.values()}) if parts else {}
        for first, found in parts.items():
            # A part that the board does not have makes a composite one of none.
            self._known[first] = {
                name: self._complete(specs[run_id]) for name, run_id in found.items() if run_id in specs
            }


def _judged(system: BoardSystem) -> JudgedTask:
    return judged_task({"dataset": system.dataset, "task": system.task, "split": system.split})


def _is_of_data_set(system: BoardSystem, dataset: DatasetId) -> bool:
    """Whether a system was judged as the printed rows were, or is a simulation of that."""
    judged = _judged(system)
    if system.split != OFFICIAL_SPLIT or not is_first_task(judged.task):
        return False
    if judged.simulated:
        return True
    # On other cycles or labels than those of the printed numbers nothing can be compared with them.
    return system.dataset == dataset and (bool(system.partial) or judged.is_official(system.judged_set))


def _may_belong(system: BoardSystem, wanted: RowSystem) -> bool:
    """Whether all that the board has at hand is the system's."""
    if (system.model, system.method) != wanted.pair or (system.kind == "composite") != (wanted.name is not None):
        return False
    return wanted.name is not None or _judged(system).simulated or system.pretrain == wanted.runs[ALONE].pretrain


def _is_of(specs: _Specs, wanted: RowSystem, *, simulated: bool) -> bool:
    """Whether each run is what the system's is."""
    needed = {name for name, run in wanted.runs.items() if not run.each_device}
    return needed <= specs.keys() and all(
        is_run_of(spec, wanted.run_of(name), simulated) for name, spec in specs.items()
    )


def is_run_of(spec: Mapping[str, Any], run: SystemRun | None, simulated: bool) -> bool:
    """Whether a run is what a system's is: model, method, pretraining, and the settings that make the system.

    Args:
        spec: The identity fields of the run's spec, written out in full.
        run: What it must be; None for nothing that it could be.
        simulated: Whether its data were made by a program: its pretraining is not compared then.
    """
    if run is None:
        return False
    fields = {"model": run.model, "method": run.method, **({} if simulated else {"pretrain": run.pretrain})}
    return all(_value(spec, name, None) == value for name, value in {**fields, **run.settings}.items())


def _data_preference(system: BoardSystem) -> int:
    """The whole of the paper's data set first, then a part of it, then simulated data."""
    return 2 if _judged(system).simulated else 1 if system.partial else 0


def _deviations(specs: _Specs, wanted: RowSystem, dataset: DatasetId | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Fields that the recipe sets otherwise, of a composite after the part (``cnn:epochs``).

    Args:
        specs: The specs.
        wanted: The system.
        dataset: Data set whose recipe is meant; None for that of each spec.
    """
    for part, spec in specs.items():
        run = wanted.run_of(part)
        for name, value in (run.recipes if run else {}).get(dataset or spec["dataset"], {}).items():
            here = _value(spec, name, value)
            if here != value:
                yield f"{part}:{name}" if part else name, {"here": here, "recipe": value}


def _value(spec: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    """A field of a spec by its dotted name."""
    owner, dot, option = name.partition(".")
    return spec.get(owner, {}).get(option, otherwise) if dot else spec.get(name, otherwise)
