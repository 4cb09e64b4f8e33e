"""Where rows of the board stand: places by Score, intervals over patients, tie groups, and the parts of each Score.

Intervals need the predictions of every run of a row, so that a board of thousands of runs has them for its first rows
alone (:data:`MOST_ROWS`, :data:`MOST_RUNS`); a note says for how many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.breakdown import CountingPlan, SystemCounts, both_sides_of, breakdown
from leaderboard.metrics import Judged
from leaderboard.predictions import CycleSet
from leaderboard.statistics import Floats, groups_of_draws, interval, mean_hits, resample
from leaderboard.store import BoardRun, Store

Row = dict[str, Any]
Groups = tuple[tuple[str, str], ...]
Choices = Mapping[str, tuple[CycleSet, NDArray[np.int64]]]

MOST_ROWS = 100
MOST_RUNS = 500
"""Rows, and runs behind them, that intervals are computed for: a third of a second."""

EMPTY: Mapping[str, Any] = dict.fromkeys(
    ("rank", "place", "tie_group", "ci95", "patient_disjoint", "devices", "classes")
)
"""The fields of a row that this module fills."""


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
    able = within_limits(rows, MOST_ROWS, MOST_RUNS)
    by_id = {run.run_id: run for run in runs}
    counted = [(row, counts) for row, counts in zip(able, read_counts(store, able, rule), strict=True) if counts]
    for row, counts in counted:
        parts = breakdown(counts, both_sides_of(by_id[row["run_ids"][0]]))
        row.update(
            patient_disjoint=parts["views"]["patient-disjoint"], devices=parts["devices"], classes=parts["classes"]
        )
    lone = add_intervals([row for row, _ in counted], [counts for _, counts in counted])
    return list(missing_notes(len(rows), len(able), len(able) - len(counted), lone))


def read_counts(store: Store, rows: Sequence[Row], rule: str) -> list[SystemCounts | None]:
    """What the runs of each row said under a rule; None where predictions are missing or differ in cycles."""
    choices = store.chosen([run_id for row in rows for run_id in row["run_ids"]], rule)
    plans: dict[str, CountingPlan] = {}
    return [_count(row, choices, plans) for row in rows]


def _count(row: Row, choices: Choices, plans: dict[str, CountingPlan]) -> SystemCounts | None:
    found = [choices[run_id] for run_id in row["run_ids"] if run_id in choices]
    hashes = {cycles.hash for cycles, _ in found}
    if len(found) < len(row["run_ids"]) or len(hashes) != 1:
        return None
    cycle_set = hashes.pop()
    if cycle_set not in plans:
        plans[cycle_set] = CountingPlan(found[0][0])
    return plans[cycle_set].count([chosen for _, chosen in found])


def missing_notes(rows: int, able: int, without: int, lone: int) -> Iterator[str]:
    """Say how many of some rows have no interval: beyond the limits, without predictions, of a single patient."""
    if able < rows:
        yield (
            f"Intervals, ties, patient-disjoint Scores, devices and classes: of the first {able} of {rows} systems; "
            "`bench board compare A B` gives them for any two."
        )
    if without:
        yield f"Systems without an interval (their stored predictions are missing or differ in cycles): {without}."
    if lone:
        yield f"Systems without an interval (judged on one patient alone): {lone}."


def within_limits(rows: Sequence[Row], most_rows: int, most_runs: int) -> list[Row]:
    """The first rows, as far as they are few enough and so are their runs."""
    taken: list[Row] = []
    room = most_runs
    for row in rows[:most_rows]:
        room -= len(row["run_ids"])
        if room < 0:
            break
        taken.append(row)
    return taken


def add_intervals(rows: Sequence[Row], counts: Sequence[SystemCounts], judged: Judged = "4class") -> int:
    """Add intervals, and tie groups to the ranked rows; rows on the same cycles are compared within the same draws.

    Args:
        rows: Rows of systems; those that are ranked have their places and are sorted by them.
        counts: Those of each row.
        judged: Which sensitivity.

    Returns:
        How many of them have no interval because there are no two patients to draw from.
    """
    same: dict[tuple[str, Groups], list[int]] = {}
    for number, counted in enumerate(counts):
        same.setdefault((counted.cycles.hash, counted.groups), []).append(number)
    return sum(
        _add_within([rows[number] for number in numbers], [counts[number] for number in numbers], judged)
        for numbers in same.values()
    )


def _add_within(rows: Sequence[Row], counts: Sequence[SystemCounts], judged: Judged) -> int:
    """As :func:`add_intervals`, for rows on the same cycles."""
    if not counts[0].has_interval:
        return len(rows)
    correct = np.stack([mean_hits(counted.by_patient, judged) for counted in counts])
    draws = resample(counts[0].by_patient).rates(correct)[2]
    for row, ends in zip(rows, interval(draws), strict=True):
        row["ci95"] = ends.tolist()
    ranked = [number for number, row in enumerate(rows) if row["rank"] is not None]
    if ranked:
        _add_ties([rows[number] for number in ranked], draws[ranked])
    return 0


def _add_ties(rows: Sequence[Row], draws: Floats) -> None:
    """Number the tie groups; the rows of one share the rank of its first."""
    for group, members in groupby(zip(groups_of_draws(draws), rows, strict=True), key=lambda pair: pair[0]):
        tied = [row for _, row in members]
        for row in tied:
            row["tie_group"], row["rank"] = group, tied[0]["place"]
