from __future__ import annotations

import copy
import json

import pytest
from board_runs import write_run

from bench.core.documents import specs_judged_by
from bench.core.errors import ResultError
from leaderboard.results.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path)


def edit(folder, change):
    path = folder / "result.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_result_comes_back(folder):
    result = RunFolder(folder).read()
    assert result.document["status"] == "finished"
    assert set(result.scores) == {"last", "best-test"}
    assert len(result.cycles) == 60
    assert RunFolder(folder).read().digest == result.digest


def test_a_failed_run_needs_no_predictions(tmp_path):
    result = RunFolder(write_run(tmp_path, failed="The loss is nan at step 3.")).read()
    assert result.document["error"].startswith("The loss")
    assert result.cycles is None


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_predictions_that_were_edited_are_refused(folder, rule):
    path = folder / f"predictions-{rule}.csv"
    head, *lines = path.read_text().splitlines()
    all_normal = [",".join([*line.split(",")[:2], "1", "0", "0", "0"]) for line in lines]
    path.write_text("\n".join([head, *all_normal]) + "\n")
    with pytest.raises(
        ResultError, match=rf"metrics\.{rule}\.4class\.confusion is .* but its predictions give"
    ) as caught:
        RunFolder(folder).read()
    assert "--rerun" in caught.value.hint


def test_metrics_that_do_not_follow_from_their_matrix_are_refused(folder):
    edit(folder, lambda d: d["metrics"]["last"]["2class"].update(score=99.0))
    with pytest.raises(ResultError, match=r"metrics\.last\.2class\.score is 99\.0, but its confusion matrix gives"):
        RunFolder(folder).read()


def test_a_difference_within_rounding_is_accepted(folder):
    def change(d):
        d["metrics"]["last"]["4class"]["score"] += 5e-10

    before = RunFolder(folder).read().document["metrics"]["last"]["4class"]["score"]
    edit(folder, change)
    assert RunFolder(folder).read().document["metrics"]["last"]["4class"]["score"] == before + 5e-10


def test_an_epoch_that_does_not_add_up_is_named(folder):
    edit(folder, lambda d: d["epochs"][1]["test"]["4class"].update(se=1.0))
    with pytest.raises(ResultError, match=r"epochs\[1\]\.test\.4class\.se is 1\.0"):
        RunFolder(folder).read()


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_document_is_refused(folder, text):
    (folder / "result.json").write_text(text)
    with pytest.raises(ResultError, match=r"result\.json"):
        RunFolder(folder).read()


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"Cannot read .*result\.json"):
        RunFolder(tmp_path).read()


def test_a_document_that_would_be_refused_is_not_written(tmp_path):
    folder = write_run(tmp_path)
    good = json.loads((folder / "result.json").read_text())
    bad = copy.deepcopy(good)
    bad["metrics"]["last"]["4class"]["epoch"] = None
    with pytest.raises(ResultError):
        RunFolder(folder).write(bad)
    (folder / "predictions-last.csv").unlink()
    with pytest.raises(ResultError):
        RunFolder(folder).write(good)
    assert json.loads((folder / "result.json").read_text()) == good


def test_fields_that_this_version_does_not_know_are_kept(folder):
    edit(folder, lambda d: d.update(later={"a": [1, 2.5, "é", None]}))
    assert RunFolder(folder).read().document["later"] == {"a": [1, 2.5, "é", None]}


def test_a_result_that_says_icbhi_is_judged_on_its_patients(folder):
    path = folder / "test-cycles.csv"
    path.write_text(path.read_text().replace(",101,", ",501,"))
    with pytest.raises(ResultError, match="dataset is 'icbhi', but 1 of the judged patients are not of ICBHI"):
        RunFolder(folder).read()


def test_simulated_patients_are_those_of_the_simulated_set(tmp_path):
    folder = write_run(tmp_path, dataset="demo")
    path = folder / "test-cycles.csv"
    path.write_text(path.read_text().replace(",101,", ",501,"))
    assert RunFolder(folder).read().cycles.patients[0] == "501"


def test_the_judge_of_specs_is_asked_within_its_block_alone(folder):
    asked = []
    with specs_judged_by(asked.append):
        RunFolder(folder).read()
    RunFolder(folder).read()
    assert [identity["model"] for identity in asked] == ["ast"]
