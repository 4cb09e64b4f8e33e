"""The paper's tables in this version: what each printed row's recipe sets, and the table beside the board's runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.datasets import DATASETS
from bench.core.errors import RegistryError
from bench.experiment.recipes import DEMO, Request, recipe_fields
from bench.experiment.spec import with_defaults
from leaderboard.published import PrintedTable, RunAs, printed_table
from leaderboard.results.schema import Rule
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.paper_tables import Complete, DatasetId, ExpectedFields, PaperTable, paper_table


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


def expected_fields(table: PrintedTable, complete: Complete = dict) -> ExpectedFields:
    """What the recipe of each row sets, by row id and data set.

    Args:
        table: The printed table; its rows that the registries do not know are left out.
        complete: What is done to the identity fields of a recipe, as :func:`~bench.experiment.spec.with_defaults` does
            it.
    """
    found: dict[str, dict[DatasetId, dict[str, Any]]] = {}
    cards = (DATASETS.card(table.dataset), DATASETS.simulated().card)
    for row in table.rows:
        if row.run is None:
            continue
        try:
            found[row.id] = {card.id: _fields(row.run, card.profile, complete) for card in cards}
        except RegistryError:
            continue
    return found


def _fields(run: RunAs, profile: str, complete: Complete) -> dict[str, Any]:
    recipe = recipe_fields(request_of(run, profile, cache=Path()), profile)
    return flattened(complete({"model": run.model, "method": run.method, **recipe}))


def table_of_board(name: str, store: Store, protocol: Rule) -> PaperTable:
    """A table of the paper beside the runs of a board.

    Args:
        name: ``table1``, ``table2`` or ``table3``.
        store: The board.
        protocol: The selection rule of the numbers run here.
    """
    table = printed_table(name)
    return paper_table(table, store, protocol, expected_fields(table, with_defaults), with_defaults)
