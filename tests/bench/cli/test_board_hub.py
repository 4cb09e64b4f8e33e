"""``bench board push`` and ``pull``: a board as a versioned data set, on a server that speaks the Hub's routes."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import hub_server
import pytest
from board_runs import write_run
from hub_server import READS
from icbhi_sets import part_of_folder, write_set

from bench.core import hub_sizes
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

PLACE = "hf:lab/board"
CONFLICT = 4


@pytest.fixture
def board(told, tmp_path):
    """Runs ``bench board`` on a results folder of a name."""

    def called(home, *words, code=0):
        return told("board", *words, "--home", tmp_path / home, code=code)

    return called


@pytest.fixture
def add(board, tmp_path):
    """Puts a run onto the board of a results folder; gives its id."""

    def added(home, **fields):
        folder = write_run(tmp_path / home, **fields)
        Store.open(tmp_path / home).import_run(folder)
        return RunFolder(folder).read_document()["run_id"]

    return added


def pushed(board, home, *words, code=0):
    return json.loads(board(home, "push", PLACE, "--format", "json", *words, code=code).out)


def pulled(board, home, *words, place=PLACE, code=0):
    return json.loads(board(home, "pull", place, "--format", "json", *words, code=code).out)


def files_of(hub):
    return hub.repositories["dataset", "lab/board"].files


def said(done):
    return " ".join(done.err.split())


def test_a_board_is_pushed_and_pulled_elsewhere_with_every_number(hub, board, add, tmp_path):
    ids = sorted(add("ward", seed=seed, result={"execution": {"data": "/home/anna/icbhi"}}) for seed in (1, 2))
    first = pushed(board, "ward", "--private")
    assert (first["state"], first["runs"], sorted(first["merged"]["new"])) == ("pushed", 2, ids)
    files = files_of(hub)
    assert hub.repositories["dataset", "lab/board"].private
    assert set(files) == {".gitattributes", "README.md", "board.zip", "leaderboard.csv"}
    rows = list(csv.DictReader(io.StringIO(files["leaderboard.csv"].decode())))
    card = files["README.md"].decode()
    assert card.startswith("---\nlicense: other\n")
    assert f"{float(rows[0]['score']):.2f}" in card
    with zipfile.ZipFile(io.BytesIO(files["board.zip"])) as archive:
        assert not any(b"/home/anna" in archive.read(name) for name in archive.namelist())
    there = pulled(board, "clinic")
    assert (there["revision"], sorted(there["merged"]["new"])) == (first["revision"], ids)
    for run_id in ids:
        here, copy = (Store.open(tmp_path / home).result(run_id) for home in ("ward", "clinic"))
        assert copy.document["metrics"] == here.document["metrics"]
        assert (copy.scores["last"] == here.scores["last"]).all()


def test_twice_changes_nothing_in_either_direction(hub, board, add):
    run_id = add("ward", result={"execution": {"data": "/home/anna/icbhi"}})
    first = pushed(board, "ward")
    again = pushed(board, "ward")
    assert (again["state"], again["revision"], again["merged"]["same"]) == ("same", first["revision"], [run_id])
    assert len(hub.repositories["dataset", "lab/board"].messages) == 2
    for home in ("clinic", "clinic", "ward"):
        back = pulled(board, home)
    assert (back["merged"]["new"], back["merged"]["same"], back["merged"]["conflict"]) == ([], [run_id], [])
    assert "nothing was changed (public), revision" in board("ward", "push", PLACE).out


def test_a_second_board_adds_its_rows_and_older_versions_stay(hub, board, add):
    one, two = add("ward", seed=1), add("clinic", seed=2)
    first, second = pushed(board, "ward"), pushed(board, "clinic")
    assert (second["runs"], second["merged"]["new"]) == (2, [two])
    assert pulled(board, "old", place=f"{PLACE}@{first['revision']}")["merged"]["new"] == [one]
    assert sorted(pulled(board, "new")["merged"]["new"]) == sorted([one, two])


def test_two_pushes_at_once_lose_no_row(hub, board, add, bench, tmp_path):
    one, two = add("ward", seed=1), add("clinic", seed=2)
    three = add("third", seed=3)
    pushed(board, "ward")
    hub.before_commit = lambda: bench("board", "push", PLACE, "--home", tmp_path / "clinic")
    done = board("third", "push", PLACE, "--format", "json")
    assert "was changed in the meantime; it is read and merged again" in said(done)
    assert json.loads(done.out)["runs"] == 3
    assert sorted(pulled(board, "all")["merged"]["new"]) == sorted([one, two, three])


def test_another_result_of_a_run_stays_unless_it_is_to_be_replaced(hub, board, add):
    run_id = add("ward")
    add("clinic", salt=1)
    pushed(board, "ward")
    kept = pushed(board, "clinic", code=CONFLICT)
    assert (kept["state"], kept["merged"]["conflict"][0]["run_id"]) == ("same", run_id)
    assert pushed(board, "clinic", "--replace")["merged"]["replaced"] == [run_id]
    assert pulled(board, "ward", code=CONFLICT)["merged"]["conflict"][0]["run_id"] == run_id
    assert pulled(board, "ward", "--replace")["merged"]["replaced"] == [run_id]


def test_what_was_retracted_leaves_the_data_set_where_that_is_asked_for(hub, board, add):
    run_id, other = add("ward"), add("ward", seed=2)
    first = pushed(board, "ward")
    board("ward", "retract", run_id, "--reason", "a bug")
    kept = pushed(board, "ward")
    assert (kept["state"], kept["runs"], kept["revision"]) == ("same", 2, first["revision"])
    assert run_id in kept["merged"]["refused"][0]
    taken = pushed(board, "ward", "--replace")
    assert (taken["state"], taken["runs"]) == ("pushed", 1)
    assert pulled(board, "late")["merged"]["new"] == [other]
    add("third")
    again = pushed(board, "third")
    assert (again["state"], again["merged"]["retracted"]) == ("same", [run_id])


def test_what_is_no_board_is_refused_and_left_alone(hub, board, add):
    add("ward")
    hub.make("dataset", "lab/board", {"train.csv": b"a,b\n"})
    assert "holds 1 file, and no board" in said(board("ward", "push", PLACE, code=2))
    assert set(files_of(hub)) == {".gitattributes", "train.csv"}
    assert "holds no board that `bench board push` wrote" in said(board("clinic", "pull", PLACE, code=3))


def test_a_damaged_board_is_not_taken(hub, board, add, tmp_path):
    add("ward")
    pushed(board, "ward")
    there = hub.repositories["dataset", "lab/board"]
    there.commit("main", {**there.files, "board.zip": there.files["board.zip"][:-200]}, "cut")
    assert "is no bundle" in said(board("clinic", "pull", PLACE, code=4))
    assert "board.zip of hf:lab/board is no bundle" in said(board("ward", "push", PLACE, code=4))
    assert not list((tmp_path / "clinic").rglob("result.json"))


def test_a_board_that_is_too_large_is_not_fetched(hub, board, add, monkeypatch):
    add("ward", seed=1)
    pushed(board, "ward")
    add("clinic", seed=2)
    monkeypatch.setattr(hub_sizes, "MOST_BYTES", 1000)
    for words in (("clinic", "pull"), ("clinic", "push")):
        assert f"{PLACE} has " in (words_of := said(board(*words, PLACE, code=3)))
        assert "more than the 1,000 that are fetched at once. hint: If that is meant" in words_of


def test_who_may_only_read_pulls_and_does_not_push(hub, board, add, monkeypatch):
    run_id = add("ward")
    pushed(board, "ward", "--private")
    hub_server.use(hub, monkeypatch, READS)
    assert pulled(board, "clinic")["merged"]["new"] == [run_id]
    add("clinic", seed=2)
    assert "may not do this (status 403)" in said(board("clinic", "push", PLACE, code=3))
    hub_server.use(hub, monkeypatch, None)
    assert "none for those who are not logged in" in said(board("third", "pull", PLACE, code=3))


def test_an_empty_board_is_not_pushed(hub, board):
    assert "holds no run to export" in said(board("ward", "push", PLACE, code=4))
    assert hub.requests == []


def test_a_data_set_with_runs_that_no_board_takes_loses_none_by_a_push(hub, board, add, tmp_path):
    write_set(tmp_path / "data")
    keys = part_of_folder(tmp_path / "data").cycles.keys
    # A seed twice, as boards of older versions have it.
    store = Store.open(tmp_path / "old")
    for home in ("one", "two"):
        rows = [("recording", "cycle", "predicted"), *((*key, int(home == "two")) for key in keys)]
        (tmp_path / "p.csv").write_text("".join(f"{','.join(map(str, row))}\n" for row in rows))
        words = ("--system", "ours", "--selection", "last", "--data", tmp_path / "data")
        board(home, "submit", tmp_path / "p.csv", *words)
        store.import_run(next((tmp_path / home / "submissions").iterdir()))
    bundle = export_bundle(store, tmp_path / "b.zip").path.read_bytes()
    hub.make("dataset", "lab/board", {"board.zip": bundle})
    add("ward")
    refused = board("ward", "push", PLACE, code=CONFLICT)
    assert "hf:lab/board holds 1 run that no board takes beside its others" in said(refused)
    assert files_of(hub)["board.zip"] == bundle
