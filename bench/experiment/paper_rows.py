"""The paper's tables in this version: what each printed row's recipe sets, and the table beside the board's runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import RegistryError
from bench.experiment.recipes import DEMO, Request, recipe_fields
from leaderboard.published import PrintedTable, RunAs, printed_table
from leaderboard.results.run_folder import Rule
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import flat
from leaderboard.tables.paper_tables import Expected, Kind, PaperTable, paper_table

PROFILES: Mapping[Kind, str] = {"icbhi": "paper", "demo": DEMO}
"""The recipes that runs on ICBHI, and on simulated data, are measured by."""


def request_of(run: RunAs, profile: str, **changes: Any) -> Request:
    """Make the request by which a row is run; the demo profile starts from scratch whatever the row's pretraining.

    Args:
        run: Model, method and options that the row stands for.
        profile: paper or demo.
        **changes: Further fields of the request; ``fields`` are added to the row's method options.
    """
    options = {f"method.{name}": value for name, value in run.method_options.items()}
    fields = {**options, **changes.pop("fields", {})}
    pretrain = "none" if profile == DEMO else run.pretrain
    return Request(model=run.model, method=run.method, pretrain=pretrain, fields=fields, **changes)


def expected_fields(table: PrintedTable) -> Expected:
    """Give the fields that each row's recipe sets, by row id and data set; rows of unknown models are left out."""
    found: dict[str, dict[Kind, dict[str, Any]]] = {}
    for row in table.rows:
        if row.run is None:
            continue
        try:
            found[row.id] = {kind: _flat_recipe(row.run, profile) for kind, profile in PROFILES.items()}
        except RegistryError:
            continue
    return found


def _flat_recipe(run: RunAs, profile: str) -> dict[str, Any]:
    return flat(recipe_fields(request_of(run, profile, cache=Path()), profile))


def table_of_board(name: str, store: Store, protocol: Rule) -> PaperTable:
    """A table of the paper beside the runs of a board.

    Args:
        name: ``table1``, ``table2`` or ``table3``.
        store: The board.
        protocol: The selection rule of the numbers run here.
    """
    table = printed_table(name)
    return paper_table(table, store, protocol, expected_fields(table))
