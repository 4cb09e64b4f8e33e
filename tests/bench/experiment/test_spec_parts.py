"""Settings of a spec's parts: their long and short names, and a length that is said once."""

from __future__ import annotations

import dataclasses

import pytest
import torch  # noqa: F401 - resolving a request imports it

import baselines
from bench.core.errors import SpecError
from bench.experiment.recipes import Request, recipe_fields


def fields(tmp_path, *settings: str, model: str = "resnet18", method: str = "ce", **given):
    request = Request(model=model, method=method, cache=tmp_path, settings=settings, fields=given)
    return recipe_fields(request, "paper")


@pytest.mark.parametrize(
    ("long", "short", "value"),
    [
        ("optim.lr", "lr", 0.25),
        ("optim.momentum", "momentum", 0.5),
        ("schedule.law", "schedule", "constant"),
        ("schedule.schedule", "schedule", "constant"),
        ("schedule.unit", "schedule_unit", "iteration"),
        ("sampling.batch", "batch", 16),
        ("sampling.sampler", "sampler", "weighted"),
        ("augment.specaug_probability", "specaug_probability", 0.5),
    ],
)
def test_a_part_is_reached_by_its_long_and_its_short_name(tmp_path, long, short, value):
    by_long, by_short = (fields(tmp_path, f"{name}={value}") for name in (long, short))
    assert by_long == by_short
    assert by_short[short] == value


@pytest.mark.parametrize("name", ["optim.epochs", "schedule.lr", "optim.speed", "distribution.device"])
def test_a_part_has_no_fields_of_others(tmp_path, name):
    with pytest.raises(SpecError, match=f"Unknown setting '{name}'"):
        fields(tmp_path, f"{name}=1")


def test_a_length_in_iterations_takes_the_place_of_the_recipes_epochs(tmp_path):
    found = fields(tmp_path, "iterations=500")
    assert (found["iterations"], found["epochs"]) == (500, 50)
    # The recipe's own number of epochs does not make two runs of one.
    assert found == fields(tmp_path, "schedule.iterations=500")


def test_epochs_take_the_place_of_iterations(tmp_path):
    assert "iterations" not in fields(tmp_path, epochs=3)


def test_a_run_has_one_length(tmp_path):
    with pytest.raises(SpecError, match="Both epochs and iterations"):
        fields(tmp_path, "iterations=500", epochs=3)


@pytest.mark.parametrize(("given", "warmup"), [({}, 2), ({"epochs": 2}, 1), ({"iterations": 500}, 0)])
def test_the_warm_up_of_a_recipe_belongs_to_its_own_length(tmp_path, given, warmup):
    request = Request(model="ast", method="ce", cache=tmp_path, fields=given)
    recipe = baselines.MODELS.card("ast").recipe("demo", "none")
    assert 2 <= recipe["warmup_epochs"] < recipe["epochs"], "else this test shows nothing"
    assert recipe_fields(request, "demo")["warmup_epochs"] == (recipe["warmup_epochs"] if not given else warmup)


def test_a_warm_up_that_is_given_stays_whatever_the_length_is(tmp_path):
    for length in ({"epochs": 9}, {"iterations": 500}):
        request = Request(model="ast", method="ce", cache=tmp_path, fields={**length, "warmup_epochs": 4})
        assert recipe_fields(request, "demo")["warmup_epochs"] == 4


def test_no_iterations_are_no_length(tmp_path):
    request = Request(model="ast", method="ce", cache=tmp_path)
    for settings, fields in ((["iterations=0"], {}), (["iterations=0"], {"epochs": 3}), ([], {"iterations": 0})):
        zero = dataclasses.replace(request, settings=settings, fields=fields)
        without = dataclasses.replace(request, fields={"epochs": fields.get("epochs")})
        assert recipe_fields(zero, "demo") == recipe_fields(without, "demo")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("optm.lr", "optim.lr"),
        ("optim.lrr", "optim.lr"),
        ("shedule.law", "schedule.law"),
        ("sampling.bach", "sampling.batch"),
    ],
)
def test_a_long_name_that_is_misspelt_is_told_with_the_right_one(tmp_path, name, near):
    with pytest.raises(SpecError, match=f"did you mean '{near}'"):
        fields(tmp_path, f"{name}=1")
