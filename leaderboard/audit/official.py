"""The official split of a task in numbers of cycles, by which a table that names no cycle can be judged.

The numbers are those that the card of the data set pins; where it pins none, there is nothing to compare with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bench.core.datasets import DATASETS, PATIENT_DISJOINT, TRAIN, TaskCard, TestPart
from leaderboard.results.official_part import OfficialPart
from leaderboard.tasks import JudgedTask, judged_task

LIKE = 0.03
"""How far a share of training cycles may lie from another that it is taken for."""

EXTREME = (0.4, 0.95)
"""Between which shares the training part of a split of the whole set lies."""

Counts = tuple[int, ...]
"""Numbers of cycles by class."""


@dataclass(frozen=True)
class OfficialSplit:
    """The official split of a task, seen from one of its tested parts.

    Attributes:
        judged: The task of a data set.
        part: The tested part.
    """

    judged: JudgedTask
    part: TestPart

    @property
    def task(self) -> TaskCard:
        """The task."""
        return self.judged.task

    @property
    def train(self) -> Counts | None:
        """Training cycles by class, where they are pinned."""
        return self.task.counts.get(TRAIN)

    @property
    def test(self) -> Counts | None:
        """Cycles of the tested part by class, where they are pinned."""
        return self.task.counts.get(self.part.id)

    @property
    def disjoint(self) -> Counts | None:
        """Cycles of the main part without patients who were trained on too, where they are pinned."""
        return self.task.counts.get(PATIENT_DISJOINT) if self.part == self.task.main else None

    @property
    def tests(self) -> dict[str, int]:
        """How many cycles each tested part has, by its id, where they are pinned."""
        return {part.id: sum(self.task.counts[part.id]) for part in self.task.parts if part.id in self.task.counts}

    @property
    def cycles(self) -> int:
        """How many cycles the set has, of all parts."""
        return sum(self.train or ()) + sum(self.tests.values())

    @property
    def ratio(self) -> str:
        """Training and tested cycles in percent of all, as ``60-40``."""
        return _ratio(sum(self.train or ()) / max(self.cycles, 1))

    @property
    def shared_words(self) -> str:
        """The patients on both sides of the split, as ``patients 156 and 218``."""
        shared = sorted(self.judged.card.shared_patients) if self.judged.card else []
        return f"patients {' and '.join(shared)}"

    def seen_from(self, part: str | None) -> OfficialSplit:
        """The split seen from another tested part; from this one where none is named; raises SpecError."""
        return self if part is None else replace(self, part=self.task.part(part))

    def divisors(self, counts: Counts | None) -> tuple[int, int] | None:
        """What Sp and Se are divided by: the normal and the abnormal ones of cycles by class."""
        return None if counts is None else (counts[0], sum(counts[number] for number in self.task.abnormal))

    def of_row(self, words: str | None) -> OfficialSplit | None:
        """The split as the words of a row of a table tell it; None where they tell none of several parts."""
        if not self.task.other_parts:
            return self
        told = set(re.findall(r"[a-z0-9]+", (words or "").lower()))
        named = [part for part in self.task.parts if part.id.lower() in told]
        return replace(self, part=named[0]) if len(named) == 1 else None

    def split_words(self, train: int | None, test: int | None) -> str | None:
        """Say what is wrong with the numbers of cycles of a split, as the end of a sentence; None where nothing is.

        Args:
            train: Number of cycles of the training part, where known.
            test: Number of cycles of the tested part, or of all tested parts, where known.
        """
        if self.train is None or not self.tests:
            return None
        whole = sum(self.tests.values())
        if train in (None, sum(self.train)) and test in (None, whole, *self.tests.values()):
            return None
        if self.disjoint is not None and test == sum(self.disjoint):
            return (
                f"the test part without {self.shared_words}, whose numbers stand beside the official ones, not among "
                "them"
            )
        share, official = self._share(train, test), sum(self.train) / self.cycles
        if abs(share - 0.8) < LIKE < abs(official - 0.8):
            return f"an 80-20 split, not the official {self.ratio} one"
        if abs(share - official) < LIKE:
            return f"about {self.ratio}, but not the official split, as when recordings or cycles are drawn at random"
        if not EXTREME[0] < share < EXTREME[1]:
            return (
                f"another set, or a part of it, than the official {sum(self.train):,} training and {self.test_words} "
                "test cycles"
            )
        return f"{_ratio(share)}, not the official {self.ratio} split"

    @property
    def test_words(self) -> str:
        """How many cycles the tested parts have: ``2,756``, or ``1,429 inter and 1,004 intra``."""
        if len(self.tests) == 1:
            return f"{next(iter(self.tests.values())):,}"
        return " and ".join(f"{count:,} {part}" for part, count in self.tests.items())

    def _share(self, train: int | None, test: int | None) -> float:
        """The share of the training part, of the whole set where only one part is known."""
        if train is not None and test is not None:
            return train / max(train + test, 1)
        return train / self.cycles if train is not None else 1 - (test or 0) / self.cycles


def _ratio(share: float) -> str:
    return f"{100 * share:.0f}-{100 - 100 * share:.0f}"


def official_split(judged: JudgedTask) -> OfficialSplit:
    """The official split of a task, seen from its main part."""
    return OfficialSplit(judged, judged.task.main)


def registered_split(dataset: str | None = None, task: str | None = None) -> OfficialSplit:
    """The official split of a task of a registered data set.

    Args:
        dataset: Id of the data set; None for the one that is meant where none is named.
        task: Id of the task; None for the first of the set.

    Raises:
        RegistryError: If there is no such data set.
        SpecError: If it has no such task.
    """
    card = DATASETS.primary().card if dataset is None else DATASETS.card(dataset)
    return official_split(JudgedTask(card.id, card.title, card.task(task), card.simulated, card))


def split_of(part: OfficialPart) -> OfficialSplit:
    """The official split that tested cycles are those of, seen from its main part."""
    judged = judged_task({"dataset": part.dataset, "task": part.task.id})
    if judged.task.classes != part.task.classes:
        judged = JudgedTask(part.dataset, part.dataset, part.task)
    return official_split(judged)
