"""What a board does whatever its database is: every test of the class runs on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import postgres
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from board_runs import scores_for, write_run
from task_runs import FIVE, THREE, write_task_run

from bench.core.errors import ResultError, StoreError
from leaderboard.results.predictions import read_predictions, write_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import ResultDocument, SpecFields, longest_texts
from leaderboard.store import database, schema, versions
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.store.versions import VERSION_TABLE, migrations_folder

ROOT = Path(__file__).resolve().parents[3]
SUPPORT = ROOT / "tests" / "support"
NEXT = f"{int(schema.VERSION) + 1:04d}"


class Place:
    """A board's place, and a way to look at its database that is not the store's."""

    def __init__(self, home, url=None):
        self.home = home
        self.location = url or home
        self.url = sa.make_url(url or f"sqlite:///{home}/leaderboard.sqlite")
        if url:
            self.url = self.url.set(drivername="postgresql+psycopg")

    @property
    def store(self):
        return Store.open(self.location)

    def run(self, text, **values):
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            result = connection.execute(sa.text(text), values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def set_version(self, version):
        self.run("UPDATE leaderboard_version SET version_num = :version", version=version)

    def name_version_as_before(self):
        """Have the version in Alembic's usual table, where the first boards had it."""
        self.run("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        self.run(f"INSERT INTO alembic_version SELECT version_num FROM {VERSION_TABLE}")
        self.run(f"DROP TABLE {VERSION_TABLE}")

    def go_back(self, version):
        """Bring the database back to an older version of the schema."""
        config = Config()
        config.set_main_option("script_location", str(migrations_folder()))
        with sa.create_engine(self.url, poolclass=sa.NullPool).begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, version)

    def columns(self, table):
        return {column["name"] for column in sa.inspect(sa.create_engine(self.url)).get_columns(table)}

    def check_whole(self):
        """Every run has all its parts, and they agree with its predictions."""
        for run in self.store.runs():
            document = self.store.run(run.run_id)
            assert set(run.metrics) == {"last", "best-test"}
            assert len(document["epochs"]) == 2
            for rule, metrics in run.metrics.items():
                for judged, told in document["metrics"][rule].items():
                    assert {**metrics[judged], "confusion": told["confusion"]} == told
        if self.url.get_backend_name() == "sqlite" and (self.home / "leaderboard.sqlite").exists():
            assert self.run("PRAGMA integrity_check") == [("ok",)]
            assert self.run("PRAGMA foreign_key_check") == []


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    return Place(tmp_path, request.getfixturevalue("postgres_url") if request.param == "postgresql" else None)


@pytest.fixture
def next_version(tmp_path, monkeypatch):
    """A lungbench whose schema has gone on by one version; calling it makes the migration."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(versions, "migrations_folder", lambda: folder)

    def go_on(fault=""):
        (folder / "versions" / "next.py").write_text(MIGRATION.format(NEXT, schema.VERSION, fault))
        monkeypatch.setattr(schema, "VERSION", NEXT)

    return go_on


MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision = "{}"
down_revision = "{}"
def upgrade():
    op.add_column("runs", sa.Column("note", sa.Text()))
    {}
"""


def import_all(location, folders):
    sys.path.insert(0, str(SUPPORT))
    store = Store.open(location)
    return [store.import_run(folder) for folder in folders]


def in_processes(count, place, shares):
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        return list(pool.map(import_all, [place.location] * count, shares))


KILLED = """
import sys
from pathlib import Path
from leaderboard.store.store import Store
home = Path(sys.argv[1])
store = Store.open(sys.argv[2] if len(sys.argv) > 2 else home)
store.runs()
print("ready", flush=True)
while True:
    for folder in sorted((home / "runs").iterdir()):
        store.import_run(folder)
        store.import_run(home / "twin" / "runs" / folder.name)
        print(folder.name, flush=True)
"""


class TestBoard:
    # --- what goes in comes out ---------------------------------------------------------------------------------

    def test_a_run_comes_back_whole(self, place):
        folder = write_run(place.home)
        assert place.store.import_run(folder) == "new"
        assert place.store.run(folder.name) == json.loads((folder / "result.json").read_text())

    def test_results_of_any_task_come_out_as_their_folders_hold_them(self, place):
        folders = [write_task_run(place.home, task=task) for task in (FIVE, THREE)]
        for folder in folders:
            assert place.store.import_run(folder) == "new"
            assert place.store.result(folder.name).digest == RunFolder(folder).read().digest
        five = next(run for run in place.store.runs() if run.run_id == folders[0].name)
        told = place.store.run(five.run_id)["other_parts"]["intra"]["last"]["5class"]
        assert {**five.metrics_of("intra")["last"]["5class"], "confusion": told["confusion"]} == told
        assert place.run("SELECT count(*) FROM part_metrics") == [(4,)]
        place.store.rehearse([RunFolder(folders[0]).read()])
        with place.store.session(write=True) as session:
            session.execute(sa.delete(schema.Run))
        assert place.run("SELECT count(*) FROM part_metrics") == [(0,)]

    def test_a_stored_run_has_the_digest_of_its_folder(self, place):
        folder = write_run(place.home)
        place.store.import_run(folder)
        assert place.store.result(folder.name).digest == RunFolder(folder).read().digest

    def test_fields_without_a_column_are_kept(self, place):
        folder = write_run(place.home)
        content = json.loads((folder / "result.json").read_text())
        content["best_above_min_se"] = {"last": True, "best-test": False}
        (folder / "result.json").write_text(json.dumps(content))
        place.store.import_run(folder)
        assert place.store.run(folder.name) == content

    def test_predictions_come_back_to_the_last_bit_in_their_own_order(self, place):
        folder = write_run(place.home)
        place.store.import_run(folder)
        cycles, scores = place.store.predictions(folder.name, "last")
        original = RunFolder(folder).read()
        order = [original.cycles.keys.index(key) for key in cycles.keys]
        assert np.array_equal(scores, scores_for(1, "last")[order].astype(np.float64))
        assert cycles.hash == original.cycles.hash
        for judged, metrics in place.store.recompute(folder.name, "last").items():
            stored = original.document["metrics"]["last"][judged]
            assert {**metrics, "epoch": stored["epoch"]} == stored

    def test_scores_that_need_64_bits_keep_them(self, place):
        folder = write_run(place.home)
        predictions = read_predictions(folder / "predictions-last.csv")
        write_predictions(folder / "predictions-last.csv", predictions.keys, predictions.scores + 1e-12)
        place.store.import_run(folder)
        found = place.store.predictions(folder.name, "last")[1]
        assert np.array_equal(np.sort(found, axis=None), np.sort(predictions.scores + 1e-12, axis=None))
        assert place.run("SELECT rule, dtype FROM predictions ORDER BY rule") == [("best-test", "<f4"), ("last", "<f8")]

    def test_a_failed_run_is_kept_as_failed(self, place):
        folder = write_run(place.home, failed="The loss is nan.")
        place.store.import_run(folder)
        assert place.store.run(folder.name)["error"] == "The loss is nan."
        with pytest.raises(ResultError, match="no predictions under the rule 'last'"):
            place.store.predictions(folder.name, "last")

    def test_provenance_has_columns(self, place):
        place.store.import_run(write_run(place.home))
        row = place.run("SELECT code_version, code_commit, code_dirty, processes, device, cpu, gpu FROM runs")
        assert row == [("0.1.0", "c" * 40, False, 2, "cpu", "a CPU", "a GPU, a GPU")]

    def test_long_names_of_hardware_are_shortened_in_their_column_alone(self, place):
        folder = write_run(place.home)
        content = json.loads((folder / "result.json").read_text())
        content["provenance"]["hardware"]["gpus"] = ["a GPU with a long name"] * 64
        (folder / "result.json").write_text(json.dumps(content))
        place.store.import_run(folder)
        assert place.run("SELECT length(gpu) FROM runs") == [(400,)]
        assert place.store.run(folder.name) == content

    def test_a_name_that_is_too_long_is_refused(self, place):
        with pytest.raises(ResultError, match="model has 201 characters, but the board takes 200"):
            place.store.import_run(write_run(place.home, model="x" * 201))
        assert place.store.runs() == []

    # --- twice, again, broken -----------------------------------------------------------------------------------

    def test_importing_twice_changes_nothing_and_a_rerun_replaces(self, place):
        folder = write_run(place.home)
        assert [place.store.import_run(folder), place.store.import_run(folder)] == ["new", "same"]
        before = place.store.run(folder.name)
        write_run(place.home, salt=1)
        assert place.store.import_run(folder) == "changed"
        assert place.store.run(folder.name)["metrics"] != before["metrics"]
        tables = ("runs", "metrics", "predictions", "cycle_sets")
        assert [place.run(f"SELECT count(*) FROM {name}")[0][0] for name in tables] == [1, 4, 2, 1]

    def test_a_run_that_fails_after_a_good_one_takes_its_place(self, place):
        folder = write_run(place.home)
        place.store.import_run(folder)
        write_run(place.home, failed="The loss is nan.")
        assert place.store.import_run(folder) == "changed"
        assert place.run("SELECT count(*) FROM metrics") == [(0,)]

    def test_a_broken_folder_leaves_the_board_as_it_was(self, place):
        folder = write_run(place.home)
        place.store.import_run(folder)
        (folder / "predictions-last.csv").write_text("recording,cycle\n")
        with pytest.raises(ResultError):
            place.store.import_run(folder)
        assert place.store.run(folder.name)["status"] == "finished"

    def test_a_session_rolls_back(self, place):
        store = place.store
        store.import_run(write_run(place.home))

        def stumble():
            with store.session(write=True) as session:
                session.execute(sa.delete(schema.Run))
                raise KeyError

        with pytest.raises(KeyError):
            stumble()
        assert len(store.runs()) == 1

    def test_a_reading_session_cannot_write(self, place):
        store = place.store
        store.import_run(write_run(place.home))
        with pytest.raises(StoreError), store.session() as session:
            session.execute(sa.delete(schema.Run))
        assert len(store.runs()) == 1

    def test_a_reader_sees_one_moment(self, place):
        store = place.store
        store.import_run(write_run(place.home))
        with store.session() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(schema.Run)) == 1
            store.import_run(write_run(place.home, seed=2))
            assert session.scalar(sa.select(sa.func.count()).select_from(schema.MetricRow)) == 4
        assert len(store.runs()) == 2

    # --- finding ------------------------------------------------------------------------------------------------

    def test_runs_are_found_by_the_beginning_of_their_id(self, place):
        store = place.store
        ids = [write_run(place.home, seed=seed).name for seed in range(1, 21)]
        for run_id in ids:
            store.import_run(place.home / "runs" / run_id)
        assert store.find(ids[3]) == store.find(ids[3][:10].upper()) == ids[3]
        assert [run.spec["seed"] for run in store.runs()] == list(range(1, 21))
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

    # --- versions -----------------------------------------------------------------------------------------------

    def test_reading_an_absent_board_is_empty_and_makes_nothing(self, place):
        assert place.store.runs() == []
        assert place.store.database.version() is None
        assert place.store.database.upgrade() == (None, schema.VERSION)
        assert place.store.database.version() is None

    def test_the_migrations_make_the_schema_of_the_classes(self, place):
        with place.store.database.engine(write=True) as engine, engine.begin() as connection:
            assert (
                compare_metadata(
                    MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), schema.Base.metadata
                )
                == []
            )

    def test_another_program_s_database_is_left_alone(self, place):
        place.run("CREATE TABLE alembic_version (version_num TEXT)")
        place.run("INSERT INTO alembic_version VALUES ('9f8e7d')")
        with pytest.raises(StoreError, match="is a database, but not a LungBench board"):
            place.store.import_run(write_run(place.home))
        assert place.columns("alembic_version") == {"version_num"}

    def test_a_board_has_a_version_table_of_its_own(self, place):
        place.store.import_run(write_run(place.home))
        assert place.run(f"SELECT version_num FROM {VERSION_TABLE}") == [(schema.VERSION,)]
        assert "alembic_version" not in sa.inspect(sa.create_engine(place.url)).get_table_names()

    def test_a_board_with_alembic_s_table_is_used_as_it_is_until_an_upgrade_gives_it_its_own(self, place):
        store, folder = place.store, write_run(place.home)
        store.import_run(folder)
        place.name_version_as_before()
        assert store.database.version() == schema.VERSION
        store.check_writable()
        store.import_run(write_run(place.home, seed=2))
        before = store.runs()
        assert store.database.upgrade() == (schema.VERSION, schema.VERSION)
        assert place.run(f"SELECT version_num FROM {VERSION_TABLE}") == [(schema.VERSION,)]
        assert "alembic_version" not in sa.inspect(sa.create_engine(place.url)).get_table_names()
        assert store.runs() == before

    def test_an_older_board_with_alembic_s_table_is_refused_until_it_is_upgraded(self, place):
        store = place.store
        store.import_run(write_run(place.home))
        before = store.runs()
        place.go_back("0001")
        place.name_version_as_before()
        with pytest.raises(StoreError, match="version 0001"):
            store.runs()
        assert store.database.upgrade() == ("0001", schema.VERSION)
        assert store.runs() == before

    def test_a_rebuild_mends_a_board_that_lacks_a_table(self, place):
        folders = [write_run(place.home, seed=seed) for seed in (1, 2)]
        for folder in folders:
            place.store.import_run(folder)
        before = place.store.runs()
        for table in ("metrics", VERSION_TABLE):
            place.run(f"DROP TABLE {table}")
            with pytest.raises(StoreError) as caught:
                place.store.runs()
            assert "bench board rebuild" in caught.value.hint
            rebuild(place.home, store=place.store)
            assert place.store.runs() == before

    def test_the_board_holds_texts_as_long_as_the_judge_of_results_lets_them_be(self, place):
        most = longest_texts(ResultDocument) | longest_texts(SpecFields)
        widths = {name: column.type.length for name, column in schema.Run.__table__.c.items() if name in most}
        assert widths == most
        longest = {name: "é" * most[name] for name in ("model", "method", "pretrain", "split")}
        folder = write_run(place.home, seed=2**63 - 1, **longest)
        place.store.import_run(folder)
        assert place.store.run(folder.name)["spec"]["model"] == longest["model"]
        assert place.store.runs()[0].spec["seed"] == 2**63 - 1

    def test_a_rehearsal_leaves_nothing(self, place):
        result = RunFolder(write_run(place.home)).read()
        place.store.rehearse([result, result])
        assert place.store.runs() == []
        assert place.run("SELECT count(*) FROM cycle_sets") == [(0,)]

    def test_a_newer_board_is_refused_by_both_versions(self, place):
        store, folder = place.store, write_run(place.home)
        store.import_run(folder)
        place.set_version("0099")
        for use in (store.runs, lambda: store.import_run(folder), store.database.upgrade):
            message = f"version 0099, this lungbench has {schema.VERSION}: a newer"
            with pytest.raises(StoreError, match=message) as caught:
                use()
            assert "pip install --upgrade lungbench" in caught.value.hint
        assert caught.value.exit_code == 4

    def test_a_board_of_the_first_version_is_refused_until_it_is_upgraded(self, place):
        store = place.store
        folders = [write_run(place.home, seed=seed) for seed in (1, 2)]
        folders.append(write_run(place.home, seed=3, failed="The loss is nan."))
        for folder in folders:
            store.import_run(folder)
        before, documents = store.runs(), [store.run(folder.name) for folder in folders]
        place.go_back("0001")
        assert "kind" not in place.columns("runs")
        for use in (store.runs, lambda: store.import_run(folders[0])):
            with pytest.raises(StoreError, match=f"version 0001, this lungbench has {schema.VERSION}\\.") as caught:
                use()
            assert caught.value.hint == "Run `bench board upgrade`."
        assert store.database.upgrade() == ("0001", schema.VERSION)
        assert store.runs() == before
        assert [store.run(folder.name) for folder in folders] == documents
        assert [store.import_run(folder) for folder in folders] == ["same"] * 3
        with store.session(write=True) as session:
            session.execute(sa.delete(schema.Run))
        assert place.run("SELECT count(*) FROM metrics") == [(0,)], "a run's rows no longer go with it"
        assert store.database.upgrade() == (schema.VERSION, schema.VERSION)

    def test_an_upgrade_that_cannot_be_done_changes_nothing(self, place):
        place.store.import_run(write_run(place.home))
        place.set_version("0000")
        with pytest.raises(StoreError, match=r"cannot be upgraded: .*'0000'"):
            place.store.database.upgrade()
        assert place.store.database.version() == "0000"

    def test_an_upgrade_brings_an_older_board_up(self, place, next_version):
        place.store.import_run(write_run(place.home))
        next_version()
        assert place.store.database.upgrade() == (f"{int(NEXT) - 1:04d}", NEXT)
        assert place.store.database.version() == NEXT
        assert len(place.store.runs()) == 1
        assert place.run("SELECT note FROM runs") == [(None,)]

    def test_an_upgrade_that_fails_half_way_changes_nothing(self, place, next_version):
        place.store.import_run(write_run(place.home))
        before = schema.VERSION
        next_version('op.execute("SELECT * FROM no_such_table")')
        with pytest.raises(StoreError, match="no_such_table"):
            place.store.database.upgrade()
        assert place.store.database.version() == before
        assert "note" not in place.columns("runs")

    # --- many processes -----------------------------------------------------------------------------------------

    def test_a_locked_board_is_named(self, place, monkeypatch):
        store = place.store
        store.import_run(write_run(place.home))
        monkeypatch.setattr(database, "TIMEOUT", 0.2)
        other = place.store
        with store.session(write=True):
            with pytest.raises(StoreError, match="is locked by another process"), other.session(write=True):
                pytest.fail("the lock was not noticed before the block")
            assert len(other.runs()) == 1  # a reader does not wait for a writer

    @pytest.mark.slow
    def test_eight_processes_lose_nothing_and_make_one_board(self, place):
        shares = [[write_run(place.home, seed=100 * worker + i) for i in range(6)] for worker in range(8)]
        assert in_processes(8, place, shares) == [["new"] * 6] * 8
        assert len(place.store.runs()) == 48
        assert place.run("SELECT count(*) FROM predictions") == [(96,)]
        assert place.run("SELECT count(*) FROM cycle_sets") == [(1,)]
        place.check_whole()

    @pytest.mark.slow
    def test_two_processes_importing_the_same_run_store_it_once(self, place):
        folders = [write_run(place.home, seed=seed) for seed in range(5)]
        results = in_processes(2, place, [folders] * 2)
        assert all(sorted(pair) == ["new", "same"] for pair in zip(*results, strict=True))

    @pytest.mark.slow
    def test_a_kill_in_the_middle_leaves_a_consistent_board(self, place):
        for seed in range(1, 4):
            write_run(place.home, seed=seed)
            write_run(place.home / "twin", seed=seed, salt=1)
        words = [str(place.home)] if place.location is place.home else [str(place.home), place.location]
        for lines, delay in ((1, 0.01), (1, 0.2), (2, 0.0), (4, 0.003), (5, 0.01)):
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, *words],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for _ in range(lines):
                assert process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            place.check_whole()
        assert len(place.store.runs()) == 3

    # --- rebuilding ---------------------------------------------------------------------------------------------

    def test_a_rebuild_repairs_what_was_changed_by_hand(self, place):
        folders = [write_run(place.home, seed=seed) for seed in (1, 2)]
        for folder in folders:
            place.store.import_run(folder)
        before = place.store.runs()
        place.run("UPDATE metrics SET score = 99.0")
        done = rebuild(place.home, store=place.store)
        assert place.store.runs() == before
        assert sorted(done.imported) == sorted(folder.name for folder in folders)
        assert (done.broken, done.unfinished, done.dropped, done.moved) == ({}, (), (), None)


class TestPostgreSQL:
    """What only a server has: passwords, connections that fail, machines that share it."""

    @pytest.fixture
    def place(self, tmp_path, postgres_url):
        return Place(tmp_path, postgres_url)

    @pytest.mark.parametrize("name", ["postgresql://", "postgres://", "postgresql+psycopg://"])
    def test_the_usual_names_of_postgresql_work(self, place, name):
        assert Store.open(place.location.replace("postgresql://", name)).runs() == []

    def test_passwords_never_show(self, place, postgres_socket):
        url = sa.make_url(place.location)
        hidden = [postgres.PASSWORD, url.render_as_string(hide_password=False).split(":")[2].split("@")[0]]
        assert hidden[0] not in hidden[1], "the URL writes the password in another way"
        absent = url.set(database="nothing_here").render_as_string(hide_password=False)
        nobody = url.update_query_dict({"host": "/no/such/socket"}).render_as_string(hide_password=False)
        in_query = f"postgresql:///nothing_here?host={postgres_socket}&user=postgres&password={postgres.PASSWORD[:5]}"
        for location in (absent, nobody, in_query):
            store = Store.open(location)
            with pytest.raises(StoreError) as caught:
                store.runs()
            assert "BENCH_STORE" in caught.value.hint
            said = " ".join([str(store), caught.value.hint, *traceback.format_exception(caught.value)])
            assert not any(secret in said for secret in [*hidden, postgres.PASSWORD[:5]])
        assert f"postgres:***@/{url.database}" in str(place.store)

    def test_a_driver_that_quotes_the_password_is_masked(self, place):
        secret = postgres.PASSWORD
        with pytest.raises(StoreError) as caught, place.store.database.translated():
            raise sa.exc.OperationalError("", {}, Exception(f"no way in with {secret} or s3cr%40t%2F%2B%20%2541"))
        assert caught.value.message.endswith("no way in with *** or ***.")

    def test_a_missing_driver_is_named_with_what_to_install(self, place, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(StoreError, match="needs a driver that is not installed") as caught:
            Store.open(place.location).runs()
        assert "lungbench[postgres]" in caught.value.hint

    def test_a_rebuild_keeps_the_runs_of_other_machines(self, place, tmp_path):
        mine, theirs = write_run(tmp_path / "mine", seed=1), write_run(tmp_path / "theirs", seed=2)
        for folder in (mine, theirs):
            place.store.import_run(folder)
        done = rebuild(tmp_path / "mine", store=place.store)
        assert (done.imported, done.kept, done.dropped) == ((mine.name,), (theirs.name,), ())
        assert len(place.store.runs()) == 2

    @pytest.mark.parametrize("order", ["board first", "studies first"])
    def test_board_and_studies_share_a_database(self, place, order):
        import optuna

        def search():
            storage = optuna.storages.RDBStorage(place.url.render_as_string(hide_password=False))
            optuna.create_study(storage=storage, study_name=f"study {len(storage.get_all_studies())}")
            names = sorted(study.study_name for study in storage.get_all_studies())
            storage.engine.dispose()
            return names

        steps = [lambda: place.store.import_run(write_run(place.home)), search]
        for step in steps if order == "board first" else steps[::-1]:
            step()
        assert len(search()) == 2
        assert len(place.store.runs()) == 1
        rebuild(place.home, store=place.store)
        place.store.database.upgrade()
        assert len(search()) == 3

    def test_studies_work_beside_a_board_of_before_once_it_is_upgraded(self, place):
        import optuna

        place.store.import_run(write_run(place.home))
        place.name_version_as_before()
        place.store.database.upgrade()
        storage = optuna.storages.RDBStorage(place.url.render_as_string(hide_password=False))
        optuna.create_study(storage=storage)
        storage.engine.dispose()
        assert len(place.store.runs()) == 1

    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
    def test_databases_that_are_not_in_utf8_work_or_say_what_they_cannot_hold(
        self, tmp_path, postgres_socket, encoding
    ):
        with postgres.database(postgres_socket, encoding) as url:
            place = Place(tmp_path, url)
            folder = write_run(place.home, model="Modèle")
            assert place.store.import_run(folder) == "new"
            assert place.store.run(folder.name)["spec"]["model"] == "Modèle"
            assert place.store.predictions(folder.name, "last")[0].keys[0][0].startswith("101")
            long = write_run(place.home, model="网" * 200)
            with pytest.raises(ResultError, match="cannot hold this") as caught:
                place.store.import_run(long)
            assert "UTF8" in caught.value.hint
            done = rebuild(place.home, store=place.store)
            assert list(done.broken) == [long.name]
            assert done.imported == (folder.name,)

    @pytest.mark.parametrize(
        "options",
        ["connect_timeout=abc", "sslmode=nonsense", "port=99999999", "nonsense=1", "options=-c%20nonsense%3D1"],
    )
    def test_options_that_mean_nothing_are_a_sentence_without_the_password(self, place, options):
        store = Store.open(f"{place.location}&{options}&sslpassword={postgres.PASSWORD[:6]}")
        with pytest.raises(StoreError) as caught:
            store.runs()
        said = " ".join([str(store), caught.value.message, *traceback.format_exception(caught.value)])
        assert postgres.PASSWORD not in said
        assert postgres.PASSWORD[:6] not in said

    def test_a_password_is_masked_in_every_way_of_writing_it(self):
        database = Store.open("postgresql://anna:p%40ss%2fw@host/name?password=tw0&password=thr33").database
        with pytest.raises(StoreError) as caught, database.translated():
            raise sa.exc.OperationalError("", {}, Exception("p@ss/w p%40ss%2Fw p%40ss%2fw tw0 thr33"))
        assert caught.value.message.endswith("*** *** *** *** ***.")
        assert caught.value.__cause__ is None
        assert "p@ss" not in "".join(traceback.format_exception(caught.value))

    def test_no_connection_stays_open(self, place):
        store = place.store
        store.import_run(write_run(place.home))
        store.runs()
        assert place.run("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == [(1,)]
