"""The official test part: the cycles that a system's predictions must answer, and the metrics of such predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.metrics import Metrics, score_cycles
from leaderboard.results.predictions import CycleSet


@dataclass(frozen=True)
class OfficialPart:
    """The test cycles that a submission must answer.

    Attributes:
        dataset: ``icbhi``, or ``demo`` for a simulated set.
        partial: How much of the data set it is, where not all.
        cycles: The test cycles.
        train_patients: Patients with recordings in the training part.
        source: Where this is known from, for people.
    """

    dataset: str
    partial: str | None
    cycles: CycleSet
    train_patients: frozenset[str]
    source: str

    @property
    def shared_patients(self) -> frozenset[str]:
        """Patients on both sides of the split: 156 and 218 in ICBHI."""
        return self.train_patients & set(self.cycles.patients)


def part_metrics(part: OfficialPart, scores: NDArray[np.float64]) -> dict[str, dict[str, Metrics] | None]:
    """Metrics on the official test part, and on it without the patients that have training recordings too.

    Args:
        part: The test cycles.
        scores: (n, 4) scores in their order.

    Returns:
        Metrics by part, then by judged; None for a part without a normal or an abnormal cycle.

    Raises:
        ResultError: If that is so of the official part.
    """
    official = score_cycles(part.cycles.labels, scores)
    shared = part.shared_patients
    kept = [i for i, patient in enumerate(part.cycles.patients) if patient not in shared]
    labels = [part.cycles.labels[i] for i in kept]
    sound = 0 in labels and any(labels)
    return {"official": official, "patient-disjoint": score_cycles(labels, scores[kept]) if sound else None}
