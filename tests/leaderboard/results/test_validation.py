"""What a result document may be, and the sentences that name its faults."""

from __future__ import annotations

import copy
import json

import pytest
from board_runs import document, spec, write_run
from pydantic import ValidationError

from bench.core import documents
from bench.core.errors import ResultError
from leaderboard.results import run_folder, validation
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.validation import path_of, run_id_of, validate


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return json.loads((write_run(tmp_path_factory.mktemp("home")) / "result.json").read_text())


def edit(folder, change):
    path = folder / "result.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.update(schema=2), "schema 2, but this lungbench reads up to 1"),
        (lambda d: d.update(schema="1"), "schema is '1'"),
        (lambda d: d.pop("run_id"), "lacks 'run_id'"),
        (lambda d: d.update(run_id="../../etc"), "16 hexadecimal"),
        (lambda d: d.update(status="done"), "status is 'done'"),
        (lambda d: d.update(status="failed"), "status is 'failed', but error is None"),
        (lambda d: d.update(error="x"), "status is 'finished', but error is 'x'"),
        (lambda d: d.update(status="failed", error="x"), "'failed', but there are metrics for last"),
        (lambda d: d["metrics"].update(last=None), "no metrics for last"),
        (lambda d: d["metrics"].update(first=None), r"metrics names 'first', but may name last, best-test, best-val"),
        (lambda d: d["metrics"]["last"].pop("2class"), "last lacks '2class'"),
        (lambda d: d["metrics"]["last"]["4class"].pop("epoch"), r"metrics\.last\.4class lacks 'epoch'"),
        (lambda d: d["metrics"]["last"]["4class"].update(sp=float("nan")), "sp is nan"),
        (
            lambda d: d["metrics"]["last"]["4class"].update(sp=True),
            r"metrics\.last\.4class\.sp is True, but must be a number",
        ),
        (
            lambda d: d["metrics"]["last"]["4class"].update(confusion=[["a"]]),
            r"confusion\[0\]\[0\] is 'a', but must be a whole number",
        ),
        (
            lambda d: d["metrics"]["last"]["4class"].update(confusion=[[1, 2], [3, 4]]),
            r"confusion\[0\] is \[1, 2\], but must be a list of 4",
        ),
        (
            lambda d: d["metrics"]["last"]["4class"].update(n=61),
            r"metrics\.last\.4class\.n is 61, but its confusion matrix gives 60",
        ),
        (lambda d: d["predictions"].update(last=None), r"predictions\.last is None"),
        (
            lambda d: d["predictions"].update(last="../x.csv"),
            r"predictions\.last is '\.\./x\.csv', but must be the name of a file",
        ),
        (lambda d: d["predictions"].update(last="gone.csv"), "Cannot read .*gone.csv"),
        (lambda d: d["spec"].pop("seed"), "spec lacks 'seed'"),
        (lambda d: d["spec"].update(seed=True), r"spec\.seed is True, but must be a whole number"),
        (lambda d: d.update(created="yesterday"), "created is 'yesterday'"),
        (lambda d: d.update(created="2026-01-01T00:00:00"), "must be a UTC time"),
        (lambda d: d.update(epochs={}), r"epochs is {}, but must be a list"),
        (lambda d: d["epochs"].append(3), r"epochs\[2\] is 3, but must be an object"),
        (lambda d: d.update(best_above_min_se=[1]), "best_above_min_se is"),
        (lambda d: d.update(patients_on_both_sides="156"), r"patients_on_both_sides is '156', but must be a list"),
        (
            lambda d: d.update(patients_on_both_sides=["a", 156]),
            r"patients_on_both_sides\[1\] is 156, but must be a text",
        ),
        (lambda d: d.update(seconds=float("inf")), "seconds is inf"),
        (lambda d: d.update(schema=True), "schema is True"),
        (lambda d: d.update(schema=1.0), r"schema is 1\.0"),
        (lambda d: d.update(schema=-1), "schema is -1"),
        (lambda d: d.update(schema=None), "schema is None"),
        (lambda d: d.update(run_id="0" * 16), "run_id is '0000000000000000', but that of its spec is"),
        (lambda d: d["spec"].update(lr=1.0), "but that of its spec is"),
        (lambda d: d["spec"].update(partial="partial (1 of 920)"), "partial is None, but that of its spec is 'partial"),
        (lambda d: d["spec"].update(system=7), "system is 7"),
        (lambda d: d["spec"].update(epochs="many"), "epochs is 'many'"),
        (lambda d: d.update(study={"name": "s", "objective": "val", "role": "final", "space": []}), r"space is \[\]"),
        (lambda d: d.update(study=[]), r"study is \[\], but must be an object"),
        (lambda d: d.update(submission=5), "submission is 5"),
        (
            lambda d: d.update(best_above_min_se={"last": "yes"}),
            r"best_above_min_se\.last is 'yes', but must be true or false",
        ),
        (lambda d: d["epochs"][0].update(epoch=2), "epoch 2 stands twice"),
        (
            lambda d: d["metrics"]["last"]["4class"].update(epoch=2**31),
            r"epoch is 2147483648, but must be at most 2,147,483,647",
        ),
        (
            lambda d: d["metrics"]["last"]["4class"].update(confusion=[[2**62] * 4] * 4),
            r"confusion\[0\]\[0\] is 4611686018427387904, but must be at most",
        ),
        (
            lambda d: d["metrics"]["last"]["4class"].update(confusion=[[1.5] * 4] * 4),
            r"confusion\[0\]\[0\] is 1\.5, but must be a whole number",
        ),
        (
            lambda d: d["metrics"]["last"]["4class"].update(confusion=[[-1] * 4] * 4),
            r"confusion\[0\]\[0\] is -1, but must be at least 0",
        ),
        (lambda d: d.update(profile="x" * 41), "profile has 41 characters, but the board takes 40"),
        (lambda d: d.update(extra={"a": float("nan")}), "a is nan"),
        (lambda d: d["metrics"]["last"]["4class"]["confusion"][2].__setitem__(1, "7"), r"\.confusion\[2\]\[1\] is '7'"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[[2**30] * 4] * 4), "confusion has a sum above"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[[0] * 4] * 4), r"last\.4class\.confusion gives no"),
        (
            lambda d: d["metrics"]["last"].update({"8class": d["metrics"]["last"]["4class"]}),
            r"metrics\.last names '8class', but may name 4class, 2class",
        ),
        (lambda d: d["epochs"][1]["test"].pop("2class"), r"epochs\[1\]\.test lacks '2class'"),
        (lambda d: d["epochs"][1].update(losses=[1.0]), r"epochs\[1\]\.losses is \[1\.0\], but must be an object"),
        (lambda d: d["epochs"][1].update(losses={"ce": "1"}), r"losses\.ce is '1', but must be a number"),
        (
            lambda d: d["epochs"][1].update(losses={"<b>": 1.0}),
            r"losses is .*, but must be numbers by names of at most",
        ),
        (lambda d: d["epochs"][1].update(losses={f"l{n}": 1.0 for n in range(33)}), "must be at most 32 numbers"),
        (lambda d: d["epochs"][1].update(lr="0.1"), r"epochs\[1\]\.lr is '0\.1', but must be a number"),
        (lambda d: d["predictions"].update(first="a.csv"), "predictions names 'first', but may name last"),
        (lambda d: d.update(error=5), "error is 5, but must be a text"),
        (lambda d: d.update(seconds=None), "seconds is None, but must be a number"),
        (
            lambda d: d.update(kind="walk"),
            "kind is 'walk', but must be 'run', 'trial', .* or 'ensemble'",
        ),
        (lambda d: d.update(kind="submission"), "lacks 'submission'"),
        (lambda d: d.update(model="x") or d["spec"].update(model="x" * 201), r"spec\.model has 201 characters"),
        (lambda d: d.update(status="x" * 10_000), r"status is 'x{50,59}…, but must be"),
        (lambda d: d["spec"].update(seed=list(range(1000))), r"spec\.seed is a list of 1,000, but must be"),
    ],
)
def test_a_wrong_document_is_refused(tmp_path, change, word):
    folder = write_run(tmp_path)
    edit(folder, change)
    with pytest.raises(ResultError, match=word) as caught:
        RunFolder(folder).read()
    assert "\n" not in caught.value.message
    assert "pydantic" not in caught.value.message
    assert len(caught.value.message) < 500


def test_a_failed_run_may_have_lost_its_loss(tmp_path):
    result = document(spec(), failed="The loss is nan.")
    row = {"epoch": 1, "loss": None, "lr": 0.1, "seconds": 1.0, "cycles_per_second": 1.0, "test": None, "val": None}
    result["epochs"] = [row]
    assert validate(result, "here")["epochs"][0]["loss"] is None


def test_the_id_of_a_run_is_that_which_specs_have():
    from bench.experiment.spec import RunSpec

    names = ("model", "pretrain", "method", "frontend", "dataset", "data_fingerprint")
    options = {f"{owner}_options": {"é": 1e-5} for owner in ("model", "method", "frontend")}
    made = RunSpec.of(**dict.fromkeys(names, "x"), **options, frontend_version=1)
    assert run_id_of(json.loads(json.dumps(made.identity()))) == made.run_id


# --- bounds -----------------------------------------------------------------------------------------------------

MANY = 100_000
HOSTILE = {
    "rules": lambda d: d.update(metrics={str(number): 1 for number in range(MANY)}),
    "judged": lambda d: d["metrics"].update(last={str(number): 1 for number in range(MANY)}),
    "epochs": lambda d: d.update(epochs=[3] * MANY),
    "matrices": lambda d: d["metrics"]["last"]["4class"].update(confusion=[["a"] * 4] * MANY),
    "rows of a matrix": lambda d: d["metrics"]["last"]["4class"].update(confusion=[["a"] * MANY] * 4),
    "files": lambda d: d.update(predictions={str(number): 1 for number in range(MANY)}),
    "patients": lambda d: d.update(patients_on_both_sides=[1] * MANY),
    "flags": lambda d: d.update(best_above_min_se={str(number): 1 for number in range(MANY)}),
    "everything": lambda d: d.update(dict.fromkeys(d.keys() - {"schema"}, 1.5)),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_the_faults_of_a_hostile_document_are_not_collected(good, way):
    bad = copy.deepcopy(good)
    HOSTILE[way](bad)
    with pytest.raises(ValidationError) as caught:
        validation._form().validate_python(bad)
    assert caught.value.error_count() <= len(bad)
    with pytest.raises(ResultError) as refused:
        validate(bad, "here")
    assert len(refused.value.message) < 200


def test_nothing_beyond_the_bounds_of_documents_is_validated(tmp_path, monkeypatch):
    folder = write_run(tmp_path)
    monkeypatch.setattr(documents, "MOST_VALUES", 10)
    monkeypatch.setattr(run_folder, "validate", lambda document, where: pytest.fail("it was validated"))
    with pytest.raises(ResultError, match="more than 10 values"):
        RunFolder(folder).read()


def test_a_document_comes_through_as_it_is(good):
    text = json.dumps(good)
    assert validate(good, "here") is good
    assert json.dumps(good) == text


def test_whole_numbers_may_stand_for_decimal_ones(good):
    changed = {**good, "seconds": 12}
    assert validate(changed, "here")["seconds"] == 12


@pytest.mark.parametrize(
    ("places", "path"),
    [
        (("metrics", "last", "4class", "confusion", 2, 1), "metrics.last.4class.confusion[2][1]"),
        (("epochs", 0), "epochs[0]"),
        (("a\nb",), "a?b"),
    ],
)
def test_a_field_is_named_by_its_path(places, path):
    assert path_of(*places) == path
