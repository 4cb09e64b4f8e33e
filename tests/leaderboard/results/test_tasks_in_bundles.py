"""Bundles, submissions and combinations of tasks with other classes and several tested parts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from board_runs import write_run
from plugin_files import fresh_registries
from task_runs import FIVE, NOISES, THREE, cycles_of, official_part, scores_of, write_task_run

from bench.core.datasets import DATASETS
from bench.core.errors import ResultError
from leaderboard.history.keys import make_key
from leaderboard.metrics import score_cycles
from leaderboard.results.bundle_merging import import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.combinations import pool
from leaderboard.results.composites import (
    Combination,
    FinishedPart,
    combined_result,
    recombined_difference,
    store_combined,
)
from leaderboard.results.official_part import part_metrics
from leaderboard.results.predictions import write_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.submission_checks import RefusedError
from leaderboard.results.submissions import Statement, submit
from leaderboard.store.result_rows import system_hash
from leaderboard.store.store import Store

STATED = Statement(system="a CRNN", selection="last", epoch=7)
OTHER_LAW = replace(FIVE, score="mean")


@pytest.fixture
def registered():
    """The data set of the tests, as a plug-in has it."""
    with fresh_registries():
        DATASETS.add(NOISES.id, NOISES, "nowhere:Reader", version="1")
        yield


def board_of(home, *folders):
    store = Store.open(home)
    for folder in folders:
        store.import_run(folder)
    return store


# --- bundles ----------------------------------------------------------------------------------------------------


def test_runs_of_any_task_travel_in_a_bundle(tmp_path):
    there = tmp_path / "there"
    store = board_of(there, write_task_run(there), write_task_run(there, task=THREE), write_run(there))
    bundle = export_bundle(store, tmp_path / "b.zip").path
    here = Store.open(tmp_path / "here")
    merged = import_bundle(bundle, tmp_path / "here", here)
    assert (len(merged.new), merged.conflicts) == (3, ())
    assert here.digests() == store.digests()
    assert [here.run(name) for name in merged.new] == [store.run(name) for name in merged.new]
    assert here.runs() == store.runs()
    assert import_bundle(bundle, tmp_path / "here", here).same == merged.new


@pytest.mark.parametrize("replaced", [False, True])
def test_a_run_that_means_another_task_by_the_same_name_is_not_taken(tmp_path, replaced):
    """Nobody here has the data set, so that two programs may call two tasks by one name."""
    there, home = tmp_path / "there", tmp_path / "here"
    stranger = write_task_run(there, task=OTHER_LAW, seed=2)
    bundle = export_bundle(board_of(there, stranger, write_run(there)), tmp_path / "b.zip").path
    here = board_of(home, write_task_run(home, seed=1))
    merged = import_bundle(bundle, home, here, replace=replaced)
    assert [conflict.run_id for conflict in merged.conflicts] == [stranger.name]
    assert (
        "it means another thing by the task 'noise-5' of 'noises' than runs that are here" in merged.conflicts[0].reason
    )
    assert len(merged.new) == 1
    assert not (home / "runs" / stranger.name).exists()


def test_of_two_meanings_in_one_bundle_one_is_taken(tmp_path):
    there = tmp_path / "there"
    store = board_of(there, write_task_run(there, seed=1), write_task_run(there, task=OTHER_LAW, seed=2))
    bundle = export_bundle(store, tmp_path / "b.zip").path
    merged = import_bundle(bundle, tmp_path / "here", Store.open(tmp_path / "here"))
    assert (len(merged.new), len(merged.conflicts)) == (1, 1)


def test_a_conflict_tells_the_score_of_any_task(tmp_path):
    there, home = tmp_path / "there", tmp_path / "here"
    bundle = export_bundle(board_of(there, write_task_run(there, salt=1)), tmp_path / "b.zip").path
    store = board_of(home, write_task_run(home))
    score = store.runs()[0].metrics["last"]["5class"]["score"]
    (conflict,) = import_bundle(bundle, home, store).conflicts
    assert f"the board holds another result, finished, 2026-01-02 10:00, last {score:.2f}" in conflict.reason


# --- submissions ------------------------------------------------------------------------------------------------


def write_answers(path, task=FIVE, seed=3):
    cycles = cycles_of(task)
    scores = scores_of(cycles, len(task.classes), seed)
    write_predictions(path, cycles.keys[::-1], scores[::-1], task.classes)
    return path, cycles, scores


def test_the_parts_of_a_task_are_judged_apart(tmp_path):
    part = official_part()
    cycles, scores = part.cycles, scores_of(part.cycles, 5, 3)
    found = part_metrics(part, scores)
    assert list(found) == ["inter", "inter-patient-disjoint", "intra"]
    for name, keep in (
        ("inter", lambda i: cycles.parts[i] == "inter"),
        ("inter-patient-disjoint", lambda i: cycles.parts[i] == "inter" and cycles.patients[i] in ("101", "102")),
        ("intra", lambda i: cycles.parts[i] == "intra"),
    ):
        rows = [i for i in range(len(cycles)) if keep(i)]
        assert 0 < len(rows) < len(cycles)
        assert found[name] == score_cycles([cycles.labels[i] for i in rows], scores[rows], FIVE)
    assert part.shared_patients == {"104"}, "patients of the part that is of known ones do not count"


def test_a_part_left_without_an_abnormal_cycle_is_not_judged_without_the_patients():
    """Cycles of poor quality are neither normal nor abnormal."""
    part = official_part()
    labels = tuple(
        4 * (label > 0) if name == "inter" and patient != "104" else label
        for label, name, patient in zip(part.cycles.labels, part.cycles.parts, part.cycles.patients, strict=True)
    )
    part = replace(part, cycles=replace(part.cycles, labels=labels))
    found = part_metrics(part, scores_of(part.cycles, 5, 3))
    assert found["inter-patient-disjoint"] is None
    assert found["inter"]


def test_predictions_of_any_task_are_submitted(registered, tmp_path):
    path, cycles, scores = write_answers(tmp_path / "p.csv")
    store = Store.open(tmp_path)
    key = make_key(tmp_path / "key")
    done = submit(path, official_part(), STATED, tmp_path, store, {}, key)
    assert set(done.metrics) == {"inter", "inter-patient-disjoint", "intra"}
    document = done.document
    assert document["spec"]["task"] == document["task"]["id"] == "noise-5"
    assert document["patients_on_both_sides"] == ["104"]
    assert document["metrics"]["last"] == done.metrics["inter"]
    assert document["other_parts"] == {"intra": {"last": done.metrics["intra"]}}
    assert document["metrics"]["last"]["5class"]["epoch"] == 7
    (run,) = store.runs()
    assert run.metrics_of("intra")["last"]["5class"]["score"] == done.metrics["intra"]["5class"]["score"]
    assert submit(path, official_part(), STATED, tmp_path, store, {}, key).state == "same"
    np.testing.assert_array_equal(store.predictions(run.run_id, "last")[1], scores[cycles.order])


def test_a_submission_of_any_task_travels(registered, tmp_path):
    path, *_ = write_answers(tmp_path / "p.csv", THREE)
    there, here = (tmp_path / name for name in ("there", "here"))
    submit(path, official_part(THREE), STATED, there, Store.open(there), {})
    bundle = export_bundle(Store.open(there), tmp_path / "b.zip").path
    assert len(import_bundle(bundle, here, Store.open(here)).new) == 1
    assert Store.open(here).runs() == Store.open(there).runs()


def test_one_system_is_submitted_to_two_tasks(registered, tmp_path):
    store = Store.open(tmp_path)
    for task in (FIVE, THREE):
        path, *_ = write_answers(tmp_path / f"{task.id}.csv", task)
        submit(path, official_part(task), STATED, tmp_path, store, {})
    assert {run.judged_task.task.id for run in store.runs()} == {"noise-5", "noise-3"}


def test_chosen_classes_are_those_of_the_task(registered, tmp_path):
    cycles = cycles_of(FIVE)
    words = ["Poor Quality" if label == 4 else str(label) for label in cycles.labels]
    lines = [f"{name},{cycle},{word}" for (name, cycle), word in zip(cycles.keys, words, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join(["recording,cycle,predicted", *lines]))
    done = submit(tmp_path / "p.csv", official_part(), STATED, tmp_path, Store.open(tmp_path), {})
    assert {metrics["5class"]["score"] for metrics in done.metrics.values()} == {100.0}
    (tmp_path / "q.csv").write_text("\n".join(["recording,cycle,predicted", *lines[:-1], lines[-1] + "x"]))
    with pytest.raises(
        RefusedError, match="classes other than 0 to 4 or Normal, Rhonchi, Wheeze, Stridor, Poor Quality"
    ):
        submit(tmp_path / "q.csv", official_part(), STATED, tmp_path, Store.open(tmp_path), {})


def test_columns_are_named_by_the_classes_of_the_task(registered, tmp_path):
    path, *_ = write_answers(tmp_path / "p.csv", THREE)
    with pytest.raises(ResultError, match="must be recording,cycle,Normal,Rhonchi,Wheeze,Stridor,Poor Quality or"):
        submit(path, official_part(), STATED, tmp_path, Store.open(tmp_path), {})


# --- combinations -----------------------------------------------------------------------------------------------


def part_of(folder):
    result = RunFolder(folder).read()
    return FinishedPart(folder.name, result, system_hash(result.document["spec"]))


def ensemble(*folders):
    return Combination("ensemble", "two runs", "mean", [part_of(folder) for folder in folders], seed=1)


def test_the_parts_of_an_ensemble_are_judged_on_each_tested_part(tmp_path):
    folders = [write_task_run(tmp_path, seed=seed, rules=("last",)) for seed in (1, 2)]
    made = combined_result(ensemble(*folders), {})
    cycles = cycles_of(FIVE)
    scores = pool([scores_of(cycles, 5, seed + 1) for seed in (1, 2)], "mean")
    for part, found in (("inter", made.document["metrics"]), ("intra", made.document["other_parts"]["intra"])):
        rows = cycles.places_of(part)
        wanted = score_cycles([cycles.labels[i] for i in rows], scores[rows], FIVE)
        for judged, metrics in wanted.items():
            assert found["last"][judged] == {**metrics, "epoch": None}
    assert made.document["task"] == json.loads((folders[0] / "result.json").read_text())["task"]
    assert made.document["spec"]["task"] == "noise-5"


def test_an_ensemble_of_any_task_is_kept_and_made_again(tmp_path):
    folders = [write_task_run(tmp_path, seed=seed) for seed in (1, 2)]
    made = combined_result(ensemble(*folders), {})
    stored, written = store_combined(RunFolder.of_run(tmp_path, made.document["run_id"]), made)
    assert written
    store = Store.open(tmp_path)
    assert store.import_run(RunFolder.of_run(tmp_path, made.document["run_id"]).path) == "new"
    assert store.result(made.document["run_id"]).digest == stored.digest
    parts = {folder.name: RunFolder(folder).read() for folder in folders}
    assert recombined_difference(stored, parts) is None


def test_an_ensemble_of_four_classes_names_no_task(tmp_path):
    made = combined_result(ensemble(*(write_run(tmp_path, seed=seed) for seed in (1, 2))), {})
    assert not {"task", "other_parts"} & made.document.keys()
    assert "task" not in made.document["spec"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"task": THREE}, "of different data: task is 'noise-5' and 'noise-3'"),
        ({"task": OTHER_LAW}, "describe the task 'noise-5' in two ways"),
    ],
)
def test_runs_of_different_tasks_are_not_combined(tmp_path, other, words):
    folders = write_task_run(tmp_path), write_task_run(tmp_path, seed=2, **other)
    with pytest.raises(ResultError, match=words):
        combined_result(ensemble(*folders), {})


def test_four_classes_and_a_named_task_are_not_combined(tmp_path):
    folders = write_run(tmp_path, dataset="noises"), write_task_run(tmp_path, seed=2)
    with pytest.raises(ResultError, match="of different data: task is 'cycle-4' and 'noise-5'"):
        combined_result(ensemble(*folders), {})
