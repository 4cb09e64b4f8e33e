from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading

import pytest
from board_runs import write_run

from bench.core.errors import StoreError
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table


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

    monkeypatch.setattr("leaderboard.store.rebuilding._replace_database", fail)
    with pytest.raises(StoreError):
        rebuild(home)
    assert content(store) == before
    assert not (home / ".rebuild").exists()


# --- boards that cannot be read ---------------------------------------------------------------------------------


def alter(home, *statements):
    connection = sqlite3.connect(home / "leaderboard.sqlite")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


SPOILT = {
    "no metrics": "DROP TABLE metrics",
    "no runs": "DROP TABLE runs",
    "no epochs": "DROP TABLE epochs",
    "no predictions": "DROP TABLE predictions",
    "no version": "DELETE FROM leaderboard_version",
    "no version table": "DROP TABLE leaderboard_version",
    "no column": "ALTER TABLE runs DROP COLUMN gpu",
    "spec no JSON": "UPDATE runs SET spec = '{'",
    "spec a list": "UPDATE runs SET spec = '[1]'",
    "spec lacks fields": "UPDATE runs SET spec = '{}'",
    "text for a number": "UPDATE metrics SET score = 'high'",
    "metrics of nobody": "INSERT INTO metrics SELECT 'x', rule, judged, 1, n, 1, 1, 1, '[]', 1, 1 FROM metrics LIMIT 1",
    "short scores": "UPDATE predictions SET scores = x'00'",
    "no cycles": "DELETE FROM cycle_sets",
    "extra a list": "UPDATE runs SET extra = '[]'",
}


def read_all(home):
    store = Store.open(home)
    for run in store.runs():
        store.run(run.run_id)
        store.records()
    return leaderboard_table(store)


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_board_is_named_as_that_and_made_anew(home, how):
    before = content(import_all(home))
    alter(home, SPOILT[how])
    if how not in ("no epochs", "no column"):  # which not every reading needs
        with pytest.raises(StoreError) as caught:
            read_all(home)
        assert "bench board rebuild" in caught.value.hint
    assert rebuild(home).broken == {}
    assert content(Store.open(home)) == before
    read_all(home)


def test_a_damaged_board_without_run_folders_is_moved_aside(tmp_path):
    for number in ("damaged", "damaged-2"):
        (tmp_path / "leaderboard.sqlite").write_bytes(b"noise" * 999)
        assert rebuild(tmp_path).moved.name == f"leaderboard.sqlite.{number}"
        assert Store.open(tmp_path).runs() == []


def test_another_program_s_database_is_not_replaced(home):
    connection = sqlite3.connect(home / "leaderboard.sqlite")
    connection.execute("CREATE TABLE holiday (day TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="not a LungBench board"):
        rebuild(home)


def test_tables_of_another_program_in_the_board_s_file_stay(home):
    import_all(home)
    before = content(Store.open(home))
    alter(home, "CREATE TABLE studies (name TEXT)", "INSERT INTO studies VALUES ('mine')", "DROP TABLE metrics")
    rebuild(home)
    assert content(Store.open(home)) == before
    alter(home, "INSERT INTO studies SELECT name || '2' FROM studies")


def test_a_full_disk_while_the_new_board_settles_leaves_the_old_one(home, monkeypatch):
    store = import_all(home)
    before = content(store)

    def full(_database):
        raise StoreError("the disk is full")

    monkeypatch.setattr("leaderboard.store.database.Database.settle", full)
    with pytest.raises(StoreError):
        rebuild(home)
    assert content(store) == before


# --- folders that cannot be read --------------------------------------------------------------------------------


def as_fifo(path):
    path.unlink()
    os.mkfifo(path)


def as_folder(path):
    path.unlink()
    path.mkdir()


def as_loop(path):
    path.unlink()
    path.symlink_to(path)


def as_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def as_large(path):
    with path.open("ab") as stream:
        stream.truncate(2 * 2**30)


def as_text(path, change):
    path.write_bytes(change(path.read_bytes()))


UNREADABLE = {
    "pipe": as_fifo,
    "folder": as_folder,
    "loop": as_loop,
    "device": as_device,
    "2 GB": as_large,
    "not UTF-8": lambda path: as_text(path, lambda content: content.replace(b"paper", b"p\xff\xfeer")),
    "half a pair": lambda path: as_text(path, lambda content: content.replace(b'"paper"', b'"p\\ud800"')),
    "NaN": lambda path: as_text(path, lambda content: content.replace(b"12.5", b"NaN")),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "deep provenance": lambda path: as_text(path, lambda content: content.replace(b'"a CPU"', b"[" * 500 + b"]" * 500)),
    "a million digits": lambda path: as_text(path, lambda content: content.replace(b"12.5", b"1" * 1_000_000)),
    "beyond 64 bits": lambda path: as_text(
        path, lambda content: content.replace(b'"seed": 2', b'"seed": 9223372036854775808')
    ),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_folder_that_cannot_be_read_is_named_and_the_others_are_imported(home, how):
    (home / "submissions" / "0123456789abcdef").mkdir(parents=True)
    folder = next(path for path in (home / "runs").iterdir() if '"seed": 2' in (path / "result.json").read_text())
    UNREADABLE[how](folder / "result.json")
    done = rebuild(home)
    assert list(done.broken) == [folder.name]
    assert len(done.imported) == 3
    assert done.unfinished == ("0123456789abcdef",)


@pytest.mark.parametrize("name", ["predictions-last.csv", "test-cycles.csv"])
@pytest.mark.parametrize("how", ["pipe", "folder", "loop", "device", "2 GB"])
def test_a_table_of_a_run_that_cannot_be_read_is_named(home, name, how):
    folder = next(path for path in sorted((home / "runs").iterdir()) if (path / name).exists())
    UNREADABLE[how](folder / name)
    done = rebuild(home)
    assert list(done.broken) == [folder.name]
    assert len(done.imported) == 3


def test_a_copy_of_a_run_never_takes_its_place(home):
    before = content(import_all(home))
    folder = sorted((home / "runs").iterdir())[0]
    copy = home / "runs" / "zz-copy"
    shutil.copytree(folder, copy)
    document = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps({**document, "created": "2020-01-01T00:00:00+00:00"}))
    assert rebuild(home).broken == {}
    assert content(Store.open(home)) == before


def test_a_folder_of_another_run_is_named(home):
    folders = sorted((home / "runs").iterdir())
    shutil.rmtree(folders[0])
    shutil.copytree(folders[1], folders[0])
    done = rebuild(home)
    assert list(done.broken) == [folders[0].name]
    assert f"is the result of the run {folders[1].name}" in done.broken[folders[0].name]


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
