"""Changes of a board by the API: each is an entry of the log, and what cannot be is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from board_runs import write_run

from bench.api import changes, keys, upkeep
from bench.api.boards import open_board
from bench.core.errors import ResultError, RunError, SpecError, StoreError
from bench.launch.confirmation import Rerun
from leaderboard.history.changes import LONGEST_REASON
from leaderboard.store.store import Store


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for seed in (1, 2):
        Store.open(tmp_path / "home").import_run(write_run(tmp_path / "home", seed=seed))
    return open_board(tmp_path / "home")


@pytest.fixture
def run_id(board):
    return board.runs()[0].run_id


def ids(board):
    return {run.run_id for run in board.runs()}


def actions(board):
    return [entry.document["action"] for entry in changes.history(board).entries]


# --- taking back --------------------------------------------------------------------------------------------------


def test_a_run_that_is_taken_back_keeps_its_folder(board, run_id):
    entry = changes.retract(board, run_id, "  wrong data  ")
    assert entry.details["reason"] == "wrong data"
    assert run_id not in ids(board)
    assert (board.home / "runs" / run_id / "result.json").is_file()
    with pytest.raises(ResultError, match="There is no run"):
        changes.retract(board, run_id, "again")
    assert actions(board) == ["retract"]


def test_undoing_needs_a_rebuild_and_is_done_once(board, run_id):
    changes.retract(board, run_id, "a mistake")
    entry = changes.retract(board, run_id[:8].upper(), "no mistake", undo=True)
    assert entry.run == run_id
    assert run_id not in ids(board)
    upkeep.rebuild(board)
    assert run_id in ids(board)
    with pytest.raises(ResultError, match="names no run that was retracted"):
        changes.retract(board, run_id, "again", undo=True)


def test_nothing_is_undone_that_was_not_done(board, run_id):
    with pytest.raises(ResultError, match="names no run that was retracted"):
        changes.retract(board, run_id, "why not", undo=True)
    assert actions(board) == []


@pytest.mark.parametrize("reason", ["", "   ", "x" * (LONGEST_REASON + 1)])
@pytest.mark.parametrize("change", ["retract", "review", "confirm"])
def test_every_change_asks_for_a_reason_of_bounded_length(board, run_id, reason, change):
    keys.own_key()
    calls = {
        "retract": lambda: changes.retract(board, run_id, reason),
        "review": lambda: changes.review(board, run_id, "unsigned", accept=True, reason=reason),
        "confirm": lambda: changes.confirm(board, run_id, reason),
    }
    with pytest.raises(ResultError, match=f"1 to {LONGEST_REASON} characters"):
        calls[change]()
    assert actions(board) == []
    assert len(ids(board)) == 2


def test_a_reason_of_the_largest_length_is_kept_whole_and_on_one_line(board, run_id):
    assert changes.retract(board, run_id, "x" * LONGEST_REASON).details["reason"] == "x" * LONGEST_REASON
    other = ids(board).pop()
    assert "\n" not in changes.retract(board, other, "two\nlines \x1b[31m").details["reason"]


@pytest.mark.parametrize("change", ["retract", "confirm", "review"])
def test_runs_that_are_not_there_are_not_changed(board, change):
    keys.own_key()
    calls = {
        "retract": lambda: changes.retract(board, "zz", "why"),
        "confirm": lambda: changes.confirm(board, "zz"),
        "review": lambda: changes.review(board, "zz", "unsigned", accept=True, reason="why"),
    }
    with pytest.raises(ResultError, match="There is no run 'zz'"):
        calls[change]()
    assert actions(board) == []


# --- the log ------------------------------------------------------------------------------------------------------


def test_the_log_is_kept_in_the_database_and_in_the_folder(board, run_id):
    changes.retract(board, run_id, "a mistake")
    before = changes.history_document(changes.history(board))
    (board.home / "leaderboard.sqlite").unlink()
    assert changes.history_document(changes.history(board)) == before
    upkeep.rebuild(board)
    assert changes.history_document(changes.history(board)) == before
    assert run_id not in ids(board)


def test_the_log_is_in_the_order_of_what_was_done(board):
    first, second = sorted(ids(board))
    changes.retract(board, first, "one")
    changes.retract(board, second, "two")
    changes.retract(board, first, "three", undo=True)
    entries = changes.history_document(changes.history(board))["entries"]
    assert [entry["details"]["reason"] for entry in entries] == ["one", "two", "three"]
    assert all(entry["obeyed"] for entry in entries)
    assert len({entry["id"] for entry in entries}) == 3
    assert json.loads(json.dumps(entries)) == entries


def test_an_empty_log_is_a_document_too(tmp_path):
    board = open_board(tmp_path / "none")
    assert changes.history_document(changes.history(board)) == {"entries": [], "missing": []}
    assert not (tmp_path / "none").exists()


def test_entries_are_signed_with_the_key_that_is_there(board):
    first, second = sorted(ids(board))
    assert changes.retract(board, first, "unsigned").key is None
    key = keys.own_key().key
    assert changes.retract(board, second, "signed").key == key


# --- confirming and reviewing -------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_confirmed(board, run_id):
    with pytest.raises(ResultError, match="there is none") as caught:
        changes.confirm(board, run_id)
    assert caught.value.hint == "`bench board key` makes one."


def test_a_run_is_confirmed_only_after_it_was_run_again(board, again):
    keys.own_key()
    for run in sorted(ids(board)):
        changes.confirm(board, run)
    assert [system.state for system in board.systems()] == ["recomputed"]
    for run in sorted(ids(board)):
        changes.rerun(board, run)
    assert [system.state for system in board.systems()] == ["confirmed"]


@pytest.mark.parametrize(("mark", "said"), [("unsinged", "'unsinged' is no mark"), ("", "'' is no mark")])
def test_a_mark_that_there_is_not_is_refused_with_all_that_there_are(board, run_id, mark, said):
    with pytest.raises(ResultError, match=said) as caught:
        changes.review(board, run_id, mark, accept=True, reason="so")
    assert "unsigned" in caught.value.hint


def test_a_review_can_be_changed_and_the_last_word_counts(board):
    assert changes.marks(board) == []
    board.store.import_run(write_run(board.home, method="ce", skill=50.0))
    mark = next(one for one in changes.marks(board) if one["mark"] == "labels")
    (run,) = mark["run_ids"]
    for accept, verdict in ((True, "accepted"), (False, "rejected")):
        changes.review(board, run, mark["mark"], accept=accept, reason=verdict)
        found = next(one for one in changes.marks(board) if one["mark"] == mark["mark"])
        assert found["review"] == {"verdict": verdict, "reason": verdict}
        assert found["system"] == "ast + ce"


def test_a_system_that_was_trained_here_has_no_name_to_change(board):
    with pytest.raises(ResultError, match="There is no submitted system 'ast/patchmix-cl'"):
        changes.rename(board, "ast/patchmix-cl", "better")


# --- running again ------------------------------------------------------------------------------------------------


@pytest.fixture
def again(monkeypatch):
    """What ``run_again`` was given; a run again gives numbers that differ by 0.25 points."""
    given = []

    def run_again(document, replay, tolerance):
        given.append((document["run_id"], replay, tolerance))
        return Rerun(tolerance >= 0.25, tolerance, 0.25, {"last": [60.0, 60.25]})

    monkeypatch.setattr(changes, "run_again", run_again)
    return given


@pytest.mark.parametrize(("tolerance", "equal"), [(0.25, True), (0.2, False)])
def test_a_run_that_was_run_again_is_an_entry_of_the_log(board, run_id, again, tolerance, equal):
    done = changes.rerun(board, run_id[:8], tolerance=tolerance)
    assert again[0][0] == run_id
    assert (done.equal, done.largest) == (equal, 0.25)
    assert done.entry.document["action"] == "rerun"
    assert done.entry.details["tolerance"] == tolerance
    assert done.entry.details["scores"] == {"last": [60.0, 60.25]}
    assert (board.systems()[0].state == "rerun") is False  # one of two seeds


def test_a_row_is_rerun_where_all_its_runs_were(board, again):
    for run in sorted(ids(board)):
        changes.rerun(board, run)
    assert [tolerance for _, _, tolerance in again] == [changes.TOLERANCE] * 2
    assert board.systems()[0].state == "rerun"


def test_nobody_is_asked_about_code_when_a_run_is_run_again(board, run_id, again, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        changes, "replayed_spec", lambda path, allow, **where: asked.append((path, allow(None, None), where))
    )
    changes.rerun(board, run_id, data="demo", device="cpu", plugins=(Path("mine.py"),))
    again[0][1](tmp_path / "spec.json")
    where = {"data": "demo", "device": "cpu", "plugins": [Path("mine.py")], "home": board.home, "cache": None}
    assert asked == [(tmp_path / "spec.json", False, where)]


def test_a_run_that_cannot_be_run_again_is_no_entry(board, run_id, monkeypatch):
    def fail(*words):
        raise RunError("The run could not be run again: no data.")

    monkeypatch.setattr(changes, "run_again", fail)
    with pytest.raises(RunError, match="no data"):
        changes.rerun(board, run_id)
    assert actions(board) == []


def test_a_failed_run_is_not_run_again(board):
    board.store.import_run(write_run(board.home, method="broken", failed="The loss is nan."))
    failed = next(run for run in board.runs() if run.status == "failed")
    with pytest.raises(SpecError, match="has failed: there is nothing to compare with"):
        changes.rerun(board, failed.run_id)


# --- keys ---------------------------------------------------------------------------------------------------------


def test_a_new_key_can_be_read_by_its_owner_alone(board, tmp_path):
    made = keys.own_key()
    assert made.file == tmp_path / "config" / "lungbench" / "key.pem"
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert made.key.startswith("ed25519:")
    assert "PRIVATE" not in f"{made!r}{made.to_json()}"
    assert keys.own_key() == dataclasses.replace(made, new=False)


def test_the_key_that_the_environment_names_is_made_there(board, tmp_path, monkeypatch):
    first = keys.own_key()
    monkeypatch.setenv("BENCH_KEY", str(tmp_path / "deep" / "mine.pem"))
    second = keys.own_key()
    assert (second.file, second.new) == (tmp_path / "deep" / "mine.pem", True)
    assert second.key != first.key


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o644, "Others can read the private key"),
        (None, 0o660, "Others can read the private key"),
        (b"no key", 0o600, "is no private key"),
        (b"", 0o600, "is no private key"),
        (b"x" * 20_000, 0o600, "which a key never has"),
    ],
)
def test_a_file_that_is_no_safe_key_is_refused_and_stays(board, content, mode, said):
    file = keys.own_key().file
    if content is not None:
        file.write_bytes(content)
    before = file.read_bytes()
    file.chmod(mode)
    with pytest.raises(ResultError, match=said):
        keys.own_key()
    assert file.read_bytes() == before


def test_a_key_of_another_kind_is_refused(board):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    file = keys.own_key().file
    private = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private.private_bytes(*form))
    with pytest.raises(ResultError, match="is no Ed25519 key"):
        keys.own_key()


def test_a_key_that_cannot_be_written_is_told(board, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_KEY", str(tmp_path / "file" / "key.pem"))
    with pytest.raises(StoreError, match=r"Cannot write .*key\.pem"):
        keys.own_key()


# --- upkeep -------------------------------------------------------------------------------------------------------


def test_a_rebuild_counts_its_folders_and_names_the_broken_one(board, run_id):
    (board.home / "runs" / run_id / "result.json").write_text("{")
    seen = []
    done = upkeep.rebuild(board, lambda *counts: seen.append(counts))
    assert seen[-1] == (2, 2)
    assert len(done.broken) == 1
    assert run_id not in ids(board)
    assert len(ids(board)) == 1


def test_a_rebuild_without_run_folders_is_refused(tmp_path):
    with pytest.raises(StoreError):
        upkeep.rebuild(open_board(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_board_of_this_version_stays_what_it_is(board):
    before = [vars(run) for run in board.runs()]
    first = upkeep.upgrade(board)
    assert first[0] == first[1]
    assert upkeep.upgrade(board) == first
    assert [vars(run) for run in board.runs()] == before
