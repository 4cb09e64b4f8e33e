"""What can be set of a run: the fields of a spec, part by part, and the options of model, method and front-end."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from bench.api.registries import allowed_values, described_option, range_of_search, values_of_grid
from bench.core.cards import PROFILES, chosen_recipe
from bench.core.datasets import DATASETS
from bench.core.errors import SpecError
from bench.core.fields import flat_fields, parts_of
from bench.core.registry import suggestion
from bench.core.text import echoed, setting_text
from bench.experiment.plugins import load_plugins
from bench.experiment.registries import registries
from bench.experiment.spec import OWNERS, RunSpec, field_type, settable_fields

if TYPE_CHECKING:
    from bench.experiment.recipes import Request

OTHER = "run"
"""The part of a spec's fields that belong to none of its parts."""

PARTS = (*parts_of(RunSpec), OTHER)
FORMATS = ("table", "json", "csv", "markdown")

Cards = Mapping[str, Any]
"""Cards of model, method and front-end by owner; those that nobody named are not among them."""


@dataclass(frozen=True)
class SettingsTable:
    """What can be set, as a table.

    Attributes:
        rows: A row for each setting: ``part``; ``name``, as ``--set`` takes it; ``type``, ``default``, ``low``,
            ``high``, ``choices``, ``space`` and ``help``; and ``value``, what a run begins with, where a card was
            named.
        titles: What each part is, by its name.
        recipes: Whose recipes the values are; empty where no card was named.
    """

    rows: Sequence[dict[str, Any]]
    titles: Mapping[str, str]
    recipes: str = ""

    def written(self, form: str = "table", *, width: int | None = None) -> str:
        """The table in a format.

        Args:
            form: ``table``, ``json``, ``csv`` or ``markdown``.
            width: Columns of the terminal (``table`` only); its own by default.

        Raises:
            SpecError: If there is no such format.
        """
        from leaderboard.render import csv, json_text, markdown, terminal

        if form == "table":
            return terminal.write(_report(self), width=width)
        if form == "csv":
            return csv.write(_report(self))
        if form == "markdown":
            return markdown.write(_report(self))
        if form == "json":
            return json_text.json_text(self.rows) + "\n"
        raise SpecError(f"Unknown format '{echoed(form)}': use {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")


def list_settings(
    part: str | None = None,
    *,
    model: str | None = None,
    method: str | None = None,
    system: str | None = None,
    frontend: str | None = None,
    pretrain: str | None = None,
    profile: str = "paper",
    dataset: str | None = None,
    task: str | None = None,
    plugins: Sequence[Path] = (),
) -> SettingsTable:
    """List what ``--set NAME=VALUE`` may change.

    Args:
        part: One of :data:`PARTS`, or ``model``, ``method`` or ``frontend`` where that is named; all by default.
        model: Model whose options are listed too, with what its recipe sets; its front-end comes with it.
        method: Method whose options are listed too, with what its recipe sets.
        system: System that names model, method, front-end and weights, and sets more than their recipes.
        frontend: Front-end whose options are listed too.
        pretrain: Weights that the recipe is for, or ``none`` (default: the model's).
        profile: Whose recipes: ``paper`` or ``demo``.
        dataset: Data set that changes something in the recipes (default: the primary one).
        task: Task that does (default: the first of the data set).
        plugins: Files with models, methods, front-ends or data sets of your own.

    Raises:
        SpecError: If there is no such part or profile, or a file cannot be imported.
        RegistryError: If there is no such id.
    """
    if profile not in PROFILES:
        raise SpecError(f"Unknown profile '{echoed(profile)}': {suggestion(profile, PROFILES)}")
    named = {"model": model, "method": method, "frontend": frontend}
    request = None if system is None else _request(system, {**named, "pretrain": pretrain}, plugins)
    if request is not None:
        named = {owner: getattr(request, owner) for owner in named}
    cards = _cards(named, plugins)
    _check_part(part, cards)
    if not cards and (dataset is not None or task is not None):
        raise SpecError(
            "A data set changes values of recipes, but no model, method or front-end is named.",
            "Add --model ID, --method ID or --frontend ID.",
        )
    if not cards and (pretrain is not None or profile != PROFILES[0]):
        raise SpecError(
            "Weights and profile choose among recipes, but no model or method is named.",
            "Add --model ID or --method ID.",
        )
    rows = [
        {"part": where, "name": name, **described}
        for where, name, described in _described(cards)
        if part in (None, where)
    ]
    if not cards:
        return SettingsTable(rows, _titles(cards))
    start = _start(cards, profile, pretrain, request)
    changed = _changes(dataset, task, profile)
    begun = _begun(cards, profile, start, changed, request)
    rows = [{**row, "value": begun.get(row["name"], row["default"])} for row in rows]
    names = system or " and ".join(cards[owner].id for owner in ("model", "method") if owner in cards)
    by_data = f", changed for {dataset}" if dataset and changed else ""
    source = f"the {profile} recipes of {names}, pretrained weights: {start}{by_data}" if names else ""
    return SettingsTable(rows, _titles(cards), source)


def _check_part(part: str | None, cards: Cards) -> None:
    known = (*PARTS, *cards)
    if part in OWNERS and part not in cards:
        raise SpecError(f"The options of which {part}? None is named.", f"Name one: bench settings {part} --{part} ID.")
    if part is not None and part not in known:
        raise SpecError(f"Unknown part '{echoed(part)}': {suggestion(part, known)}")


def _cards(named: Mapping[str, str | None], plugins: Sequence[Path]) -> Cards:
    """The cards of what is named; that of a model brings its front-end's, where no other one is named."""
    load_plugins(plugins)
    known = registries()
    cards = {owner: known[owner].card(name) for owner, name in named.items() if name is not None}
    if "model" in cards and "frontend" not in cards:
        cards["frontend"] = known["frontend"].card(cards["model"].frontend)
    return cards


def _described(cards: Cards) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Part, name and description of every setting."""
    places = flat_fields(RunSpec)
    fields = settable_fields()
    for part in PARTS:
        for name, field in fields.items():
            if (places[name][0] or OTHER) == part:
                yield part, name, described_option(field, field_type(name))
    for owner, card in cards.items():
        hints = get_type_hints(card.options)
        for field in dataclasses.fields(card.options):
            yield owner, f"{owner}.{field.name}", described_option(field, hints[field.name])


def _request(system: str, named: Mapping[str, str | None], plugins: Sequence[Path]) -> Request:
    """The request of a system with what is named beside it."""
    from bench.experiment.systems import find_run, request_of_system

    return request_of_system(find_run(system, plugins), cache=Path(), **named)


def _start(cards: Cards, profile: str, pretrain: str | None, request: Request | None) -> str:
    """The weights that a recipe is for."""
    from bench.experiment.recipes import chosen_pretrain, default_pretrain

    if request is not None:
        return chosen_pretrain(request, cards["model"], profile)
    return pretrain or (default_pretrain(cards["model"], profile) if "model" in cards else "none")


def _changes(dataset: str | None, task: str | None, profile: str) -> dict[str, Any]:
    """What the data set and the task change in the recipes."""
    from bench.experiment.settings import data_recipe

    card = DATASETS.card(dataset) if dataset else DATASETS.primary().card
    return data_recipe(card, card.task(task), profile)


def _begun(
    cards: Cards, profile: str, start: str, changed: Mapping[str, Any], request: Request | None
) -> dict[str, Any]:
    """What a run begins with, as far as it is not the default of a setting."""
    from bench.core.options import build_options
    from bench.experiment.settings import full_name, input_size, recipe_values, taken_by

    model, method, frontend = (cards.get(owner) for owner in OWNERS)
    values = recipe_values(model, method, frontend, profile, start)
    if request is not None:
        values |= {
            full_name(name, cards): value for name, value in chosen_recipe(request.recipes, profile, start).items()
        }
    if frontend is not None:
        values |= taken_by(frontend, changed)
    if model is None or frontend is None:
        return values
    prefix = "frontend."
    chosen = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    options = build_options(frontend.options, chosen, f"front-end {frontend.id}")
    return {**{f"model.{name}": size for name, size in input_size(model, options).items()}, **values}


def _titles(cards: Cards) -> dict[str, str]:
    """What each part is, in a line: of a part of the spec the first line of its class."""
    parts = {
        part: (inspect.getdoc(cls) or "").partition("\n")[0].rstrip(".") for part, cls in parts_of(RunSpec).items()
    }
    owners = {owner: f"options of {card.id}" for owner, card in cards.items()}
    return {**parts, OTHER: "What belongs to the run as a whole", **owners}


# --- the table ----------------------------------------------------------------------------------------------------


def _report(table: SettingsTable) -> Any:
    from leaderboard.render.cells import Cell, Column, Report, Row, Section, Table

    has_values = any("value" in row for row in table.rows)
    has_spaces = any(row["space"] for row in table.rows)
    columns = [
        Column("setting", number=False, card="title"),
        *([Column("value", number=False)] if has_values else []),
        Column("default", number=False, expendable=1 if has_values else 0),
        Column("values", number=False, wrap=True, share=2, comfort=16),
        *([Column("search", number=False, wrap=True, comfort=12, expendable=2)] if has_spaces else []),
        Column("help", number=False, wrap=True, share=4, comfort=30),
    ]
    sections = [
        Section(
            f"{part}: {title}",
            [Row([Cell([text]) for text in _texts(row, has_values, has_spaces)], _flat(row)) for row in rows],
        )
        for part, title in table.titles.items()
        if (rows := [row for row in table.rows if row["part"] == part])
    ]
    values = f" Values: {table.recipes}." if table.recipes else ""
    caption = f"Change them with `bench run --set NAME=VALUE`, which may be repeated.{values}"
    return Report("settings", [Table("settings", columns, sections)], caption=caption)


def _texts(row: Mapping[str, Any], has_values: bool, has_spaces: bool) -> list[str]:
    values = [setting_text(row["value"])] if has_values else []
    space = row["space"]
    searched = "" if space is None else "; ".join(filter(None, (range_of_search(space), values_of_grid(space))))
    searches = [searched] if has_spaces else []
    return [row["name"], *values, setting_text(row["default"]), allowed_values(row), *searches, row["help"]]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a line of CSV has it."""
    space = row["space"]
    searched = {} if space is None else {"search": range_of_search(space), "grid": values_of_grid(space)}
    kept = {name: value for name, value in row.items() if name not in ("choices", "space", "help")}
    return {
        **kept,
        "choices": ", ".join(row["choices"] or ()),
        "search": "",
        "grid": "",
        **searched,
        "help": row["help"],
    }
