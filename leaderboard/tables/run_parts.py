"""One run's last epoch in parts: official and patient-disjoint, by device, by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.datasets import TestPart
from leaderboard.metrics import predicted_classes
from leaderboard.results.schema import ResultDocument
from leaderboard.statistics.breakdown import CycleCounter, breakdown, patients_on_both_sides
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import Row, Section, Table
from leaderboard.tasks import JudgedTask, judged_task


def parts_table(store: Store, document: ResultDocument) -> Table:
    """Make the table of the parts of a run's Score under ``last``.

    Args:
        store: The board, for the predictions.
        document: The result document of the run.

    Returns:
        The table; without sections for a run that has no numbers under ``last``.
    """
    if document["metrics"]["last"] is None:
        return Table("parts", "last", [])
    cycles, scores = store.predictions(document["run_id"], "last")
    judged = judged_task(document["spec"], document.get("task"))
    chosen = predicted_classes(scores, len(judged.task.classes))
    shared = patients_on_both_sides(document["spec"], document["partial"], document)
    sections: list[Section] = []
    for part in judged.task.parts:
        of_part = CycleCounter(cycles.of_part(part.id), judged.task).count([chosen[cycles.places_of(part.id)]])
        words = "" if not judged.task.other_parts else f"{part.title}: "
        sections += _sections(words, breakdown(of_part, None if part.patients_seen else shared), judged, part)
    return Table("parts", "last", sections)


def _sections(words: str, parts: Mapping[str, Any], judged: JudgedTask, part: TestPart) -> list[Section]:
    views = {name: view for name, view in parts["views"].items() if view is not None}
    rows: list[Row] = [{"part": name, **view} for name, view in {**views, **parts["devices"]}.items()]
    classes: list[Row] = [{"part": name, **view} for name, view in parts["classes"].items()]
    of = part if judged.task.other_parts else None
    return [
        Section(f"{words}parts of the test cycles, last epoch, percent", "parts", rows, judged=judged, part=of),
        Section(f"{words}recall", "recall", classes, judged=judged, part=of),
    ]
