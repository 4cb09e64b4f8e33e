"""Runs of a search on the board: trials make no row, final runs say what the search cost, and nobody mixes them up."""

import json

import pytest
from board_runs import write_run

from bench.core.errors import ResultError
from leaderboard.render.formats import FORMATS, render
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table

TRIAL = {"name": "tuning", "objective": "held-out", "role": "trial", "trial": 3}
COST = {
    "trials": 60,
    "complete": 40,
    "pruned": 15,
    "fail": 5,
    "gpu_hours": 12.5,
    "cpu_hours": 0.0,
    "space": {"alpha": "0.1..10:log"},
    "test_evaluations": 1,
}
FINAL = {**TRIAL, "role": "final", **COST}


def trial(home, study=TRIAL, **fields):
    """The folder of a trial's run."""
    return write_run(home, result={"kind": "trial", "study": study}, **fields)


@pytest.fixture
def home(tmp_path):
    """One system of two plain seeds, one of two final seeds, trials on a fold and on the test part."""
    folders = [write_run(tmp_path, seed=seed) for seed in (1, 2)]
    tuned = {"method_options": {"alpha": 0.37}}
    folders += [write_run(tmp_path, seed=seed, result={"study": FINAL}, **tuned) for seed in (1, 2)]
    folders += [trial(tmp_path, split="training-fold-1-of-5", seed=seed) for seed in (1, 2)]
    folders.append(trial(tmp_path, {**TRIAL, "objective": "test"}, method_options={"alpha": 5.0}, skill=9.0))
    folders.append(trial(tmp_path, failed="The loss is nan.", method_options={"alpha": 6.0}))
    store = Store.open(tmp_path)
    for folder in folders:
        store.import_run(folder)
    return tmp_path


def test_trials_make_no_row_however_good_and_are_counted_in_a_note(home):
    table = leaderboard_table(Store.open(home))
    (section,) = table.sections
    assert section.ranked
    assert [len(row["run_ids"]) for row in section.rows] == [2, 2]
    assert {row["spec"]["method_options"]["alpha"] for row in section.rows} == {1.0, 0.37}
    assert "Runs of search trials, never ranked: 4 (tuning); see `bench search show NAME`." in table.notes


def test_a_tuned_row_carries_its_study_and_what_it_cost(home):
    table = leaderboard_table(Store.open(home))
    by_alpha = {row["spec"]["method_options"]["alpha"]: row["study"] for row in table.sections[0].rows}
    assert by_alpha == {1.0: None, 0.37: FINAL}
    (note,) = [note for note in table.notes if note.startswith("Study tuning")]
    assert "tuned on held-out training patients; 60 trials (40 complete, 15 pruned, 5 failed), 12.50 GPU hours" in note
    assert "alpha 0.1..10:log" in note
    assert "looked at" not in note
    for form in FORMATS:
        assert "tuning" in render(table, form)
    assert "tuned: tuning" in render(table, width=120)


def test_a_row_tuned_on_the_test_set_says_so_and_how_often_it_was_looked_at(tmp_path):
    study = {**FINAL, "objective": "test", "test_evaluations": 7}
    Store.open(tmp_path).import_run(write_run(tmp_path, result={"study": study}))
    table = leaderboard_table(Store.open(tmp_path))
    text = " ".join(render(table, width=200).split())
    assert "tuned on the TEST SET: tuning" in text
    assert "TUNED ON THE TEST SET" in text
    assert "The test set was looked at for 7 of its trials." in text


def test_every_run_is_listed_with_its_study(home):
    rows = runs_table(Store.open(home)).sections[0].rows
    assert sorted((row["kind"], row["study"] or "") for row in rows) == [
        ("run", ""),
        ("run", ""),
        ("run", "tuning"),
        ("run", "tuning"),
        *[("trial", "tuning")] * 4,
    ]
    assert "trial of tuning" in render(runs_table(Store.open(home)), width=120)


def test_no_trial_stands_for_a_row_of_the_paper(home):
    store = Store.open(home)
    systems = store.systems([("ast", "patchmix-cl")], "last")
    assert sum(system.runs for system in systems) == 4
    trials = {run.run_id: run for run in store.runs() if run.kind == "trial"}
    assert not {score.run_id for score in store.scores({run.system for run in store.runs()}, ["last"])} & set(trials)


def test_a_board_made_anew_from_its_folders_is_the_same(home):
    before = leaderboard_table(Store.open(home)).to_json()
    assert not rebuild(home).broken
    assert leaderboard_table(Store.open(home)).to_json() == before


def test_a_trial_comes_back_as_its_folder_has_it(tmp_path):
    folder = trial(tmp_path, split="training-fold-1-of-5")
    store = Store.open(tmp_path)
    store.import_run(folder)
    document = RunFolder(folder).read().document
    assert store.run(document["run_id"]) == {**document, "epochs": store.run(document["run_id"])["epochs"]}


def test_a_pruned_run_is_neither_finished_nor_failed(tmp_path):
    folder = trial(tmp_path, failed="Pruned after epoch 3 of 50.", split="training-fold-1-of-5")
    document = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**document, "status": "pruned"}))
    store = Store.open(tmp_path)
    store.import_run(folder)
    assert store.run(document["run_id"])["status"] == "pruned"
    assert leaderboard_table(store).sections == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "trial"}, "kind is 'trial', but study.role is None"),
        ({"kind": "trial", "study": FINAL}, "kind is 'trial', but study.role is 'final'"),
        ({"study": TRIAL}, "kind is 'run', but study.role is 'trial'"),
        ({"study": {**FINAL, "role": "best"}}, "study.role is 'best', but must be 'trial' or 'final'"),
        ({"study": {"name": "x", "role": "final"}}, "lacks 'objective'"),
        ({"study": "tuning"}, "study is 'tuning', but must be an object"),
        ({"status": "pruned"}, "status is 'pruned', but error is None"),
        ({"status": "stopped"}, "must be 'finished', 'failed' or 'pruned'"),
    ],
)
def test_other_documents_are_refused(tmp_path, changes, said):
    folder = write_run(tmp_path)
    document = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**document, **changes}))
    with pytest.raises(ResultError) as caught:
        RunFolder(folder).read()
    assert said in caught.value.message
