"""Results and the board: a process without one leaves them in run folders, and another one brings them in."""

from __future__ import annotations

import json

from board_runs import write_run
from logs import logged
from small_runs import small_run

from bench.launch.board import results_board, store_result
from leaderboard.history.changes import retract
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store


def test_a_run_without_a_board_lies_in_its_folder_until_somebody_imports_it(
    bench, tmp_path, small_data, small_cache, monkeypatch
):
    home = tmp_path / "results"
    monkeypatch.setenv("BENCH_STORE", "none")
    small_run(small_data, small_cache, home)
    (folder,) = (home / "runs").iterdir()
    assert not list(home.glob("leaderboard.sqlite*"))
    refused = " ".join(bench("board", "list", "--home", home, code=4).err.split())
    assert "There is no board here: BENCH_STORE is 'none'. hint: Unset it" in refused

    monkeypatch.delenv("BENCH_STORE")
    for state in ("new", "same"):
        (done,) = json.loads(bench("board", "import", home, "--home", home, "--format", "json").out)["bundles"]
        assert done[state] == [folder.name]


def test_the_board_of_a_results_folder_is_made_before_a_training_and_none_without_one(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", "none")
    assert results_board(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("BENCH_STORE")
    assert results_board(tmp_path).runs() == []
    assert (tmp_path / "leaderboard.sqlite").is_file()


def test_a_result_comes_to_the_board_once_however_often_it_arrives(tmp_path):
    result = RunFolder(write_run(tmp_path)).read()
    for _ in range(3):
        store_result(Store.open(tmp_path), result)
    store_result(None, result)
    assert [run.run_id for run in Store.open(tmp_path).runs()] == [result.document["run_id"]]


def test_a_retracted_result_stays_off_the_board_and_that_is_said(tmp_path):
    result, store = RunFolder(write_run(tmp_path)).read(), Store.open(tmp_path)
    store_result(store, result)
    retract(tmp_path, store, result.document["run_id"], "a wrong split", None)
    with logged() as said:
        store_result(store, result)
    assert "was retracted and stays off the board" in said[-1]
    assert store.runs() == []
