"""Which epoch a number is taken from: ``last``, ``best-test`` (the field's habit) or ``best-val`` (PROTOCOL)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Choice:
    """The epoch that a rule holds at the moment, and its outputs on the test part.

    Attributes:
        epoch: Number of the epoch, counted from 1.
        score: The Score by the exact class, percent, of the part that the rule looks at.
        eligible: Whether Se was above the spec's ``best_min_se`` (SYSTEMS D2).
        scores: (test cycles, classes) class probabilities.
    """

    epoch: int
    score: float
    eligible: bool
    scores: np.ndarray


@dataclass
class Selection:
    """Keeps, for each rule, the epoch it would report.

    An epoch whose Se is not above ``min_se`` is kept only while no epoch is.

    Attributes:
        min_se: Sensitivity that an epoch must exceed, percent; 5 in the official code (SYSTEMS D2).
        choices: The epoch that each rule holds, by the rule's name.
    """

    min_se: float
    choices: dict[str, Choice] = field(default_factory=dict)

    def update(
        self, epoch: int, scores: np.ndarray, test: Mapping[str, Any], val: Mapping[str, Any] | None
    ) -> list[str]:
        """Take in an epoch.

        Args:
            epoch: 1-based.
            scores: (test cycles, classes) class probabilities after this epoch.
            test: Metrics by the exact class of the test part.
            val: Metrics by the exact class of the held-out part, where there is one.

        Returns:
            The rules that now hold this epoch.
        """
        changed = ["last"]
        self.choices["last"] = Choice(epoch, test["score"], True, scores)
        for rule, metrics in (("best-test", test), ("best-val", val)):
            if metrics is None:
                continue
            # A tie keeps the earlier epoch; an epoch above the threshold beats every one below it.
            candidate = Choice(epoch, metrics["score"], metrics["se"] > self.min_se, scores)
            held = self.choices.get(rule)
            if held is None or (candidate.eligible, candidate.score) > (held.eligible, held.score):
                self.choices[rule] = candidate
                changed.append(rule)
        return changed
