"""One run's last epoch in parts: official and patient-disjoint, by device, by class."""

from __future__ import annotations

from leaderboard.metrics import predicted_classes
from leaderboard.results.schema import ResultDocument
from leaderboard.statistics.breakdown import breakdown, patients_on_both_sides, system_counts
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import Row, Section, Table


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
    shared = patients_on_both_sides(document["spec"], document["partial"], document)
    parts = breakdown(system_counts(cycles, [predicted_classes(scores)]), shared)
    views = {name: view for name, view in parts["views"].items() if view is not None}
    rows: list[Row] = [{"part": name, **view} for name, view in {**views, **parts["devices"]}.items()]
    classes: list[Row] = [{"part": name, **view} for name, view in parts["classes"].items()]
    return Table(
        "parts",
        "last",
        [Section("parts of the test cycles, last epoch, percent", "parts", rows), Section("recall", "recall", classes)],
    )
