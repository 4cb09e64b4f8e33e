"""``bench board snapshot``."""

from __future__ import annotations

import json

import pytest
from board_runs import write_run

from leaderboard.store.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    Store.open(tmp_path / "home").import_run(write_run(tmp_path / "home"))
    return tmp_path / "home"


def test_a_snapshot_is_made_and_checked(home, bench, tmp_path):
    made = json.loads(bench("board", "snapshot", "--format", "json").out)
    folder = tmp_path / made["folder"]
    assert folder.name == f"snapshot-{made['created'][:10]}"
    assert len(made["sha256"]) == 64
    checked = json.loads(bench("board", "snapshot", "--verify", folder, "--format", "json").out)
    assert {**checked, "folder": made["folder"]} == made
    assert made["sha256"] in bench("board", "snapshot", "--verify", folder).out
    (folder / "README.txt").write_text("other")
    refused = bench("board", "snapshot", "--verify", folder, code=4)
    assert "README.txt was changed" in refused.err
    assert "never changed" in bench("board", "snapshot", "--out", folder, code=4).err


def test_making_and_checking_are_two_things(home, bench):
    assert "one of them" in bench("board", "snapshot", "--verify", "a", "--out", "b", code=2).err
