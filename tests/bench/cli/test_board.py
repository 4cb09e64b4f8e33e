from __future__ import annotations

import json
import sqlite3

import pytest
from board_runs import write_run

from leaderboard.store.schema import VERSION
from leaderboard.store.store import Store


@pytest.fixture(autouse=True)
def columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def folders(tmp_path):
    store = Store.open(tmp_path)
    made = [write_run(tmp_path, seed=seed) for seed in (1, 2)] + [
        write_run(tmp_path, seed=3, failed="The loss is nan.")
    ]
    for folder in made:
        store.import_run(folder)
    return made


def test_list_names_every_run(bench, folders, tmp_path):
    text = bench("board", "list", "--home", tmp_path).out
    assert all(folder.name in text for folder in folders)
    document = json.loads(bench("board", "list", "--format", "json", "--home", tmp_path).out)
    assert [row["run_id"] for row in document["sections"][0]["rows"]] == [folder.name for folder in reversed(folders)]


def test_list_of_an_empty_board(bench, tmp_path):
    captured = bench("board", "list", "--home", tmp_path / "none")
    assert "holds no run yet" in captured.err
    assert not (tmp_path / "none").exists()


def test_show_prints_a_run(bench, folders, tmp_path):
    text = bench("board", "show", folders[0].name[:8], "--home", tmp_path).out
    words = (folders[0].name, "confusion matrices", "best-test", "2class", "epochs", "spec", "provenance")
    for word in (*words, "patient-disjoint", "Meditron", "recall"):
        assert word in text
    assert "recall" not in bench("board", "show", folders[2].name, "--home", tmp_path).out  # it failed


def test_show_json_is_the_result(bench, folders, tmp_path):
    for folder in folders:
        document = json.loads(bench("board", "show", folder.name, "--format", "json", "--home", tmp_path).out)
        assert document == json.loads((folder / "result.json").read_text())


def test_show_of_an_unknown_run_suggests_one(bench, folders, tmp_path):
    wrong = ("0" if folders[0].name[0] != "0" else "1") + folders[0].name[1:]
    said = bench("board", "show", wrong, "--home", tmp_path, code=2).err
    assert f"There is no run '{wrong}'" in said
    assert folders[0].name in said
    assert "Unknown format 'csv'" in bench("board", "show", "x", "--format", "csv", "--home", tmp_path, code=2).err


def test_rebuild_makes_the_board_anew(bench, folders, tmp_path):
    (tmp_path / "leaderboard.sqlite").write_bytes(b"x" * 4096)
    said = " ".join(bench("board", "rebuild", "--home", tmp_path).err.split())
    assert "holds 3 runs" in said
    assert "damaged database was moved to" in said
    assert folders[0].name in bench("board", "list", "--home", tmp_path).out


def test_rebuild_names_broken_folders_and_ends_with_4(bench, folders, tmp_path):
    (folders[0] / "predictions-last.csv").unlink()
    said = bench("board", "rebuild", "--home", tmp_path, code=4).err
    assert f"broken: {folders[0].name}" in said
    assert "predictions-last.csv" in said
    assert "holds 2 runs" in said
    document = json.loads(bench("board", "rebuild", "--home", tmp_path, "--format", "json", code=4).out)
    assert sorted(document["imported"]) == sorted(folder.name for folder in folders[1:])
    assert "predictions-last.csv" in document["broken"][folders[0].name]
    assert document["board"] == str(tmp_path / "leaderboard.sqlite")


def test_rebuild_of_a_folder_without_runs_makes_nothing(bench, tmp_path):
    assert "no run folder" in bench("board", "rebuild", "--home", tmp_path / "none", code=4).err
    assert not (tmp_path / "none").exists()


def test_upgrade_says_what_it_did(bench, folders, tmp_path):
    assert "has the newest version, " + VERSION in " ".join(bench("board", "upgrade", "--home", tmp_path).err.split())
    assert "There is no board" in bench("board", "upgrade", "--home", tmp_path / "none").err
    for home, version in ((tmp_path, VERSION), (tmp_path / "none", None)):
        document = json.loads(bench("board", "upgrade", "--home", home, "--format", "json").out)
        assert (document["before"], document["after"]) == (version, version)


def test_a_board_of_a_newer_version_is_refused(bench, folders, tmp_path):
    connection = sqlite3.connect(tmp_path / "leaderboard.sqlite")
    with connection:
        connection.execute("UPDATE leaderboard_version SET version_num = '0099'")
    connection.close()
    for words in (["list"], ["show", folders[0].name], ["upgrade"], ["rebuild"]):
        said = " ".join(bench("board", *words, "--home", tmp_path, code=4).err.split())
        assert f"version 0099, this lungbench has {VERSION}" in said
        assert "pip install --upgrade lungbench" in said


@pytest.mark.parametrize("name", ["list", "show", "rebuild", "upgrade", "compare", "submit", "export", "import"])
def test_every_command_has_help(bench, name):
    assert "Usage: bench board" in bench("board", name, "--help").out
    assert name in bench("board", "--help").out


READING = ("board list", "report figure2", "search list", "matrix status", "watch --once", "evaluate x")


@pytest.mark.parametrize("words", READING)
def test_a_results_folder_that_is_a_file_ends_with_4_and_a_sentence(bench, tmp_path, words):
    (tmp_path / "file").write_text("")
    said = bench(*words.split(), "--home", tmp_path / "file", code=4)
    assert said.err.startswith(f"error: The results folder {tmp_path / 'file'} cannot be read: Not a directory.")
    assert said.out == ""
