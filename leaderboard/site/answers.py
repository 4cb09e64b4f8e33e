"""What the page says of single cycles and of scores: it is read from the predictions of the first systems alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.metrics import JUDGED, predicted_classes
from leaderboard.results.predictions import CycleSet, Key
from leaderboard.results.schema import Rule
from leaderboard.site.systems import System, SystemAnswers
from leaderboard.statistics.operating_points import operating_points
from leaderboard.statistics.reliability import reliability
from leaderboard.store.store import Store

MOST_SCORED = 50
MOST_SCORED_RUNS = 150
"""Systems, and runs behind them, whose scores are read under one rule: half a second."""

MOST_MISSED = 40
"""Cycles that are listed as missed by most systems under one choice of the switches."""


@dataclass(frozen=True)
class MissedCycle:
    """A cycle that systems miss.

    Attributes:
        judged: Which sensitivity the shares are of.
        key: Its recording and its number there.
        patient: Its patient.
        label: Its true class.
        shared: Whether its patient was trained on too.
        share: Percent of the systems that miss it, a system of several seeds in parts.
        systems: How many systems were asked.
    """

    judged: str
    key: Key
    patient: str
    label: int
    shared: bool
    share: float
    systems: int


def read_answers(store: Store, systems: Sequence[System], rule: Rule) -> None:
    """Add the answers under a rule to the first of the systems that have predictions on one set of cycles."""
    taken: list[System] = []
    room = MOST_SCORED_RUNS
    for system in [system for system in systems if rule in system.counts][:MOST_SCORED]:
        room -= len(system.rules[rule]["run_ids"])
        if room < 0:
            break
        taken.append(system)
    scores = store.answers([run_id for system in taken for run_id in system.rules[rule]["run_ids"]], rule)
    for system in taken:
        found = [scores[run_id] for run_id in system.rules[rule]["run_ids"]]
        system.answers[rule] = system_answers(found[0][0], [values.astype(np.float64) for _, values in found])


def system_answers(cycles: CycleSet, runs: Sequence[NDArray[np.float64]]) -> SystemAnswers:
    """What some runs said of the same cycles.

    Args:
        cycles: The n cycles.
        runs: (n, 4) scores of each run.
    """
    true = np.asarray(cycles.labels)
    chosen = np.stack([predicted_classes(scores) for scores in runs])
    hit = {"4class": chosen == true, "2class": (chosen > 0) == (true > 0)}
    points = [operating_points(cycles.labels, scores, cycles.patients) for scores in runs]
    known = [found for found in points if found is not None]
    return SystemAnswers(
        cycles,
        {judged: 1.0 - hit[judged].mean(axis=0) for judged in JUDGED},
        known if len(known) == len(points) else None,
        reliability(cycles.labels, runs),
    )


def missed_cycles(systems: Iterable[System], rule: Rule) -> dict[str, list[MissedCycle]]:
    """By section, for each sensitivity and with and without patients who were trained on, the cycles missed most."""
    by_section: dict[str, list[System]] = {}
    for system in systems:
        if rule in system.answers:
            by_section.setdefault(system.section, []).append(system)
    return {title: _of_section(found, rule) for title, found in by_section.items()}


def _of_section(systems: Sequence[System], rule: Rule) -> list[MissedCycle]:
    first = systems[0].answers[rule].cycles
    asked = [system for system in systems if system.answers[rule].cycles.hash == first.hash]
    shared = asked[0].shared or frozenset()
    on_both_sides = np.asarray([patient in shared for patient in first.patients])
    found = []
    for judged in JUDGED:
        share = 100.0 * np.mean([system.answers[rule].missed[judged] for system in asked], axis=0)
        order = np.lexsort((np.arange(len(first)), -share))
        # Enough of them for either part of the test cycles.
        listed = {*order[:MOST_MISSED].tolist(), *order[~on_both_sides[order]][:MOST_MISSED].tolist()}
        found += [
            MissedCycle(
                judged,
                first.keys[place],
                first.patients[place],
                first.labels[place],
                bool(on_both_sides[place]),
                float(share[place]),
                len(asked),
            )
            for place in order.tolist()
            if place in listed and share[place] > 0
        ]
    return found
