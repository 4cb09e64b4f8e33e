"""Data sets and their tasks as cards, and the registry of them; no data are read here, and no torch is imported.

A data set says where its recordings come from; a task says what is judged on them. Everything else in the house asks
a card: how many classes there are, which one is normal, what a hit is, which parts are tested.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.core.cards import Card, Profile
from bench.core.errors import RegistryError, SpecError
from bench.core.registry import GUIDE, Registration, Registry, RegistryEntry, suggestion
from bench.core.text import echoed

ScoreLaw = Literal["mean", "challenge"]
"""How a task's Score follows from SE and SP: their mean, or the mean of their mean (AS) and harmonic mean (HS)."""

TRAIN = "train"
"""The part of every data set that is trained on."""

PATIENT_DISJOINT = "patient-disjoint"
"""The name of the main part without patients who are in the training part too, where a task counts it."""

ANY_ABNORMAL = "2class"
"""The name of metrics whose sensitivity counts any abnormal class as a hit."""

MOST_CLASSES = 99

CLASS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._+&-]{0,39}")
"""What a class may be called: predictions have a column of that name."""

RESERVED = frozenset({"recording", "cycle", "label", "patient", "device", "part", "predicted", "index"})
"""Columns of predictions and of judged cycles, whose names no class can have."""


@dataclass(frozen=True, kw_only=True)
class TestPart:
    """A part of a data set that is tested and judged by itself.

    Attributes:
        id: Word for it in files and on the command line (``test``, ``inter``).
        title: Name in print (``official split``).
        patients_seen: Whether its patients have recordings in the training part, so that its numbers say little about
            new patients.
    """

    __test__ = False

    id: str
    title: str
    patients_seen: bool = False


OFFICIAL_TEST = TestPart(id="test", title="official split")


@dataclass(frozen=True, kw_only=True)
class TaskCard:
    """What is judged on a data set.

    What is judged is called a cycle all over the house, also where it is an event or a whole recording: ``unit`` says
    which.

    Attributes:
        id: Word for it on the command line (``event-7``).
        title: Name in print.
        classes: Names of the classes, in the order of their numbers. The first is the normal one.
        unit: What one label is of: ``respiratory cycle``, ``event`` or ``recording``.
        parts: The tested parts. The first is the one that epochs are chosen and systems ranked by.
        score: How the Score follows from SE and SP.
        ranking: The metric that systems are ranked by.
        shared: What each class is to any task: ``normal`` the first, ``abnormal``, or None where it is neither (a
            recording too noisy to tell). Sensitivity is over the abnormal classes alone, and a model that was trained
            on one task is judged on another by these words.
        counts: Number of cycles per class by part (``train`` too, and ``patient-disjoint`` where patients are on both
            sides) of the complete set, where they are pinned.
        judged_sets: Hashes of the complete set's judged cycles (:mod:`leaderboard.results.judged_set`), where they
            are pinned: results on others are not the official ones.
        recipes: By profile, fields of the run's spec that the task changes in the recipes of model and method, as the
            length of clips, after those of its data set; what a user gives comes after them.

    Raises:
        RegistryError: If classes or parts cannot be told apart, or there are too few.
    """

    id: str
    title: str
    classes: tuple[str, ...]
    unit: str = "respiratory cycle"
    parts: tuple[TestPart, ...] = (OFFICIAL_TEST,)
    score: ScoreLaw = "mean"
    ranking: Literal["score", "as", "hs", "se", "sp"] = "score"
    shared: tuple[str | None, ...] = ()
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    judged_sets: frozenset[str] = frozenset()
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        known = {name.lower() for name in self.classes if CLASS_NAME.fullmatch(name)} - RESERVED
        if not 2 <= len(known) == len(self.classes) <= MOST_CLASSES:
            words = "must be 2 or more different names of letters, digits and ._+&-, the normal class first"
            raise RegistryError(f"The classes of task '{self.id}' are {self.classes!r}, but {words}.", GUIDE)
        names = [part.id for part in self.parts]
        if not names or len(set(names)) < len(names) or TRAIN in names:
            words = f"must be one or more different ones, none of them '{TRAIN}'"
            raise RegistryError(f"The parts of task '{self.id}' are {', '.join(names) or 'none'}, but {words}.", GUIDE)
        if not self.shared:
            object.__setattr__(self, "shared", ("normal", *["abnormal"] * (len(self.classes) - 1)))
        others = self.shared[1:]
        if (
            len(self.shared) != len(self.classes)
            or self.shared[0] != "normal"
            or "abnormal" not in others
            or not {*others} <= {"abnormal", None}
        ):
            words = "must be 'normal' for the first class and 'abnormal' or None for each other, one abnormal at least"
            raise RegistryError(f"The shared words of task '{self.id}' are {self.shared!r}, but {words}.", GUIDE)

    @property
    def unit_word(self) -> str:
        """What one label is of, in one word: ``cycle``, ``event``, ``recording``."""
        return self.unit.split()[-1]

    @property
    def normal(self) -> str:
        """The normal class: number 0."""
        return self.classes[0]

    @property
    def abnormal(self) -> tuple[int, ...]:
        """The numbers of the abnormal classes: those that sensitivity is over."""
        return tuple(number for number, word in enumerate(self.shared) if word == "abnormal")

    @property
    def strict(self) -> str:
        """The name of the metrics whose sensitivity asks for the exact class: ``4class`` where there are four."""
        return f"{len(self.classes)}class"

    @property
    def sensitivities(self) -> tuple[str, ...]:
        """What a hit may be, as the keys of metrics: the exact class, then any abnormal class where that differs."""
        return (self.strict,) if self.strict == ANY_ABNORMAL else (self.strict, ANY_ABNORMAL)

    @property
    def main(self) -> TestPart:
        """The part that epochs are chosen and systems ranked by."""
        return self.parts[0]

    @property
    def other_parts(self) -> tuple[TestPart, ...]:
        """The parts that are judged beside the main one."""
        return self.parts[1:]

    @property
    def main_alone(self) -> TaskCard:
        """The task with its main part alone: what held-out training patients are judged by."""
        return self if len(self.parts) == 1 else replace(self, parts=self.parts[:1])

    def part(self, name: str) -> TestPart:
        """The part of an id; raises SpecError if the task has none."""
        for part in self.parts:
            if part.id == name:
                return part
        known = [part.id for part in self.parts]
        raise SpecError(f"Unknown part '{echoed(name)}' of the task {self.id}: {suggestion(name, known)}")


FOUR_CLASSES = TaskCard(
    id="cycle-4",
    title="4 classes of respiratory cycles",
    classes=("normal", "crackle", "wheeze", "both"),
)
"""The task of every result that names none: crackles, wheezes, both or neither in a respiratory cycle."""


@dataclass(frozen=True, kw_only=True)
class DatasetCard(Card):
    """A data set: whose it is, what is in it, and what can be judged on it.

    Attributes:
        tasks: What can be judged; the first is taken where none is asked for.
        owner: Who publishes it.
        licence: Under which terms.
        obtain: One or two sentences on how to get it.
        url: Where it is described.
        recordings: Number of recordings of the complete set; None where there is no fixed number.
        patients: The patients of the complete set, where they are pinned: a result on others is refused.
        shared_patients: Patients that stand in the training part and in the main test part too.
        grouping: The key that makes cycles depend on each other, by which intervals are drawn.
        devices: What it was recorded with, where known.
        sites: Hospitals and countries that it was recorded in, where known.
        rates: Sampling rates of its recordings, Hz, where known.
        simulated: Whether it was made by a program, so that its numbers say nothing about lungs.
        primary: Whether it is the set that is meant where none is named. One card alone says so.
        profile: The recipes that are taken where none are asked for.
        recipes: By profile, fields of the run's spec that the set changes in the recipes of model and method, as the
            length of clips; what a user gives comes after them.
        recipe_note: A sentence on where the recipes come from.
        environment: The environment variable that names its folder.
        folder: Where its folder is by default, below the working directory.
        published: File with printed results (``leaderboard.published``); None where there are none.
        reference: File that lists the reference results that come with this program; None where there are none.
        facts: Further facts by name, for people.
    """

    tasks: tuple[TaskCard, ...]
    owner: str = ""
    licence: str = "not stated"
    obtain: str = ""
    url: str = ""
    recordings: int | None = None
    patients: frozenset[str] | None = None
    shared_patients: frozenset[str] = frozenset()
    grouping: str = "patient"
    devices: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    rates: tuple[int, ...] = ()
    simulated: bool = False
    primary: bool = False
    profile: Profile = "paper"
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    recipe_note: str = ""
    environment: str | None = None
    folder: str | None = None
    published: Path | None = None
    reference: Path | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        names = [task.id for task in self.tasks]
        if not names or len(set(names)) < len(names):
            raise RegistryError(f"The tasks of data set '{self.id}' are {names}, but must be different ones.", GUIDE)

    @property
    def short_title(self) -> str:
        """The title without a year at its end, as in ``ICBHI``."""
        return re.sub(r" [0-9]{4}$", "", self.title)

    def task(self, name: str | None) -> TaskCard:
        """Give a task, the first where none is named.

        Raises:
            SpecError: If the set has no such task; the nearest is suggested.
        """
        if name is None:
            return self.tasks[0]
        for task in self.tasks:
            if task.id == name:
                return task
        known = [task.id for task in self.tasks]
        raise SpecError(f"Unknown task '{echoed(name)}' of the data set {self.id}: {suggestion(name, known)}")


def extent_words(partial: str | None, *, simulated: bool) -> str | None:
    """What is said of data wherever they are named: that a program made them, and how much of the set there is.

    Args:
        partial: How much of it there is, in words; None for all of it.
        simulated: Whether a program made them.

    Returns:
        ``simulated, partial (9 of 166)`` or a part of that; None for the whole of a real set.
    """
    return ", ".join(filter(None, ("simulated" if simulated else None, partial))) or None


class DatasetRegistry(Registry[DatasetCard]):
    """The data sets; those built in are found by looking into a package, as those of other packages are.

    Each lies in a folder of its own with a module ``card`` that holds ``REGISTRATIONS``. The floors below the data can
    so ask what a task is, and no list names a data set.
    """

    PACKAGE = "bench.data.datasets"

    def __init__(self) -> None:
        super().__init__("data set", DatasetCard, "lungbench.datasets")
        self._found = False

    def add(self, *args: Any, **kwargs: Any) -> None:
        """Register an entry, as :meth:`bench.core.registry.Registry.add`; ids of what is built in are taken already."""
        self._find_built_in()
        super().add(*args, **kwargs)

    def _entry_point_problems(self) -> dict[str, Any]:
        self._find_built_in()
        return super()._entry_point_problems()

    def _find_built_in(self) -> None:
        if not self._found:
            self._found = True
            for registration in self._built_in():
                super().add(registration.card.id, registration.card, registration.build)  # type: ignore[arg-type]

    def _built_in(self) -> Iterator[Registration]:
        package = importlib.import_module(self.PACKAGE)
        for module in pkgutil.iter_modules(package.__path__):
            if module.ispkg:
                yield from importlib.import_module(f"{self.PACKAGE}.{module.name}.card").REGISTRATIONS

    def primary(self) -> RegistryEntry[DatasetCard]:
        """The data set that is meant where none is named."""
        return next(entry for entry in self if entry.card.primary)

    def simulated(self) -> RegistryEntry[DatasetCard]:
        """The simulated data set that is made on the spot, where there are no data."""
        return next(entry for entry in self if entry.card.simulated and entry.version is None)


DATASETS = DatasetRegistry()
