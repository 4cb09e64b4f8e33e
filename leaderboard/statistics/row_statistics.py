"""The statistical fields of rows: places by Score, intervals, ranks that the data leave open, the parts of each Score.

Intervals need the predictions of every run of a row, so that a board of thousands of runs has them for its first rows
alone (:data:`MOST_ROWS`, :data:`MOST_RUNS`); a note says for how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.metrics import Sensitivity
from leaderboard.published import MAIN_TABLE, printed_table
from leaderboard.results.predictions import CycleSet
from leaderboard.statistics.breakdown import CycleCounter, SystemCounts, breakdown, patients_on_both_sides_of
from leaderboard.statistics.intervals import coverage_sentence, estimate_from_hits
from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.rank_intervals import rank_intervals, resolution_floor
from leaderboard.statistics.seed_spread import PAPER_SPREAD, SeedSpread, pooled_seed_spread
from leaderboard.statistics.tested_parts import cut_to_part
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.sections import goes_unsaid, is_official, section_title
from leaderboard.tasks import is_first_task

Row = dict[str, Any]
Groups = tuple[tuple[str, str], ...]
"""Patient and device of the groups that cycles are counted in."""

PredictedClasses = Mapping[str, tuple[CycleSet, NDArray[np.int64]]]
"""By run id, the n judged cycles and the (n,) predicted class of each."""

MOST_ROWS = 100
MOST_RUNS = 500
"""Rows, and runs behind them, that intervals are computed for: a third of a second."""

BOARD_SPREAD = "the rows of several seeds"
"""What a row of one seed is given the seed spread of, in words, where the board has rows of several seeds."""

PLACE_FIELDS = ("rank", "ranks", "place", "ci95", "degenerate", "covers_seeds")
"""Fields of a row that say where it stands: ``rank`` and ``ranks`` are the best, and the best and the worst rank that
the data leave open; ``degenerate`` says that nothing varies, so that there is no interval; ``covers_seeds`` whether the
interval is of the method (other seeds) or of the run alone."""

EMPTY_STATISTICS: Mapping[str, Any] = dict.fromkeys((*PLACE_FIELDS, "patient_disjoint", "devices", "classes"))
"""The fields of a row that this module fills."""


def give_places(rows: Sequence[Row]) -> None:
    """Number rows that are sorted by Score, the best first; equal Scores share a place, which is the rank at first."""
    first: dict[float, int] = {}
    for number, row in enumerate(rows, start=1):
        row["place"] = row["rank"] = first.setdefault(row["score"], number)


def add_statistics(
    store: Store, runs: Sequence[BoardRun], sections: Sequence[Sequence[Row]], rule: str
) -> tuple[list[SectionUncertainty], list[str]]:
    """Fill in intervals, ranks and parts, as far as the limits allow.

    Args:
        store: The board, for the predictions.
        runs: Runs of the board on each part, among them all those behind the rows.
        sections: Rows of systems of each section, those that are ranked first and by Score.
        rule: The selection rule of the rows' numbers.

    Returns:
        What was found of each section beside its rows' fields, and notes on rows that were left without.
    """
    rows = [row for section in sections for row in section]
    able = leading_rows(rows, MOST_ROWS, MOST_RUNS)
    by_key = runs_by_key(runs)
    counts = zip(able, read_row_counts(store, able, by_key, rule), strict=True)
    known = {row_key(row): counted for row, counted in counts if counted is not None}
    for row in able:
        key = row_key(row)
        if key in known:
            parts = breakdown(known[key], patients_on_both_sides_of(by_key[key]))
            row.update(
                patient_disjoint=parts["views"]["patient-disjoint"], devices=parts["devices"], classes=parts["classes"]
            )
    found = []
    for section in sections:
        counted = [row for row in section if row_key(row) in known]
        borrowed = paper_spread(by_key[row_key(section[0])])
        found.append(add_intervals(counted, [known[row_key(row)] for row in counted], borrowed=borrowed))
    too_few_patients = sum(one.without_interval for one in found)
    missing = missing_notes(len(rows), len(able), len(able) - len(known), too_few_patients)
    firsts = [by_key[row_key(section[0])] for section in sections]
    return found, [*coverage_notes(found, firsts), *missing]


RunKey = tuple[str, str | None]
"""The id of a run, and that of the part that it is seen on; None where its task has one part."""


def row_key(row: Row) -> RunKey:
    """The key of the first run behind a row."""
    return row["run_ids"][0], row.get("part")


def runs_by_key(runs: Iterable[BoardRun]) -> dict[RunKey, BoardRun]:
    """Runs on each part by their keys."""
    return {(run.run_id, run.part): run for run in runs}


def runs_of_row(row: Row, by_key: Mapping[RunKey, BoardRun]) -> list[BoardRun]:
    """The runs behind a row, on its part."""
    return [by_key[run_id, row.get("part")] for run_id in row["run_ids"]]


def paper_spread(run: BoardRun) -> SeedSpread | None:
    """The seed spread that the paper prints, for runs judged by the exact class on the test part of its rows alone.

    It says nothing of another set, of another task, or of Se by any abnormal class.
    """
    judged = run.judged_task
    is_papers = judged.dataset == printed_table(MAIN_TABLE).dataset and is_first_task(judged.task)
    return PAPER_SPREAD if is_papers and is_official(run) else None


def coverage_notes(found: Sequence[SectionUncertainty], runs: Sequence[BoardRun]) -> list[str]:
    """Say what the intervals cover, once: it is the sentence of the first section that has intervals.

    Of sections of other data sets and tasks their test patients are said beside it.

    Args:
        found: What was found of each section.
        runs: A run of each section, on its part.
    """
    known = [(one, run) for one, run in zip(found, runs, strict=True) if one.coverage]
    named = [f"{section_title(run)}: {one.patients}" for one, run in known[1:] if not goes_unsaid(run.judged_task)]
    more = [f"Test patients of other sections: {'; '.join(named)}."] if named else []
    return [*(str(one.coverage) for one, _ in known[:1]), *more]


def read_row_counts(
    store: Store, rows: Sequence[Row], by_key: Mapping[RunKey, BoardRun], rule: str
) -> list[SystemCounts | None]:
    """Count what the runs of each row predicted under a rule; None where predictions are missing or differ in cycles.

    Predictions are read for all rows together, and cycles that rows share are sorted into groups once.
    """
    predicted = store.predicted_classes(list(dict.fromkeys(name for row in rows for name in row["run_ids"])), rule)
    counters: dict[CounterKey, CycleCounter] = {}
    return [_row_counts(runs_of_row(row, by_key), predicted, counters) for row in rows]


CounterKey = tuple[str, str, str | None]
"""The hash of a set of cycles, the id of the task that they are judged as, and that of the part that is looked at."""


def _row_counts(
    runs: Sequence[BoardRun], predicted: PredictedClasses, counters: dict[CounterKey, CycleCounter]
) -> SystemCounts | None:
    found = [(run, *predicted[run.run_id]) for run in runs if run.run_id in predicted]
    hashes = {cycles.hash for _, cycles, _ in found}
    if len(found) < len(runs) or len(hashes) != 1:
        return None
    cut = [cut_to_part(*one) for one in found]
    task = runs[0].judged_task.task
    key = (hashes.pop(), task.id, runs[0].part)
    if key not in counters:
        counters[key] = CycleCounter(cut[0][0], task)
    return counters[key].count([chosen for _, chosen in cut])


def missing_notes(rows: int, able: int, unread: int, too_few_patients: int) -> Iterator[str]:
    """Say how many rows have no interval, a sentence for each reason.

    Args:
        rows: Number of all rows.
        able: Number of rows within the limits.
        unread: Number of these whose stored predictions are missing or differ in cycles.
        too_few_patients: Number of these with fewer than two patients with normal or with abnormal cycles.
    """
    if able < rows:
        yield (
            f"Intervals, ranks, patient-disjoint Scores, devices and classes: of the first {able} of {rows} systems; "
            "`bench board compare A B` gives them for any two."
        )
    if unread:
        yield f"Systems without an interval (their stored predictions are missing or differ in cycles): {unread}."
    if too_few_patients:
        yield (
            "Systems without an interval (fewer than two patients with normal or with abnormal cycles): "
            f"{too_few_patients}."
        )


def leading_rows(rows: Sequence[Row], most_rows: int, most_runs: int) -> list[Row]:
    """Give the first rows, at most ``most_rows``, as long as the runs behind them are at most ``most_runs``."""
    taken: list[Row] = []
    room = most_runs
    for row in rows[:most_rows]:
        room -= len(row["run_ids"])
        if room < 0:
            break
        taken.append(row)
    return taken


@dataclass(frozen=True)
class SectionUncertainty:
    """What the statistics of a section say beside the fields of its rows.

    Attributes:
        without_interval: Number of rows without an interval, because too few patients have normal or abnormal cycles.
        floor: The smallest difference of Score that the ranked rows' test part can show at five seeds, points; None
            where that is not known.
        coverage: What the intervals cover, in plain sentences; None without any.
        patients: Number of test patients that the intervals are over.
    """

    without_interval: int = 0
    floor: float | None = None
    coverage: str | None = None
    patients: int = 0


def add_intervals(
    rows: Sequence[Row],
    counts: Sequence[SystemCounts],
    judged: Sensitivity | None = None,
    borrowed: SeedSpread | None = None,
) -> SectionUncertainty:
    """Add intervals to rows, and intervals of ranks to the ranked ones among them.

    Only rows on the same cycles of the same patients are compared with each other: a paired difference has no meaning
    between others.

    Args:
        rows: Rows of systems; those that are ranked have their places.
        counts: The confusion counts of each row.
        judged: Which sensitivity Se is; the one by the exact class by default.
        borrowed: The seed spread that ranked rows of single seeds are given where no row has several.

    Returns:
        What was found beside the fields of the rows.
    """
    same: dict[tuple[str, Groups], list[int]] = {}
    for number, counted in enumerate(counts):
        same.setdefault((counted.cycles.hash, counted.groups), []).append(number)
    found = [
        _add_intervals_on_same_cycles(
            [rows[number] for number in numbers], [counts[number] for number in numbers], judged, borrowed
        )
        for numbers in same.values()
    ]
    first = next((one for one in found if one.coverage), SectionUncertainty())
    without_interval = sum(one.without_interval for one in found)
    return replace(first, without_interval=without_interval)


def _add_intervals_on_same_cycles(
    rows: Sequence[Row], counts: Sequence[SystemCounts], judged: Sensitivity | None, borrowed: SeedSpread | None
) -> SectionUncertainty:
    """Add intervals, and ranks to the ranked rows, for rows on the same cycles of the same patients."""
    if not counts[0].has_interval:
        return SectionUncertainty(without_interval=len(rows))
    task = counts[0].task
    judged = judged or task.strict
    systems = [PatientHits.of(counted.by_patient, judged, task) for counted in counts]
    ranked = [number for number, row in enumerate(rows) if row["rank"] is not None]
    pooled = pooled_seed_spread((system.by_seed for system in systems), BOARD_SPREAD)
    if pooled is None and ranked:
        pooled = borrowed
    for row, system in zip(rows, systems, strict=True):
        found = estimate_from_hits(system, pooled)
        row["ci95"] = None if found.score.is_degenerate else [found.score.lo, found.score.hi]
        row["degenerate"] = found.score.is_degenerate
        row["covers_seeds"] = found.covers_seeds
    ranked_systems = [systems[number] for number in ranked]
    for number, (best, worst) in zip(ranked, rank_intervals(ranked_systems, pooled), strict=True):
        rows[number]["rank"], rows[number]["ranks"] = best, [best, worst]
    seeds = [len(system.by_seed) for system in (ranked_systems or systems)]
    coverage = coverage_sentence(len(systems[0].normal), seeds, pooled)
    return SectionUncertainty(0, resolution_floor(ranked_systems, pooled), coverage, len(systems[0].normal))
