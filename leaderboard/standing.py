"""Where rows of the board stand: places by Score, intervals over patients, tie groups, and the parts of each Score.

Intervals need the predictions of every run of a row, so that a board of thousands of runs has them for its first rows
alone (:data:`MOST_ROWS`, :data:`MOST_RUNS`); a note says for how many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.breakdown import CountingPlan, both_sides_of, breakdown
from leaderboard.predictions import CycleSet
from leaderboard.statistics import Floats, groups_of_draws, interval, mean_hits, resample
from leaderboard.store import BoardRun, Store

Row = dict[str, Any]
Choices = Mapping[str, tuple[CycleSet, NDArray[np.int64]]]

MOST_ROWS = 100
MOST_RUNS = 500
"""Rows, and runs behind them, that intervals are computed for: a third of a second."""

EMPTY: Mapping[str, Any] = dict.fromkeys(
    ("rank", "place", "tie_group", "ci95", "patient_disjoint", "devices", "classes")
)
"""The fields of a row that this module fills."""


@dataclass(eq=False)
class _SameCycles:
    """Rows that were judged on the same cycles, and the correct cycles of each by patient."""

    plan: CountingPlan
    rows: list[Row] = field(default_factory=list)
    correct: list[Floats] = field(default_factory=list)


def give_places(rows: Sequence[Row]) -> None:
    """Number rows that are sorted by Score, the best first; equal Scores share a place, which is the rank at first."""
    first: dict[float, int] = {}
    for number, row in enumerate(rows, start=1):
        row["place"] = row["rank"] = first.setdefault(row["score"], number)


def add_statistics(store: Store, runs: Sequence[BoardRun], rows: Sequence[Row], rule: str) -> list[str]:
    """Fill in intervals, tie groups and parts, as far as the limits allow.

    Args:
        store: The board, for the predictions.
        runs: At least the runs of the rows.
        rows: Rows of systems, section by section, those that are ranked first and by Score.
        rule: The selection rule of their numbers.

    Returns:
        Notes on rows that were left without.
    """
    able = _within_limits(rows)
    by_id = {run.run_id: run for run in runs}
    choices = store.chosen([run_id for row in able for run_id in row["run_ids"]], rule)
    sets: dict[str, _SameCycles] = {}
    done = sum(_add_parts(row, [by_id[run_id] for run_id in row["run_ids"]], choices, sets) for row in able)
    lone = sum(_add_intervals(same) for same in sets.values())
    return list(_notes(len(rows), len(able), len(able) - done, lone))


def _notes(rows: int, able: int, without: int, lone: int) -> Iterator[str]:
    if able < rows:
        yield (
            f"Intervals, ties, patient-disjoint Scores, devices and classes: of the first {able} of {rows} systems; "
            "`bench board compare A B` gives them for any two."
        )
    if without:
        yield f"Systems without an interval (their stored predictions are missing or differ in cycles): {without}."
    if lone:
        yield f"Systems without an interval (judged on one patient alone): {lone}."


def _within_limits(rows: Sequence[Row]) -> list[Row]:
    taken: list[Row] = []
    room = MOST_RUNS
    for row in rows[:MOST_ROWS]:
        room -= len(row["run_ids"])
        if room < 0:
            break
        taken.append(row)
    return taken


def _add_parts(row: Row, runs: Sequence[BoardRun], choices: Choices, sets: dict[str, _SameCycles]) -> bool:
    """Add the parts of a row and put it with those on the same cycles; False where its predictions do not allow it."""
    found = [choices[run.run_id] for run in runs if run.run_id in choices]
    hashes = {cycles.hash for cycles, _ in found}
    if len(found) < len(runs) or len(hashes) != 1:
        return False
    cycle_set = hashes.pop()
    if cycle_set not in sets:
        sets[cycle_set] = _SameCycles(CountingPlan(found[0][0]))
    same = sets[cycle_set]
    counts = same.plan.count([chosen for _, chosen in found])
    parts = breakdown(counts, both_sides_of(runs[0]))
    row.update(patient_disjoint=parts["views"]["patient-disjoint"], devices=parts["devices"], classes=parts["classes"])
    same.rows.append(row)
    same.correct.append(mean_hits(counts.by_patient))
    return True


def _add_intervals(same: _SameCycles) -> int:
    """Add intervals, and tie groups to the ranked rows, within the same draws; how many rows have a single patient."""
    any_counts = same.plan.count([np.asarray(same.plan.cycles.labels, dtype=np.int64)])
    if not any_counts.has_interval:
        return len(same.rows)
    draws = resample(any_counts.by_patient).rates(np.stack(same.correct))[2]
    for row, ends in zip(same.rows, interval(draws), strict=True):
        row["ci95"] = ends.tolist()
    ranked = [number for number, row in enumerate(same.rows) if row["rank"] is not None]
    if ranked:
        _add_ties([same.rows[number] for number in ranked], draws[ranked])
    return 0


def _add_ties(rows: Sequence[Row], draws: Floats) -> None:
    """Number the tie groups; the rows of one share the rank of its first."""
    for group, members in groupby(zip(groups_of_draws(draws), rows, strict=True), key=lambda pair: pair[0]):
        tied = [row for _, row in members]
        for row in tied:
            row["tie_group"], row["rank"] = group, tied[0]["place"]
