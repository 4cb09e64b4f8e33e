from __future__ import annotations

import shutil
import sqlite3
import threading

import pytest
from board_runs import write_run

from leaderboard.errors import StoreError
from leaderboard.rebuilding import rebuild
from leaderboard.store import Store


@pytest.fixture
def home(tmp_path):
    for seed in (1, 2, 3):
        write_run(tmp_path, seed=seed)
    write_run(tmp_path, seed=4, failed="The loss is nan.")
    return tmp_path


def import_all(home):
    store = Store.open(home)
    for folder in sorted((home / "runs").iterdir()):
        store.import_run(folder)
    return store


def content(store):
    return {run.run_id: store.run(run.run_id) for run in store.runs()}


def test_a_rebuilt_board_equals_the_one_before(home):
    store = import_all(home)
    before, rows = content(store), store.runs()
    done = rebuild(home)
    assert content(store) == before
    assert store.runs() == rows
    assert sorted(done.imported) == sorted(before)
    assert (done.broken, done.unfinished, done.dropped, done.moved) == ({}, (), (), None)


def test_a_board_that_is_not_there_is_made(home):
    seen = []
    rebuild(home, lambda done, total: seen.append((done, total)))
    assert len(Store.open(home).runs()) == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("how", ["noise", "truncated"])
def test_a_damaged_board_is_moved_aside_and_made_anew(home, how):
    before = content(import_all(home))
    path = home / "leaderboard.sqlite"
    damaged = b"noise" * 999 if how == "noise" else path.read_bytes()[:5000]
    path.write_bytes(damaged)
    done = rebuild(home)
    assert content(Store.open(home)) == before
    assert done.moved.read_bytes() == damaged


def test_broken_and_unfinished_folders_are_named_and_the_others_imported(home):
    folders = sorted((home / "runs").iterdir())
    (folders[0] / "result.json").write_text("{")
    (home / "runs" / "still-running").mkdir()
    done = rebuild(home)
    assert len(done.imported) == 3
    assert list(done.broken) == [folders[0].name]
    assert "is not a JSON document" in done.broken[folders[0].name]
    assert done.unfinished == ("still-running",)


def test_runs_without_a_folder_are_dropped_and_named(home):
    store = import_all(home)
    gone = sorted((home / "runs").iterdir())[0]
    shutil.rmtree(gone)
    assert rebuild(home).dropped == (gone.name,)
    assert gone.name not in content(store)


def test_a_folder_without_runs_does_not_empty_the_board(home):
    store = import_all(home)
    shutil.rmtree(home / "runs")
    with pytest.raises(StoreError, match=r"no run folder with a result below .*; the 4 runs of the board were kept"):
        rebuild(home)
    assert len(store.runs()) == 4


def test_a_newer_board_is_not_overwritten(home):
    import_all(home)
    connection = sqlite3.connect(home / "leaderboard.sqlite")
    with connection:
        connection.execute("UPDATE leaderboard_version SET version_num = '0099'")
    connection.close()
    with pytest.raises(StoreError, match="version 0099"):
        rebuild(home)


def test_an_older_board_is_made_anew(home):
    store = import_all(home)
    before = content(store)
    connection = sqlite3.connect(home / "leaderboard.sqlite")
    with connection:
        connection.execute("UPDATE leaderboard_version SET version_num = '0000'")
        connection.execute("DROP TABLE epochs")
    connection.close()
    rebuild(home)
    assert content(store) == before


def test_nothing_is_left_beside_the_board(home):
    rebuild(home)
    assert not [path.name for path in home.iterdir() if "rebuild" in path.name and path.is_dir()]


def test_a_rebuild_that_fails_leaves_the_old_board(home, monkeypatch):
    store = import_all(home)
    before = content(store)

    def fail(*_arguments):
        raise StoreError("no room")

    monkeypatch.setattr("leaderboard.rebuilding._take_place", fail)
    with pytest.raises(StoreError):
        rebuild(home)
    assert content(store) == before
    assert not (home / ".rebuild").exists()


@pytest.mark.slow
def test_runs_that_end_during_a_rebuild_are_not_lost_and_readers_go_on(home):
    store = import_all(home)
    errors: list[BaseException] = []
    stop = threading.Event()

    def write():
        try:
            for seed in range(10, 30):
                store.import_run(write_run(home, seed=seed))
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    def read():
        try:
            while not stop.is_set():
                assert len(store.runs()) >= 4
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    while threads[0].is_alive():
        rebuild(home)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.runs()) == 24
