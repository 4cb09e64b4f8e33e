from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from board_runs import scores_for, write_run

from leaderboard import database, schema
from leaderboard.database import DamagedBoardError, Database, migrations_folder
from leaderboard.errors import ResultError, StoreError
from leaderboard.results import read_result
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


# --- what goes in comes out -------------------------------------------------------------------------------------


def test_a_run_comes_back_whole(tmp_path):
    folder = write_run(tmp_path)
    store = Store.open(tmp_path)
    assert store.import_run(folder) == "new"
    assert store.run(folder.name) == json.loads((folder / "result.json").read_text())


def test_fields_without_a_column_are_kept(tmp_path):
    folder = write_run(tmp_path)
    content = json.loads((folder / "result.json").read_text())
    content["best_above_min_se"] = {"last": True, "best-test": False}
    (folder / "result.json").write_text(json.dumps(content))
    store = Store.open(tmp_path)
    store.import_run(folder)
    assert store.run(folder.name) == content


def test_predictions_come_back_to_the_last_bit_in_their_own_order(tmp_path):
    folder = write_run(tmp_path)
    store = Store.open(tmp_path)
    store.import_run(folder)
    cycles, scores = store.predictions(folder.name, "last")
    original = read_result(folder)
    order = [original.cycles.keys.index(key) for key in cycles.keys]
    assert np.array_equal(scores, scores_for(1, "last")[order].astype(np.float64))
    assert cycles.hash == original.cycles.hash
    for judged, metrics in store.recompute(folder.name, "last").items():
        stored = original.document["metrics"]["last"][judged]
        assert {**metrics, "epoch": stored["epoch"]} == stored


def test_scores_that_need_64_bits_keep_them(tmp_path):
    from leaderboard.predictions import read_predictions, write_predictions

    folder = write_run(tmp_path)
    predictions = read_predictions(folder / "predictions-last.csv")
    write_predictions(folder / "predictions-last.csv", predictions.keys, predictions.scores + 1e-12)
    store = Store.open(tmp_path)
    store.import_run(folder)
    found = store.predictions(folder.name, "last")[1]
    assert np.array_equal(np.sort(found, axis=None), np.sort(predictions.scores + 1e-12, axis=None))
    assert sorted(query(tmp_path, "SELECT rule, dtype FROM predictions")) == [("best-test", "<f4"), ("last", "<f8")]


def test_a_failed_run_is_kept_as_failed(tmp_path):
    folder = write_run(tmp_path, failed="The loss is nan.")
    store = Store.open(tmp_path)
    store.import_run(folder)
    assert store.run(folder.name)["error"] == "The loss is nan."
    with pytest.raises(ResultError, match="no predictions under the rule 'last'"):
        store.predictions(folder.name, "last")


def test_provenance_has_columns(tmp_path):
    Store.open(tmp_path).import_run(write_run(tmp_path))
    row = query(tmp_path, "SELECT code_version, code_commit, code_dirty, processes, device, cpu, gpu FROM runs")
    assert row == [("0.1.0", "c" * 40, 0, 2, "cpu", "a CPU", "a GPU, a GPU")]


def test_importing_twice_changes_nothing_and_a_rerun_replaces(tmp_path):
    folder = write_run(tmp_path)
    store = Store.open(tmp_path)
    assert [store.import_run(folder), store.import_run(folder)] == ["new", "same"]
    before = store.run(folder.name)
    write_run(tmp_path, salt=1)
    assert store.import_run(folder) == "changed"
    after = store.run(folder.name)
    assert after["metrics"] != before["metrics"]
    counts = [
        query(tmp_path, f"SELECT count(*) FROM {name}")[0][0]
        for name in ("runs", "metrics", "predictions", "cycle_sets")
    ]
    assert counts == [1, 4, 2, 1]


def test_a_run_that_fails_after_a_good_one_takes_its_place(tmp_path):
    store = Store.open(tmp_path)
    folder = write_run(tmp_path)
    store.import_run(folder)
    write_run(tmp_path, failed="The loss is nan.")
    assert store.import_run(folder) == "changed"
    assert query(tmp_path, "SELECT count(*) FROM metrics") == [(0,)]


def test_a_broken_folder_leaves_the_board_as_it_was(tmp_path):
    store = Store.open(tmp_path)
    folder = write_run(tmp_path)
    store.import_run(folder)
    (folder / "predictions-last.csv").write_text("recording,cycle\n")
    with pytest.raises(ResultError):
        store.import_run(folder)
    assert store.run(folder.name)["status"] == "finished"


def test_a_session_rolls_back(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))

    def stumble():
        with store.session(write=True) as session:
            session.execute(sa.delete(schema.Run))
            raise KeyError

    with pytest.raises(KeyError):
        stumble()
    assert len(store.runs()) == 1


def test_a_reading_session_cannot_write(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    with pytest.raises(StoreError), store.session() as session:
        session.execute(sa.delete(schema.Run))
    assert len(store.runs()) == 1


# --- finding ----------------------------------------------------------------------------------------------------


def test_runs_are_found_by_the_beginning_of_their_id(tmp_path):
    store = Store.open(tmp_path)
    ids = [write_run(tmp_path, seed=seed).name for seed in range(1, 21)]
    for run_id in ids:
        store.import_run(tmp_path / "runs" / run_id)
    assert store.find(ids[3]) == store.find(ids[3][:10].upper()) == ids[3]
    doubled = next(i[0] for i in ids if sum(j[0] == i[0] for j in ids) > 1)
    with pytest.raises(ResultError, match=f"'{doubled}' is the beginning of") as caught:
        store.find(doubled)
    assert caught.value.hint == "Write more characters."
    wrong = ids[3][:-1] + ("0" if ids[3][-1] != "0" else "1")
    with pytest.raises(ResultError, match="There is no run") as caught:
        store.find(wrong)
    assert ids[3] in caught.value.hint
    with pytest.raises(ResultError):
        store.find("")


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


def test_the_migrations_make_the_schema_of_the_classes(tmp_path):
    with Database.at(tmp_path).engine(write=True) as engine, engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.Base.metadata) == []


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


def test_a_newer_board_is_refused_by_both_versions(tmp_path):
    store = Store.open(tmp_path)
    folder = write_run(tmp_path)
    store.import_run(folder)
    set_version(tmp_path, "0099")
    for use in (store.runs, lambda: store.import_run(folder), store.database.upgrade):
        with pytest.raises(StoreError, match="version 0099, this lungbench has 0001: a newer") as caught:
            use()
        assert "pip install --upgrade lungbench" in caught.value.hint
    assert caught.value.exit_code == 4


def test_an_older_board_is_refused_with_the_command_that_helps(tmp_path, monkeypatch):
    store = Store.open(tmp_path)
    folder = write_run(tmp_path)
    store.import_run(folder)
    monkeypatch.setattr(schema, "VERSION", "0002")
    for use in (store.runs, lambda: store.import_run(folder)):
        with pytest.raises(StoreError, match=r"version 0001, this lungbench has 0002\.") as caught:
            use()
        assert caught.value.hint == "Run `bench board upgrade`."


def test_an_upgrade_that_cannot_be_done_changes_nothing(tmp_path):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    set_version(tmp_path, "0000")
    with pytest.raises(StoreError, match=r"cannot be upgraded: .*'0000'") as caught:
        store.database.upgrade()
    assert "bench board rebuild" in caught.value.hint
    assert store.database.version() == "0000"


SECOND = """
import sqlalchemy as sa
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    op.add_column("runs", sa.Column("note", sa.Text()))
    {fault}
"""


@pytest.fixture
def second_version(tmp_path, monkeypatch):
    """A lungbench whose schema has gone on by one version; gives the file of its migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(database, "migrations_folder", lambda: folder)

    def go_on(fault=""):
        (folder / "versions" / "v0002_note.py").write_text(SECOND.format(fault=fault))
        monkeypatch.setattr(schema, "VERSION", "0002")

    return go_on


def test_an_upgrade_brings_an_older_board_up(tmp_path, second_version):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    second_version()
    assert store.database.upgrade() == ("0001", "0002")
    assert store.database.version() == "0002"
    assert len(store.runs()) == 1
    assert query(tmp_path, "SELECT note FROM runs") == [(None,)]


def test_an_upgrade_that_fails_half_way_changes_nothing(tmp_path, second_version):
    store = Store.open(tmp_path)
    store.import_run(write_run(tmp_path))
    second_version('op.execute("SELECT * FROM no_such_table")')
    with pytest.raises(StoreError, match="no such table"):
        store.database.upgrade()
    assert store.database.version() == "0001"
    assert "note" not in [column[1] for column in query(tmp_path, "PRAGMA table_info(runs)")]


def test_an_upgrade_of_the_newest_changes_nothing(tmp_path):
    store = Store.open(tmp_path)
    assert store.database.upgrade() == (None, schema.VERSION)
    assert not board(tmp_path).exists()
    store.import_run(write_run(tmp_path))
    assert store.database.upgrade() == (schema.VERSION, schema.VERSION)


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
    try:
        with pytest.raises(StoreError, match="the disk is full"):
            import_all(tmp_path, folders)
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


def test_passwords_never_show(tmp_path, monkeypatch):
    store = Store.open("postgresql+psycopg://anna:s3cr%40t@localhost:1/board")
    assert "s3cr" not in str(store)
    assert "anna:***@localhost" in str(store)

    def refuse(*_arguments, **_options):
        raise sa.exc.OperationalError("", {}, Exception("no way in for anna with s3cr@t"))

    monkeypatch.setattr(database.Database, "_connect", refuse)
    with pytest.raises(StoreError) as caught, store.database.translated():
        refuse()
    assert "s3cr" not in caught.value.message
    assert "***" in caught.value.message


# --- many processes ---------------------------------------------------------------------------------------------


def import_all(home, folders):
    sys.path.insert(0, str(SUPPORT))
    store = Store.open(home)
    return [store.import_run(folder) for folder in folders]


@pytest.mark.slow
def test_four_processes_lose_nothing_and_make_one_board(tmp_path):
    shares = [[write_run(tmp_path, seed=100 * worker + i) for i in range(20)] for worker in range(4)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(import_all, [tmp_path] * 4, shares))
    assert results == [["new"] * 20] * 4
    assert len(Store.open(tmp_path).runs()) == 80
    assert query(tmp_path, "SELECT count(*) FROM predictions") == [(160,)]
    assert query(tmp_path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_two_processes_importing_the_same_run_store_it_once(tmp_path):
    folders = [write_run(tmp_path, seed=seed) for seed in range(5)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(import_all, [tmp_path] * 2, [folders] * 2))
    assert all(sorted(pair) == ["new", "same"] for pair in zip(*results, strict=True))


KILLED = """
import sys
from pathlib import Path
from leaderboard.store import Store
home = Path(sys.argv[1])
store = Store.open(home)
store.runs()
print("ready", flush=True)
while True:
    for folder in sorted((home / "runs").iterdir()):
        store.import_run(folder)
        store.import_run(home / "twin" / "runs" / folder.name)
        print(folder.name, flush=True)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_a_consistent_board(tmp_path):
    for seed in range(1, 4):
        write_run(tmp_path, seed=seed)
        write_run(tmp_path / "twin", seed=seed, salt=1)
    for lines, delay in ((1, 0.01), (1, 0.2), (2, 0.0), (4, 0.003), (5, 0.01)):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SUPPORT.parents[1])},
        )
        for _ in range(lines):
            assert process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        check_whole(tmp_path)
    assert len(Store.open(tmp_path).runs()) == 3


def check_whole(home):
    store = Store.open(home)
    for run in store.runs():
        document = store.run(run.run_id)
        assert set(run.metrics) == {"last", "best-test"}
        assert len(document["epochs"]) == 2
        for rule, metrics in run.metrics.items():
            for judged, told in document["metrics"][rule].items():
                assert {**metrics[judged], "confusion": told["confusion"]} == told
    if board(home).exists():
        assert query(home, "PRAGMA integrity_check") == [("ok",)]
        assert query(home, "PRAGMA foreign_key_check") == []
