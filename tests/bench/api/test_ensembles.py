"""Ensembles of finished runs: their numbers, their ids, their place on the board, and what is refused."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

import bench
from bench.core.errors import BenchError, ResultError, SpecError
from leaderboard.audit import audit_file
from leaderboard.history.changes import retract
from leaderboard.metrics import score_cycles
from leaderboard.results.bundle_merging import import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.predictions import read_cycles, read_predictions, write_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.validation import combined_id, run_id_of, validate
from leaderboard.site.data import read_site_data
from leaderboard.site.values import page_values
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table
from tests.support.board_runs import cycle_set, write_run


@pytest.fixture
def home(tmp_path):
    """A results folder with three seeds of a system that give probabilities."""
    for seed in (1, 2, 3):
        add_run(tmp_path, seed=seed)
    return tmp_path


def add_run(home, *, on_board=True, **fields):
    folder = write_run(home, **fields)
    as_probabilities(folder)
    if on_board:
        Store.open(home).import_run(folder)
    return folder


def as_probabilities(folder):
    """Make a run's scores probabilities, which leaves its chosen classes and its numbers as they are."""
    for path in folder.glob("predictions-*.csv"):
        found = read_predictions(path)
        raised = np.exp(found.scores)
        write_predictions(path, found.keys, raised / raised.sum(axis=1, keepdims=True))


def run_ids(home):
    return [path.name for path in sorted((home / "runs").iterdir())]


def test_an_ensembles_numbers_are_those_of_its_parts_scores(home):
    ids = run_ids(home)
    made = bench.ensemble(ids, "product", home=home)
    cycles = read_cycles(home / "runs" / ids[0] / "test-cycles.csv")
    parts = [read_predictions(home / "runs" / one / "predictions-last.csv").scores for one in ids]
    for row in range(len(cycles)):
        products = [math.prod(float(part[row, label]) for part in parts) for label in range(4)]
        combined = made._result.scores["last"][row]
        assert combined.tolist() == pytest.approx([value / sum(products) for value in products], rel=1e-9)
    metrics = score_cycles(cycles.labels, made._result.scores["last"])
    assert made.metrics["last"]["4class"] == {**metrics["4class"], "epoch": None}
    assert made.metrics["best-val"] is None
    assert RunFolder.of_run(home, made.id).read().document["parts"] == made.document["parts"]


def test_an_ensemble_is_the_same_in_any_order_and_made_once(home):
    ids = run_ids(home)
    first = bench.ensemble(ids, home=home)
    again = bench.ensemble([ids[2][:6], home / "runs" / ids[0], ids[1]], home=home)
    assert first.new
    assert not again.new
    assert (again.id, again.document) == (first.id, first.document)
    assert bench.ensemble(ids, "max", home=home).id != first.id
    assert bench.ensemble(ids[:2], home=home).id != first.id


def test_an_ensemble_follows_a_part_that_was_run_again(home):
    ids = run_ids(home)
    first = bench.ensemble(ids, home=home)
    again = write_run(home, seed=1, salt=7)
    as_probabilities(again)
    renewed = bench.ensemble(ids, home=home)
    assert renewed.id == first.id
    assert renewed.new
    assert renewed.metrics != first.metrics


def test_it_is_listed_as_an_ensemble(home):
    ids = run_ids(home)
    made = bench.ensemble(ids, home=home)
    [row] = [row for row in leaderboard_table(Store.open(home)).sections[0].rows if row["kind"] == "ensemble"]
    assert row["run_ids"] == [made.id]
    assert row["inputs"]["ensemble"] == 3
    assert (row["inputs"]["metadata"], row["inputs"]["thresholds"]) == (False, "none")
    assert "ensemble" in [mark["mark"] for mark in row["marks"]]
    board = bench.open_board(home)
    for form in ("table", "markdown", "latex", "csv", "json"):
        assert "ensemble" in board.table("leaderboard").written(form)
    assert made.document["spec"]["model"] == "3 × ast + patchmix-cl"
    assert bench.ensemble(ids[:2], name="two seeds", home=home).document["spec"]["model"] == "two seeds"


def test_the_page_shows_it_with_its_mark_and_its_parts(home):
    made = bench.ensemble(run_ids(home), "max", name="all three", home=home)
    page = page_values(read_site_data(Store.open(home)))
    [place] = [place for place, system in enumerate(page["systems"]) if system["kind"] == "ensemble"]
    assert page["systems"][place]["title"] == "all three (ensemble: max)"
    assert page["systems"][place]["inputs"] == "ensemble: 3"
    assert "ensemble" in json.dumps(page["byRule"]["last"][place])
    [run] = [run for run in page["runs"] if run["id"] == made.id]
    assert "command" not in run
    shown = dict(page["facts"][number] for number in run["facts"])
    assert {f"parts.{run_id}" for run_id in made.parts} <= shown.keys()


def test_an_ensemble_may_hold_another_one(home):
    ids = run_ids(home)[:3]
    two = bench.ensemble(ids[:2], home=home)
    three = bench.ensemble([two.id, ids[2]], home=home)
    assert three.document["inputs"]["ensemble"] == 3
    assert three.document["spec"]["model"] == "2 × ast + patchmix-cl, ast + patchmix-cl"
    assert three.parts.keys() == {two.id, ids[2]}


def test_nothing_is_stored_by_a_dry_run(home):
    before = run_ids(home)
    made = bench.ensemble(before, home=home, dry_run=True)
    assert run_ids(home) == before
    with pytest.raises(ResultError, match="There is no run"):
        Store.open(home).run(made.id)


def test_it_travels_in_a_bundle_and_survives_a_rebuild(home, tmp_path_factory):
    made = bench.ensemble(run_ids(home), home=home)
    other = tmp_path_factory.mktemp("other")
    bundle = other / "runs.zip"
    (other / "home").mkdir()
    export_bundle(Store.open(home), bundle)
    import_bundle(bundle, other / "home", Store.open(other / "home"))
    there = leaderboard_table(Store.open(other / "home")).to_json()
    assert json.dumps(there) == json.dumps(leaderboard_table(Store.open(home)).to_json())
    shutil.rmtree(other / "home" / "runs" / run_ids(home)[0])
    assert made.id in rebuild(home).imported
    assert Store.open(home).run(made.id) == Store.open(other / "home").run(made.id)


def test_the_audit_combines_the_parts_again(home):
    made = bench.ensemble(run_ids(home), home=home)
    sound = audit_file(made.folder, None, {}, "4class")
    assert "parts-disagree" not in [finding.kind for finding in sound.findings]
    assert "Its predictions are those of its 3 parts, combined again." in sound.facts
    for path in made.folder.glob("predictions-*.csv"):
        found = read_predictions(path)
        # Other scores with the same chosen classes: the numbers do not move, the predictions do.
        write_predictions(path, found.keys, np.sqrt(found.scores))
    assert "under last" in disagreement(made.folder)


def disagreement(folder):
    """What the audit of a combined result says of its parts."""
    findings = audit_file(folder, None, {}, "4class").findings
    return " ".join(finding.sentence for finding in findings if finding.kind == "parts-disagree")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("data_fingerprint", "e" * 64, "its spec says data_fingerprint 'eee"),
        ("seed", 99, "its spec says seed 99, but its parts give 1"),
        ("precision", "bf16", "its spec says precision 'bf16', but its parts give 'fp32'"),
        ("more", 1, "its spec says more 1, but its parts give None"),
    ],
)
def test_the_audit_compares_what_an_ensemble_says_of_itself(home, field, value, sentence):
    made = bench.ensemble(run_ids(home), home=home)
    made.document["spec"][field] = value
    (made.folder / "result.json").write_text(json.dumps(made.document))
    assert sentence in disagreement(made.folder)


def test_the_audit_compares_the_systems_of_the_parts(home):
    made = bench.ensemble(run_ids(home), home=home)
    made.document["spec"]["parts"] = dict.fromkeys(made.parts, "0" * 64)
    (made.folder / "result.json").write_text(json.dumps(made.document))
    assert f"its spec says parts.{sorted(made.parts)[0]} '000" in disagreement(made.folder)


def edited(made, change):
    """The sentence with which the result of an ensemble is refused after a change; its id is made to fit again."""
    document = json.loads((made.folder / "result.json").read_text())
    change(document)
    document["run_id"] = combined_id(document["kind"], document["spec"]["combine"], document["parts"])
    with pytest.raises(ResultError) as caught:
        validate(document, "here")
    return caught.value.message


def spec_of(**fields):
    return lambda document: document["spec"].update(fields)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (spec_of(combine="vote", method="vote"), "spec.combine is 'vote', but must be mean or product or max."),
        (spec_of(combine="route:device", method="route:device"), "spec.combine is 'route:device', but must be mean"),
        (spec_of(method="patchmix-cl"), "spec.method is 'patchmix-cl', but spec.combine is 'mean'."),
        (spec_of(route={}), "spec.route is {}, but the parts serve"),
        (lambda d: d["inputs"].update(ensemble=1), "inputs.ensemble is 1, but 3 parts are combined."),
        (lambda d: d.pop("inputs"), "inputs.ensemble is None, but 3 parts are combined."),
        (lambda d: d["parts"][0].update(device="Meditron"), "parts[0] serves 'Meditron', but spec.combine is 'mean'."),
        (lambda d: d["parts"][0].update(run_id=d["parts"][1]["run_id"]), "parts names a run twice."),
        (lambda d: d["parts"][0].update(run_id="0" * 16), "must be its run_id in an ensemble."),
    ],
)
def test_a_document_that_contradicts_its_combination_is_refused(home, change, sentence):
    made = bench.ensemble(run_ids(home), home=home)
    assert sentence in edited(made, change)


def test_an_ensemble_cannot_pose_as_a_run(home):
    document = dict(bench.ensemble(run_ids(home), home=home).document)
    del document["kind"]
    with pytest.raises(ResultError, match="parts names 3, but kind is 'run'"):
        validate(document, "here")
    # Without a trace of its parts, and with the id that its spec would give a run.
    del document["parts"], document["inputs"]
    with pytest.raises(ResultError, match="epoch is None, but must be a whole number for a run"):
        validate({**document, "run_id": run_id_of(document["spec"])}, "here")


# --- marks ------------------------------------------------------------------------------------------------------


def marks(home):
    """The marks of the ensemble on a board: their sentences by word."""
    rows = [row for section in leaderboard_table(Store.open(home)).sections for row in section.rows]
    [row] = [row for row in rows if row["kind"] == "ensemble"]
    return {mark["mark"]: mark["sentence"] for mark in row["marks"]}


def test_an_honest_ensemble_has_no_other_mark(home):
    bench.ensemble(run_ids(home), home=home)
    assert "ensemble" in marks(home)
    assert not {"other parts", "retracted part", "absent part"} & marks(home).keys()


def test_an_ensemble_whose_part_was_retracted_is_marked_wherever_it_is_shown(home):
    one = run_ids(home)[0]
    bench.ensemble(run_ids(home), home=home)
    retract(home, Store.open(home), one, "wrong data", None)
    assert marks(home)["retracted part"] == f"Retracted: {one}."
    for form in ("markdown", "latex", "csv", "json"):
        assert "retracted part" in bench.open_board(home).table("leaderboard").written(form)
    assert "retracted part" in json.dumps(page_values(read_site_data(Store.open(home)))["byRule"]["last"])


def test_an_ensemble_without_its_parts_is_marked(home, tmp_path_factory):
    ids = run_ids(home)
    made = bench.ensemble(ids, home=home)
    other = tmp_path_factory.mktemp("without")
    export_bundle(Store.open(home), other / "one.zip", [made.id])
    (other / "home").mkdir()
    import_bundle(other / "one.zip", other / "home", Store.open(other / "home"))
    assert marks(other / "home")["absent part"] == f"Not on this board: {', '.join(ids)}."


def test_an_ensemble_whose_part_was_run_again_is_marked_until_it_is_made_anew(home):
    ids = run_ids(home)
    bench.ensemble(ids, home=home)
    as_probabilities(write_run(home, seed=1, salt=7))
    rebuild(home)
    assert "are not those that its parts give" in marks(home)["other parts"]
    bench.ensemble(ids, home=home)
    assert "other parts" not in marks(home)


# --- what is refused --------------------------------------------------------------------------------------------


def refused(home, *words, combine="mean"):
    """The sentence with which an ensemble is refused; nothing of it is left."""
    before = run_ids(home)
    with pytest.raises(BenchError) as caught:
        bench.ensemble(words, combine, home=home)
    assert run_ids(home) == before
    return caught.value.message


def test_fewer_than_two_runs_are_none(home):
    assert refused(home, run_ids(home)[0]) == "An ensemble needs two runs or more, but 1 is named."


def test_a_run_counts_once(home):
    one = run_ids(home)[0]
    assert refused(home, one, one[:8]) == f"The run {one} is named twice."


def test_a_run_counts_once_also_within_an_ensemble(home):
    one, two, three = run_ids(home)
    both, others = bench.ensemble([one, two], home=home), bench.ensemble([two, three], home=home)
    assert refused(home, both.id, one) == f"The run {one} would count twice, as a part of {both.id} and of {one}."
    assert f"The run {two} would count twice" in refused(home, both.id, others.id)
    assert bench.ensemble([both.id, three], home=home).document["inputs"]["ensemble"] == 3


def test_a_retracted_run_is_refused_also_by_its_folder_and_within_an_ensemble(home):
    one, two, three = run_ids(home)
    both = bench.ensemble([one, two], home=home)
    retract(home, Store.open(home), one, "wrong data", None)
    for word in (str(home / "runs" / one), both.id):
        assert refused(home, word, three) == f"The run {one} was retracted: wrong data."


def test_another_name_for_the_same_ensemble_is_said_not_to_count(home, caplog):
    ids = run_ids(home)
    first = bench.ensemble(ids, name="mine", home=home)
    with caplog.at_level("WARNING", "bench"):
        assert bench.ensemble(ids, name="yours", home=home).document["spec"]["model"] == "mine"
    assert f"ensemble {first.id} is there already and keeps its name, mine" in caplog.messages


def test_a_missing_run_is_named(home):
    assert "There is no run 'zzzz'" in refused(home, run_ids(home)[0], "zzzz")


def test_a_folder_without_a_result_is_no_run(home, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no result" in refused(home, run_ids(home)[0], str(tmp_path / "empty"))


def test_a_run_under_way_has_no_result(home):
    (home / "runs" / ("f" * 16)).mkdir()
    assert "it is running, or was stopped" in refused(home, run_ids(home)[0], "f" * 16)


def test_a_failed_run_is_none(home):
    failed = write_run(home, seed=9, failed="the loss is not finite")
    Store.open(home).import_run(failed)
    told = refused(home, run_ids(home)[0], failed.name)
    assert told == f"The run {failed.name} has not finished: its status is 'failed' (the loss is not finite)."


def test_a_trial_is_none(home):
    study = {"name": "mine", "objective": "val", "role": "trial"}
    trial = add_run(home, seed=8, result={"kind": "trial", "study": study})
    assert f"The run {trial.name} is a trial of the study 'mine'" in refused(home, trial.name, run_ids(home)[0])


def test_other_judged_cycles_are_refused(home):
    cycles = cycle_set(48)
    other = add_run(home, seed=7, cycles=cycles)
    told = refused(home, next(one for one in run_ids(home) if one != other.name), other.name)
    assert "were judged on different cycles (60 and 48): 12 and 0 are theirs alone." in told


@pytest.mark.parametrize(
    ("field", "value"), [("data_fingerprint", "e" * 64), ("split", "training-fold-1-of-5"), ("dataset", "demo")]
)
def test_other_data_are_refused(home, field, value):
    other = add_run(home, seed=6, **{field: value})
    told = refused(home, next(one for one in run_ids(home) if one != other.name), other.name)
    assert f"are of different data: {field} is " in told


def test_damaged_predictions_are_refused(home):
    one, two, _ = run_ids(home)
    path = home / "runs" / one / "predictions-last.csv"
    path.write_text(path.read_text().replace("crackle", "crackles", 1))
    assert "predictions-last.csv:1: the header is" in refused(home, one, two)


def test_other_classes_are_refused(home):
    one, two, _ = run_ids(home)
    path = home / "runs" / one / "predictions-last.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(",".join(line.split(",")[:-1]) for line in lines) + "\n")
    assert "both is missing" in refused(home, one, two)


def test_a_rule_that_not_all_runs_have_is_left_out(home):
    other = add_run(home, seed=5, rules=("last",))
    made = bench.ensemble([other.name, next(one for one in run_ids(home) if one != other.name)], home=home)
    assert [rule for rule, found in made.metrics.items() if found] == ["last"]


def test_an_unknown_combination_and_a_bad_name_are_refused(home):
    assert "Unknown combination 'vote'" in refused(home, *run_ids(home), combine="vote")
    with pytest.raises(ResultError, match="--name must be one line"):
        bench.ensemble(run_ids(home), name="two\nlines", home=home)
    with pytest.raises(SpecError):
        bench.ensemble(run_ids(home), "route:device", home=home)
