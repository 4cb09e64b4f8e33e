"""The tested cycles of a task: what a system's predictions must answer, and the metrics of such predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import FOUR_CLASSES, TaskCard, TestPart
from leaderboard.metrics import Metrics, score_cycles
from leaderboard.results.predictions import CycleSet

OFFICIAL = "official"
"""What metrics of the tested part are named where the task has one."""

DISJOINT = "patient-disjoint"
"""What metrics of the tested part without the patients of the training part are named."""


@dataclass(frozen=True)
class OfficialPart:
    """The tested cycles that a submission must answer, each exactly once: those of all tested parts of a task.

    Attributes:
        dataset: Id of the data set.
        partial: How much of the data set was there, in words; None where all of it was.
        cycles: The tested cycles with their labels.
        train_patients: Patients with recordings in the training part.
        source: What the cycles are known from, in words.
        task: What is judged.
    """

    dataset: str
    partial: str | None
    cycles: CycleSet
    train_patients: frozenset[str]
    source: str
    task: TaskCard = FOUR_CLASSES

    @property
    def shared_patients(self) -> frozenset[str]:
        """Patients of the training part who are tested too; those of parts that say so do not count."""
        unseen = [part.id for part in self.task.parts if not part.patients_seen]
        tested = {self.cycles.patients[i] for part in unseen for i in self.cycles.places_of(part)}
        return self.train_patients & tested


def _name(task: TaskCard, part: TestPart) -> str:
    return part.id if task.other_parts else OFFICIAL


def part_metrics(part: OfficialPart, scores: NDArray[np.float64]) -> dict[str, dict[str, Metrics] | None]:
    """Judge each tested part, and each without the patients that have training recordings too.

    A part whose patients are known from the training is not judged without them.

    Args:
        part: The tested cycles of the task.
        scores: (n, classes) scores in their order.

    Returns:
        Metrics by name, then by sensitivity. The names are ``official`` and ``patient-disjoint`` for a task of one
        part; for others the ids of the parts, and these with ``-patient-disjoint`` behind them. None for a part that
        is left without a normal or an abnormal cycle when the training patients are taken out.

    Raises:
        ResultError: If a whole part has no normal or no abnormal cycle.
    """
    found: dict[str, dict[str, Metrics] | None] = {}
    for tested in part.task.parts:
        name, places = _name(part.task, tested), part.cycles.places_of(tested.id)
        found[name] = _judged(part, scores, places)
        if not tested.patients_seen:
            disjoint = [i for i in places if part.cycles.patients[i] not in part.train_patients]
            kinds = {part.task.shared[part.cycles.labels[i]] for i in disjoint}
            key = f"{name}-{DISJOINT}" if part.task.other_parts else DISJOINT
            found[key] = _judged(part, scores, disjoint) if kinds >= {"normal", "abnormal"} else None
    return found


def _judged(part: OfficialPart, scores: NDArray[np.float64], places: list[int]) -> dict[str, Metrics]:
    return score_cycles([part.cycles.labels[i] for i in places], scores[places], part.task)
