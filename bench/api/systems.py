"""The systems, read from their cards: what is listed of all, and what is shown of one."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.cards import SELECTIONS, CompositeCard, Quirk, RunnableCard, SystemCard
from bench.core.errors import RegistryError
from bench.core.registry import RegistryEntry
from bench.experiment.plugins import load_plugins
from bench.experiment.registries import SYSTEMS, registries
from bench.experiment.systems import composite_of, find_system, is_on_by_default
from leaderboard.published import PrintedRow, printed_table

logger = logging.getLogger(__name__)

COLUMNS = ("id", "title", "model", "method", "fidelity", "selection", "rows")
"""What is listed of each system."""

HARNESS_SELECTION = (
    "the last epoch; beside it the best on held-out training patients, where some are held out, and the best on the "
    "test part, marked as such"
)
"""How an epoch is chosen here, whatever the published rule was."""


def list_systems(plugins: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """List the systems, those of the printed tables in their order first.

    Args:
        plugins: Files with systems of your own.

    Returns:
        For each its :data:`COLUMNS`, ``combine`` (None for a single run), ``origin`` and ``version``.

    Raises:
        SpecError: If a file cannot be imported.
        RegistryError: If the card of a system in one of them names what does not exist.
    """
    named = load_plugins(plugins)
    for problem in SYSTEMS.problems():
        logger.warning(f"not usable: {problem.reason}")
    order = _order_of_rows()
    usable = [entry for entry in SYSTEMS if _is_usable(entry, named)]
    return [_listed(entry) for entry in sorted(usable, key=lambda entry: _place(entry.card, order))]


def _is_usable(entry: RegistryEntry[RunnableCard], named: Sequence[str]) -> bool:
    """Whether a system's card can be run; one of a file that was named must be, others are left out with a warning."""
    try:
        find_system(entry.id)
    except RegistryError as error:
        if entry.origin in named:
            raise
        logger.warning(f"not usable: {error.message}")
        return False
    return True


def show_system(name: str, plugins: Sequence[Path] = ()) -> dict[str, Any]:
    """The card of a system as plain data.

    Args:
        name: Its id.
        plugins: Files with systems of your own.

    Returns:
        The card's fields. ``selection`` has the published rule, its sentence and the harness's own rule; ``rows`` the
        printed numbers; ``composite`` the combination and the parts, or None.

    Raises:
        RegistryError: If there is no such id.
        SpecError: If a file cannot be imported, or a plug-in's card names what does not exist.
    """
    card = find_system(name, plugins)
    entry = SYSTEMS.get(name)
    common = ("id", "title", "summary", "source", "fidelity", "citation")
    return {
        **{field: getattr(card, field) for field in common},
        **_recipe(card),
        "composite": _graph(card),
        **_published(card),
        "origin": entry.origin,
        "version": entry.version,
    }


def _listed(entry: RegistryEntry[RunnableCard]) -> dict[str, Any]:
    card = entry.card
    graph = composite_of(card)
    values = {name: getattr(card, name, "") for name in COLUMNS}
    parts = {} if graph is None else {name: _joined(graph, name) for name in ("model", "method")}
    return {
        **values,
        **parts,
        "rows": list(values["rows"] or ()),
        "combine": None if graph is None else graph.combine,
        "origin": entry.origin,
        "version": entry.version,
    }


def _joined(graph: CompositeCard, name: str) -> str:
    """What the parts of a composite have, each once."""
    return " + ".join(dict.fromkeys(getattr(part, name) for part in graph.parts.values()))


def _order_of_rows() -> dict[str, int]:
    """The place of each printed row, by its name: those of Table 3, then of Table 1, then of Table 2."""
    names = (f"{table}/{row.id}" for table in ("table3", "table1", "table2") for row in printed_table(table).rows)
    return {name: place for place, name in enumerate(names)}


def _place(card: RunnableCard, order: Mapping[str, int]) -> tuple[int, str]:
    """Where a system is listed: by the first printed row that it stands for, and behind all rows without one."""
    beyond = len(order)
    return min((order.get(row, beyond) for row in getattr(card, "rows", ())), default=beyond), card.id


def _recipe(card: RunnableCard) -> dict[str, Any]:
    """What a system is run as, where it is a single run; the front-end is the model's where the card names none."""
    names = ("model", "method", "pretrain", "frontend", "settings", "recipes")
    if not isinstance(card, SystemCard) or card.composite is not None:
        return dict.fromkeys(names)
    model = registries()["model"].card(card.model)
    return {
        "model": card.model,
        "method": card.method,
        "pretrain": card.pretrain or model.default_pretrain,
        "frontend": card.frontend or model.frontend,
        "settings": dict(card.settings),
        "recipes": {profile: dict(recipe) for profile, recipe in card.recipes.items()},
    }


def _graph(card: RunnableCard) -> dict[str, Any] | None:
    graph = composite_of(card)
    if graph is None:
        return None
    return {"combine": graph.combine, "parts": {name: dataclasses.asdict(part) for name, part in graph.parts.items()}}


def _published(card: RunnableCard) -> dict[str, Any]:
    """What is said of the publication: printed rows, selection rule, gaps, quirks, licence of the weights."""
    if not isinstance(card, SystemCard):
        return {"rows": [], "selection": None, "gaps": "", "quirks": [], "weights_licence": ""}
    return {
        "rows": [_printed_row(name) for name in card.rows],
        "selection": {
            "published": card.selection,
            "words": SELECTIONS[card.selection],
            "note": card.selection_note,
            "here": HARNESS_SELECTION,
        },
        "gaps": card.gaps,
        "quirks": [_quirk(card, quirk) for quirk in card.quirks],
        "weights_licence": card.weights_licence,
    }


def _quirk(card: SystemCard, quirk: Quirk) -> dict[str, Any]:
    on = bool(quirk.switch) and is_on_by_default(card, quirk.switch)
    return {**dataclasses.asdict(quirk), "on_by_default": on}


def _printed_row(name: str) -> dict[str, Any]:
    table, _, row_id = name.partition("/")
    found: PrintedRow = next(row for row in printed_table(table).rows if row.id == row_id)
    names = ("judged", "sp", "se", "score", "consistent", "venue", "architecture", "pretrain")
    return {"table": table, "row": row_id, **{name: getattr(found, name) for name in names}}


def rows_in_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Printed rows in a line each: ``table3/lungbrn: Sp 69.20, Se 31.12, Score 50.16``.

    Args:
        rows: From :func:`show_system`.
    """
    return [
        f"{row['table']}/{row['row']}: Sp {row['sp']:.2f}, Se {row['se']:.2f}, Score {row['score']:.2f}"
        f"{'' if row['consistent'] else ' (the printed Score is not (Sp + Se)/2)'}"
        for row in rows
    ]
