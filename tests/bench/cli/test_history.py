"""``bench board``: key, retract, rename, review, rerun, confirm and log, as a user types them."""

from __future__ import annotations

import json
import os

import pytest
from board_runs import write_run
from cli_runs import SMALL_AST
from icbhi_sets import part_of_folder, write_set

from bench.launch.confirmation import compared
from leaderboard.store.rebuilding import rebuild
from leaderboard.store.store import Store

WORDS = ("--selection", "last", "--system")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path):
    write_set(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def predictions(data, tmp_path):
    path = tmp_path / "p.csv"
    keys = part_of_folder(data).cycles.keys
    path.write_text("recording,cycle,predicted\n" + "".join(f"{r},{c},{i % 4}\n" for i, (r, c) in enumerate(keys)))
    return path


def test_a_key_is_made_once_and_shown(bench, tmp_path):
    first = bench("board", "key")
    assert first.out.startswith("ed25519:")
    assert "made a key" in first.err
    file = tmp_path / "config" / "lungbench" / "key.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    again = json.loads(bench("board", "key", "--format", "json").out)
    assert (again["key"], again["new"], again["file"]) == (first.out.strip(), False, str(file))


def test_another_key_can_be_named(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_KEY", str(tmp_path / "other.pem"))
    bench("board", "key")
    assert (tmp_path / "other.pem").is_file()
    assert not (tmp_path / "config").exists()


def test_a_submission_is_signed_declared_renamed_and_confirmed(bench, data, predictions, monkeypatch, tmp_path):
    public = bench("board", "key").out.strip()
    declared = ["--no-metadata", "--ensemble", 3, "--tta", "--thresholds", "held-out", "--pretrained-on-icbhi"]
    done = bench("board", "submit", predictions, *WORDS, "ours", "--data", data, *declared, "--format", "json")
    document = json.loads(done.out)
    assert document["key"] == public
    assert document["inputs"] == {
        "metadata": False,
        "ensemble": 3,
        "tta": True,
        "thresholds": "held-out",
        "pretrained_on_icbhi": True,
    }
    run_id = document["run_id"]
    assert "'ours' is called 'CRNN-T'" in bench("board", "rename", "ours", "CRNN-T").out
    bench("board", "confirm", run_id)
    (section,) = json.loads(bench("report", "leaderboard", "--format", "json").out)["sections"]
    (row,) = section["rows"]
    assert (row["name"], row["state"], row["key"]) == ("CRNN-T", "confirmed", public)
    assert row["inputs"] == document["inputs"]
    shown = bench("report", "leaderboard", "--format", "markdown").out
    for word in ("ensemble of 3", "test-time augmentation", "thresholds tuned on held-out", "pretrained on ICBHI"):
        assert word in shown
    actions = [entry["action"] for entry in json.loads(bench("board", "log", "--format", "json").out)["entries"]]
    assert actions == ["submit", "rename", "confirm"]
    monkeypatch.setenv("BENCH_KEY", str(tmp_path / "thief.pem"))
    bench("board", "key")
    for words in (
        ("submit", predictions, *WORDS, "ours", "--data", data, "--seed", 2),
        ("submit", predictions, *WORDS, "CRNN-T", "--data", data, "--paper", "mine"),
        ("rename", "CRNN-T", "mine"),
        ("confirm", run_id),
    ):
        assert "key" in bench("board", *words, code=2).err


def test_an_open_submission_says_what_it_leaves_open(bench, data, predictions):
    said = bench("board", "submit", predictions, *WORDS, "ours", "--data", data).err
    assert "not signed: `bench board key` makes a key" in said
    assert "undeclared, and shown as that: metadata, ensemble, tta, thresholds" in said
    assert (
        "thresholds is 'validation'"
        in bench("board", "submit", predictions, *WORDS, "x", "--data", data, "--thresholds", "validation", code=2).err
    )


def test_a_run_is_retracted_and_brought_back(bench, home):
    folder = write_run(home)
    Store.open(home).import_run(folder)
    assert "Missing option '--reason'" in bench("board", "retract", folder.name, code=2).err
    assert f"{folder.name} was retracted" in bench("board", "retract", folder.name[:6], "--reason", "a mistake").out
    assert Store.open(home).runs() == []
    assert "1 retracted, and left out" in bench("board", "rebuild").err
    assert "a mistake" in bench("board", "log").out
    assert "There is no run" in bench("board", "retract", folder.name, "--reason", "again", code=2).err
    bench("board", "retract", folder.name, "--undo", "--reason", "no mistake")
    rebuild(home)
    assert [run.run_id for run in Store.open(home).runs()] == [folder.name]


def test_marks_are_listed_and_reviewed(bench, data, predictions):
    run_id = json.loads(bench("board", "submit", predictions, *WORDS, "ours", "--data", data, "--format", "json").out)[
        "run_id"
    ]
    assert f"{run_id}  ours  unsigned: " in bench("board", "review").out
    bench("board", "review", "--accept", run_id, "unsigned", "--reason", "known")
    (mark,) = [m for m in json.loads(bench("board", "review", "--format", "json").out)["marks"] if m["review"]]
    assert mark["review"] == {"verdict": "accepted", "reason": "known"}
    assert "says why" in bench("board", "review", "--reject", run_id, "unsigned", code=2).err
    assert "is no mark" in bench("board", "review", "--reject", run_id, "odd", "--reason", "x", code=2).err


def test_a_run_is_run_again_in_a_folder_of_its_own(bench, small_data, small_cache, home, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(small_cache))
    made = bench("run", *SMALL_AST, "--data", small_data, "--epochs", 1, "--device", "cpu", "--format", "json")
    run_id = json.loads(made.out)["run_id"]
    result = json.loads((home / "runs" / run_id / "result.json").read_text())
    assert result["judged_set"] == part_of_folder(small_data).cycles.hash  # that of a submission to the same data
    before = {path: path.stat().st_mtime_ns for path in (home / "runs").rglob("*")}
    entry = json.loads(bench("board", "rerun", run_id, "--data", small_data, "--device", "cpu", "--format", "json").out)
    assert (entry["action"], entry["details"]["equal"], entry["details"]["largest"]) == ("rerun", True, 0.0)
    assert {path: path.stat().st_mtime_ns for path in (home / "runs").rglob("*")} == before
    (section,) = json.loads(bench("report", "leaderboard", "--format", "json").out)["sections"]
    assert section["rows"][0]["state"] == "rerun"
    assert os.environ["BENCH_HOME"] == str(home)


def test_a_rerun_with_other_numbers_or_cycles_is_not_equal(home):
    one, other = (json.loads((write_run(home / str(n), salt=n) / "result.json").read_text()) for n in (1, 2))
    assert compared(one, one, 0.0).equal
    found = compared(one, other, 0.5)
    assert not found.equal
    assert found.largest > 0.5
    assert compared(one, other, 100.0).equal
    assert compared({**one, "judged_set": "a"}, {**one, "judged_set": "b"}, 100.0).largest is None


def test_a_submission_is_not_run_again(bench, data, predictions):
    document = json.loads(bench("board", "submit", predictions, *WORDS, "x", "--data", data, "--format", "json").out)
    assert "has no spec that could be run" in bench("board", "rerun", document["run_id"], code=2).err
