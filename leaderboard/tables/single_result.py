"""One result by itself, as the board sees it: its rates with intervals, its parts and its marks, without a board.

What the board takes from other rows is not here: a single seed is given the paper's seed spread on the paper's test
part, and nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.core.datasets import TestPart
from leaderboard.metrics import Metrics, Sensitivity, predicted_classes
from leaderboard.results.inputs import inputs_of
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import ResultDocument, kind_of
from leaderboard.statistics.breakdown import SystemCounts, breakdown, patients_on_both_sides_of, system_counts
from leaderboard.statistics.intervals import SystemEstimate, coverage_sentence, estimate_from_hits
from leaderboard.statistics.patient_hits import PatientHits
from leaderboard.statistics.row_statistics import paper_spread
from leaderboard.statistics.seed_spread import SeedSpread
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.result_rows import system_hash
from leaderboard.tables.marks import Mark, row_marks


@dataclass(frozen=True)
class PartScores:
    """What a result reached on one tested part under one selection rule.

    Attributes:
        rule: The selection rule.
        part: The tested part.
        metrics: The stored metrics by sensitivity.
        estimates: The rates with their intervals by sensitivity; empty where too few patients were tested.
        parts: ``views``, ``devices`` and ``classes`` (:func:`leaderboard.statistics.breakdown.breakdown`).
        coverage: What the intervals of the strict sensitivity cover, in plain sentences; None without any.
        marks: What a reader must know before believing the numbers.
    """

    rule: str
    part: TestPart
    metrics: dict[str, Metrics]
    estimates: dict[Sensitivity, SystemEstimate]
    parts: dict[str, Any]
    coverage: str | None
    marks: tuple[Mark, ...]


def run_of_result(result: RunResult) -> BoardRun:
    """The run that a result would be on a board."""
    document = result.document
    known = {"metrics", "other_parts", "epochs", "predictions"}
    return BoardRun(
        run_id=document["run_id"],
        system=system_hash(document["spec"]),
        status=document["status"],
        error=document["error"],
        created=document["created"],
        profile=document["profile"],
        partial=document["partial"],
        seconds=document["seconds"],
        cycles_per_second=document["cycles_per_second"],
        spec=dict(document["spec"]),
        kind=kind_of(document),
        extra={name: value for name, value in document.items() if name not in known},
        judged_set=None if result.cycles is None else result.cycles.hash,
        metrics=_numbers(document["metrics"]),
        other_parts={part: _numbers(rules) for part, rules in document.get("other_parts", {}).items()},
    )


def _numbers(by_rule: Any) -> Any:
    return {rule: metrics for rule, metrics in by_rule.items() if metrics is not None}


def part_scores(result: RunResult, run: BoardRun) -> Iterator[PartScores]:
    """Give what a result reached, rule by rule, the main part first.

    Args:
        result: The result with its predictions.
        run: The same as :func:`run_of_result` gives it.
    """
    task = run.judged_task.task
    for rule in result.scores:
        for part in task.parts:
            of_part = replace(run, part=part.id if task.other_parts else None)
            yield _part_scores(result, of_part, rule, part)


def _part_scores(result: RunResult, run: BoardRun, rule: str, part: TestPart) -> PartScores:
    task, cycles = run.judged_task.task, result.cycles
    assert cycles is not None
    rows = cycles.places_of(part.id)
    chosen = predicted_classes(result.scores[rule], len(task.classes))[rows]
    counts = system_counts(cycles.of_part(part.id), [chosen], task)
    spread = paper_spread(run)
    estimates = _estimates(counts, spread) if counts.has_interval else {}
    strict = estimates.get(task.strict)
    row = {
        "score": run.metrics_of(part.id)[rule][task.strict]["score"],
        "run_ids": [run.run_id],
        "degenerate": strict is not None and strict.score.is_degenerate,
        "inputs": inputs_of(run.kind, run.spec, run.extra),
    }
    return PartScores(
        rule=rule,
        part=part,
        metrics=_stored(result.document, part.id == task.main.id, part.id, rule),
        estimates=estimates,
        parts=breakdown(counts, patients_on_both_sides_of(run)),
        coverage=None if strict is None else coverage_sentence(strict.patients, [1], spread),
        marks=tuple(row_marks(row, [run])),
    )


def _estimates(counts: SystemCounts, spread: SeedSpread | None) -> dict[Sensitivity, SystemEstimate]:
    """Rates with intervals; the paper's spread is of the exact class and says nothing of any abnormal one."""
    task = counts.task
    return {
        judged: estimate_from_hits(
            PatientHits.of(counts.by_patient, judged, task), spread if judged == task.strict else None
        )
        for judged in task.sensitivities
    }


def _stored(document: ResultDocument, is_main: bool, part: str, rule: str) -> dict[str, Any]:
    found: Any = document["metrics"] if is_main else document["other_parts"][part]
    return dict(found[rule])
