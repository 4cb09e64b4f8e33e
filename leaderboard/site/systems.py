"""A system of the page, the choices of its switches, and what a system said of each cycle, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.metrics import Judged
from leaderboard.results.predictions import CycleSet
from leaderboard.results.schema import Rule
from leaderboard.statistics.breakdown import SystemCounts
from leaderboard.statistics.operating_points import OperatingPoints
from leaderboard.statistics.reliability import Reliability

Part = Literal["official", "patient-disjoint"]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SystemAnswers:
    """What a system said of each cycle, and what its scores allow.

    Attributes:
        cycles: The judged cycles.
        missed: By judged, (n,) share of its runs that miss each cycle.
        points: Of each run, Sp and Se at thresholds chosen on other patients; None where there are no scores.
        reliability: Of all runs together; None where there are no scores.
    """

    cycles: CycleSet
    missed: Mapping[str, NDArray[np.float64]]
    points: Sequence[OperatingPoints] | None
    reliability: Reliability | None


class Lens(NamedTuple):
    """One choice of the page's switches."""

    rule: Rule
    part: Part
    judged: Judged

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, eq=False)
class System:
    """Runs whose specs differ in nothing but the seed.

    Attributes:
        id: Beginning of the hash of their spec without the seed.
        section: The section that they are compared in.
        row: Who they are: a row of the board, with ``differs`` told over all selection rules.
        rules: By rule with numbers: seeds, runs, chosen epochs, optimism.
        lenses: By lens with numbers: rates with deviation, place, ranks, interval, devices, classes,
            confusion, and the rates of each seed.
        counts: By rule, the confusion counts of each patient, where they are known.
        shared: Patients who were trained on too; None where that is not known.
        answers: By rule, what its scores say beyond the classes; of the first systems alone.
    """

    id: str
    section: str
    row: Row
    rules: dict[str, Row] = field(default_factory=dict)
    lenses: dict[Lens, Row] = field(default_factory=dict)
    counts: dict[str, SystemCounts] = field(default_factory=dict)
    shared: frozenset[str] | None = None
    answers: dict[str, SystemAnswers] = field(default_factory=dict)
