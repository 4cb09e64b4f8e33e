"""A system of the page, the choices of the page's switches, and a system's predictions in summary, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import ANY_ABNORMAL, FOUR_CLASSES, TaskCard
from leaderboard.metrics import Sensitivity
from leaderboard.results.predictions import CycleSet
from leaderboard.results.schema import Rule
from leaderboard.statistics.breakdown import SystemCounts
from leaderboard.statistics.operating_points import OperatingPoints
from leaderboard.statistics.reliability import Reliability
from leaderboard.store.board_rows import BoardRun

TestPart = Literal["official", "patient-disjoint"]
"""Whose test cycles are looked at: all of the tested part, or those of patients who were not trained on."""

Row = dict[str, Any]

HITS: tuple[Sensitivity, Sensitivity] = FOUR_CLASSES.sensitivities[0], ANY_ABNORMAL
"""What the page's switch calls a hit, by the names that the four classes have for it: the exact class, any abnormal."""


def sensitivity_of(task: TaskCard, hit: Sensitivity) -> Sensitivity:
    """The sensitivity of a task that a choice of the page's switch means; a task of two classes has one for both."""
    return task.strict if hit == HITS[0] else ANY_ABNORMAL


@dataclass(frozen=True, eq=False)
class SystemPredictions:
    """The predictions of a system's runs in summary.

    Attributes:
        cycles: The n judged cycles.
        missed: By what is a hit, (n,) the share of the system's runs that miss each cycle, 0 to 1.
        points: For each run, Sp and Se at thresholds chosen on other patients; None where there are no scores.
        reliability: Accuracy by confidence of all runs together; None where there are no scores.
    """

    cycles: CycleSet
    missed: Mapping[str, NDArray[np.float64]]
    points: Sequence[OperatingPoints] | None
    reliability: Reliability | None


class Lens(NamedTuple):
    """One choice of the page's switches: selection rule, part of the test cycles, one of :data:`HITS`."""

    rule: Rule
    part: TestPart
    judged: Sensitivity

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, eq=False)
class System:
    """A system: runs whose specs differ in nothing but the seed.

    Attributes:
        id: Beginning of the hash of the spec without the seed, unique on the page.
        section: Title of the section in which the system is compared.
        seen: One of its runs, on the tested part that the system is looked at on.
        row: A row of the board that says what the system is; ``differs`` holds over all selection rules.
        rules: By selection rule with numbers: seeds, runs, chosen epochs, optimism.
        lenses: By lens with numbers: rates with deviation, place, ranks, interval, devices, classes,
            confusion, and the rates of each seed.
        counts: By selection rule, the confusion counts of each patient, where they are known.
        shared: Patients who were trained on too; None where they are not known.
        predictions: By selection rule, the predictions in summary; for the first systems alone.
    """

    id: str
    section: str
    row: Row
    seen: BoardRun
    rules: dict[str, Row] = field(default_factory=dict)
    lenses: dict[Lens, Row] = field(default_factory=dict)
    counts: dict[str, SystemCounts] = field(default_factory=dict)
    shared: frozenset[str] | None = None
    predictions: dict[str, SystemPredictions] = field(default_factory=dict)

    @property
    def task(self) -> TaskCard:
        """What the system was judged on."""
        return self.seen.judged_task.task
