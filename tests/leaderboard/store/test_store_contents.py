"""What the board gives of its runs, on SQLite and on PostgreSQL: in any order, renamed, taken back, by name."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import sqlite3

import numpy as np
import postgres
import pytest
from board_runs import write_run

from bench.core.errors import ResultError
from leaderboard.history.log import History, LogEntry
from leaderboard.metrics import score_cycles
from leaderboard.results.run_folder import RunFolder
from leaderboard.store import names
from leaderboard.store.result_rows import system_hash
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table

RUNS = [{"method": method, "seed": seed} for method in ("ce", "cl") for seed in (1, 2)]


@pytest.fixture(params=["sqlite", "postgresql"])
def board(request, tmp_path):
    """A results folder, and the board that its runs go to."""
    home = tmp_path / "home"
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    return home, Store.open(url or home)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def read_board(request, tmp_path_factory):
    """A results folder and its board, for reading alone: two systems, a failed run and one without ``best-test``."""
    home = tmp_path_factory.mktemp("home")
    with contextlib.ExitStack() as stack:
        location = home
        if request.param == "postgresql":
            location = stack.enter_context(postgres.database(request.getfixturevalue("postgres_socket")))
        store = Store.open(location)
        failed = {"method": "cl", "seed": 9, "failed": "no memory"}
        ids = filled(home, store, *RUNS, failed, {"method": "last", "seed": 4, "rules": ("last",)})
        yield home, store, ids


def filled(home, store, *runs):
    """Import runs, and give their ids."""
    folders = [write_run(home, **run) for run in runs]
    for folder in folders:
        store.import_run(folder)
    return [folder.name for folder in folders]


def entry(action, run, *before, obeyed=True, **details):
    made = History.of(before).new_entry(action, run, {"reason": "r", **details}, None)
    return LogEntry(made.document, obeyed)


# --- order ------------------------------------------------------------------------------------------------------


def test_the_order_of_imports_is_no_part_of_the_board(board, tmp_path):
    home, store = board
    filled(home, store, *RUNS)
    other = Store.open(tmp_path / "other")
    shuffled = random.Random(1).sample(RUNS, len(RUNS))
    filled(home, other, *shuffled)
    assert store.digests() == other.digests()
    assert store.runs() == other.runs()
    assert leaderboard_table(store).to_json() == leaderboard_table(other).to_json()


def test_lines_of_a_run_s_files_in_another_order_are_the_same_result(board):
    home, store = board
    (run_id,) = filled(home, store, {})
    folder = home / "runs" / run_id
    for name in ("test-cycles.csv", "predictions-last.csv", "predictions-best-test.csv"):
        lines = list(csv.reader((folder / name).read_text().splitlines()))
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([lines[0], *lines[:0:-1]])
    before = store.result(run_id).digest
    assert store.import_run(folder) == "same"
    assert store.result(run_id).digest == before == RunFolder(folder).read().digest


def test_a_run_that_is_made_anew_keeps_all_that_it_has(board):
    home, store = board
    (run_id,) = filled(home, store, {})
    before = (store.run(run_id), store.digests())
    assert store.import_run(home / "runs" / run_id, anew=True) == "same"
    assert (store.run(run_id), store.digests()) == before


def test_a_result_read_from_the_board_goes_onto_another_board_as_it_is(board, tmp_path):
    home, store = board
    (run_id,) = filled(home, store, {})
    other = Store.open(tmp_path / "other")
    assert other.import_result(store.result(run_id)) == "new"
    assert other.digests() == store.digests()
    assert other.import_result(store.result(run_id)) == "same"
    assert store.import_result(other.result(run_id)) == "same"


# --- what is read -----------------------------------------------------------------------------------------------


def test_runs_carry_their_spec_system_and_numbers(read_board):
    home, store, ids = read_board
    runs = store.runs()
    assert sorted(run.run_id for run in runs) == sorted(ids)
    for run in runs:
        document = json.loads((home / "runs" / run.run_id / "result.json").read_text())
        assert run.spec == document["spec"]
        assert run.system == system_hash(document["spec"])
        told = {rule: metrics for rule, metrics in document["metrics"].items() if metrics}
        assert run.metrics.keys() == told.keys()
        for rule, by_judged in run.metrics.items():
            for judged, numbers in by_judged.items():
                assert {**told[rule][judged], **numbers} == told[rule][judged]
    assert len({run.judged_set for run in runs if run.metrics}) == 1
    assert [run.created for run in runs] == sorted(run.created for run in runs)


def test_the_hash_of_a_system_knows_everything_but_the_seed():
    spec = {"model": "ast", "seed": 1, "options": {"b": 1, "a": 2}}
    assert system_hash(spec) == system_hash({"options": {"a": 2, "b": 1}, "seed": 9, "model": "ast"})
    assert system_hash(spec) == system_hash({name: value for name, value in spec.items() if name != "seed"})
    assert system_hash(spec) != system_hash({**spec, "model": "cnn6"})


def test_records_hold_execution_provenance_and_epochs(read_board):
    home, store, _ = read_board
    for run_id, record in store.records().items():
        document = json.loads((home / "runs" / run_id / "result.json").read_text())
        assert record.execution == document["execution"]
        assert record.provenance == document["provenance"]
        assert record.epochs == document["epochs"]


def test_specs_are_read_for_the_runs_asked_for_alone(read_board):
    _, store, ids = read_board
    assert set(store.specs(ids[:2])) == set(ids[:2])
    assert store.specs([]) == store.specs(["0" * 16]) == {}
    assert store.specs(ids[:1])[ids[0]]["seed"] == 1


def test_systems_are_those_of_the_pairs_with_numbers_under_the_rule(read_board):
    _, store, _ = read_board
    (ce,) = store.systems([("ast", "ce")], "last")
    assert (ce.model, ce.method, ce.runs, ce.dataset, ce.split) == ("ast", "ce", 2, "icbhi", "official")
    mine = [run for run in store.runs() if run.spec["method"] == "ce"]
    assert (ce.newest, ce.first) == (max(run.created for run in mine), min(run.run_id for run in mine))
    (cl,) = store.systems([("ast", "cl")], "last")
    assert cl.runs == 2  # A failed run is none of a system's.
    assert [one.method for one in store.systems([("ast", "last")], "last")] == ["last"]
    assert store.systems([("ast", "last")], "best-test") == []
    assert store.systems([("cnn6", "ce")], "last") == store.systems([], "last") == []


def test_scores_are_those_of_systems_and_rules_by_seed(read_board):
    _, store, _ = read_board
    runs = {run.run_id: run for run in store.runs()}
    system = next(run.system for run in runs.values() if run.spec["method"] == "ce")
    found = store.scores([system], ["last"])
    assert [score.seed for score in found] == [1, 1, 2, 2]
    for score in found:
        assert runs[score.run_id].metrics["last"][score.judged]["score"] == score.score
        assert score.score == pytest.approx((score.sp + score.se) / 2)
    assert store.scores([system], []) == store.scores([], ["last"]) == []


def test_predictions_of_many_runs_share_their_cycles_and_are_those_of_each(read_board):
    _, store, ids = read_board
    judged = [run.run_id for run in store.runs() if run.metrics]
    chosen, scores = store.predicted_classes(ids, "last"), store.predicted_scores(ids, "last")
    assert set(chosen) == set(scores) == set(judged)
    assert len({id(cycles) for cycles, _ in chosen.values()}) == 1
    for run_id in judged:
        cycles, values = store.predictions(run_id, "last")
        assert np.array_equal(scores[run_id][1].astype(np.float64), values)
        assert np.array_equal(chosen[run_id][1], values.argmax(axis=1))
        assert store.recompute(run_id, "last") == score_cycles(cycles.labels, values)
    assert store.predicted_classes(ids, "best-val") == store.predicted_classes([], "last") == {}
    absent = [f"{number:016x}" for number in range(1200)]
    assert set(store.predicted_classes([*absent, ids[0], *absent], "last")) == {ids[0]}


def test_a_rule_without_predictions_is_named_with_the_run(read_board):
    _, store, ids = read_board
    with pytest.raises(ResultError, match=f"The run {ids[-1]} has no predictions under the rule 'best-test'"):
        store.predictions(ids[-1][:12], "best-test")


# --- finding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "ü", "x" * 500, "%", "_", "' OR 1=1 --", "\x00", "\ud800", "0x", "-1", "runs"])
def test_a_word_that_is_no_id_is_a_sentence_on_one_line(read_board, text):
    with pytest.raises(ResultError, match="There is no run '") as error:
        read_board[1].find(text)
    assert error.value.message.isprintable()
    assert len(error.value.message) < 400


def test_an_empty_board_says_that_it_holds_no_run(tmp_path):
    with pytest.raises(ResultError, match="There is no run 'ab'") as error:
        Store.open(tmp_path).find("ab")
    assert error.value.hint == "The board holds no run yet."


def test_a_word_like_no_id_leads_to_the_newest_run(read_board):
    with pytest.raises(ResultError) as error:
        read_board[1].find("zzzz")
    assert error.value.hint == f"The newest is {read_board[1].runs()[-1].run_id}; `bench board list` shows all."


# --- the log ----------------------------------------------------------------------------------------------------


def test_a_run_that_was_taken_back_goes_and_stays_away_until_it_is_restored(board):
    home, store = board
    (run_id, other) = filled(home, store, {}, {"seed": 2})
    folder = home / "runs" / run_id
    retract = entry("retract", run_id)
    store.add_entries([retract])
    assert [run.run_id for run in store.runs()] == [other]
    assert store.import_run(folder) == "retracted"
    assert [run.run_id for run in store.runs()] == [other]
    store.add_entries([entry("restore", run_id, retract)])
    assert store.import_run(folder) == "new"
    assert {run.run_id for run in store.runs()} == {run_id, other}


def test_entries_that_are_there_stay_as_they_are(board):
    home, store = board
    (run_id,) = filled(home, store, {})
    retract = entry("retract", run_id, obeyed=False)
    for _ in range(2):
        store.add_entries([retract])
        assert [(one.id, one.obeyed) for one in store.history().entries] == [(retract.id, False)]
        assert len(store.runs()) == 1
    store.add_entries([LogEntry(retract.document, obeyed=True)])
    assert store.runs() == []
    store.add_entries([retract])
    assert [one.obeyed for one in store.history().entries] == [True]


def test_entries_that_arrive_out_of_order_end_as_they_would_in_order(board):
    home, store = board
    (run_id,) = filled(home, store, {})
    retract = entry("retract", run_id)
    restore = entry("restore", run_id, retract)
    store.add_entries([restore])
    store.add_entries([retract])
    assert [run.run_id for run in store.runs()] == [run_id]
    assert store.history().retracted == {}


def test_a_rename_changes_the_name_of_submissions_and_of_nothing_else(board):
    home, store = board
    filled(home, store, {})
    before = store.runs()
    store.add_entries([entry("rename", None, old="ours", new="better")])
    assert store.runs() == before
    assert store.history().aliases == {"ours": "better"}


def test_the_log_of_an_absent_board_is_empty(board):
    assert board[1].history().entries == ()
    assert board[1].records() == board[1].digests() == {}


# --- names for the completion of words --------------------------------------------------------------------------


def test_ids_are_read_without_opening_the_board(tmp_path):
    store = Store.open(tmp_path)
    ids = filled(tmp_path, store, *RUNS[:2])
    before = sorted(path.name for path in tmp_path.iterdir())
    assert sorted(names.run_ids(tmp_path / "leaderboard.sqlite")) == sorted(ids)
    assert names.system_names(tmp_path / "leaderboard.sqlite") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_old_and_new_names_of_submissions_are_read_and_refused_ones_are_not(tmp_path):
    store = Store.open(tmp_path)
    filled(tmp_path, store, {})
    first = entry("rename", None, old="ours", new="better")
    store.add_entries([first, entry("rename", None, first, old="theirs", new="stolen", obeyed=False)])
    assert names.system_names(tmp_path / "leaderboard.sqlite") == ["better"]


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough to be looked at" * 20])
def test_what_is_no_board_is_an_error_of_sqlite_and_is_not_made(tmp_path, content):
    path = tmp_path / "leaderboard.sqlite"
    if content is not None:
        path.write_bytes(content)
    for read in (names.run_ids, names.system_names):
        with pytest.raises(sqlite3.Error):
            read(path)
    assert path.exists() is (content is not None)
    assert content is None or path.read_bytes() == content


def test_a_board_that_somebody_writes_is_read_all_the_same(tmp_path):
    store = Store.open(tmp_path)
    ids = filled(tmp_path, store, {})
    with store.session(write=True):
        assert names.run_ids(tmp_path / "leaderboard.sqlite") == ids


def test_a_folder_with_odd_characters_is_read(tmp_path):
    home = tmp_path / "a ? b # c % d"
    ids = filled(home, Store.open(home), {})
    assert names.run_ids(home / "leaderboard.sqlite") == ids
