"""The spec: which fields make a run's identity, its known hashes, and its way to JSON and back."""

import dataclasses

import pytest

from bench.errors import SpecError
from bench.spec import RunSpec, check_field, read_spec, settable_fields
from leaderboard.files import write_json

BASE = {
    "model": "ast",
    "model_options": {"depth": 12},
    "pretrain": "none",
    "method": "patchmix-cl",
    "method_options": {"alpha": 1.0, "tau": 0.06},
    "frontend": "ast",
    "frontend_version": 1,
    "frontend_options": {"seconds": 8.0},
    "dataset": "icbhi",
    "data_fingerprint": "f" * 64,
}


def spec(**changes):
    return RunSpec(**{**BASE, **changes})


def test_known_run_id():
    """A change of this hash means that finished runs are no longer found: raise NUMERICS on purpose instead."""
    assert spec().run_id == "0f3b7557d99fd854"


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda"},
        {"processes": 8},
        {"workers": 4},
        {"eval_batch": 5},
        {"data": "/elsewhere"},
        {"cache": "/elsewhere"},
        {"weights": "/elsewhere/file.pth"},
        {"profile": "demo"},
    ],
)
def test_execution_does_not_move_the_run_id(change):
    assert spec(**change).run_id == spec().run_id


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(RunSpec) if f.metadata["role"] == "identity"])
def test_every_identity_field_moves_the_run_id(field):
    value = getattr(spec(), field)
    if isinstance(value, dict):
        other = {**value, "new": 1}
    elif isinstance(value, bool):
        other = not value
    elif isinstance(value, int | float):
        other = value + 1
    else:
        other = f"{value}x"
    assert spec(**{field: other}).run_id != spec().run_id


def test_every_field_has_a_role_and_a_doc():
    for field in dataclasses.fields(RunSpec):
        assert field.metadata["role"] in ("identity", "execution"), field.name
        assert field.metadata["doc"], field.name


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "spec.json", spec(seed=7).to_json())
    assert read_spec(tmp_path / "spec.json") == spec(seed=7)


def test_unknown_field_in_a_spec_file_is_refused_with_a_suggestion(tmp_path):
    document = spec().to_json()
    document["identity"]["epoch"] = 3
    write_json(tmp_path / "spec.json", document)
    with pytest.raises(SpecError, match=r"Unknown field 'epoch'.*did you mean 'epochs'"):
        read_spec(tmp_path / "spec.json")


@pytest.mark.parametrize("text", ["not json", "[]", "{}"])
def test_a_file_that_is_no_spec_is_refused(tmp_path, text):
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(SpecError, match="spec"):
        read_spec(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", "0", "epochs is 0, but must be at least 1"),
        ("epochs", "2.5", "whole number"),
        ("lr", "-1", "must be at least"),
        ("lr", "fast", "must be a number"),
        ("lr", "nan", "finite"),
        ("val_fraction", "0.9", "at most 0.5"),
        ("time_shift", "maybe", "true or false"),
        ("precision", "fp8", "one of fp32"),
    ],
)
def test_bad_values_are_named(name, value, message):
    with pytest.raises(SpecError, match=message):
        check_field(name, value)


def test_identity_that_is_derived_cannot_be_set():
    for name in ("model", "data_fingerprint", "numerics", "dataset", "partial", "weights_sha256"):
        assert name not in settable_fields()
