"""Predictions from outside by the API: judged on the same test cycles whether they are entered or audited."""

from __future__ import annotations

import pytest
from icbhi_sets import part_of_folder, write_set

from bench.api import audits, changes, exchange, keys, official_cycles
from bench.api.boards import open_board
from bench.core.errors import DataError, ResultError, SpecError


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return open_board(tmp_path / "home")


@pytest.fixture
def data(tmp_path):
    write_set(tmp_path / "data")
    return str(tmp_path / "data")


@pytest.fixture
def predictions(tmp_path, data):
    path = tmp_path / "p.csv"
    keys = part_of_folder(tmp_path / "data").cycles.keys
    path.write_text("recording,cycle,predicted\n" + "".join(f"{r},{c},{i % 4}\n" for i, (r, c) in enumerate(keys)))
    return path


def statement(**changes):
    return exchange.Statement(**{"system": "ours", "selection": "last", **changes})


def test_a_submission_has_the_names_of_its_json(board, data, predictions):
    done = exchange.submit(board, predictions, statement(seed=3), data=data)
    document = done.to_json()
    assert (done.system, done.state, done.seed, done.simulated) == ("ours", "new", 3, True)
    assert {name: document[name] for name in ("system", "state", "seed")} == {
        "system": "ours",
        "state": "new",
        "seed": 3,
    }
    assert document["folder"] == str(done.folder)
    assert "remarks" not in document
    assert done.metrics["official"]["4class"]["n"] == done.cycles
    assert [run.name for run in board.runs()] == ["ours"]
    again = exchange.submit(board, predictions, statement(seed=3), data=data)
    assert again.state == "same"
    assert any("holds this submission already" in remark for remark in again.remarks)


def test_a_key_is_made_once_and_signs(board, data, predictions):
    made = keys.own_key()
    assert made.new
    assert keys.own_key().to_json() == {"key": made.key, "file": str(made.file), "new": False}
    done = exchange.submit(board, predictions, statement(), data=data)
    assert done.key == made.key
    entry = changes.confirm(board, done.run_id)
    assert (entry.run, entry.key) == (done.run_id, made.key)
    assert changes.rename(board, "ours", "CRNN-T").details == {"old": "ours", "new": "CRNN-T"}
    assert [run.name for run in board.runs()] == ["CRNN-T"]


def test_marks_are_listed_and_reviewed(board, data, predictions):
    done = exchange.submit(board, predictions, statement(), data=data)
    unsigned = next(mark for mark in changes.marks(board) if mark["mark"] == "unsigned")
    assert (unsigned["system"], unsigned["run_ids"], unsigned["review"]) == ("ours", [done.run_id], None)
    changes.review(board, done.run_id, "unsigned", accept=False, reason="it is known")
    (again,) = [mark for mark in changes.marks(board) if mark["mark"] == "unsigned"]
    assert again["review"] == {"verdict": "rejected", "reason": "it is known"}
    with pytest.raises(SpecError, match="Unknown protocol"):
        changes.marks(board, "lst")


def test_a_refusal_holds_the_difference(board, data, predictions):
    lines = predictions.read_text().splitlines()
    predictions.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(exchange.RefusedError) as refused:
        exchange.submit(board, predictions, statement(), data=data)
    assert len(exchange.refusal_document(refused.value)["missing"]) == 1
    assert board.runs() == []


def test_a_wrong_statement_is_refused_before_data_are_looked_for(board, predictions):
    with pytest.raises(ResultError, match="system"):
        exchange.submit(board, predictions, statement(system=""))
    with pytest.raises(DataError, match="test cycles are not known here"):
        exchange.submit(board, predictions, statement())


def test_an_audit_and_a_submission_ask_for_the_same_cycles(board, data, predictions, monkeypatch):
    asked = []
    found = official_cycles.known_answers

    def watched(card, task, folder, store, **how):
        asked.append((card.id, str(folder), how["named"]))
        return found(card, task, folder, store, **how)

    monkeypatch.setattr(official_cycles, "known_answers", watched)
    exchange.submit(board, predictions, statement(), data=data)
    audits.audit(board, predictions, data=data)
    assert asked == [("demo", data, True), ("demo", data, True)]


def test_a_claim_is_compared_with_what_predictions_give(board, data, predictions):
    sound = audits.audit(board, predictions, data=data)
    false = audits.audit(board, predictions, data=data, claimed="sp=12.34,se=56.78")
    assert len(false.findings) > len(sound.findings)
    assert len(false.findings) == len(
        audits.audit(board, predictions, data=data, claimed="sp=0.1234,se=0.5678").findings
    )


@pytest.mark.parametrize("claimed", ["sp", "sp=", "sp=x", "sp=1,sp=2", "f1=3", "sp=1±2", "sp=１"])
def test_a_claim_that_says_nothing_is_refused(board, predictions, claimed):
    with pytest.raises(SpecError, match="Cannot read"):
        audits.audit(board, predictions, claimed=claimed)


def test_an_unknown_way_of_judging_is_refused(board, data, predictions):
    with pytest.raises(SpecError, match="Unknown way of judging '3class'"):
        audits.audit(board, predictions, data=data, judged="3class")
