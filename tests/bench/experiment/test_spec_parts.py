"""Settings of a spec's parts: their long and short names, and a length that is said once."""

from __future__ import annotations

import pytest
import torch  # noqa: F401 - resolving a request imports it

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
