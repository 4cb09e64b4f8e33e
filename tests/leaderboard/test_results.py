from __future__ import annotations

import copy
import json

import pytest
from board_runs import document, spec, write_run

from bench.core.documents import specs_judged_by
from bench.core.errors import ResultError
from leaderboard.results.run_folder import read_result, validate, write_result
from leaderboard.results.schema import run_id_of


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path)


def edit(folder, change):
    path = folder / "result.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_result_comes_back(folder):
    result = read_result(folder)
    assert result.document["status"] == "finished"
    assert set(result.scores) == {"last", "best-test"}
    assert len(result.cycles) == 60
    assert read_result(folder).digest == result.digest


def test_a_failed_run_needs_no_predictions(tmp_path):
    result = read_result(write_run(tmp_path, failed="The loss is nan at step 3."))
    assert result.document["error"].startswith("The loss")
    assert result.cycles is None


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_predictions_that_were_edited_are_refused(folder, rule):
    path = folder / f"predictions-{rule}.csv"
    head, *lines = path.read_text().splitlines()
    all_normal = [",".join([*line.split(",")[:2], "1", "0", "0", "0"]) for line in lines]
    path.write_text("\n".join([head, *all_normal]) + "\n")
    with pytest.raises(ResultError, match=f"{rule} 4class stores confusion .* but its predictions give") as caught:
        read_result(folder)
    assert "--rerun" in caught.value.hint


def test_metrics_that_do_not_follow_from_their_matrix_are_refused(folder):
    edit(folder, lambda d: d["metrics"]["last"]["2class"].update(score=99.0))
    with pytest.raises(ResultError, match=r"last 2class stores score 99\.0, but its confusion matrix gives"):
        read_result(folder)


def test_a_difference_within_rounding_is_accepted(folder):
    def change(d):
        d["metrics"]["last"]["4class"]["score"] += 5e-10

    before = read_result(folder).document["metrics"]["last"]["4class"]["score"]
    edit(folder, change)
    assert read_result(folder).document["metrics"]["last"]["4class"]["score"] == before + 5e-10


def test_an_epoch_that_does_not_add_up_is_named(folder):
    edit(folder, lambda d: d["epochs"][1]["test"]["4class"].update(se=1.0))
    with pytest.raises(ResultError, match=r"entry 2 of epochs: test 4class stores se 1\.0"):
        read_result(folder)


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
        (lambda d: d["metrics"].update(first=None), "names the rule 'first'"),
        (lambda d: d["metrics"]["last"].pop("2class"), "last lacks '2class'"),
        (lambda d: d["metrics"]["last"]["4class"].pop("epoch"), "last 4class lacks 'epoch'"),
        (lambda d: d["metrics"]["last"]["4class"].update(sp=float("nan")), "sp is nan"),
        (lambda d: d["metrics"]["last"]["4class"].update(sp=True), "sp is True"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[["a"]]), "4 x 4 counts"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[[1, 2], [3]]), "4 x 4 counts"),
        (lambda d: d["metrics"]["last"]["4class"].update(n=61), "stores n 61"),
        (lambda d: d["predictions"].update(last=None), "predictions of last is None"),
        (lambda d: d["predictions"].update(last="../x.csv"), "predictions of last is '../x.csv'"),
        (lambda d: d["predictions"].update(last="gone.csv"), "Cannot read .*gone.csv"),
        (lambda d: d["spec"].pop("seed"), "spec lacks 'seed'"),
        (lambda d: d["spec"].update(seed=True), "seed is True"),
        (lambda d: d.update(created="yesterday"), "created is 'yesterday'"),
        (lambda d: d.update(created="2026-01-01T00:00:00"), "must be a UTC time"),
        (lambda d: d.update(epochs={}), "epochs is {}, but must be list"),
        (lambda d: d["epochs"].append(3), "entry 3 of epochs is 3"),
        (lambda d: d.update(best_above_min_se=[1]), "best_above_min_se is"),
        (lambda d: d.update(patients_on_both_sides="156"), "patients_on_both_sides is '156', but must list patients"),
        (lambda d: d.update(patients_on_both_sides=[156]), "must list patients"),
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
        (lambda d: d.update(best_above_min_se={"last": "yes"}), "last is 'yes'"),
        (lambda d: d["epochs"][0].update(epoch=2), "epoch 2 stands twice"),
        (lambda d: d["metrics"]["last"]["4class"].update(epoch=2**31), "epoch is 2147483648, but must be from 1"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[[2**62] * 4] * 4), "4 x 4 counts"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[[1.5] * 4] * 4), "4 x 4 counts"),
        (lambda d: d["metrics"]["last"]["4class"].update(confusion=[[-1] * 4] * 4), "4 x 4 counts"),
        (lambda d: d.update(profile="x" * 41), "profile has 41 characters, but the board takes 40"),
        (lambda d: d.update(extra={"a": float("nan")}), "a is nan"),
    ],
)
def test_a_wrong_document_is_refused(folder, change, word):
    edit(folder, change)
    with pytest.raises(ResultError, match=word):
        read_result(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_document_is_refused(folder, text):
    (folder / "result.json").write_text(text)
    with pytest.raises(ResultError, match=r"result\.json"):
        read_result(folder)


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"Cannot read .*result\.json"):
        read_result(tmp_path)


def test_a_document_that_would_be_refused_is_not_written(tmp_path):
    folder = write_run(tmp_path)
    good = json.loads((folder / "result.json").read_text())
    bad = copy.deepcopy(good)
    bad["metrics"]["last"]["4class"]["epoch"] = None
    with pytest.raises(ResultError):
        write_result(folder, bad)
    (folder / "predictions-last.csv").unlink()
    with pytest.raises(ResultError):
        write_result(folder, good)
    assert json.loads((folder / "result.json").read_text()) == good


def test_a_failed_run_may_have_lost_its_loss(tmp_path):
    result = document(spec(), failed="The loss is nan.")
    row = {"epoch": 1, "loss": None, "lr": 0.1, "seconds": 1.0, "cycles_per_second": 1.0, "test": None, "val": None}
    result["epochs"] = [row]
    assert validate(result, "here")["epochs"][0]["loss"] is None


def test_fields_that_this_version_does_not_know_are_kept(folder):
    edit(folder, lambda d: d.update(later={"a": [1, 2.5, "é", None]}))
    assert read_result(folder).document["later"] == {"a": [1, 2.5, "é", None]}


def test_a_result_that_says_icbhi_is_judged_on_its_patients(folder):
    path = folder / "test-cycles.csv"
    path.write_text(path.read_text().replace(",101,", ",501,"))
    with pytest.raises(ResultError, match="dataset is 'icbhi', but 1 of the judged patients are not of ICBHI"):
        read_result(folder)


def test_simulated_patients_are_those_of_the_simulated_set(tmp_path):
    folder = write_run(tmp_path, dataset="demo")
    path = folder / "test-cycles.csv"
    path.write_text(path.read_text().replace(",101,", ",501,"))
    assert read_result(folder).cycles.patients[0] == "501"


def test_the_judge_of_specs_is_asked_within_its_block_alone(folder):
    asked = []
    with specs_judged_by(asked.append):
        read_result(folder)
    read_result(folder)
    assert [identity["model"] for identity in asked] == ["ast"]


def test_the_id_of_a_run_is_that_which_specs_have():
    from bench.experiment.spec import RunSpec

    names = ("model", "pretrain", "method", "frontend", "dataset", "data_fingerprint")
    options = {f"{owner}_options": {"é": 1e-5} for owner in ("model", "method", "frontend")}
    made = RunSpec(**dict.fromkeys(names, "x"), **options, frontend_version=1)
    assert run_id_of(json.loads(json.dumps(made.identity()))) == made.run_id
