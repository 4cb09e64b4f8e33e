"""What predictions show beyond counts: operating points, reliability, and the cycles that most systems miss.

They need all scores of a run, so that they are read for the first systems alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.datasets import FOUR_CLASSES, TaskCard
from leaderboard.metrics import predicted_classes
from leaderboard.results.predictions import CycleSet, Key
from leaderboard.results.schema import Rule
from leaderboard.site.systems import HITS, System, SystemPredictions
from leaderboard.statistics.operating_points import operating_points
from leaderboard.statistics.reliability import reliability
from leaderboard.statistics.tested_parts import cut_to_part
from leaderboard.store.store import Store

MOST_SCORED = 50
MOST_SCORED_RUNS = 150
"""Systems, and runs behind them, whose scores are read under one rule: half a second."""

MOST_MISSED = 40
"""Cycles that are listed as missed by most systems under one choice of the switches."""


@dataclass(frozen=True)
class MissedCycle:
    """A test cycle that systems class wrongly.

    Attributes:
        judged: What is a hit, one of :data:`leaderboard.site.systems.HITS`.
        key: Recording of the cycle, and its number in the recording.
        patient: Patient of the recording.
        label: Number of its true class.
        shared: Whether the patient was trained on too.
        share: Percent of the systems that miss the cycle; a system of several seeds counts in parts.
        systems: Number of the systems whose predictions were looked at.
    """

    judged: str
    key: Key
    patient: str
    label: int
    shared: bool
    share: float
    systems: int


def read_predictions(store: Store, systems: Sequence[System], rule: Rule) -> None:
    """Add what predictions under a rule show to the first systems that have predictions on one set of cycles."""
    taken: list[System] = []
    room = MOST_SCORED_RUNS
    for system in [system for system in systems if rule in system.counts][:MOST_SCORED]:
        room -= len(system.rules[rule]["run_ids"])
        if room < 0:
            break
        taken.append(system)
    scores = store.predicted_scores([run_id for system in taken for run_id in system.rules[rule]["run_ids"]], rule)
    for system in taken:
        found = [scores[run_id] for run_id in system.rules[rule]["run_ids"]]
        cut = [cut_to_part(system.seen, cycles, values.astype(np.float64)) for cycles, values in found]
        system.predictions[rule] = summarise_predictions(cut[0][0], [values for _, values in cut], system.task)


def summarise_predictions(
    cycles: CycleSet, runs: Sequence[NDArray[np.float64]], task: TaskCard = FOUR_CLASSES
) -> SystemPredictions:
    """Summarise the predictions of a system's runs on the same cycles.

    Args:
        cycles: The n cycles.
        runs: (n, k) scores of each run.
        task: What is judged, with its k classes.
    """
    true = np.asarray(cycles.labels)
    chosen = np.stack([predicted_classes(scores, len(task.classes)) for scores in runs])
    # All abnormal classes are of one kind; a class that is neither normal nor abnormal is a kind of its own.
    kinds = np.arange(len(task.classes))
    kinds[list(task.abnormal)] = task.abnormal[0]
    hit = dict(zip(HITS, (chosen == true, kinds[chosen] == kinds[true]), strict=True))
    points = [operating_points(cycles.labels, scores, cycles.patients, task) for scores in runs]
    known = [found for found in points if found is not None]
    return SystemPredictions(
        cycles,
        {judged: 1.0 - hit[judged].mean(axis=0) for judged in HITS},
        known if len(known) == len(points) else None,
        reliability(cycles.labels, runs),
    )


def missed_cycles(systems: Iterable[System], rule: Rule) -> dict[str, list[MissedCycle]]:
    """Find, by section, the cycles that are missed most.

    They are found for each kind of hit, among all test cycles and among those of patients who were not trained on.
    """
    by_section: dict[str, list[System]] = {}
    for system in systems:
        if rule in system.predictions:
            by_section.setdefault(system.section, []).append(system)
    return {title: _missed_in_section(found, rule) for title, found in by_section.items()}


def _missed_in_section(systems: Sequence[System], rule: Rule) -> list[MissedCycle]:
    first = systems[0].predictions[rule].cycles
    asked = [system for system in systems if system.predictions[rule].cycles.hash == first.hash]
    shared = asked[0].shared or frozenset()
    on_both_sides = np.asarray([patient in shared for patient in first.patients])
    found = []
    for judged in HITS:
        share = 100.0 * np.mean([system.predictions[rule].missed[judged] for system in asked], axis=0)
        # Equal shares keep the order of the cycles, so that a page that is written twice is the same.
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
