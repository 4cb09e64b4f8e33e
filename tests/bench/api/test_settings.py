"""What can be set of a run: every field of a spec, and the options of what is named, with the values of recipes."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import subprocess
import sys

import pytest
from plugin_files import fresh_registries, write_plugin

import baselines
import methods
from bench.api.settings import FORMATS, PARTS, list_settings
from bench.core.errors import RegistryError, SpecError
from bench.data.frontends import FRONTENDS
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.spec import check_field, settable_fields


def by_name(table):
    return {row["name"]: row for row in table.rows}


def test_every_field_that_can_be_set_is_listed_once():
    rows = list_settings().rows
    assert sorted(row["name"] for row in rows) == sorted(settable_fields())
    assert {row["part"] for row in rows} == set(PARTS)
    for row in rows:
        assert row["help"]
        assert check_field(row["name"], row["default"]) == row["default"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_holds_its_own_fields(part):
    rows = list_settings(part).rows
    assert rows == [row for row in list_settings().rows if row["part"] == part]
    assert {row["part"] for row in rows} == {part}


def test_parts_are_those_of_the_spec():
    rows = by_name(list_settings())
    parts = {
        "lr": "optim",
        "schedule_unit": "schedule",
        "sampler": "sampling",
        "pitch_low": "augment",
        "micro_batch": "distribution",
        "vote": "run",
    }
    assert {name: rows[name]["part"] for name in parts} == parts
    assert rows["sampler"]["choices"] == ["shuffled", "weighted", "balanced"]
    assert (rows["momentum"]["low"], rows["momentum"]["high"], rows["momentum"]["default"]) == (0.0, 1.0, 0.9)
    assert rows["lr"]["space"]["grid"] == (1e-5, 2e-5, 5e-5, 1e-4, 2e-4)


@pytest.mark.parametrize("profile", ["paper", "demo"])
@pytest.mark.parametrize(("model", "method"), [("cnn6", "ce"), ("ast", "patchmix-cl"), ("ast-tiny", "scl")])
def test_values_are_those_that_a_run_begins_with(tmp_path, model, method, profile):
    rows = by_name(list_settings(model=model, method=method, profile=profile))
    begun = recipe_fields(Request(model=model, method=method, cache=tmp_path), profile)
    for name, value in begun.items():
        if name in rows:
            assert rows[name]["value"] == value, name
    for owner in ("model", "method", "frontend"):
        for name, value in begun[f"{owner}_options"].items():
            assert rows[f"{owner}.{name}"]["value"] == value, name


def test_a_recipe_depends_on_the_start():
    scratch, pretrained = (
        by_name(list_settings("optim", model="cnn6", method="ce", pretrain=start)) for start in ("none", "audioset")
    )
    assert (scratch["lr"]["value"], pretrained["lr"]["value"]) == (1e-3, 1e-4)


def test_without_a_card_there_are_no_values():
    assert all("value" not in row for row in list_settings().rows)
    assert not list_settings().recipes


@pytest.mark.parametrize(("owner", "registry"), [("method", methods.METHODS), ("frontend", FRONTENDS)])
def test_a_card_alone_has_its_options_listed(owner, registry):
    for entry in registry:
        names = [row["name"] for row in list_settings(owner, **{owner: entry.id}).rows]
        assert names == [f"{owner}.{field.name}" for field in dataclasses.fields(entry.card.options)]


def test_a_model_brings_its_front_end():
    for entry in baselines.MODELS:
        parts = {row["part"] for row in list_settings(model=entry.id).rows}
        assert {"model", "frontend"} - parts <= {"model"}


def test_options_of_a_plugin_are_listed(tmp_path):
    with fresh_registries():
        rows = list_settings("method", method="mine", plugins=[write_plugin(tmp_path / "mine.py")]).rows
    assert [row["name"] for row in rows] == ["method.smoothing", "method.kind"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"part": "optin"}, "Unknown part 'optin': did you mean 'optim'?"),
        ({"part": "frontend"}, "The options of which frontend? None is named."),
        ({"profile": "papers"}, "Unknown profile 'papers': did you mean 'paper'?"),
        ({"profile": "demo"}, "Weights and profile choose among recipes, but no model or method is named."),
        ({"pretrain": "imagenet"}, "Weights and profile choose among recipes, but no model or method is named."),
    ],
)
def test_what_there_is_not_is_refused(given, said):
    with pytest.raises(SpecError) as caught:
        list_settings(**given)
    assert caught.value.message == said


def test_an_unknown_id_is_refused():
    with pytest.raises(RegistryError, match="did you mean 'ast'"):
        list_settings(model="asst")


# --- how it is written --------------------------------------------------------------------------------------------


def test_formats_hold_the_same():
    table = list_settings(model="cnn6", method="ce")
    assert json.loads(table.written("json")) == json.loads(json.dumps(list(table.rows)))
    lines = list(csv.DictReader(io.StringIO(table.written("csv"))))
    assert [line["name"] for line in lines] == [row["name"] for row in table.rows]
    lr = next(line for line in lines if line["name"] == "lr")
    assert (lr["part"], lr["value"], lr["search"]) == ("optim", "0.001", "1e-06..0.001:log")
    assert table.written("markdown").count("\n| sampler | ") == 1
    with pytest.raises(SpecError, match="use table, json, csv or markdown"):
        table.written("xml")
    assert set(FORMATS) == {"table", "json", "csv", "markdown"}


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_the_terminal(width):
    text = list_settings(model="ast", method="patchmix-cl").written(width=width)
    assert max(map(len, text.splitlines())) <= width
    for name in settable_fields():
        assert text.count(f" {name} ") >= 1, name
    assert "the paper recipes of ast and patchmix-cl, pretrained weights: imagenet+audioset" in " ".join(text.split())


def test_listing_brings_no_torch():
    code = (
        "import sys\n"
        "from bench.api.settings import list_settings\n"
        "list_settings(model='ast', method='patchmix-cl').written()\n"
        "assert not {'torch', 'timm', 'optuna', 'sqlalchemy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
