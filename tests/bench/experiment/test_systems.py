"""The cards of systems: each names what exists, resolves in both profiles, and stands for its printed rows."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import pytest
from plugin_files import fresh_registries, write_plugin

import baselines.systems
from bench.core.cards import SELECTIONS, CompositeCard, PartCard, Quirk, RunnableCard, SystemCard
from bench.core.errors import RegistryError, SpecError
from bench.core.registry import Registration
from bench.data.frontends.chosen import choose_front_end
from bench.engine.augment.options import mask_value
from bench.experiment.card_checks import card_problems
from bench.experiment.composites import resolve_composite
from bench.experiment.paper_rows import row_system, systems_of
from bench.experiment.recipes import DataSource, Request, resolve
from bench.experiment.registries import SYSTEMS, registries
from bench.experiment.systems import check_system, composite_of, find_run, find_system, request_of_system
from leaderboard.published import TABLES, printed_table

CARDS = {entry.id: entry.card for entry in SYSTEMS if entry.version is None}
ROWS = [(table, row.id) for table in TABLES for row in printed_table(table).rows]


@pytest.fixture
def source(small_data):
    def made(profile):
        return DataSource(small_data, profile, "a test", "demo")

    return made


def test_every_module_of_the_package_has_its_systems_registered():
    modules = [module.name for module in pkgutil.iter_modules(baselines.systems.__path__)]
    assert len(modules) >= 3
    found = [card for name in modules for card in importlib.import_module(f"baselines.systems.{name}").SYSTEMS]
    assert [card.id for card in found] == list(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_every_card_is_complete_and_names_what_exists(name):
    card = CARDS[name]
    assert isinstance(card, SystemCard)
    assert card.fidelity != "original"
    assert card_problems(card) == []
    check_system(card)


@pytest.mark.parametrize("profile", ["paper", "demo"])
@pytest.mark.parametrize("name", CARDS)
def test_every_system_resolves(name, profile, source, small_cache):
    """From scratch: what weights a system starts from is looked at where the cards are."""
    card = CARDS[name]
    graph = composite_of(card, "demo")
    if graph is None:
        (spec,) = resolve(request_of_system(card, cache=small_cache, pretrain="none"), source(profile), [1])
        assert (spec.model, spec.method) == (card.model, card.method)
        assert_masks_can_be_written(spec)
        return
    (composite,) = resolve_composite(graph, {"cache": small_cache}, source(profile), [1])
    assert composite.name == graph.id
    assert len(composite.parts) >= 2
    for part in composite.parts:
        assert_masks_can_be_written(part.spec)


def assert_masks_can_be_written(spec):
    """What a run looks up as it begins: the recipe of a model may be for another front-end than the system's."""
    mask_value(spec.augment, spec.frontend, choose_front_end(spec.frontend, spec.frontend_options).options)


@pytest.mark.parametrize("name", CARDS)
def test_the_weights_of_a_system_are_on_the_card_of_its_model(name):
    card = CARDS[name]
    parts = [card] if card.composite is None else list(card.composite.parts.values())
    for part in parts:
        model = registries()["model"].card(part.model)
        assert part.pretrain in (None, "none", *model.weights), part.model
    first = [part for part in parts if getattr(part, "init_from", None) is None]  # the others start from a part
    started = {part.pretrain or registries()["model"].card(part.model).default_pretrain for part in first} - {"none"}
    assert bool(card.weights_licence) == bool(started), "the licence of the weights that it starts from"


@pytest.mark.parametrize(("table", "row"), ROWS, ids=[f"{table}-{row}" for table, row in ROWS])
def test_every_printed_row_has_a_system_with_its_selection_rule(table, row):
    found = systems_of(table, row)
    assert found, "no system stands for it"
    printed = next(one for one in printed_table(table).rows if one.id == row)
    assert {card.selection for card in found} == {printed.protocol}
    for card in found:
        row_system(card, printed_table(table).dataset)


def test_a_run_of_a_system_is_the_run_that_is_spelled_out(source, small_cache):
    by_name = request_of_system(find_run("patchmix-cl-t-patch"), cache=small_cache, fields={"epochs": 2})
    fields = {"method.mix": "t-patch", "method.negatives": "all", "method.target": "stop-z", "epochs": 2}
    spelled = Request(model="ast", method="patchmix-cl", cache=small_cache, fields=fields)
    (one,), (other,) = (resolve(request, source("demo"), [3]) for request in (by_name, spelled))
    assert one.run_id == other.run_id
    assert one.identity() == other.identity()


SYSTEM = SystemCard(
    id="mine",
    title="Mine",
    summary="A CNN6.",
    model="cnn6",
    method="ce",
    settings={"weighted": False},
    recipes={"paper": {"iterations": 500}, "demo": {"epochs": 1}, "paper:scratch": {"lr": 3e-4}},
)


def resolved(card, source, cache, profile="demo", **asked):
    return resolve(request_of_system(card, cache=cache, **asked), source(profile), [1])[0]


def test_settings_hold_in_every_profile_and_recipes_in_theirs(source, small_cache):
    paper, demo = (resolved(SYSTEM, source, small_cache, profile) for profile in ("paper", "demo"))
    assert paper.method_options["weighted"] is demo.method_options["weighted"] is False
    assert (paper.schedule.iterations, demo.schedule.iterations) == (500, 0)
    assert (demo.schedule.epochs, paper.optim.lr) == (1, 3e-4)


def test_what_a_user_asks_for_is_laid_over_the_system(source, small_cache):
    asked = {"fields": {"epochs": 7}, "settings": ["weighted=true", "lr=1e-5"]}
    found = resolved(SYSTEM, source, small_cache, "paper", **asked)
    assert (found.schedule.epochs, found.schedule.iterations) == (7, 0)
    assert (found.method_options["weighted"], found.optim.lr) == (True, 1e-5)
    assert resolved(SYSTEM, source, small_cache, frontend="ast").frontend == "ast"
    assert resolved(SYSTEM, source, small_cache, model="cnn6", method="ce").model == "cnn6"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "ast"}, "The model of the system 'mine' is cnn6, not ast."),
        ({"method": "scl"}, "The method of the system 'mine' is ce, not scl."),
    ],
)
def test_another_model_or_method_is_refused(asked, said, small_cache):
    with pytest.raises(SpecError, match=said):
        request_of_system(SYSTEM, cache=small_cache, **asked)


def changed(**changes):
    return dataclasses.replace(SYSTEM, **changes)


PARTS = {"one": PartCard(model="cnn6", method="ce"), "two": PartCard(model="cnn10", method="ce")}
GRAPH = CompositeCard(id="two", title="Two", summary="Two nets.", combine="product", parts=PARTS)


@pytest.mark.parametrize(
    ("card", "error", "said"),
    [
        (changed(model="cnn66"), RegistryError, r"profile paper: Unknown model 'cnn66': did you mean 'cnn6'\?"),
        (changed(method="cee"), RegistryError, "Unknown method 'cee'"),
        (changed(frontend="asd"), RegistryError, "Unknown front-end 'asd'"),
        (changed(settings={"weigthed": True}), SpecError, "Unknown setting 'weigthed'"),
        (changed(recipes={"demo": {"lr": "fast"}}), SpecError, "profile demo: .*lr"),
        (changed(recipes={"demos": {}}), SpecError, "recipe 'demos' must be named paper or demo"),
        (changed(selection="best"), SpecError, "selection is 'best', but must be one of last"),
        (changed(rows=("table3/lungbrm",)), SpecError, "rows names 'table3/lungbrm', which is no printed row"),
        (changed(fidelity="reconstruction", source="x", citation="@x"), SpecError, "gaps is empty"),
        (changed(quirks=(Quirk(code="", here="x"),)), SpecError, "quirk 1 does not say"),
        (changed(quirks=(Quirk(code="x", here="x", switch="fast"),)), SpecError, "must have NAME=VALUE"),
        (changed(quirks=(Quirk(code="x", here="x", switch="fats=1"),)), SpecError, "Unknown setting 'fats'"),
        (changed(model=""), SpecError, "names no model and method, and is no composite"),
        (changed(composite=GRAPH), SpecError, "is a composite, but has a model of its own"),
    ],
)
def test_a_card_that_cannot_be_is_refused(card, error, said):
    with pytest.raises(error, match=said):
        check_system(card)


def test_a_composite_is_no_single_run_and_its_parts_start_from_scratch_in_a_demo():
    parts = {"one": dataclasses.replace(PARTS["one"], pretrain="audioset"), "two": PARTS["two"]}
    graph = dataclasses.replace(GRAPH, parts=parts)
    card = SystemCard(id="two", title="Two", summary="Two nets.", composite=graph)
    check_system(card)
    assert composite_of(card, "paper") is graph
    assert [part.pretrain for part in composite_of(card, "demo").parts.values()] == ["none", "none"]
    assert composite_of(GRAPH, "demo") is GRAPH
    assert composite_of(SYSTEM) is None


def test_recipes_of_a_part_hold_in_their_profile(source, small_cache):
    parts = {"one": dataclasses.replace(PARTS["one"], recipes={"demo": {"epochs": 2}}), "two": PARTS["two"]}
    graph = dataclasses.replace(GRAPH, parts=parts)
    asked = {"cache": small_cache}
    (found,) = resolve_composite(graph, asked, source("demo"), [1])
    epochs = {part.name: part.spec.schedule.epochs for part in found.parts}
    assert epochs == {"one": 2, "two": 3}
    (found,) = resolve_composite(graph, {**asked, "fields": {"one.epochs": 5}}, source("demo"), [1])
    assert {part.name: part.spec.schedule.epochs for part in found.parts}["one"] == 5


PLUGIN = """
from bench.plugins import Quirk, Registration, SystemCard

card = SystemCard(id="mine", title="Mine", summary="A CNN6.", model="{model}", method="ce", settings={{"lr": 1e-4}})
mine = Registration(card)
"""


def test_a_plug_in_brings_a_system(tmp_path):
    with fresh_registries():
        file = write_plugin(tmp_path / "mine.py", PLUGIN.format(model="cnn6"))
        card = find_run("mine", [file])
        assert (card.model, card.settings) == ("cnn6", {"lr": 1e-4})
        with pytest.raises(RegistryError, match=r"Unknown system 'mien': did you mean 'mine'\?"):
            find_system("mien")


def test_a_plug_in_that_names_what_is_not_there_is_refused_when_it_is_asked_for(tmp_path):
    with fresh_registries():
        file = write_plugin(tmp_path / "mine.py", PLUGIN.format(model="cnn7"))
        with pytest.raises(RegistryError, match="The system 'mine', profile paper: Unknown model 'cnn7'"):
            find_system("mine", [file])


def test_a_composite_is_refused_where_a_single_run_is_asked_for(tmp_path):
    text = """
from bench.plugins import CompositeCard, PartCard, Registration

parts = {"a": PartCard(model="cnn6", method="ce"), "b": PartCard(model="cnn10", method="ce")}
both = Registration(CompositeCard(id="both", title="Both", summary="Both.", combine="mean", parts=parts))
"""
    with fresh_registries():
        file = write_plugin(tmp_path / "both.py", text)
        with pytest.raises(SpecError, match="The system 'both' is a composite of several runs"):
            find_run("both", [file])


def test_a_system_has_no_builder():
    with pytest.raises(RegistryError, match="The system 'mine' has a builder, but its card says all"):
        Registration(SYSTEM, lambda: None)


def test_the_words_for_selection_rules_are_those_of_the_printed_rows():
    used = {row.protocol for table in TABLES for row in printed_table(table).rows}
    assert used <= set(SELECTIONS)
    assert all(isinstance(card, RunnableCard) for card in CARDS.values())
