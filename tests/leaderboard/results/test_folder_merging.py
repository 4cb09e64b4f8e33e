"""Run folders brought to a board: from its own results folder and from another one, twice, and by several at once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from board_runs import write_run

from bench.core.errors import StoreError
from leaderboard.results.folder_merging import import_folders
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

TIMES = 5
"""How often each of several processes brings the same runs."""


@pytest.fixture
def home(tmp_path):
    return tmp_path / "results"


@pytest.mark.parametrize("named", [".", "runs", "runs/ID"])
def test_folders_of_the_boards_own_results_come_onto_it_and_a_second_time_changes_nothing(home, named):
    folder = write_run(home)
    store = Store.open(home)
    place = home / named.replace("ID", folder.name)
    assert import_folders(place, home, store).new == (folder.name,)
    again = import_folders(place, home, store)
    assert (again.new, again.same) == ((), (folder.name,))
    assert [run.run_id for run in store.runs()] == [folder.name]


def test_a_run_that_was_done_again_has_its_newest_result_on_the_board(home):
    folder, store = write_run(home), Store.open(home)
    import_folders(home, home, store)
    write_run(home, salt=1)
    assert import_folders(home, home, store).replaced == (folder.name,)
    assert store.digests() == {folder.name: RunFolder(folder).read().digest}


def test_a_broken_folder_is_named_and_the_others_come_onto_the_board(home):
    broken, whole = write_run(home), write_run(home, seed=2)
    (broken / "predictions-last.csv").write_text("nothing")
    (home / "runs" / "0123456789abcdef").mkdir()
    done = import_folders(home, home, Store.open(home))
    assert done.new == (whole.name,)
    assert [conflict.run_id for conflict in done.conflicts] == [broken.name]


def test_results_of_another_folder_are_copied_and_conflicts_are_kept(home, tmp_path):
    there, store = tmp_path / "there", Store.open(home)
    folder = write_run(there)
    assert import_folders(there, home, store).new == (folder.name,)
    assert RunFolder.of_run(home, folder.name).read().digest == RunFolder(folder).read().digest
    assert import_folders(there / "runs", home, store).same == (folder.name,)
    write_run(there, salt=1)
    other = import_folders(folder, home, store)
    assert [conflict.run_id for conflict in other.conflicts] == [folder.name]
    assert import_folders(folder, home, store, replace=True).replaced == (folder.name,)


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_without_runs_is_a_sentence(home, tmp_path, made):
    place = tmp_path / "empty"
    if made:
        place.mkdir()
    with pytest.raises(StoreError, match=r"holds none|Cannot read"):
        import_folders(place, home, Store.open(home))
    assert not home.exists()


def _bring(home: str, location: str) -> list[int]:
    store = Store.open(location if "://" in location else Path(location))
    return [len(import_folders(Path(home), Path(home), store).conflicts) for _ in range(TIMES)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_same_runs_brought_by_four_processes_at_once_are_one_row_each(home, kind, request):
    folders = [write_run(home, seed=seed) for seed in (1, 2, 3)]
    location = str(home) if kind == "sqlite" else request.getfixturevalue("postgres_url")
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        brought = list(pool.map(_bring, [str(home)] * 4, [location] * 4))
    assert brought == [[0] * TIMES] * 4
    store = Store.open(home if kind == "sqlite" else location)
    assert sorted(run.run_id for run in store.runs()) == sorted(folder.name for folder in folders)
    assert store.digests() == {folder.name: RunFolder(folder).read().digest for folder in folders}
