"""Tables as values: the same cells in every form, safe in each, and nothing lost between them."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser

import pytest
from board_runs import write_run
from icbhi_sets import part_of_folder, write_set

from bench.api import exchange
from bench.api.boards import TABLES, open_board
from bench.core.errors import ResultError
from leaderboard.store.store import Store

HOSTILE = "<script>alert(1)</script> & \\input{x} | _$%"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    home = tmp_path_factory.mktemp("tables")
    for run in ({"seed": 1}, {"seed": 2}, {"method": "ce", "salt": 1}, {"method": "x", "failed": "It broke."}):
        Store.open(home).import_run(write_run(home, **run))
    return open_board(home)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A board with a system whose name is no harmless text."""
    folder = tmp_path_factory.mktemp("hostile")
    write_set(folder / "data")
    keys = part_of_folder(folder / "data").cycles.keys
    lines = [f"{recording},{cycle},{place % 4}\n" for place, (recording, cycle) in enumerate(keys)]
    (folder / "p.csv").write_text("recording,cycle,predicted\n" + "".join(lines))
    board = open_board(folder / "home")
    statement = exchange.Statement(system=HOSTILE, selection="last", method=HOSTILE)
    exchange.submit(board, folder / "p.csv", statement, data=str(folder / "data"))
    return board


class Cells(HTMLParser):
    """The texts and the tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def lines_of(table):
    return list(csv.DictReader(io.StringIO(table.to_csv())))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_name_and_its_rows_in_its_json(board, name):
    table = board.table(name)
    document = table.to_json()
    assert (table.name, table.protocol) == (document["table"], document["protocol"])
    assert json.loads(json.dumps(document)) == json.loads(table.written("json"))
    rows = document["rows"] if "rows" in document else [row for one in document["sections"] for row in one["rows"]]
    assert table.rows == rows
    assert table.notes == list(document["notes"])


@pytest.mark.parametrize("name", TABLES)
def test_a_line_of_the_csv_stands_for_each_row(board, name):
    assert len(lines_of(board.table(name))) == len(board.table(name).rows)


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_numbers_of_the_csv_are_exact(board, rule):
    systems = board.systems(rule)
    lines = [line for line in lines_of(board.table("leaderboard", rule)) if line["score"]]
    assert len(lines) == len(systems) == 2
    assert [float(line["score"]) for line in lines] == [system.score for system in systems]


def test_lines_of_the_list_are_the_runs(board):
    found = {line["run_id"]: line for line in lines_of(board.table("runs"))}
    for run in board.runs():
        line = found[run.run_id]
        assert (line["status"], line["seed"]) == (run.status, str(run.seed))
        assert line["score"] == ("" if run.score is None else repr(run.score))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", [60, 80, 132, 250])
def test_a_table_for_a_terminal_fits_it(board, name, width):
    text = board.table(name).to_text(width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text


def test_colour_is_written_where_it_is_asked_for(board):
    plain, coloured = (board.table().to_text(width=120, colour=colour) for colour in (False, True))
    assert "\x1b[" in coloured
    assert "\x1b" not in plain


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "html"])
def test_a_form_is_asked_for_by_its_name_or_its_method(board, name, form):
    assert board.table(name).written(form) == getattr(board.table(name), f"to_{form}")()


@pytest.mark.parametrize("form", ["", "TABLE", "xlsx", "markdwon"])
def test_a_form_that_there_is_not_is_refused(board, form):
    with pytest.raises(ResultError, match="format"):
        board.table().written(form)


def test_a_name_is_text_in_a_page_and_never_code(hostile):
    for name in ("leaderboard", "runs"):
        page = Cells(hostile.table(name).to_html())
        assert "alert(1)" not in page.texts
        assert any(HOSTILE in text for text in page.texts)


def test_a_name_breaks_no_row_of_markdown(hostile):
    lines = hostile.table("runs").to_markdown().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert not any("<script>" in line for line in lines)


def test_a_name_is_no_command_of_latex(hostile):
    text = hostile.table("runs").to_latex()
    assert "\\input{x}" not in text
    assert "alert(1)" in text
    assert "\\&" in text


def test_a_name_is_whole_in_csv_and_json(hostile):
    (line,) = lines_of(hostile.table("runs"))
    assert line["name"] == HOSTILE
    assert hostile.table("runs").rows[0]["name"] == HOSTILE


@pytest.mark.parametrize("name", ["leaderboard", "runs", "table1", "table2", "table3"])
def test_an_empty_board_has_every_table_in_every_form(tmp_path, name):
    table = open_board(tmp_path / "none").table(name)
    assert not table.holds_runs
    for form in ("table", "markdown", "latex", "csv", "html", "json"):
        assert isinstance(table.written(form), str)
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_a_run_add_up_to_its_cycles(board):
    run = next(run for run in board.runs() if run.status == "finished")
    table = board.run(run.run_id).parts()
    assert (table.name, table.protocol) == (table.to_json()["table"], "last")
    assert table.rows
    assert len(lines_of(table)) == len(table.rows)
