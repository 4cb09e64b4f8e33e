"""Places of studies: what ``--storage`` means, what is made and what is not, and who may use it at once."""

import errno
import json
import pickle
import sqlite3
import threading
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from bench.core.errors import SpecError, StoreError
from bench.search.database import OWN, TABLES, VERSIONS, holds_studies
from bench.search.files import BEGIN, check_journal, check_kind
from bench.search.storage import Place, check_name, places_in

SECRET = "pa55w0rd-of-mine"
JOURNAL_LINE = b'{"op_code":0,"worker_id":"x","study_name":"s","directions":[2]}\n'

# --- what is named ----------------------------------------------------------------------------------------------


def test_a_study_has_a_file_of_its_own_where_no_storage_is_named(tmp_path):
    place = Place.of(None, tmp_path, "mine")
    assert place == Place(journal=tmp_path / "studies" / "mine.journal")
    assert str(place) == f"{tmp_path}/studies/mine.journal"
    assert not place.one_writer


@pytest.mark.parametrize(
    ("text", "one_writer"),
    [
        ("shared.journal", False),
        ("./postgres", False),
        ("studies@home", False),
        ("sqlite:///studies.sqlite", True),
        ("sqlite+pysqlite:///studies.sqlite", True),
        ("postgresql://host/name", False),
        ("postgres://host/name", False),
    ],
)
def test_a_file_and_a_database_are_told_apart(tmp_path, text, one_writer):
    place = Place.of(text, tmp_path, "s")
    assert (place.url is None, place.one_writer) == ("://" not in text, one_writer)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql:me:{SECRET}@host",
        "postgresql:/host/name",
        "sqlite:studies.sqlite",
        "SQLite:studies.sqlite",
        f"me:{SECRET}@host/name",
        "redis:host",
    ],
)
def test_a_url_that_is_written_wrongly_is_not_taken_for_a_file(tmp_path, text):
    with pytest.raises(StoreError, match="neither a URL nor the name of a file") as caught:
        Place.of(text, tmp_path, "s")
    assert SECRET not in f"{caught.value.message} {caught.value.hint}"
    assert Place.of(f"./{text}", tmp_path, "s").journal == Path(text)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://host/name", "names 'mysql', which studies cannot be kept in"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://host:port/name", "cannot be read"),
        ("://", "cannot be read"),
    ],
)
def test_a_url_that_no_study_can_be_kept_at_is_refused_when_it_is_read(tmp_path, url, said):
    with pytest.raises(StoreError, match=said):
        Place.of(url, tmp_path, "s")


@pytest.mark.parametrize(
    "place", [Place(journal=Path("some/s.journal")), Place(url=f"postgresql://me:{SECRET}@host/name")]
)
def test_a_worker_is_told_of_the_place_that_is_meant(place):
    told = json.loads(json.dumps(place.to_json()))
    again = Place.from_json(told)
    assert again.to_json() == told
    assert (again.url, again.one_writer) == (place.url, place.one_writer)
    # The worker may begin in another folder.
    assert again.journal is None or again.journal == place.journal.absolute()
    assert pickle.loads(pickle.dumps(place)) == place


def test_the_password_of_a_place_is_in_what_a_worker_needs_and_in_nothing_that_is_shown(tmp_path):
    place = Place.of(f"postgresql://me:{SECRET}@host/name?sslpassword={SECRET}2", tmp_path, "s")
    assert SECRET in place.to_json()["url"]
    assert SECRET not in str(place)
    assert place.masked(f"me:{SECRET}@host said {SECRET}2 is wrong") == "me:***@host said *** is wrong"


def test_a_file_has_no_secrets_to_mask():
    assert Place(journal=Path("s.journal")).masked("me:word@host") == "me:word@host"


@pytest.mark.parametrize("name", ["a", "9", "A-b_c.d+e=f", "x" * 100, "figure2-tau-test"])
def test_names_of_studies_are_names_of_files(tmp_path, name):
    assert check_name(name) == name
    place = Place.of(None, tmp_path, name)
    with place.lock(name):
        place.open()
    assert place.journal.is_file()


def test_the_message_says_which_letters_a_name_may_have():
    with pytest.raises(SpecError, match="'a b' cannot name a study") as caught:
        check_name("a b")
    assert caught.value.hint == "Use letters, digits and . _ + = - (100 at most)."


# --- where studies may be ---------------------------------------------------------------------------------------


def test_every_journal_of_the_results_folder_is_a_place_in_the_order_of_their_names(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("b.journal", "a.journal", ".a.journal.lock", "a.worker-1.log", "notes.txt"):
        (folder / name).write_bytes(JOURNAL_LINE)
    assert [place.journal.name for place in places_in(None, tmp_path)] == ["a.journal", "b.journal"]
    assert places_in(None, tmp_path / "none") == []


def test_a_storage_that_is_named_is_the_only_place_and_none_where_it_holds_nothing(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.journal").write_bytes(JOURNAL_LINE)
    for text in (str(tmp_path / "far.journal"), f"sqlite:///{tmp_path}/far.sqlite"):
        assert places_in(text, tmp_path) == []
    (tmp_path / "far.journal").write_bytes(JOURNAL_LINE)
    assert places_in(str(tmp_path / "far.journal"), tmp_path) == [Place(journal=tmp_path / "far.journal")]


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "s").write_bytes(JOURNAL_LINE)])
def test_looking_at_a_place_makes_nothing(tmp_path, make):
    make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    place = Place(journal=tmp_path / "s")
    assert place.check() == (tmp_path / "s").exists()
    assert Place(url=f"sqlite:///{tmp_path}/missing/s.sqlite").check() is False
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("text", ["deep/er/s.journal", "sqlite:///{home}/s.sqlite"])
def test_a_place_that_is_opened_is_there_and_opens_again(tmp_path, text):
    text = text.format(home=tmp_path) if "://" in text else str(tmp_path / text)
    place = Place.of(text, tmp_path, "s")
    assert not place.check()
    study = optuna.create_study(storage=place.open(), study_name="s", direction="maximize")
    study.set_user_attr("a", "é")
    assert place.check()
    again = Place.of(text, tmp_path, "s").open()
    assert optuna.load_study(storage=again, study_name="s").user_attrs == {"a": "é"}


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(len(BEGIN) + 1))
def test_any_beginning_of_a_journal_is_one(tmp_path, length):
    path = tmp_path / "s"
    path.write_bytes(BEGIN[:length])
    check_journal(path)
    assert path.read_bytes() == BEGIN[:length]


@pytest.mark.parametrize("at", range(len(BEGIN)))
def test_one_other_letter_at_the_beginning_makes_it_another_file(tmp_path, at):
    path = tmp_path / "s"
    path.write_bytes(BEGIN[:at] + b"?" + BEGIN[at + 1 :])
    with pytest.raises(StoreError, match="is no journal of studies, and is left as it is"):
        check_journal(path)


def test_what_is_named_through_a_link_is_what_is_looked_at(tmp_path):
    (tmp_path / "s").write_bytes(JOURNAL_LINE)
    (tmp_path / "link").symlink_to("s")
    (tmp_path / "to-a-folder").symlink_to(tmp_path)
    (tmp_path / "to-nothing").symlink_to("missing")
    assert check_kind(tmp_path / "link")
    assert not check_kind(tmp_path / "to-nothing")
    with pytest.raises(StoreError, match="is a folder"):
        check_kind(tmp_path / "to-a-folder")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG])
@pytest.mark.parametrize("call", ["stat", "open"])
def test_a_file_that_cannot_be_looked_at_is_named_with_the_reason(tmp_path, monkeypatch, number, call):
    path = tmp_path / "s"
    path.write_bytes(JOURNAL_LINE)

    def refused(self, *words, **options):
        raise OSError(number, "the reason")

    monkeypatch.setattr(Path, call, refused)
    with pytest.raises(StoreError) as caught:
        check_journal(path)
    monkeypatch.undo()
    assert caught.value.message == f"Cannot read {path}: the reason."


def test_a_folder_that_nothing_can_be_made_in_is_refused_before_it_is_tried(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("os.access", lambda path, mode: asked.append(path))
    with pytest.raises(StoreError, match=f"cannot be kept in {tmp_path}/a/b: {tmp_path} cannot be written"):
        check_kind(tmp_path / "a" / "b" / "s")
    # The nearest folder that is there decides.
    assert asked == [tmp_path]


def test_a_folder_that_is_a_link_to_nothing_is_no_folder(tmp_path):
    (tmp_path / "gone").symlink_to("missing")
    with pytest.raises(StoreError, match="gone is no folder"):
        check_kind(tmp_path / "gone" / "s")


# --- databases --------------------------------------------------------------------------------------------------


def database(path, *statements):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return sa.make_url(f"sqlite:///{path}")


def held(url):
    return holds_studies(url, "the database")


def test_an_empty_database_holds_no_studies_and_takes_them(tmp_path):
    assert held(database(tmp_path / "s", "CREATE TABLE mine (x)", "DROP TABLE mine")) is False


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_table_of_one_of_optunas_names_alone_is_somebody_elses(tmp_path, table):
    url = database(tmp_path / "s", f"CREATE TABLE {table} (x)")
    with pytest.raises(StoreError, match=f"the database has a table '{table}' that is not that of studies"):
        held(url)


def test_tables_of_other_names_stand_in_nobodys_way(tmp_path):
    assert held(database(tmp_path / "s", "CREATE TABLE notes (x)", "CREATE TABLE study (x)")) is False


def test_the_tables_without_which_there_are_no_studies_are_enough(tmp_path):
    assert held(database(tmp_path / "s", *(f"CREATE TABLE {table} (x)" for table in OWN))) is True
    for missing in OWN:
        path = tmp_path / f"without-{missing}"
        with pytest.raises(StoreError, match="that is not that of studies"):
            held(database(path, *(f"CREATE TABLE {table} (x)" for table in OWN - {missing})))


@pytest.mark.parametrize(
    ("version", "own"),
    [
        (None, True),
        ("v3.2.0.a", True),
        ("v10.20.30.ab", True),
        ("0003", False),
        ("v3.2.0", False),
        ("xv3.2.0.a", False),
        ("v3.2.0.a\n", False),
        ("", False),
    ],
)
def test_a_table_of_versions_is_optunas_by_what_it_says(tmp_path, version, own):
    url = database(tmp_path / "s", f"CREATE TABLE {VERSIONS} (version_num VARCHAR(32))")
    if version is not None:
        with sqlite3.connect(tmp_path / "s") as connection:
            connection.execute(f"INSERT INTO {VERSIONS} VALUES (?)", [version])
    if own:
        assert held(url) is False
        return
    with pytest.raises(StoreError, match="another program") as caught:
        held(url)
    assert caught.value.hint == "Give the studies a file of their own."


def test_what_optuna_makes_is_known_as_its_own(tmp_path):
    url = f"sqlite:///{tmp_path}/s.sqlite"
    optuna.storages.RDBStorage(url)
    assert held(sa.make_url(url)) is True


# --- one at a time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{home}/s.journal", "sqlite:///{home}/s.sqlite"])
def test_one_at_a_time_decides_on_the_trials_of_a_study(tmp_path, text):
    text = text.format(home=tmp_path)
    count = tmp_path / "count"
    count.write_text("0")

    def decide():
        for _ in range(10):
            with Place.of(text, tmp_path, "s").lock("s"):
                # Between reading and writing the others have time enough.
                count.write_text(str(int(count.read_text()) + 1))

    threads = [threading.Thread(target=decide) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.read_text() == "80"


def test_a_lock_is_free_after_an_error(tmp_path):
    place = Place(journal=tmp_path / "s.journal")
    for _ in range(2):
        with pytest.raises(KeyError), place.lock("s"):
            raise KeyError("x")


def test_many_may_search_in_one_journal_and_one_in_an_sqlite_file(tmp_path):
    journal, file = Place(journal=tmp_path / "s.journal"), Place(url=f"sqlite:///{tmp_path}/s.sqlite")
    with journal.only_user(), journal.only_user():
        pass
    with (
        file.only_user(),
        pytest.raises(StoreError, match=r"s\.sqlite is in use by process \d+, and SQLite takes one at a time"),
        Place(url=file.url).only_user(),
    ):
        pass
    with file.only_user():
        pass


def test_a_lock_lies_beside_what_it_is_for_and_not_in_it(tmp_path):
    place = Place(url=f"sqlite:///{tmp_path}/s.sqlite")
    with place.only_user(), place.lock("s"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".s.sqlite.lock", ".s.sqlite.search.lock"]


# --- errors -----------------------------------------------------------------------------------------------------


def driver_error(text):
    return sa.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("error", "said", "hint"),
    [
        (driver_error("no such\n  table"), "no such table", "Check the URL"),
        (optuna.exceptions.StorageInternalError("it broke"), "it broke", "Check the URL"),
        (ImportError("No module named 'psycopg'"), "No module named", "lungbench[postgres]"),
    ],
)
def test_what_a_database_says_is_one_sentence_without_its_secrets(error, said, hint):
    place = Place(url=f"postgresql://me:{SECRET}@host/name")
    with pytest.raises(StoreError) as caught, place.translated():
        raise error
    assert caught.value.message.startswith("The studies in postgresql://me:***@host/name cannot be used: ")
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.__suppress_context__


def test_a_driver_that_repeats_the_password_does_not_get_it_shown():
    place = Place(url=f"postgresql://me:{SECRET}@host/name")
    with pytest.raises(StoreError) as caught, place.translated():
        raise driver_error(f'connection to "postgresql://me:{SECRET}@host/name" failed: password {SECRET} is wrong')
    assert SECRET not in caught.value.message


def test_a_disk_error_is_translated_where_studies_are_a_file_alone():
    error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(StoreError, match="The studies in s cannot be used") as told, Place(Path("s")).translated():
        raise error
    assert told.value.__cause__ is error
    with pytest.raises(OSError, match="Input/output error") as caught, Place(url="postgresql://host/name").translated():
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", [StoreError("x"), KeyError("x"), KeyboardInterrupt()])
def test_other_errors_come_through_as_they_are(error):
    with pytest.raises(type(error)) as caught, Place(journal=Path("s")).translated():
        raise error
    assert caught.value is error
