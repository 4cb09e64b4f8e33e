"""``bench evaluate`` and ``bench report transfer``: train here, judge there, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from children_sets import write_children
from small_runs import small_run


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    return write_children(tmp_path_factory.mktemp("children"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(small_data, small_cache, home):
    return small_run(small_data, small_cache, home)


@pytest.fixture
def evaluate(bench, run, children, small_cache, home, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")

    def called(*words, code=0):
        place = ("--data", children, "--cache", small_cache, "--home", home, "--device", "cpu", "--allow-partial")
        return bench("evaluate", run.id[:8], *words, *place, code=code)

    return called


def test_a_run_is_judged_elsewhere_and_shown(evaluate, bench, run, home):
    said = evaluate("--dataset", "sprsound", "--task", "event-2")
    assert "is kept in" in said.err
    for word in ("simulated data", "SPRSound 2022", "event-2", "inter-patient", "intra-patient", "ast + patchmix-cl"):
        assert word in said.out
    assert "was made before" in evaluate("--dataset", "sprsound", "--task", "event-2").err
    found = json.loads(evaluate("--dataset", "sprsound", "--task", "event-2", "--format", "json").out)
    assert (found["kind"], found["run_id"], found["left_out"]) == ("transfer", run.id, 0)
    table = json.loads(bench("report", "transfer", "--home", home, "--format", "json").out)
    rows = {row["part"]: row for row in table["sections"][0]["rows"]}
    assert rows["inter"]["score"] == found["metrics"]["inter"]["score"]
    assert not table["sections"][0]["ranked"]


def test_what_cannot_be_judged_is_told_in_a_sentence(evaluate):
    assert "Name another data set" in evaluate(code=2).err
    assert "did you mean 'event-2'" in evaluate("--dataset", "sprsound", "--task", "evnt-2", code=2).err


def test_no_transfer_is_said(bench, tmp_path):
    said = bench("report", "transfer", "--home", tmp_path)
    assert "`bench evaluate RUN --dataset ID` does that" in said.err


def test_the_audit_of_a_transfer(evaluate, bench, home):
    folder = json.loads(evaluate("--dataset", "sprsound", "--task", "record-3", "--format", "json").out)["folder"]
    sound = bench("audit", folder, "--home", home).out
    assert "a run judged on another task: nothing wrong was found" in sound
    path = Path(folder) / "predictions.csv"
    text = path.read_text()
    path.write_text(text.replace("normal,abnormal", "abnormal,normal"))
    try:
        assert "1 thing is wrong" in bench("audit", folder, "--home", home, code=1).out
    finally:
        path.write_text(text)
