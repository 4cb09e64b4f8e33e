"""Faults of results of runs, each made by editing an honest one."""

import copy
import json

import pytest
from board_runs import write_run

from bench.core.errors import ResultError
from leaderboard.audit import audit_file
from leaderboard.audit.printed import printed_cell


def never():
    raise AssertionError("the result of a run asks for no test cycles")


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path, dataset="demo")


@pytest.fixture
def result(folder):
    return json.loads((folder / "result.json").read_text())


def audited(tmp_path, document):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    return audit_file(path, never, {})


def kinds(audit):
    return [finding.kind for finding in audit.findings]


def sound(result):
    """The result with a best-test epoch that is the best: the made-up ones are numbered as they come."""
    best = max(result["epochs"], key=lambda row: row["test"]["4class"]["score"])
    result["metrics"]["best-test"] = {
        judged: {**values, "epoch": best["epoch"]} for judged, values in best["test"].items()
    }
    result["metrics"]["last"] = {
        judged: {**values, "epoch": 2} for judged, values in result["epochs"][1]["test"].items()
    }
    return result


def test_an_honest_result_has_its_numbers_and_no_fault(tmp_path, result):
    found = audited(tmp_path, sound(result))
    assert kinds(found) == []
    assert any("last: Sp" in fact for fact in found.facts)
    assert any("choosing the epoch on the test part adds" in fact for fact in found.facts)


def test_the_json_of_bench_run_is_read_too(tmp_path, result):
    contract = {name: value for name, value in sound(result).items() if name not in ("schema", "created", "provenance")}
    assert kinds(audited(tmp_path, [contract, {**contract, "run_id": "other", "spec": {"seed": 2}}])) == []


def changed(result, *path, value):
    place = copy.deepcopy(result)
    inner = place
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return place


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        (("metrics", "last", "4class", "se"), 99.0, "confusion-disagrees"),
        (("metrics", "last", "2class", "sp"), 99.0, "confusion-disagrees"),
        (("metrics", "last", "4class", "n"), 61, "class-counts"),
        (("metrics", "last", "4class", "epoch"), 1, "rule-contradicted"),
        (("spec", "dataset"), "icbhi", "class-counts"),
    ],
)
def test_an_edited_result_contradicts_itself(tmp_path, result, path, value, kind):
    assert kind in kinds(audited(tmp_path, changed(sound(result), *path, value=value)))


def test_an_edited_score_is_that_of_no_epoch(tmp_path, result):
    found = audited(tmp_path, changed(sound(result), "metrics", "last", "4class", "score", value=99.0))
    assert {"confusion-disagrees", "epoch-disagrees"} <= set(kinds(found))


def test_a_best_epoch_that_is_not_the_best(tmp_path, result):
    result = sound(result)
    worst = min(result["epochs"], key=lambda row: row["test"]["4class"]["score"])
    result["metrics"]["best-test"] = {
        judged: {**values, "epoch": worst["epoch"]} for judged, values in worst["test"].items()
    }
    assert "rule-contradicted" in kinds(audited(tmp_path, result))


def test_an_epoch_with_too_small_a_sensitivity_may_be_passed_over(tmp_path, result):
    result = sound(result)
    chosen = result["metrics"]["best-test"]["4class"]["epoch"]
    other = next(row for row in result["epochs"] if row["epoch"] != chosen)
    other["test"]["4class"].update(score=99.0, se=4.0)
    assert "rule-contradicted" not in kinds(audited(tmp_path, result))


@pytest.mark.parametrize(("least", "found"), [(5.0, []), (0.0, ["rule-contradicted"]), (None, [])])
def test_the_best_epoch_is_judged_by_the_bound_of_the_runs_own_spec(tmp_path, result, least, found):
    result = sound(result)
    spec = {name: value for name, value in result["spec"].items() if name != "best_min_se"}
    result["spec"] = spec if least is None else {**spec, "best_min_se": least}
    chosen = result["metrics"]["best-test"]["4class"]["epoch"]
    other = next(
        row for row in result["epochs"] if row["epoch"] not in (chosen, result["metrics"]["last"]["4class"]["epoch"])
    )
    other["test"]["4class"].update(score=99.0, se=4.0)
    assert kinds(audited(tmp_path, result)) == found


def test_two_seeds_with_one_confusion_matrix(tmp_path, result):
    other = changed(sound(result), "spec", "seed", value=2)
    assert kinds(audited(tmp_path, [result, {**other, "run_id": "other"}])) == ["repeated-run"]


def test_a_run_folder_is_recomputed(folder, tmp_path):
    found = audit_file(folder, never, {})
    assert "predictions-disagree" not in kinds(found)
    assert "The numbers are those of the predictions in the run folder." in found.facts
    predictions = folder / "predictions-last.csv"
    lines = predictions.read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:2], "9", "9", "9", "10"])
    predictions.write_text("\n".join(lines) + "\n")
    found = audit_file(folder / "result.json", never, {})
    assert "predictions-disagree" in kinds(found)


@pytest.mark.parametrize("metrics", [{"last": []}, {"last": {"4class": 1}}, {"last": {"4class": {}, "2class": {}}}])
def test_metrics_of_another_form_are_refused(tmp_path, result, metrics):
    with pytest.raises(ResultError, match="another form"):
        audited(tmp_path, {**result, "metrics": metrics})


def test_a_failed_run_has_no_numbers(tmp_path, result):
    found = audited(tmp_path, {**result, "status": "failed", "metrics": {"last": None}, "epochs": []})
    assert kinds(found) == []
    assert any("it is failed" in reason for reason in found.unchecked)


def claimed(tmp_path, documents, rule, **rates):
    path = tmp_path / "runs.json"
    path.write_text(json.dumps(documents))
    metrics = [document["metrics"][rule]["4class"] for document in documents]
    means = {
        rate: sum(m[rate] for m in metrics) / len(metrics) + rates.get(rate, 0.0) for rate in ("sp", "se", "score")
    }
    return audit_file(path, never, {rate: printed_cell(f"{value:.4f}")[0] for rate, value in means.items()})


def test_a_claim_of_several_runs_is_their_mean(tmp_path, result):
    other = json.loads((write_run(tmp_path, dataset="demo", seed=2) / "result.json").read_text())
    runs = [sound(result), sound(other)]
    assert kinds(claimed(tmp_path, runs, "last")) == []
    assert set(kinds(claimed(tmp_path, runs, "last", se=1.0, score=0.5))) == {"unexplained-claim"}


def test_a_claim_whose_epoch_the_test_part_chose(tmp_path, result):
    first, second = result["epochs"]
    result["epochs"] = [{**second, "epoch": 1}, {**first, "epoch": 2}]  # The better one comes before the last.
    found = claimed(tmp_path, [sound(result)], "best-test")
    assert set(kinds(found)) == {"chosen-on-test"}
    assert "the test part chose the epoch" in found.findings[0].sentence
    assert kinds(claimed(tmp_path, [result], "last")) == []


def test_a_claim_needs_numbers(tmp_path, result):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**result, "status": "failed", "metrics": {"last": None}}))
    with pytest.raises(ResultError, match="No run has numbers"):
        audit_file(path, never, {"sp": printed_cell("80.00")[0]})
