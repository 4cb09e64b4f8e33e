from __future__ import annotations

import os
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from board_runs import write_run

from leaderboard import database, schema
from leaderboard.database import DamagedBoardError, migrations_folder
from leaderboard.errors import ResultError, StoreError
from leaderboard.store import Store

SUPPORT = Path(__file__).resolve().parent.parent / "support"


def board(home):
    return home / "leaderboard.sqlite"


def query(home, text):
    connection = sqlite3.connect(board(home))
    try:
        return connection.execute(text).fetchall()
    finally:
        connection.close()


def set_version(home, version):
    connection = sqlite3.connect(board(home))
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    connection.close()


# --- absent boards ----------------------------------------------------------------------------------------------


def test_reading_an_absent_board_is_empty_and_makes_nothing(tmp_path):
    store = Store.open(tmp_path / "nowhere")
    assert store.runs() == []
    assert store.database.version() is None
    with pytest.raises(ResultError) as caught:
        store.run("abc")
    assert "no run yet" in caught.value.hint
    assert not (tmp_path / "nowhere").exists()


def test_an_empty_file_is_no_board_yet(tmp_path):
    board(tmp_path).touch()
    store = Store.open(tmp_path)
    assert store.runs() == []
    assert store.import_run(write_run(tmp_path)) == "new"


def test_nothing_but_the_board_is_left_in_the_folder(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    store.runs()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"leaderboard.sqlite", ".leaderboard.sqlite.lock", "runs"}


def test_the_set_up_of_sqlite(tmp_path):
    store = Store.open(tmp_path)
    with store.session(write=True) as session:
        pragmas = {
            name: session.execute(sa.text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 30_000}
        other = sqlite3.connect(board(tmp_path), timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):  # the transaction is IMMEDIATE
            other.execute("BEGIN IMMEDIATE")
        other.close()


# --- versions ---------------------------------------------------------------------------------------------------


def test_the_newest_migration_is_the_version_that_the_code_names():
    scripts = ScriptDirectory(str(migrations_folder()))
    assert scripts.get_current_head() == schema.VERSION
    assert all(script.revision.isdigit() and len(script.revision) == 4 for script in scripts.walk_revisions())


def test_the_migrations_are_part_of_the_package():
    package = files("leaderboard.migrations")
    assert package.joinpath("env.py").is_file()
    assert package.joinpath("versions", "v0001_first_board.py").is_file()
    from setuptools import find_packages

    root = SUPPORT.parents[1]
    found = find_packages(str(root), include=["leaderboard*"])
    assert {"leaderboard.migrations", "leaderboard.migrations.versions"} <= set(found)


revision = "0002"
down_revision = "0001"


# --- faults -----------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_named(tmp_path):
    board(tmp_path).write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(DamagedBoardError, match=r"leaderboard\.sqlite is damaged, or is no database") as caught:
        Store.open(tmp_path).runs()
    assert "bench board rebuild" in caught.value.hint


def test_a_damaged_database_is_named(tmp_path):
    store = Store.open(tmp_path)
    for seed in range(1, 6):
        store.import_run(write_run(tmp_path, seed=seed))
    content = bytearray(board(tmp_path).read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    board(tmp_path).write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        store.runs()


def test_another_program_s_database_is_left_alone(tmp_path):
    connection = sqlite3.connect(board(tmp_path))
    with connection:
        connection.execute("CREATE TABLE holiday (day TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="is a database, but not a LungBench board"):
        Store.open(tmp_path).import_run(write_run(tmp_path))
    assert query(tmp_path, "SELECT name FROM sqlite_master") == [("holiday",)]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / "results"
    with pytest.raises(StoreError, match=r"Cannot read .*Not a directory"):
        Store.open(home).import_run(write_run(tmp_path))


def test_a_read_only_board_is_read_but_not_written(tmp_path, monkeypatch):
    store = Store.open(tmp_path)
    folder = write_run(tmp_path)
    store.import_run(folder)
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    assert [run.run_id for run in store.runs()] == [folder.name]
    before = {path.name for path in tmp_path.iterdir()}
    real = sa.create_engine

    def read_only(url, **options):
        return real(url.update_query_dict({"mode": "ro"}), **options)

    monkeypatch.setattr(sa, "create_engine", read_only)
    write_run(tmp_path, salt=1)
    with pytest.raises(StoreError, match="it is read-only") as caught:
        Store.open(tmp_path).import_run(folder)
    assert "--home" in caught.value.hint
    assert {path.name for path in tmp_path.iterdir()} - {"leaderboard.sqlite-wal", "leaderboard.sqlite-shm"} == before


def test_a_full_disk_is_named_and_leaves_the_board_whole(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))

    def no_room(connection, _record):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    sa.event.listen(sa.Engine, "connect", no_room)
    folders = [write_run(tmp_path, seed=seed) for seed in range(2, 12)]
    store = Store.open(tmp_path)

    def import_all():
        for folder in folders:
            store.import_run(folder)

    try:
        with pytest.raises(StoreError, match="the disk is full"):
            import_all()
    finally:
        sa.event.remove(sa.Engine, "connect", no_room)
    assert query(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    assert all(set(run.metrics) == {"last", "best-test"} for run in store.runs())


def test_a_locked_board_is_named(tmp_path, monkeypatch):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    monkeypatch.setattr(database, "TIMEOUT", 0.2)
    store = Store.open(tmp_path)
    holder = sqlite3.connect(board(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match="is locked by another process"), store.session(write=True):
            pytest.fail("the lock was not noticed before the block")
        assert len(store.runs()) == 1  # a reader does not wait for a writer
    finally:
        holder.close()


@pytest.mark.parametrize("url", ["://x", "sqlite://", "nonsense://"])
def test_a_url_that_names_nothing_is_refused(url):
    with pytest.raises(StoreError):
        Store.open(url).runs()


def test_a_sqlite_url_is_a_file(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path}/other.sqlite")
    store.import_run(write_run(tmp_path))
    assert (tmp_path / "other.sqlite").is_file()
    assert len(store.runs()) == 1


def test_a_name_with_odd_characters_works(tmp_path):
    home = tmp_path / "a b?c#d%20 e&f=é"
    store = Store.open(home)
    store.import_run(write_run(home))
    assert len(store.runs()) == 1
    assert board(home).is_file()
