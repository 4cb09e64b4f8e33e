"""What studies are kept in: what is no storage is left as it is, what is damaged is named, and no secret is shown."""

import errno
import fcntl
import json
import os
import shutil
import sqlite3

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from small_studies import SETTINGS, base_spec, request_of, study_of, work_on

from bench.core.errors import SpecError, StoreError
from bench.search import claims, objective
from bench.search.database import TABLES, VERSIONS
from bench.search.storage import Place, check_name
from bench.search.study import make_study, open_study, studies_in

SMALL = [word for setting in SETTINGS for word in ("--set", setting)]
SECRET = "pa55w0rd-of-mine"


@pytest.fixture
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def words(small_data, small_cache, home):
    place = ["--data", small_data, "--cache", small_cache, "--home", home]
    return ["search", "--model", "ast", "--method", "patchmix-cl", *SMALL, *place, "--param", "alpha", "--trials", "1"]


# --- files that are no journals ---------------------------------------------------------------------------------


def a_board(path):
    from leaderboard.store.store import Store

    Store.open(path.parent / "board")
    shutil.copy(path.parent / "board" / "leaderboard.sqlite", path)


CONTENTS = {
    "json without an end": b'{"my":"only copy"}',
    "json lines": b'{"my":"only copy"}\n{"and":"more"}\n',
    "text": b"notes\n",
    "a newline": b"\n",
    "binary": bytes(range(256)),
    "nothing but zeros": bytes(100),
    "almost a journal": b'{"op_codes":1}\n',
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_file_that_does_not_begin_as_a_journal_is_refused_untouched(bench, words, tmp_path, content, more):
    path = tmp_path / "notes"
    path.write_bytes(content)
    assert "is no journal of studies" in " ".join(bench(*words, *more, "--storage", path, code=4).err.split())
    for command in (["list"], ["show", "x"], ["resume", "x"], ["delete", "x", "--yes"]):
        bench("search", *command, "--storage", path, "--home", tmp_path / "results", code=4)
    assert path.read_bytes() == content
    assert sorted(found.name for found in tmp_path.iterdir()) == ["notes"]


def make_fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize("made", [os.mkdir, make_fifo])
@pytest.mark.parametrize("scheme", ["", "sqlite:///"])
def test_what_is_no_regular_file_is_refused(bench, words, tmp_path, made, scheme):
    made(tmp_path / "odd")
    said = " ".join(bench(*words, "--storage", f"{scheme}{tmp_path}/odd", code=4).err.split())
    assert "studies are kept in a file" in said
    assert [found.name for found in tmp_path.iterdir()] == ["odd"]


def test_devices_and_folders_that_are_none_are_refused(bench, words, tmp_path):
    assert "is no regular file" in bench(*words, "--storage", "/dev/null", code=4).err
    (tmp_path / "file").write_text("x")
    assert "Cannot read" in " ".join(bench(*words, "--storage", tmp_path / "file" / "s", code=4).err.split())
    assert "is not known on this machine" in bench(*words, "--storage", "~nobody-of-that-name/s", code=2).err


def test_an_sqlite_database_is_named_as_one(bench, words, tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE t (x)")
    assert "sqlite:///" in bench(*words, "--storage", tmp_path / "x.db", code=4).err


@pytest.mark.parametrize("left", [b"", b'{"op', b'{"op_code":0,"work'])
def test_what_a_killed_writer_left_of_a_first_line_begins_anew(base, home, tmp_path, left):
    path = tmp_path / "s.journal"
    path.write_bytes(left)
    search = study_of(base, request_of(base), home, 1, storage=str(path))
    assert open_study(search.place, "s").request == search.request


# --- damaged journals -------------------------------------------------------------------------------------------


def spoil(path, number, line):
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines))


DAMAGE = [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"{}", b'{"op_code": 99}', b'{"op_code": [1]}', b"[" * 5000]
DAMAGE += [b'{"op_code":2,"worker_id":"x","study_id":0,"user_attr":[1,2]}', b'{"op_code":4,"study_id":0}']
DAMAGE += [b'{"op_code":0,"worker_id":"x","study_name":"t","directions":[9]}', b"1" * 5000]
DAMAGE += [b'{"op_code":5,"worker_id":"x","trial_id":0,"param_name":"a","param_value_internal":1,"distribution":"{}"}']


@pytest.mark.parametrize("line", DAMAGE, ids=lambda line: repr(line[:30]))
def test_a_damaged_line_is_named_by_number_and_the_other_studies_are_listed(bench, base, home, line):
    for name in ("broken", "sound"):
        search = study_of(base, request_of(base), home, 1, name=name)
        claims.claim(search)
    path = home / "studies" / "broken.journal"
    number = path.read_bytes().count(b"\n")
    spoil(path, number, line)
    listed = bench("search", "list", "--home", home, "--format", "json", code=4)
    assert [row["study"] for row in json.loads(listed.out)] == ["sound"]
    said = " ".join(listed.err.split())
    assert f"Line {number} of {path} is damaged" in said
    assert "sound" in bench("search", "list", "--home", home, code=4).out
    assert "is damaged" in bench("search", "show", "broken", "--home", home, code=4).err


ATTRIBUTES = [
    ("request", []),
    ("request", {"space": []}),
    ("request", {"params": "alpha"}),
    ("request", {"params": [["alpha"]]}),
    ("request", {"params": []}),
    ("request", {"params": ["alpha", "beta"]}),
    ("request", {"space": {"alpha": {"field": "method.alpha", "low": "1", "high": 2}}}),
    ("request", {"space": {"alpha": {"field": "method.alpha", "low": 2, "high": 1}}}),
    ("request", {"space": {"alpha": {"field": "method.alpha", "low": 0, "high": 1, "log": True}}}),
    ("request", {"space": {"alpha": {"field": "method.alpha", "values": []}}}),
    ("request", {"space": {"alpha": {"field": "method.alpha", "values": [[1]]}}}),
    ("request", {"space": {"alpha": {"field": "method.alpha", "low": 0, "high": 1, "more": 1}}}),
    ("request", {"space": {"alpha": [0, 1]}}),
    ("request", {"objective": "other"}),
    ("request", {"folds": "2"}),
    ("request", {"folds": 10**9}),
    ("request", {"sampler": ["tpe"]}),
    ("request", {"pruner": None}),
    ("request", {"seeds": [1.5]}),
    ("request", {"spec": []}),
    ("request", {"spec": {"batch": "many"}}),
    ("request", {"spec": {"nonsense": 1}}),
    ("request", {"spec": {"epochs": "2"}}),
    ("request", {"spec": {"method_options": [1]}}),
    ("execution", [1]),
    ("execution", {"data": 1}),
    ("execution", {"processes": 0}),
    ("settings", {"final_seeds": "none"}),
    ("settings", {"give_up_after": -1}),
    ("trials", "60"),
    ("finals", "x"),
]


@pytest.mark.parametrize(("name", "value"), ATTRIBUTES)
def test_a_study_that_says_what_no_search_writes_is_a_sentence(bench, base, home, name, value):
    search = study_of(base, request_of(base, "alpha"), home, 1, name="broken")
    study_of(base, request_of(base), home, 1, name="sound")
    known = search.study.user_attrs.get(name, {})
    if isinstance(value, dict) and name == "request":
        value = {**known, **value}
        if "nonsense" in value["spec"] or len(value["spec"]) == 1:
            value["spec"] = {**known["spec"], **value["spec"]}
    elif isinstance(value, dict):
        value = {**known, **value}
    search.study.set_user_attr(name, value)
    for words in (["show", "broken"], ["best", "broken"], ["resume", "broken"], ["delete", "broken", "--yes"]):
        said = " ".join(bench("search", *words, "--home", home, code=4).err.split())
        assert "The study 'broken'" in said, words
        assert "is damaged" in said
    listed = bench("search", "list", "--home", home, "--format", "json", code=4)
    assert [row["study"] for row in json.loads(listed.out)] == ["sound"]


TRIALS = [
    ("seconds", "long"),
    ("run_ids", 3),
    ("run_ids", [3]),
    ("scores", ["1"]),
    ("scores", [float("nan")]),
    ("device", "tpu"),
    ("processes", 1.5),
    ("error", ["x"]),
    ("worker", {"machine": "x"}),
    ("worker", "x"),
    ("lost_workers", "many"),
    ("retry_of", None),
]


@pytest.mark.parametrize(("name", "value"), TRIALS)
def test_a_trial_that_says_what_no_search_writes_is_a_sentence(bench, base, home, name, value):
    search = study_of(base, request_of(base, "alpha"), home, 1)
    claims.claim(search).trial.set_user_attr(name, value)
    said = " ".join(bench("search", "show", "s", "--home", home, code=4).err.split())
    assert "trial 0" in said
    assert "is damaged" in said


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "../x", ".x", "-x", "x" * 101, "x\n", "x\x1b[2J", "é", "\udcff", "٣", "[bold]x"]
)
def test_names_that_cannot_name_a_study(name):
    with pytest.raises(SpecError) as caught:
        check_name(name)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("name", ["[/]x", "a\x1b[2Jb", "\ud800", "x" * 1000])
def test_a_study_of_an_odd_name_is_left_out_of_the_list_and_said(bench, base, home, name):
    search = study_of(base, request_of(base), home, 1, name="sound")
    journal = home / "studies" / "sound.journal"
    shared = home / "studies" / "odd.journal"
    shared.write_text(journal.read_text().replace('"sound"', json.dumps(name)))
    listed = bench("search", "list", "--home", home, "--format", "json", code=4)
    assert [row["study"] for row in json.loads(listed.out)] == [search.name]
    assert "is damaged: its name" in " ".join(listed.err.split())
    assert "\x1b[2J" not in listed.err
    assert len(listed.err) < 700


# --- databases --------------------------------------------------------------------------------------------------


def tables(url):
    return set(sa.inspect(sa.create_engine(url)).get_table_names())


def rewritten(url):
    return sa.make_url(url).set(drivername="postgresql+psycopg")


FOREIGN = [
    ["CREATE TABLE alembic_version (version_num VARCHAR(32))", "INSERT INTO alembic_version VALUES ('0003')"],
    ["CREATE TABLE studies (id INTEGER)"],
    ["CREATE TABLE trials (id INTEGER)", "CREATE TABLE version_info (id INTEGER)"],
]


@pytest.mark.parametrize("statements", FOREIGN)
@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_another_programs_database_is_refused_before_anything_is_made(
    bench, words, tmp_path, request, statements, backend
):
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path}/other.sqlite"
        engine = sa.create_engine(url)
    else:
        url = request.getfixturevalue("postgres_url")
        engine = sa.create_engine(rewritten(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    before = tables(engine.url)
    for command in ([*words], [*words, "--dry-run"], ["search", "list"], ["search", "show", "x"]):
        said = " ".join(bench(*command, "--storage", url, code=4).err.split())
        assert "which were not put there" in said
        assert "of their own" in said
    assert tables(engine.url) == before


def test_a_schema_of_their_own_in_another_programs_database_is_the_way_out(base, home, postgres_url):
    with sa.create_engine(rewritten(postgres_url)).begin() as connection:
        for statement in [*FOREIGN[0], "CREATE SCHEMA studies"]:
            connection.execute(sa.text(statement))
    search = study_of(base, request_of(base), home, 1, storage=f"{postgres_url}&options=-csearch_path%3Dstudies")
    assert open_study(search.place, "s").target == 1
    assert tables(rewritten(postgres_url)) == {"alembic_version"}


@pytest.mark.parametrize("command", [["list"], ["show", "x"], ["resume", "x"]])
def test_reading_an_empty_database_makes_nothing_in_it(bench, home, postgres_url, command):
    bench("search", *command, "--storage", postgres_url, "--home", home, code=0 if command == ["list"] else 2)
    assert tables(rewritten(postgres_url)) == set()


def test_studies_never_spoil_a_boards_database(base, home, postgres_url):
    """Where the board's version table has Optuna's name they are refused; otherwise both live there."""
    from leaderboard.store.store import Store

    board = Store.open(str(rewritten(postgres_url).render_as_string(hide_password=False)))
    with board.session(write=True):
        pass
    before = tables(rewritten(postgres_url))
    assert "runs" in before
    if "alembic_version" in before:
        with pytest.raises(StoreError, match="which were not put there"):
            study_of(base, request_of(base), home, 1, storage=postgres_url)
        assert tables(rewritten(postgres_url)) == before
    else:
        search = study_of(base, request_of(base), home, 1, storage=postgres_url)
        assert open_study(search.place, "s").target == 1
    with board.session(write=True):
        assert board.runs() == []


# --- secrets ----------------------------------------------------------------------------------------------------


SECRET_URLS = [
    f"postgresql://me:{SECRET}@127.0.0.1:1/studies",
    f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/studies",
    f"postgresql://127.0.0.1:1/studies?user=me&password={SECRET}",
    f"postgresql://me:{SECRET}@127.0.0.1:notaport/studies",
    f"postgresql:/me:{SECRET}@127.0.0.1/studies",
    f"postgresql:me:{SECRET}@127.0.0.1",
    f"me:{SECRET}@127.0.0.1/studies",
    f"mysql://me:{SECRET}@127.0.0.1/studies",
    f"postgresql://me:{SECRET}@[::1/studies",
    f"sqlite://me:{SECRET}@host/",
]


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_password_reaches_no_message(bench, words, tmp_path, monkeypatch, url, way):
    more = ["--storage", url]
    if way == "variable":
        monkeypatch.setenv("BENCH_STUDIES", url)
        more = []
    for command in (
        words,
        [*words, "--dry-run"],
        ["search", "list"],
        ["search", "show", "x"],
        ["search", "resume", "x"],
    ):
        captured = bench(*command, *more, code=4)
        assert SECRET not in captured.out + captured.err
    assert not list(tmp_path.iterdir())


def test_a_password_reaches_no_study_plan_or_command(bench, words, base, home, postgres_url, monkeypatch):
    from bench.search.session import SearchSession
    from bench.search.study import Settings

    host = sa.make_url(postgres_url).query["host"]
    database = sa.make_url(postgres_url).database
    urls = [
        f"postgresql://postgres:{SECRET}@/{database}?host={host}",
        f"postgresql:///{database}?host={host}&user=postgres&password={SECRET}",
    ]
    monkeypatch.delenv("BENCH_STUDIES", raising=False)
    for number, url in enumerate(urls):
        assert SECRET not in bench(*words, "--storage", url, "--dry-run", "--format", "json").out
        search = study_of(base, request_of(base), home, 1, name=f"s{number}", storage=url)
        shown = bench("search", "show", f"s{number}", "--storage", url, "--format", "json").out
        shown += bench("search", "list", "--storage", url, "--format", "json").out
        run = SearchSession(home=home, storage=url, name="s", workers=1, settings=Settings())
        assert SECRET not in shown + json.dumps(search.study.user_attrs) + run.resume_command()
        assert search.place.masked(f"no password {SECRET} here") == "no password *** here"


def test_a_server_that_refuses_says_so_without_the_password(base, home, postgres_url):
    place = Place(url=postgres_url.replace("/board", "/missing"))
    with pytest.raises(StoreError, match="cannot be used") as caught:
        make_study(place, "s", request_of(base), base.execution(), 1)
    assert "s3cr" not in caught.value.message
    assert caught.value.__suppress_context__


def test_worker_logs_and_process_titles_hold_no_password(base, home, monkeypatch):
    """What a worker writes of an error that it was lost to, and what it is started with."""
    import subprocess

    from bench.search import workers

    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: pytest.fail(repr(command)))
    url = f"postgresql://me:{SECRET}@127.0.0.1:1/studies"
    search = study_of(base, request_of(base), home, 1)
    with pytest.raises(pytest.fail.Exception) as caught:
        workers.Crew(search, home, base.execution(), 1).run()
    assert str(caught.value).endswith("'bench.launch.child_process', 'bench.search.worker']")
    assert SECRET not in Place(url=url).masked(f"connection to {url} failed")


def test_all_studies_of_a_folder_are_read_with_what_is_wrong_with_the_others(base, home):
    study_of(base, request_of(base), home, 1, name="sound")
    (home / "studies" / "other.journal").write_text("x")
    (home / "studies" / "folder.journal").mkdir()
    places = [Place(journal=path) for path in sorted((home / "studies").glob("*.journal"))]
    found, errors = studies_in(places)
    assert [search.name for search in found] == ["sound"]
    assert len(errors) == 2


def test_sqlite_keeps_a_study(base, home, tmp_path, monkeypatch):
    monkeypatch.setattr(objective, "launch", lambda *words, **options: pytest.fail("no run is due"))
    search = study_of(base, request_of(base), home, 0 + 1, storage=f"sqlite:///{tmp_path}/s.sqlite")
    claims.claim(search).end(claims.TrialState.COMPLETE, 50.0, {})
    assert work_on(search, home) == []
    assert open_study(search.place, "s").best.value == 50.0


# --- file systems without locks ---------------------------------------------------------------------------------


def refuse(number):
    def refused(*_args):
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_journal_does_without_the_locks_of_its_file_system(base, home, monkeypatch, number):
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    search = study_of(base, request_of(base), home, 1)
    taken = claims.claim(search)
    taken.beat()
    assert taken.end(TrialState.COMPLETE, 50.0, {})
    assert [path.name for path in (home / "studies").iterdir() if path.name.endswith(".held")] == []


def test_an_sqlite_file_that_cannot_be_locked_is_named(tmp_path, monkeypatch):
    place = Place.of(f"sqlite:///{tmp_path}/s.db", tmp_path, "s")
    locked = sqlite3.OperationalError("database is locked")
    for lacks in (False, True):
        if lacks:
            monkeypatch.setattr(fcntl, "lockf", refuse(errno.ENOLCK))
        with pytest.raises(StoreError, match=r"s\.db cannot be used") as caught, place.translated():
            raise sa.exc.OperationalError("BEGIN", {}, locked)
        assert ("has no locks" in caught.value.message) == lacks
        assert ("Leave --storage out" in caught.value.hint) == lacks


def test_the_tables_of_optuna_are_known(tmp_path):
    """A database that has one of them without the others is not given to Optuna."""
    import optuna

    optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/s.db")
    tables = sa.inspect(sa.create_engine(f"sqlite:///{tmp_path}/s.db")).get_table_names()
    assert set(tables) == TABLES | {VERSIONS}
