"""Audits by the API, and where the official test cycles are known from."""

from __future__ import annotations

import json

import numpy as np
import pytest
from board_runs import write_run
from icbhi_sets import part_of_folder, write_set

from bench.api import audits, official_cycles
from bench.api.boards import open_board
from bench.core.errors import DataError, ResultError, SpecError
from leaderboard.store.store import Store

RIGHT = 6
"""How many of the eight answers are right."""


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "no-data"))
    return open_board(tmp_path / "home")


@pytest.fixture
def data(tmp_path):
    write_set(tmp_path / "data")
    return str(tmp_path / "data")


@pytest.fixture
def answers(tmp_path, data):
    """A file of answers, and the rates that they have by the definition."""
    cycles = part_of_folder(tmp_path / "data").cycles
    labels = np.array(cycles.labels)
    predicted = labels.copy()
    predicted[RIGHT:] = 1, 0  # of a wheeze and of both: a hit where any abnormal class is one, and a miss
    lines = [f"{recording},{cycle},{value}\n" for (recording, cycle), value in zip(cycles.keys, predicted, strict=True)]
    (tmp_path / "p.csv").write_text("recording,cycle,predicted\n" + "".join(lines))
    ill = labels != 0
    sp = 100 * np.mean(predicted[~ill] == 0)
    strict, loose = 100 * np.mean(predicted[ill] == labels[ill]), 100 * np.mean(predicted[ill] != 0)
    return tmp_path / "p.csv", {"4class": (sp, strict), "2class": (sp, loose)}


def claim_of(sp, se, digits=2):
    return f"sp={sp:.{digits}f},se={se:.{digits}f},score={(sp + se) / 2:.{digits}f}"


def kinds(audit):
    return sorted(finding.kind for finding in audit.findings)


# --- claims -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judged", ["4class", "2class"])
@pytest.mark.parametrize("digits", [1, 2, 4])
def test_a_claim_that_is_right_adds_no_finding(board, data, answers, judged, digits):
    file, rates = answers
    plain = audits.audit(board, file, data=data, judged=judged)
    claimed = audits.audit(board, file, claimed=claim_of(*rates[judged], digits), data=data, judged=judged)
    assert kinds(claimed) == kinds(plain)


@pytest.mark.parametrize("rate", ["sp", "se", "score"])
def test_a_wrong_rate_is_named_with_both_numbers(board, data, answers, rate):
    file, rates = answers
    sp, se = rates["4class"]
    true = {"sp": sp, "se": se, "score": (sp + se) / 2}[rate]
    plain = audits.audit(board, file, data=data)
    found = audits.audit(board, file, claimed=f"{rate}=12.34", data=data)
    assert len(found.findings) == len(plain.findings) + 1
    (sentence,) = {one.sentence for one in found.findings} - {one.sentence for one in plain.findings}
    assert "12.34" in sentence
    assert f"{true:.2f}" in sentence


def test_the_other_sensitivity_is_recognised_in_a_claim(board, data, answers):
    file, rates = answers
    assert rates["4class"] != rates["2class"]
    found = audits.audit(board, file, claimed=claim_of(*rates["2class"]), data=data)
    assert any("2-class" in one.sentence for one in found.findings)


@pytest.mark.parametrize(
    "text",
    ["SP=50.00, Se=60.00 ,score=55.00", "score=55.00,se=60.00,sp=50.00", "sp=50.00%,se=60.00%,score=55.00%"],
)
def test_a_claim_may_be_written_in_many_ways(board, data, answers, text):
    file, _ = answers
    said = [one.sentence for one in audits.audit(board, file, claimed=text, data=data).findings]
    assert said == [
        one.sentence for one in audits.audit(board, file, claimed="sp=50.00,se=60.00,score=55.00", data=data).findings
    ]


@pytest.mark.parametrize(
    "text", ["", ",", "sp", "sp=", "sp=x", "sp=1,sp=2", "f1=3", "sp=nan", "sp=inf", "sp=1 2", "=5", "sp=1±2", "sp=\x1b"]
)
def test_a_claim_that_cannot_be_read_is_refused_before_the_file_is(board, tmp_path, text):
    with pytest.raises(SpecError, match="in --claimed") as caught:
        audits.audit(board, tmp_path / "none.csv", claimed=text)
    assert caught.value.hint.endswith("--claimed sp=81.66,se=43.07,score=62.37")
    assert "\x1b" not in caught.value.message


def test_an_unknown_way_of_judging_is_refused_with_those_that_there_are(board, tmp_path):
    with pytest.raises(SpecError, match="Unknown way of judging '4clas': did you mean '4class'"):
        audits.audit(board, tmp_path / "none.csv", judged="4clas")


# --- files --------------------------------------------------------------------------------------------------------


def test_an_audit_stores_nothing_and_is_a_document(board, data, answers, tmp_path):
    file, _ = answers
    before = file.read_bytes()
    document = audits.audit(board, file, data=data).to_json()
    assert json.loads(json.dumps(document))["holds"] == "predictions"
    assert document["sound"] == (not document["findings"])
    assert not board.home.exists()
    assert file.read_bytes() == before


@pytest.mark.parametrize(("content", "said"), [(None, "Cannot read"), (b"", ""), (b"\x00\x01", ""), (b"hello\n", "")])
def test_a_file_that_is_none_of_these_is_refused(board, tmp_path, content, said):
    if content is not None:
        (tmp_path / "f.csv").write_bytes(content)
    with pytest.raises(ResultError, match=said or r"f\.csv"):
        audits.audit(board, tmp_path / "f.csv")


def test_a_table_of_results_is_compared_with_itself_alone(board, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("method,sp,se,score\nours,80.00,40.00,61.00\nright,80.00,40.00,60.00\n")
    found = audits.audit(board, table)
    assert found.holds != "predictions"
    assert any("61.00" in one.sentence for one in found.findings)
    with pytest.raises(ResultError, match="no claim can be compared with it"):
        audits.audit(board, table, claimed="sp=80.00")


def test_a_run_is_audited_by_its_folder_and_by_its_result(tmp_path):
    board = open_board(tmp_path / "home")
    folder = write_run(board.home, seed=1)
    one, other = audits.audit(board, folder), audits.audit(board, folder / "result.json")
    assert kinds(one) == kinds(other)
    assert one.holds == other.holds


def test_a_result_that_was_edited_is_found(tmp_path):
    board = open_board(tmp_path / "home")
    folder = write_run(board.home, seed=1)
    document = json.loads((folder / "result.json").read_text())
    document["metrics"]["last"]["4class"]["score"] += 5
    (folder / "result.json").write_text(json.dumps(document))
    assert len(audits.audit(board, folder).findings) >= 1


# --- the official test cycles -------------------------------------------------------------------------------------


def test_a_named_folder_is_taken_before_everything(board, data, tmp_path):
    Store.open(board.home).import_run(write_run(board.home, seed=1))
    part = official_cycles.official_test_cycles(board, data)
    assert part.dataset == "demo"
    assert len(part.cycles) == 8


def test_the_folder_of_the_environment_is_taken_where_none_is_named(board, data, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", data)
    assert official_cycles.official_test_cycles(board).cycles.hash == (
        official_cycles.official_test_cycles(board, data).cycles.hash
    )


def test_a_run_of_the_board_knows_the_cycles_where_no_data_are(board):
    with pytest.raises(DataError, match="not known here"):
        official_cycles.official_test_cycles(board)
    Store.open(board.home).import_run(write_run(board.home, seed=1))
    (run,) = board.runs()
    part = official_cycles.official_test_cycles(board)
    assert part.source == f"run {run.run_id} on the board"
    assert part.cycles.hash == board.run(run.run_id).predictions()[0].hash


@pytest.mark.parametrize(
    "run", [{"failed": "The loss is nan."}, {"dataset": "demo"}, {"partial": "partial (9 of 920)"}]
)
def test_a_run_on_other_cycles_knows_nothing(board, run):
    Store.open(board.home).import_run(write_run(board.home, **run))
    with pytest.raises(DataError, match="no full run on the board"):
        official_cycles.official_test_cycles(board)


def test_a_named_folder_without_data_is_not_made_up_for(board, tmp_path):
    Store.open(board.home).import_run(write_run(board.home, seed=1))
    with pytest.raises(DataError, match="No ICBHI annotations below"):
        official_cycles.official_test_cycles(board, str(tmp_path / "nowhere"))


def test_the_simulated_set_is_that_of_the_cache(board, tmp_path, data, monkeypatch):
    asked = []

    def made(cache, on_progress=None):
        asked.append(cache)
        return tmp_path / "data"

    monkeypatch.setattr("bench.data.datasets.simulated.demo.demo_folder", made)
    part = official_cycles.official_test_cycles(board, "demo", tmp_path / "cache")
    assert asked == [tmp_path / "cache"]
    assert part.cycles.hash == official_cycles.official_test_cycles(board, data).cycles.hash
