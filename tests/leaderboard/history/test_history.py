"""What the entries of a log amount to: in whichever order they come, with whatever stands in them."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import pytest

from bench.core.errors import ResultError
from leaderboard.history.changes import LONGEST_REASON, checked_reason
from leaderboard.history.exchange import judge_entries, retracted_ids
from leaderboard.history.keys import make_key
from leaderboard.history.log import ACTIONS, History, LogEntry, read_entry, read_log, write_entries
from leaderboard.history.ownership import Owner, Owners
from leaderboard.tables.verification_states import verification_state

RUN, OTHER = "a" * 16, "b" * 16


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return make_key(folder / "mine.pem"), make_key(folder / "theirs.pem")


def log(*changes):
    """A history made change by change: action, run, details, and a key where it is signed."""
    history = History()
    for action, run, details, *key in changes:
        history = History.of([*history.entries, history.new_entry(action, run, details, *(key or [None]))])
    return history


def submitted(run_id, system, key, created="2026-01-01", **more):
    """A submission as it stands on a board."""
    signed = {} if key is None else {"key": key.public}
    return SimpleNamespace(
        run_id=run_id, kind="submission", created=created, spec={"system": system}, extra={"submission": signed}, **more
    )


# --- entries ----------------------------------------------------------------------------------------------------


def test_each_entry_names_the_ones_before_it_and_stands_above_them():
    history = log(("retract", RUN, {"reason": "one"}), ("restore", RUN, {"reason": "two"}), ("retract", OTHER, {}))
    heights = [entry.document["height"] for entry in history.entries]
    assert heights == [1, 2, 3]
    assert [entry.document["after"] for entry in history.entries[1:]] == [[entry.id] for entry in history.entries[:2]]


def test_an_entry_after_two_branches_names_both():
    first = log(("retract", RUN, {"reason": "first"})).entries[0]
    left, right = (History.of([first]).new_entry("retract", OTHER, {"reason": word}, None) for word in ("l", "r"))
    joined = History.of([first, left, right]).new_entry("restore", RUN, {}, None)
    assert joined.document["after"] == sorted([left.id, right.id])
    assert joined.document["height"] == 3


def test_an_entry_s_id_is_that_of_its_content_without_the_signature(keys):
    entry = log(("retract", RUN, {"reason": "r"}, keys[0])).entries[0]
    assert LogEntry({**entry.document, "signature": "0" * 128}).id == entry.id
    assert LogEntry({**entry.document, "run": OTHER}).id != entry.id
    assert (entry.action, entry.run, entry.key, entry.details) == ("retract", RUN, keys[0].public, {"reason": "r"})


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_comes_back_from_a_file(tmp_path, keys, action):
    entry = log((action, RUN, {"reason": "ü", "old": "a", "new": "b"}, keys[0])).entries[0]
    write_entries(tmp_path, [entry])
    entries, broken = read_log(tmp_path)
    assert ([one.document for one in entries], broken) == ([entry.document], {})


VALID = log(("retract", RUN, {"reason": "r"})).entries[0].document


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"height": "1"}, "height is"),
        ({"height": True}, "height is True"),
        ({"details": []}, "details is"),
        ({"after": "x"}, "after is"),
        ({"at": None}, "at is None"),
        ({"format": 2}, "of a newer lungbench"),
        ({"action": "explode"}, "of a newer lungbench: explode"),
        ({"after": ["0" * 63]}, "after names what is no entry"),
        ({"after": [7]}, "after names what is no entry"),
        ({"run": "A" * 16}, "which is no run's id"),
        ({"run": "a" * 15}, "which is no run's id"),
        ({"run": "../../etc/passwd"}, "which is no run's id"),
        ({"details": {"reason": 7}}, "reason is 7, but must be text"),
        ({"details": {"old": None}}, "old is None, but must be text"),
        ({"key": "ed25519:" + "0" * 64}, "changed after it was signed"),
        ({"signature": "0" * 128}, "changed after it was signed"),
        ({"key": "nobody", "signature": "0" * 128}, "changed after it was signed"),
        ({"more": 1}, "no entry of a board's log"),
    ],
)
def test_what_no_board_writes_is_refused_and_the_file_is_named(change, told):
    with pytest.raises(ResultError, match=r"^there.*" + told):
        read_entry({**VALID, **change}, "there")


@pytest.mark.parametrize("document", [None, [], "entry", {}, {"format": 1}])
def test_what_is_no_entry_at_all_is_refused(document):
    with pytest.raises(ResultError, match="there is no entry of a board's log"):
        read_entry(document, "there")


def test_a_missing_field_is_no_entry():
    for name in VALID:
        with pytest.raises(ResultError, match="no entry of a board's log"):
            read_entry({key: value for key, value in VALID.items() if key != name}, "there")


def test_an_edit_of_a_signed_entry_is_seen(keys):
    document = log(("retract", RUN, {"reason": "r"}, keys[0])).entries[0].document
    assert read_entry(document, "there") == document
    for change in ({"details": {"reason": "s"}}, {"height": 9}, {"key": keys[1].public}, {"signature": None}):
        with pytest.raises(ResultError, match="changed after it was signed"):
            read_entry({**document, **change}, "there")


# --- what they amount to ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "gone"),
    [
        (["retract"], True),
        (["retract", "restore"], False),
        (["retract", "restore", "retract"], True),
        (["retract", "retract", "restore"], False),
        (["restore"], False),
        (["restore", "retract"], True),
    ],
)
def test_the_last_word_on_a_run_counts(actions, gone):
    history = log(*[(action, RUN, {"reason": str(place)}) for place, action in enumerate(actions)])
    assert (RUN in history.retracted) is gone
    assert retracted_ids(history, [OTHER, RUN]) == ((RUN,) if gone else ())


def test_entries_in_every_order_and_twice_are_one_history():
    history = log(
        ("submit", RUN, {"system": "ours"}),
        ("rename", None, {"old": "ours", "new": "better"}),
        ("retract", RUN, {"reason": "r"}),
        ("review", RUN, {"mark": "copy", "verdict": "rejected", "reason": "no"}),
    )
    for order in itertools.permutations(history.entries):
        found = History.of([*order, *order])
        assert [entry.id for entry in found.entries] == [entry.id for entry in history.entries]
        assert (found.aliases, set(found.retracted)) == ({"ours": "better"}, {RUN})


def test_what_is_refused_has_no_effect_and_is_kept():
    history = log(("retract", RUN, {"reason": "r"}), ("rename", None, {"old": "a", "new": "b"}))
    refused = History.of(LogEntry(entry.document, obeyed=False) for entry in history.entries)
    assert (refused.retracted, refused.aliases, len(refused.entries)) == ({}, {}, 2)
    assert refused.new_entry("restore", RUN, {}, None).document["height"] == 3


def test_names_lead_from_each_to_the_next():
    history = log(
        ("rename", None, {"old": "a", "new": "b"}),
        ("rename", None, {"old": "b", "new": "c"}),
        ("rename", None, {"old": "x", "new": "y"}),
    )
    assert history.aliases == {"a": "c", "x": "y"}
    assert [history.original(name) for name in ("a", "c", "C", "y", "z")] == ["a", "a", "a", "x", "z"]


def test_the_first_submission_of_a_name_is_its_owner_s_whatever_its_case(keys):
    mine, theirs = keys
    history = log(
        ("submit", RUN, {"system": "Ours"}, mine),
        ("submit", OTHER, {"system": "OURS"}, theirs),
        ("submit", OTHER, {"system": "open"}),
    )
    assert history.owners == {"ours": mine.public, "open": None}


def test_the_last_review_of_each_mark_counts():
    history = log(
        ("review", RUN, {"mark": "copy", "verdict": "accepted", "reason": "one"}),
        ("review", RUN, {"mark": "ties", "verdict": "accepted", "reason": "two"}),
        ("review", RUN, {"mark": "copy", "verdict": "rejected", "reason": "three"}),
    )
    found = {place: (review.verdict, review.reason) for place, review in history.reviews.items()}
    assert found == {(RUN, "copy"): ("rejected", "three"), (RUN, "ties"): ("accepted", "two")}


def test_only_an_equal_rerun_and_a_signed_confirmation_count(keys):
    history = log(
        ("rerun", RUN, {"equal": False}),
        ("rerun", OTHER, {"equal": True}),
        ("rerun", "c" * 16, {"equal": "yes"}),
        ("confirm", RUN, {"reason": "r"}),
        ("confirm", OTHER, {"reason": "r"}, keys[0]),
    )
    assert (set(history.rerun), set(history.confirmed)) == ({OTHER}, {OTHER})


def test_an_entry_that_was_taken_out_is_missed_by_the_next():
    history = log(*[("retract", RUN, {"reason": str(number)}) for number in range(4)])
    assert history.missing == []
    first, second, third, last = history.entries
    assert History.of([first, third, last]).missing == [second.id]
    assert History.of([first, second, third]).missing == []  # Nothing names the last one yet.


# --- the files --------------------------------------------------------------------------------------------------


def test_an_entry_that_is_obeyed_later_leaves_the_refused_ones(tmp_path):
    entry = log(("retract", RUN, {"reason": "r"})).entries[0]
    write_entries(tmp_path, [LogEntry(entry.document, obeyed=False)])
    assert [one.obeyed for one in read_log(tmp_path)[0]] == [False]
    write_entries(tmp_path, [entry])
    assert [one.obeyed for one in read_log(tmp_path)[0]] == [True]
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == [f"{entry.id}.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 1}', "\x00"])
def test_a_broken_file_is_named_and_the_others_are_read(tmp_path, content):
    entry = log(("retract", RUN, {"reason": "r"})).entries[0]
    write_entries(tmp_path, [entry])
    (tmp_path / "log" / "broken.json").write_text(content)
    entries, broken = read_log(tmp_path)
    assert [one.id for one in entries] == [entry.id]
    assert list(broken) == ["broken.json"]
    assert "broken.json" in broken["broken.json"]


def test_a_file_under_another_name_is_named_with_what_it_is(tmp_path):
    entry = log(("retract", RUN, {"reason": "r"})).entries[0]
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / f"{'0' * 64}.json").write_text(json.dumps(entry.document))
    entries, broken = read_log(tmp_path)
    assert entries == []
    assert f"its content is that of {entry.id}" in broken[f"{'0' * 64}.json"]


def test_a_folder_without_a_log_has_an_empty_one(tmp_path):
    assert read_log(tmp_path) == ([], {})
    assert list(tmp_path.iterdir()) == []


# --- reasons ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "kept"), [("  why ", "why"), ("x" * LONGEST_REASON, "x" * LONGEST_REASON)])
def test_a_reason_is_kept_on_one_line(reason, kept):
    assert checked_reason(reason) == kept


@pytest.mark.parametrize("reason", ["", "   ", "\n", "x" * (LONGEST_REASON + 1)])
def test_no_reason_and_a_long_one_are_refused_with_the_limit(reason):
    with pytest.raises(ResultError, match="one line of 1 to 500 characters"):
        checked_reason(reason)


def test_a_reason_holds_nothing_that_a_terminal_obeys():
    assert checked_reason("red\x1b[31m") == "red?[31m"


# --- owners -----------------------------------------------------------------------------------------------------


def test_a_name_is_its_owner_s_under_its_old_and_its_new_name(keys):
    mine = keys[0]
    history = log(("submit", RUN, {"system": "ours"}, mine), ("rename", None, {"old": "ours", "new": "better"}, mine))
    owners = Owners(history, [])
    assert [owners.owner(name) for name in ("ours", "OURS", "better")] == [Owner(mine.public)] * 3
    assert owners.owner("free") is None


def test_without_a_log_the_oldest_run_decides(keys):
    mine, theirs = keys
    runs = [submitted(OTHER, "ours", theirs, "2026-02-01"), submitted(RUN, "Ours", mine, "2026-01-01")]
    for order in (runs, runs[::-1]):
        assert Owners(History(), order).owner("ours") == Owner(mine.public)
    assert Owners(History(), [submitted(RUN, "ours", None)]).owner("ours") == Owner(None)


def test_runs_that_are_no_submissions_own_nothing(keys):
    run = SimpleNamespace(run_id=RUN, kind="run", created="2026", spec={"system": "ours"}, extra={})
    owners = Owners(History(), [run])
    assert (owners.owner("ours"), owners.owner_of_run(RUN), owners.owner_of_run(OTHER)) == (None, None, None)
    assert (owners.holds(RUN), owners.holds(OTHER)) == (True, False)
    assert owners.refusal_reason({"kind": "run"}) is None


# --- entries of other boards ------------------------------------------------------------------------------------


@pytest.fixture
def ours(keys):
    """A board with a submission of the first key, and one that was taken back."""
    history = log(("submit", RUN, {"system": "ours"}, keys[0]), ("retract", OTHER, {"reason": "r"}, keys[0]))
    return Owners(history, [submitted(RUN, "ours", keys[0])])


def judged(here, change, *, arriving=None, replace=False):
    action, run, details, key = change
    entry = History().new_entry(action, run, details, key)
    found = judge_entries([entry], here, arriving, replace=replace)
    assert [one.id for one in found.entries] == [entry.id]
    assert found.entries[0].obeyed is (not found.refused)
    return found.refused


CASES = [
    ("retract", RUN, {"reason": "r"}, "retract aaaaaaaaaaaaaaaa: the run is on this board"),
    ("rename", None, {"old": "ours", "new": "theirs"}, "rename ours: the name is in use on this board"),
    ("submit", "c" * 16, {"system": "ours"}, "submit cccccccccccccccc: the name belongs to somebody else here"),
    ("submit", "c" * 16, {"system": "new"}, "submit cccccccccccccccc: its submission is not in the bundle"),
    ("confirm", RUN, {"reason": "r"}, "confirm aaaaaaaaaaaaaaaa: it is not of the author's key"),
    ("restore", OTHER, {"reason": "r"}, "restore bbbbbbbbbbbbbbbb: the run was retracted here"),
    ("review", RUN, {"mark": "copy", "verdict": "accepted"}, "review aaaaaaaaaaaaaaaa: this board's keeper has not"),
    ("rerun", RUN, {"equal": True}, "rerun aaaaaaaaaaaaaaaa: this board's keeper has not said so"),
]


@pytest.mark.parametrize(("action", "run", "details", "told"), CASES)
@pytest.mark.parametrize("signed", [True, False])
def test_nobody_else_decides_about_this_board(ours, keys, action, run, details, told, signed):
    (refused,) = judged(ours, (action, run, details, keys[1] if signed else None))
    assert refused.startswith(told)


@pytest.mark.parametrize(("action", "run", "details", "_told"), [case for case in CASES if case[0] != "submit"])
def test_the_keeper_may_take_another_board_s_word(ours, keys, action, run, details, _told):
    assert judged(ours, (action, run, details, keys[1]), replace=True) == ()


@pytest.mark.parametrize(("action", "run", "details", "_told"), [*CASES[:3], *CASES[4:6]])
def test_the_owner_s_own_word_is_obeyed_wherever_it_was_said(ours, keys, action, run, details, _told):
    assert judged(ours, (action, run, details, keys[0])) == ()


def test_even_a_keeper_takes_no_name_from_its_owner(ours, keys):
    (refused,) = judged(ours, ("submit", "c" * 16, {"system": "ours"}, keys[1]), replace=True)
    assert "belongs to somebody else" in refused


def test_an_unsigned_word_about_an_unsigned_submission_is_nobody_s():
    here = Owners(log(("submit", RUN, {"system": "open"})), [submitted(RUN, "open", None)])
    for change in CASES[0], ("rename", None, {"old": "open", "new": "mine"}), CASES[4]:
        action, run, details = change[:3]
        assert len(judged(here, (action, run, details, None))) == 1


def test_a_new_name_comes_with_its_submission_and_that_key_alone(ours, keys):
    change = ("submit", "c" * 16, {"system": "new"}, keys[1])
    assert judged(ours, change, arriving={"c" * 16: Owner(keys[1].public)}) == ()
    assert judged(ours, change, arriving={"c" * 16: Owner(keys[0].public)}) != ()
    assert judged(ours, change, arriving={"d" * 16: Owner(keys[1].public)}) != ()


def test_what_concerns_nothing_here_is_obeyed(ours, keys):
    assert judged(ours, ("retract", "c" * 16, {"reason": "r"}, None)) == ()
    assert judged(ours, ("rename", None, {"old": "elsewhere", "new": "x"}, None)) == ()
    assert judged(ours, ("restate", RUN, {}, keys[1])) == ()


def test_an_empty_board_takes_a_whole_log_and_knows_it_the_second_time(keys):
    theirs = log(
        ("submit", RUN, {"system": "theirs"}, keys[1]), ("review", RUN, {"mark": "copy", "verdict": "accepted"})
    )
    first = judge_entries(theirs.entries, Owners(History(), []))
    assert (len(first.entries), first.refused) == (2, ())
    again = judge_entries(theirs.entries, Owners(History.of(first.entries), []))
    assert (again.entries, again.refused) == ((), ())


# --- states of rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "rerun", "confirmed", "state"),
    [
        (["run", "run"], [], [], "recomputed"),
        (["run", "run"], [0], [], "recomputed"),
        (["run", "run"], [0, 1], [], "rerun"),
        (["run", "run"], [0, 1], [0], "rerun"),
        (["run", "run"], [0, 1], [0, 1], "confirmed"),
        (["run", "run"], [], [0, 1], "recomputed"),
        (["submission"], [], [0], "confirmed"),
        (["submission"], [], [], "recomputed"),
        (["submission", "run"], [], [0, 1], "recomputed"),
        (["submission", "run"], [1], [0, 1], "confirmed"),
    ],
)
def test_a_row_has_the_lowest_state_of_its_runs(keys, kinds, rerun, confirmed, state):
    ids = [RUN, OTHER]
    history = log(
        *[("rerun", ids[place], {"equal": True}) for place in rerun],
        *[("confirm", ids[place], {"reason": "r"}, keys[0]) for place in confirmed],
    )
    runs = [SimpleNamespace(run_id=run_id, kind=kind) for run_id, kind in zip(ids, kinds, strict=False)]
    assert verification_state(runs, history) == state
