"""A board as lungbench wrote it before results had tasks, beside the tables that it printed of that board.

``board-0003.sql`` is the database as text: two seeds of a system, another one, a failed run, a part of ICBHI, simulated
data and a submission. ``board-0003.json`` holds the tables of it: as Markdown to be read, in all formats as hashes,
those of pages without their style sheet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import sqlite3
from pathlib import Path

import pytest
from row_systems import systems_with

from bench.core.errors import StoreError
from leaderboard.published import TABLES, printed_table
from leaderboard.render.formats import FORMATS, render
from leaderboard.store import schema
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table
from leaderboard.tables.paper_tables import paper_table
from leaderboard.tables.run_parts import parts_table

HERE = Path(__file__).parent
BEFORE = json.loads((HERE / "board-0003.json").read_text())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The board, brought up to this code's version."""
    home = tmp_path_factory.mktemp("older")
    with contextlib.closing(sqlite3.connect(home / "leaderboard.sqlite")) as connection:
        connection.executescript((HERE / "board-0003.sql").read_text())
    store = Store.open(home)
    with pytest.raises(StoreError, match="version 0003"):
        store.runs()
    assert store.database.upgrade() == ("0003", schema.VERSION)
    return store


@pytest.fixture(scope="module")
def tables(store):
    first = min(run.run_id for run in store.runs() if run.metrics and run.kind == "run")
    found = {name: paper_table(printed_table(name), store, "best-test", systems_with(name)) for name in TABLES}
    parts = parts_table(store, store.run(first))
    return {**found, "leaderboard": leaderboard_table(store), "runs": runs_table(store), "parts": parts}


def numbers_run_here(markdown):
    """What a table of the paper says of the runs, without the fidelity, which has come since, and the words on size."""
    lines = [line.strip("|").split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
    heads = [cell.strip() for cell in lines[0]]
    kept = [place for place, head in enumerate(heads) if head != "fidelity"]
    return [[line[place].strip().removesuffix(", reduced size") for place in kept] for line in lines]


def without_style(text):
    """``text`` without the style sheet that a page begins with: how a page looks may change, not what it says."""
    return re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", BEFORE["markdown"])
def test_an_upgraded_board_shows_the_same_tables(tables, name):
    shown, before = render(tables[name], "markdown"), BEFORE["markdown"][name]
    if name in TABLES:
        assert numbers_run_here(shown) == numbers_run_here(before)
    else:
        assert shown == before


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_is_the_same_byte_for_byte(tables, format_name):
    width = {"width": 160} if format_name == "table" else {}
    others = {name: table for name, table in tables.items() if name not in TABLES}
    found = {f"{name} {format_name}": render(table, format_name, **width) for name, table in others.items()}
    hashes = {name: hashlib.sha256(without_style(text).encode()).hexdigest() for name, text in found.items()}
    assert hashes == {name: value for name, value in BEFORE["sha256"].items() if name in found}
    assert len(hashes) == len(others) == 3


def test_an_upgraded_board_gives_the_same_documents(store):
    """Their digests too, so that a folder or a bundle of before is known as the same."""
    documents = json.dumps([store.run(run_id) for run_id in sorted(store.digests())])
    assert hashlib.sha256(documents.encode()).hexdigest() == BEFORE["documents"]
    assert {run_id: store.result(run_id).digest for run_id in store.digests()} == BEFORE["digests"] == store.digests()


def test_every_run_of_an_older_board_has_the_task_of_that_time(store):
    runs = store.runs()
    assert {run.judged_task.task.id for run in runs} == {"cycle-4"}
    assert all(run.other_parts == {} for run in runs)
    with contextlib.closing(sqlite3.connect(store.database.path)) as connection:
        assert connection.execute("SELECT DISTINCT task FROM runs").fetchall() == [("cycle-4",)]
        means = "SELECT DISTINCT average_score, harmonic_score FROM metrics"
        assert connection.execute(means).fetchall() == [(None, None)]
