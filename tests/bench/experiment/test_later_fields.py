"""Identity fields of later versions: a run of before keeps its id and its row. The first one is `drop_last`."""

import dataclasses

import pytest
from five_steps import spec_of

from bench.core.errors import SpecError
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.spec import RunSpec, without_defaults


def small_spec(model="ast", method="ce", **fields):
    case = {"model": model, "model_options": {}, "method": method, "method_options": {}}
    return spec_of({**case, "fields": fields})


def test_a_later_field_with_its_default_moves_no_id():
    # Made before there was a `drop_last`.
    assert small_spec().run_id == "2ff8c7325931b440"
    assert "drop_last" not in small_spec().identity()
    assert small_spec(drop_last=False).run_id != small_spec().run_id
    assert small_spec(drop_last=False).identity()["drop_last"] is False


@pytest.mark.parametrize("drop_last", [True, False])
def test_a_spec_with_a_later_field_is_read_again(drop_last):
    spec = small_spec(drop_last=drop_last)
    assert RunSpec.from_json(spec.to_json()) == spec


def test_every_later_field_has_a_default_that_it_is_left_out_with():
    later = [field for field in dataclasses.fields(RunSpec) if "since" in field.metadata]
    assert [field.name for field in later] == ["drop_last"]
    for field in later:
        assert field.metadata["role"] == "identity"
        assert without_defaults({field.name: field.default, "model": "ast"}) == {"model": "ast"}


@pytest.mark.parametrize(
    ("model", "method", "authors"),
    [
        ("cnn6", "ce", True),
        ("cnn10", "scl", True),
        ("cnn14", "scl-hybrid", True),
        ("ast", "scl", True),
        ("ast", "patchmix-cl", False),
        ("resnet18", "ce", False),
        ("efficientnet-b0", "ce", False),
    ],
)
def test_the_paper_profile_keeps_the_last_batch_where_the_authors_do(model, method, authors, tmp_path):
    fields = recipe_fields(Request(model=model, method=method, cache=tmp_path), "paper")
    assert fields.get("drop_last") == (False if authors else None)
    assert "drop_last" not in recipe_fields(Request(model=model, method=method, cache=tmp_path), "demo")


@pytest.mark.parametrize("method", ["ce", "scl", "scl-hybrid"])
def test_the_paper_profile_normalises_scl_over_the_batch(method, tmp_path):
    asked = {"model": "cnn6", "method": method, "cache": tmp_path}
    assert recipe_fields(Request(**asked), "paper")["frontend_options"]["normalise"] == "batch"
    assert recipe_fields(Request(**asked), "demo")["frontend_options"]["normalise"] == "cycle"
    # A recipe's value that another front-end does not know is not asked of it.
    assert recipe_fields(Request(**asked, frontend="ast"), "paper")["frontend_options"]["normalise"] == "2std"


def run_data(rows):
    from five_steps import run_data as pretend

    data = pretend()
    return dataclasses.replace(data, train=data.train[:rows])


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        (5, {}, "batch is 6, but the training part holds 5 cycles"),
        (13, {"drop_last": False, "processes": 2}, r"last batch of an epoch has 1 clip\(s\) for 2 processes"),
        (14, {"drop_last": False, "processes": 3}, r"last batch of an epoch has 2 clip\(s\) for 3 processes"),
    ],
)
def test_epochs_that_cannot_be_run_are_refused(rows, fields, message):
    from bench.engine.data import _check_parts

    with pytest.raises(SpecError, match=message):
        _check_parts(run_data(rows), small_spec(**fields))


def test_steps_and_rows_of_an_epoch():
    from bench.engine.data import rows_of_epoch, steps_of_epoch

    kept, left_out = small_spec(batch=128, drop_last=False), small_spec(batch=128)
    assert (steps_of_epoch(4142, left_out), rows_of_epoch(4142, left_out)) == (32, 4096)
    assert (steps_of_epoch(4142, kept), rows_of_epoch(4142, kept)) == (33, 4142)
    assert (steps_of_epoch(256, kept), rows_of_epoch(256, kept)) == (2, 256)
