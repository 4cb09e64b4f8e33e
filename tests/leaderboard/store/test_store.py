from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from board_runs import write_run

from bench.core.errors import ResultError, StoreError
from bench.core.files import temporary_name
from leaderboard.store import database, schema
from leaderboard.store.database import DamagedBoardError
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.store.versions import migrations_folder

SUPPORT = Path(__file__).resolve().parents[2] / "support"


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
        connection.execute("UPDATE leaderboard_version SET version_num = ?", (version,))
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
    package = files("leaderboard.store.migrations")
    assert package.joinpath("env.py").is_file()
    assert package.joinpath("versions", "v0001_first_board.py").is_file()
    from setuptools import find_packages

    root = SUPPORT.parents[1]
    found = find_packages(str(root), include=["leaderboard*"])
    assert {"leaderboard.store.migrations", "leaderboard.store.migrations.versions"} <= set(found)


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


# --- made whole -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [1, 2, 5, 12])
def test_a_disk_that_is_full_while_a_board_is_made_leaves_none(tmp_path, pages):
    def no_room(connection, _record):
        connection.execute(f"PRAGMA max_page_count = {pages}")

    sa.event.listen(sa.Engine, "connect", no_room)
    try:
        with pytest.raises(StoreError, match="the disk is full"):
            Store.open(tmp_path).import_run(write_run(tmp_path))
    finally:
        sa.event.remove(sa.Engine, "connect", no_room)
    assert {path.name for path in tmp_path.iterdir()} == {".leaderboard.sqlite.lock", "runs"}
    assert Store.open(tmp_path).import_run(write_run(tmp_path)) == "new"


def test_a_new_board_is_one_file_that_lacks_nothing(tmp_path, monkeypatch):
    seen = []
    real = Path.replace

    def look(path, target):
        seen.append(sorted(child.name.rpartition("tmp")[2] for child in tmp_path.glob(f"{path.name}*")))
        connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
        seen.append({row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")})
        connection.close()
        return real(path, target)

    monkeypatch.setattr(Path, "replace", look)
    Store.open(tmp_path).database.create()
    assert seen == [
        [""],
        {"runs", "metrics", "part_metrics", "epochs", "cycle_sets", "predictions", "board_log", "leaderboard_version"},
    ]


def test_a_database_that_holds_nothing_is_no_board_yet(tmp_path):
    connection = sqlite3.connect(board(tmp_path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("DROP TABLE t")
    connection.commit()
    connection.close()
    board(tmp_path).with_name("leaderboard.sqlite-wal").write_bytes(b"of another file")
    store = Store.open(tmp_path)
    assert store.runs() == []
    assert store.import_run(write_run(tmp_path)) == "new"
    assert len(store.runs()) == 1


def test_what_a_killed_process_left_beside_the_board_is_swept(tmp_path):
    (name,) = [temporary_name(board(tmp_path)).name]
    dead = name.replace(f"-{os.getpid()}-", "-999999999-")
    for ending in ("", "-journal"):
        (tmp_path / f"{dead}{ending}").write_text("half a board")
    Store.open(tmp_path).database.create()
    assert {path.name for path in tmp_path.iterdir()} == {"leaderboard.sqlite", ".leaderboard.sqlite.lock"}


# --- who may write ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
def test_all_files_of_a_board_have_the_permissions_that_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        store = Store.open(tmp_path)
        store.import_run(write_run(tmp_path))
        with store.session(write=True) as session:
            session.execute(sa.text("UPDATE runs SET status = status"))
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*leaderboard*")}
        rebuild(tmp_path)
    finally:
        os.umask(before)
    assert set(modes) >= {"leaderboard.sqlite", "leaderboard.sqlite-wal", "leaderboard.sqlite-shm"}
    assert set(modes.values()) == {0o666 & ~mask}
    assert board(tmp_path).stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_board_that_can_be_written_is_made_and_stays_as_it_is(tmp_path):
    store = Store.open(tmp_path)
    store.check_writable()
    store.import_run(write_run(tmp_path))
    before = store.runs()
    store.check_writable()
    assert store.runs() == before


def test_a_read_only_board_is_noticed_by_writing(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))

    def hinder(connection, _record):
        connection.execute("PRAGMA query_only = ON")

    sa.event.listen(sa.Engine, "connect", hinder)
    try:
        with pytest.raises(StoreError, match="it is read-only"):
            Store.open(tmp_path).check_writable()
    finally:
        sa.event.remove(sa.Engine, "connect", hinder)


def test_a_full_disk_is_noticed_by_writing(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.raises(StoreError):
            store.check_writable()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def refuse_locks(monkeypatch, number=errno.ENOLCK):
    def refused(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refused)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_no_board_is_made_where_files_cannot_be_locked(tmp_path, monkeypatch, number):
    refuse_locks(monkeypatch, number)
    with pytest.raises(StoreError, match=r"leaderboard.sqlite cannot be used: its file system has no locks") as caught:
        Store.open(tmp_path).check_writable()
    assert "BENCH_HOME" in caught.value.hint
    assert "postgresql://" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [".leaderboard.sqlite.lock"]


@pytest.mark.parametrize("name", ["SQLITE_BUSY", "SQLITE_IOERR_RDLOCK", "SQLITE_PROTOCOL"])
def test_a_board_whose_file_cannot_be_locked_is_told_from_one_that_is_locked(tmp_path, monkeypatch, name):
    board(tmp_path)
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorname = name
    known = database.Database.at(tmp_path)
    for lacks in (False, True):
        if lacks:
            refuse_locks(monkeypatch)
        with pytest.raises(StoreError) as caught, known.translated():
            raise error
        assert ("has no locks" in caught.value.message) == lacks
        assert "leaderboard.sqlite" in caught.value.message
