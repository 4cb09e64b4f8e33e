"""What is offered while a word is typed: ids that exist, of the results folder alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from board_runs import write_run
from icbhi_sets import part_of_folder, write_set

import baselines
import methods
from bench.api import changes, completion, exchange
from bench.api.boards import open_board
from bench.data.frontends import FRONTENDS
from leaderboard.store.store import Store


@pytest.fixture
def home(tmp_path):
    """A board with one run, one run folder besides, and two studies."""
    folder = tmp_path / "home"
    Store.open(folder).import_run(write_run(folder, seed=1))
    write_run(folder, seed=2)
    (folder / "runs" / ".half.tmp").mkdir()
    (folder / "studies").mkdir()
    for name in ("one.journal", "two.journal", "two.lock", ".one.journal"):
        (folder / "studies" / name).write_text("")
    return folder


def test_ids_of_what_is_registered_are_offered():
    assert list(completion.models()) == [entry.id for entry in baselines.MODELS]
    assert list(completion.methods()) == [entry.id for entry in methods.METHODS]
    assert list(completion.frontends()) == [entry.id for entry in FRONTENDS]


def test_runs_of_the_board_and_of_the_folders_are_offered_once(home):
    folders = {path.name for path in (home / "runs").iterdir() if not path.name.startswith(".")}
    assert sorted(completion.runs(home)) == sorted(folders)
    assert len(folders) == 2


def test_studies_are_offered_without_their_ending(home):
    assert sorted(completion.studies(home)) == ["one", "two"]


@pytest.mark.parametrize("what", ["runs", "systems", "runs_and_systems", "studies"])
def test_a_folder_that_is_not_there_offers_nothing_and_is_not_made(tmp_path, what):
    assert list(getattr(completion, what)(tmp_path / "none")) == []
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_the_environment_is_taken(home, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(home))
    assert set(completion.runs()) == set(completion.runs(home))
    assert set(completion.studies()) == {"one", "two"}


def test_systems_are_offered_under_their_old_and_new_names(tmp_path):
    write_set(tmp_path / "data")
    keys = part_of_folder(tmp_path / "data").cycles.keys
    (tmp_path / "p.csv").write_text(
        "recording,cycle,predicted\n" + "".join(f"{r},{c},{i % 4}\n" for i, (r, c) in enumerate(keys))
    )
    board = open_board(tmp_path / "home")
    statement = exchange.Statement(system="ours", selection="last")
    done = exchange.submit(board, tmp_path / "p.csv", statement, data=str(tmp_path / "data"))
    changes.rename(board, "ours", "CRNN-T")
    assert set(completion.systems(board.home)) == {"ours", "CRNN-T"}
    assert set(completion.runs_and_systems(board.home)) == {"ours", "CRNN-T", done.run_id}


def test_a_server_is_not_waited_for(home, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", "postgresql://nobody@nowhere.invalid/board")
    assert set(completion.runs(home)) == {path.name for path in (home / "runs").iterdir() if path.name[0] != "."}
    assert list(completion.systems(home)) == []


def test_looking_leaves_no_file_behind(home):
    before = sorted(home.iterdir())
    list(completion.runs_and_systems(home))
    assert sorted(home.iterdir()) == before


def test_nothing_heavy_is_imported(home):
    code = (
        "import sys; from pathlib import Path\n"
        "from bench.api import completion\n"
        f"home = Path({str(home)!r})\n"
        "assert all(map(list, (completion.models(), completion.runs(home), completion.studies(home))))\n"
        "assert not {'torch', 'numpy', 'sqlalchemy', 'optuna', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
