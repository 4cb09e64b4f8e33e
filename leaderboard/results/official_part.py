"""The official test part: the cycles that a system's predictions must answer, and the metrics of such predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import FOUR_CLASSES, TaskCard
from leaderboard.metrics import Metrics, score_cycles
from leaderboard.results.predictions import CycleSet


@dataclass(frozen=True)
class OfficialPart:
    """The test cycles that a submission must answer, each exactly once.

    Attributes:
        dataset: Id of the data set.
        partial: How much of the data set was there, in words; None where all of it was.
        cycles: The test cycles with their labels.
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
        """Patients on both sides of the split: 156 and 218 in ICBHI."""
        return self.train_patients & set(self.cycles.patients)


def part_metrics(part: OfficialPart, scores: NDArray[np.float64]) -> dict[str, dict[str, Metrics] | None]:
    """Compute the metrics on the official test part, and on it without patients that have training recordings too.

    Args:
        part: The official test part.
        scores: (n, 4) scores in the order of its cycles.

    Returns:
        Metrics by part (``official``, ``patient-disjoint``), then by sensitivity; None for a part that is left without
        a normal or an abnormal cycle.

    Raises:
        ResultError: If the official part itself has no normal or no abnormal cycle.
    """
    official = score_cycles(part.cycles.labels, scores)
    shared = part.shared_patients
    kept = [i for i, patient in enumerate(part.cycles.patients) if patient not in shared]
    labels = [part.cycles.labels[i] for i in kept]
    sound = 0 in labels and any(labels)
    return {"official": official, "patient-disjoint": score_cycles(labels, scores[kept]) if sound else None}
