"""Keys, owners, and the log of a board: what a forger tries is refused or marked, on SQLite and on PostgreSQL."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from board_runs import cycle_set, write_run

from bench.core.errors import ResultError, StoreError
from leaderboard.history.changes import confirm, record, rename, restore, retract
from leaderboard.history.keys import is_signed, load_key, make_key
from leaderboard.history.log import History, read_log
from leaderboard.metrics import CLASSES
from leaderboard.results.bundle_merging import import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.submissions import Statement, submit
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table

PART = OfficialPart("icbhi", None, cycle_set(), frozenset(), "the test")
STATED = Statement(system="ours", selection="last", model="CRNN")


@pytest.fixture
def keys(tmp_path):
    return make_key(tmp_path / "mine.pem"), make_key(tmp_path / "theirs.pem")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """A results folder and the place of its board."""
    home = tmp_path / "home"
    return home, request.getfixturevalue("postgres_url") if request.param == "postgresql" else home


def answers(tmp_path, salt=0):
    scores = np.random.default_rng(salt).dirichlet(np.ones(4), len(PART.cycles)).tolist()
    lines = [f"{r},{c},{','.join(map(repr, row))}" for (r, c), row in zip(PART.cycles.keys, scores, strict=True)]
    path = tmp_path / f"p{salt}.csv"
    path.write_text("\n".join([",".join(("recording", "cycle", *CLASSES)), *lines]))
    return path


def enter(tmp_path, home, salt=0, key=None, location=None, **changes):
    store = Store.open(location or home)
    return submit(answers(tmp_path, salt), PART, dataclasses.replace(STATED, **changes), home, store, {}, key)


def ids(location):
    return {run.run_id for run in Store.open(location).runs()}


def actions(location):
    return [entry.action for entry in Store.open(location).history().entries]


# --- keys -------------------------------------------------------------------------------------------------------


def test_a_key_is_private_and_is_never_replaced(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "key.pem"
    made = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError, match="There is a key"):
        make_key(path)
    monkeypatch.setenv("BENCH_KEY", str(path))
    assert load_key().public == made.public
    assert "PRIVATE" not in repr(made)
    path.chmod(0o644)
    with pytest.raises(ResultError, match="Others can read"):
        load_key()
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(ResultError, match="is no private key"):
        load_key()
    monkeypatch.setenv("BENCH_KEY", str(tmp_path / "absent"))
    with pytest.raises(ResultError, match="is not there"):
        load_key()
    monkeypatch.delenv("BENCH_KEY")
    assert load_key() is None


def test_a_signature_holds_for_its_document_and_key_alone(keys):
    mine, theirs = keys
    signature = mine.sign({"a": 1})
    assert is_signed({"a": 1}, mine.public, signature)
    assert not is_signed({"a": 2}, mine.public, signature)
    assert not is_signed({"a": 1}, theirs.public, signature)
    for broken in ("", "0" * 128, None, signature[:-2]):
        assert not is_signed({"a": 1}, mine.public, broken)
    assert not is_signed({"a": 1}, "ed25519:" + "0" * 63, signature)


# --- who may add and change -------------------------------------------------------------------------------------


def test_only_the_key_of_a_system_adds_seeds(tmp_path, keys, place):
    home, location = place
    mine, theirs = keys
    enter(tmp_path, home, 1, mine, location, seed=1)
    for salt, key in ((2, theirs), (3, None)):
        for name in ("ours", " OURS ".strip(), "ours\u00a0"[:4]):
            with pytest.raises(ResultError, match="belongs to the key ed25519:"):
                enter(tmp_path, home, salt, key, location, seed=2, system=name, model="another")
    enter(tmp_path, home, 4, mine, location, seed=2)
    (section,) = leaderboard_table(Store.open(location)).sections
    assert [row["seeds"] for row in section.rows] == [[1, 2]]
    assert section.rows[0]["key"] == mine.public
    assert actions(location) == ["submit", "submit"]


def test_a_name_without_a_key_is_open_to_seeds_without_a_key_which_are_marked(tmp_path, keys):
    home = tmp_path / "home"
    enter(tmp_path, home, 1, seed=1)
    enter(tmp_path, home, 2, seed=2)
    with pytest.raises(ResultError, match="submitted without a key"):
        enter(tmp_path, home, 3, keys[0], seed=3)
    (section,) = leaderboard_table(Store.open(home)).sections
    (row,) = section.rows
    assert row["seeds"] == [1, 2]
    assert "unsigned" in {mark["mark"] for mark in row["marks"]}


def test_a_second_seed_of_the_same_number_is_refused(tmp_path, keys):
    home = tmp_path / "home"
    for key in (None, keys[0]):
        name = "signed" if key else "unsigned"
        enter(tmp_path, home, 1, key, system=name)
        with pytest.raises(ResultError, match="other predictions of"):
            enter(tmp_path, home, 2, key, system=name)
        enter(tmp_path, home, 2, key, system=name, selection="best-test")  # another rule is another choice


def test_only_the_key_changes_a_statement_and_the_log_tells(tmp_path, keys, place):
    home, location = place
    mine, theirs = keys
    run_id = enter(tmp_path, home, 1, mine, location, paper="A, 2026").document["run_id"]
    for key in (theirs, None):
        with pytest.raises(ResultError, match="belongs to the key"):
            enter(tmp_path, home, 1, key, location, paper="B, 2026", url="https://b.example")
    assert enter(tmp_path, home, 1, mine, location, paper="A, 2026").state == "same"
    assert enter(tmp_path, home, 1, None, location, paper="A, 2026").state == "same"
    changed = enter(tmp_path, home, 1, mine, location, paper="A et al., 2026")
    assert (changed.state, changed.document["run_id"]) == ("changed", run_id)
    entries = Store.open(location).history().entries
    assert [entry.action for entry in entries] == ["submit", "restate"]
    assert entries[1].details["changes"] == {"paper": {"was": "A, 2026", "is": "A et al., 2026"}}
    assert all(entry.key == mine.public for entry in entries)


def test_without_a_key_nothing_that_stands_is_overwritten(tmp_path):
    home = tmp_path / "home"
    enter(tmp_path, home, 1, paper="A, 2026")
    with pytest.raises(ResultError, match="without a key nobody can change it"):
        enter(tmp_path, home, 1, paper="B, 2026", url="https://b.example")
    assert Store.open(home).runs()[0].extra["submission"]["paper"] == "A, 2026"


def test_a_signed_document_that_was_edited_is_refused(tmp_path, keys):
    done = enter(tmp_path, tmp_path / "home", 1, keys[0], paper="A, 2026")
    document = json.loads((done.folder / "result.json").read_text())
    for change in ({"paper": "B, 2026"}, {"key": keys[1].public}, {"inputs": {"metadata": False}}, {"signature": None}):
        edited = {**document, "submission": {**document["submission"], **change}}
        with pytest.raises(ResultError, match="the signature is not one of the key"):
            RunFolder(done.folder).write(edited)
    (done.folder / "result.json").write_text(
        json.dumps({**document, "submission": {**document["submission"], "notes": "x"}})
    )
    assert "the signature is not one" in rebuild_of(tmp_path / "home").broken[done.folder.name]


def rebuild_of(home):
    Store.open(home).import_run(write_run(home))
    return rebuild(home)


# --- taken back -------------------------------------------------------------------------------------------------


def test_a_run_that_was_taken_back_stays_away(tmp_path, place):
    home, location = place
    store = Store.open(location)
    kept, gone = (write_run(home, seed=seed) for seed in (1, 2))
    for folder in (kept, gone):
        store.import_run(folder)
    bundle = export_bundle(store, tmp_path / "before.zip").path
    retract(home, store, gone.name[:8], "trained on test patients", None)
    for again in ("nothing", "rebuild", "import", "folder gone", "import_run"):
        if again == "rebuild":
            assert rebuild(home, store=store).retracted == (gone.name,)
        if again in ("import", "folder gone"):
            shutil.rmtree(gone, ignore_errors=True)
            assert import_bundle(bundle, home, store).retracted == (gone.name,)
            assert not gone.exists()
            rebuild(home, store=store)
        if again == "import_run":
            assert store.import_run(write_run(home, seed=2)) == "retracted"
        assert ids(location) == {kept.name}
    assert store.history().retracted[gone.name].details["reason"] == "trained on test patients"
    restore(home, store, gone.name[:8], "the patients were others", None)
    rebuild(home, store=store)
    assert ids(location) == {kept.name, gone.name}


def test_the_log_survives_the_loss_of_the_database_or_of_its_files(tmp_path):
    home = tmp_path / "home"
    store = Store.open(home)
    folders = [write_run(home, seed=seed) for seed in (1, 2)]
    for folder in folders:
        store.import_run(folder)
    retract(home, store, folders[0].name, "a mistake", None)
    for lost in ("database", "files"):
        (home / "leaderboard.sqlite").unlink() if lost == "database" else shutil.rmtree(home / "log")
        assert rebuild(home).retracted == (folders[0].name,)
        assert ids(home) == {folders[1].name}
        assert len(read_log(home)[0]) == 1


def test_a_tombstone_travels_with_a_bundle(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    store = Store.open(there)
    folders = [write_run(there, seed=seed) for seed in (1, 2)]
    for folder in folders:
        store.import_run(folder)
    before = export_bundle(store, tmp_path / "before.zip").path
    retract(there, store, folders[0].name, "a mistake", None)
    after = export_bundle(store, tmp_path / "after.zip").path
    board = Store.open(here)
    assert import_bundle(after, here, board).log_entries == 1
    merged = import_bundle(before, here, board)
    assert (merged.new, merged.retracted) == ((), (folders[0].name,))
    assert ids(here) == {folders[1].name}


def test_nobody_takes_back_what_another_board_holds(tmp_path, keys):
    there, here = tmp_path / "there", tmp_path / "here"
    boards = Store.open(there), Store.open(here)
    for home, store in zip((there, here), boards, strict=True):
        store.import_run(write_run(home, seed=1))
        store.import_run(write_run(home, seed=2))
        enter(tmp_path, home, 1, keys[0])
    for run_id in ids(there):
        retract(there, boards[0], run_id, "I do not like it", keys[1])
    boards[0].import_run(write_run(there, seed=3))
    bundle = export_bundle(boards[0], tmp_path / "b.zip").path
    before = ids(here)
    merged = import_bundle(bundle, here, boards[1])
    assert len(merged.refused) == 3
    assert before <= ids(here)
    rebuild(here)
    assert before <= ids(here)
    # Its owner can, and so can whoever keeps the board.
    owner = next(run for run in boards[1].runs() if run.kind == "submission").run_id
    record(there, boards[0], "retract", owner, {"reason": "withdrawn"}, keys[0])
    import_bundle(export_bundle(boards[0], bundle).path, here, boards[1])
    assert ids(here) & before == before - {owner}
    import_bundle(bundle, here, boards[1], replace=True)
    assert Store.open(here).history().missing == []


def test_names_and_seeds_are_not_taken_by_a_bundle(tmp_path, keys):
    mine, theirs = keys
    there, here = tmp_path / "there", tmp_path / "here"
    enter(tmp_path, here, 1, mine)
    enter(tmp_path, there, 2, theirs, seed=2)
    enter(tmp_path, there, 3, None, system="of nobody")
    enter(tmp_path, here, 4, None, system="of nobody")
    bundle = export_bundle(Store.open(there), tmp_path / "b.zip").path
    for replace in (False, True):
        merged = import_bundle(bundle, here, Store.open(here), replace=replace)
        assert merged.new == merged.replaced == ()
        reasons = " ".join(conflict.reason for conflict in merged.conflicts)
        assert "belongs to the key" in reasons
        assert "with seed 1 under last" in reasons
    assert Store.open(here).history().owners["ours"] == mine.public
    shutil.copytree(there / "submissions", here / "submissions", dirs_exist_ok=True)
    assert any("belongs to the key" in reason for reason in rebuild(here).broken.values())


def test_a_log_takes_no_name_for_which_nothing_comes(tmp_path, keys):
    there, here = tmp_path / "there", tmp_path / "here"
    Store.open(here).import_run(write_run(here, seed=1))
    store = Store.open(there)
    store.import_run(write_run(there, seed=2))
    signed = enter(tmp_path, there, 1, keys[0]).document["run_id"]
    for run_id, name in ((None, "a well-known name"), (signed, "another name")):
        record(there, store, "submit", run_id, {"system": name}, keys[1])
    merged = import_bundle(export_bundle(store, tmp_path / "b.zip").path, here, Store.open(here))
    assert len(merged.refused) == 2
    assert Store.open(here).history().owners == {"ours": keys[0].public}


def test_a_statement_of_another_key_never_replaces_one(tmp_path, keys):
    mine, theirs = keys
    there, here = tmp_path / "there", tmp_path / "here"
    enter(tmp_path, here, 1, mine, paper="A")
    enter(tmp_path, there, 1, theirs, paper="B")
    bundle = export_bundle(Store.open(there), tmp_path / "b.zip").path
    assert import_bundle(bundle, here, Store.open(here), replace=True).replaced == ()
    assert Store.open(here).runs()[0].extra["submission"]["paper"] == "A"


# --- names, and the log itself ----------------------------------------------------------------------------------


def test_a_renamed_system_keeps_its_runs_its_owner_and_both_names(tmp_path, keys, place):
    home, location = place
    mine, theirs = keys
    store = Store.open(location)
    enter(tmp_path, home, 1, mine, location)
    enter(tmp_path, home, 5, theirs, location, system="taken")
    with pytest.raises(ResultError, match="belongs to the key"):
        rename(home, store, "ours", "stolen", theirs)
    with pytest.raises(ResultError, match="is a system 'Taken' on the board already"):
        rename(home, store, "ours", "Taken", mine)
    with pytest.raises(ResultError, match="There is no submitted system"):
        rename(home, store, "absent", "x", mine)
    rename(home, store, "ours", "CRNN-T", mine)
    for name, seed in (("ours", 2), ("CRNN-T", 3)):
        enter(tmp_path, home, seed, mine, location, system=name, seed=seed)
        with pytest.raises(ResultError, match="belongs to the key"):
            enter(tmp_path, home, 9, theirs, location, system=name, seed=9)
    rename(home, store, "CRNN-T", "CRNN-U", mine)
    rebuild(home, store=store)
    (section,) = leaderboard_table(store).sections
    assert {row["name"]: row["seeds"] for row in section.rows} == {"CRNN-U": [1, 2, 3], "taken": [1]}


def test_an_entry_that_was_changed_or_taken_out_is_noticed(tmp_path, keys):
    home = tmp_path / "home"
    store = Store.open(home)
    store.import_run(write_run(home))
    for salt in (1, 2, 3):
        enter(tmp_path, home, salt, keys[0], seed=salt)
    files = {entry.document["height"]: home / "log" / f"{entry.id}.json" for entry in store.history().entries}
    files[1].write_text(files[1].read_text().replace('"ours"', '"mine"'))
    files[2].unlink()
    (home / "leaderboard.sqlite").unlink()
    faults = rebuild(home).log_faults
    assert any("changed after it was signed" in fault for fault in faults)
    assert any("taken out of the log" in fault for fault in faults)


def test_entries_merge_in_any_order(tmp_path, keys):
    histories = []
    for name in ("a", "b"):
        enter(tmp_path, tmp_path / name, 1, keys[0], system=name)
        enter(tmp_path, tmp_path / name, 2, keys[0], system=name, seed=2)
        histories.append(Store.open(tmp_path / name).history().entries)
    one, other = History.of([*histories[0], *histories[1]]), History.of([*histories[1], *histories[0]])
    assert [entry.id for entry in one.entries] == [entry.id for entry in other.entries]
    assert one.missing == []
    following = one.new_entry("review", None, {}, None)
    assert len(following.document["after"]) == 2
    assert following.document["height"] == 3


def test_a_bundle_of_a_board_without_a_log_has_the_released_form(tmp_path):
    home = tmp_path / "home"
    store = Store.open(home)
    store.import_run(write_run(home))
    export_bundle(store, tmp_path / "b.zip")
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert manifest["version"] == 1
        assert "log.json" not in archive.namelist()


def test_a_submission_is_confirmed_by_its_own_key_alone(tmp_path, keys):
    home = tmp_path / "home"
    run_id = enter(tmp_path, home, 1, keys[0]).document["run_id"]
    store = Store.open(home)
    for key, word in ((None, "there is none"), (keys[1], "is not of this key")):
        with pytest.raises(ResultError, match=word):
            confirm(home, store, run_id, "mine", key)
    confirm(home, store, run_id, "mine", keys[0])
    assert set(store.history().confirmed) == {run_id}
    assert RunFolder(home / "submissions" / run_id).read().document["submission"]["key"] == keys[0].public
