"""The paper's tables in this version: the systems that stand for each row, and the table beside the board's runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench.core.cards import CompositeCard, PartCard, SystemCard
from bench.core.datasets import DATASETS
from bench.core.errors import RegistryError
from bench.experiment.composites import part_requests, part_settings
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.registries import SYSTEMS, registries
from bench.experiment.settings import full_name
from bench.experiment.spec import OWNERS, with_defaults
from bench.experiment.systems import request_of_system
from leaderboard.published import PrintedTable, printed_table
from leaderboard.results.schema import Rule
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import flattened
from leaderboard.tables.paper_tables import PaperTable, paper_table
from leaderboard.tables.row_systems import ALONE, RowSystem, RowSystems, SystemRun


def systems_of(table: str, row: str) -> list[SystemCard]:
    """The systems that stand for a printed row, in the order in which they are registered.

    Args:
        table: ``table1``, ``table2`` or ``table3``.
        row: Id of the row.
    """
    name = f"{table}/{row}"
    return [entry.card for entry in SYSTEMS if isinstance(entry.card, SystemCard) and name in entry.card.rows]


def row_systems(table: PrintedTable, held: Collection[str] | None = None) -> RowSystems:
    """The systems of each row with what their runs are; a system that names what is not here is left out.

    Args:
        table: The printed table.
        held: Names of the composites whose parts are wanted, which may take torch: cards of timm's backbones do. None
            for all.
    """
    dataset = table.dataset
    found: dict[str, RowSystem | None] = {}
    cards = {row.id: systems_of(table.name, row.id) for row in table.rows}
    for card in {card.id: card for of_row in cards.values() for card in of_row}.values():
        try:
            found[card.id] = row_system(card, dataset, held)
        except RegistryError:
            found[card.id] = None
    systems = {row: [found[card.id] for card in of_row] for row, of_row in cards.items()}
    return {row: [system for system in of_row if system is not None] for row, of_row in systems.items()}


def row_system(card: SystemCard, dataset: str, held: Collection[str] | None = None) -> RowSystem:
    """A system as tables know it, by what its runs are.

    Args:
        card: Its card.
        dataset: Id of the data set of the printed rows.
        held: As for :func:`row_systems`; any other composite is given without its parts.

    Raises:
        BenchError: If it names what does not exist.
    """
    shared = {"id": card.id, "title": card.title, "fidelity": card.fidelity}
    graph = card.composite
    if graph is None:
        named = {**card.settings, **({} if card.frontend is None else {"frontend": card.frontend})}
        return RowSystem(**shared, runs={ALONE: _system_run(request_of_system(card, cache=Path()), named, dataset)})
    runs = _part_runs(graph, dataset) if held is None or graph.id in held else {}
    return RowSystem(**shared, runs=runs, name=graph.id, combine=graph.combine)


def _part_runs(graph: CompositeCard, dataset: str) -> dict[str, SystemRun]:
    requests = part_requests(graph, {"cache": Path()})
    return {name: _part_run(request, graph.parts[name], dataset) for name, request in requests.items()}


def _part_run(request: Request, part: PartCard, dataset: str) -> SystemRun:
    return _system_run(request, part_settings(part), dataset, part.each_device)


def _system_run(request: Request, settings: Mapping[str, Any], dataset: str, each_device: bool = False) -> SystemRun:
    """What the run of a request must be, and what its recipe sets on the paper's data and on simulated ones."""
    sets = (DATASETS.card(dataset), DATASETS.simulated().card)
    recipes = {card.id: _recipe(request, card.profile) for card in sets}
    names = {_flat_name(name, request) for name in settings}
    model = registries()["model"].card(request.model)
    return SystemRun(
        model=request.model,
        method=request.method,
        pretrain=request.pretrain or request.published_pretrain or model.default_pretrain,
        settings={name: value for name, value in recipes[dataset].items() if name in names},
        each_device=each_device,
        recipes={
            name: {key: value for key, value in recipe.items() if key not in names} for name, recipe in recipes.items()
        },
    )


def _flat_name(name: str, request: Request) -> str:
    """The name of a setting as a flattened spec has it."""
    if name == "frontend":
        return name
    known = registries()
    model = known["model"].card(request.model)
    ids = {"model": request.model, "method": request.method, "frontend": request.frontend or model.frontend}
    full = full_name(name, {owner: known[owner].card(ids[owner]) for owner in OWNERS})
    owner, dot, option = full.partition(".")
    return f"{owner}_options.{option}" if dot else full


def _recipe(request: Request, profile: str) -> dict[str, Any]:
    recipe = recipe_fields(request, profile)
    return flattened(with_defaults({"model": request.model, "method": request.method, **recipe}))


def table_of_board(name: str, store: Store, protocol: Rule) -> PaperTable:
    """A table of the paper beside the runs of a board.

    Args:
        name: ``table1``, ``table2`` or ``table3``.
        store: The board.
        protocol: The selection rule of the numbers run here.
    """
    table = printed_table(name)
    return paper_table(table, store, protocol, row_systems(table, _composites_on(store, protocol)), with_defaults)


def _composites_on(store: Store, protocol: Rule) -> set[str]:
    """Names of the composite systems that a board has numbers of under a rule."""
    cards = (entry.card for entry in SYSTEMS if isinstance(entry.card, SystemCard))
    graphs = [card.composite for card in cards if card.composite is not None]
    return {system.model for system in store.systems([(graph.id, graph.combine) for graph in graphs], protocol)}
