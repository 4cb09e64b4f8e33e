from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from board_runs import document, spec, write_run

from bench.core.errors import ResultError
from bench.core.text import plain
from leaderboard.render import terminal
from leaderboard.render.board import heading
from leaderboard.render.csv import csv_text
from leaderboard.render.formats import FORMATS, render
from leaderboard.render.json_text import json_text
from leaderboard.render.numbers import seeds
from leaderboard.render.run import run_report
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import Section, Table, leaderboard_table, runs_table

NASTY = "[bold red]x[/] :smile: | `y` <b>z</b>\x1b[31m\n*w*"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("board")
    board = Store.open(home)
    runs = [{"seed": seed, "model": "efficientnet-b0"} for seed in (1, 2, 3, 5)]
    runs += [{"method": "ce", "pretrain": "none"}, {"seed": 9, "failed": "The loss is nan at step 12."}]
    runs += [{"dataset": "demo"}, {"partial": "partial (198 of 920)"}]
    for run in runs:
        board.import_run(write_run(home, **run))
    return board


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("name", ["leaderboard", "runs"])
def test_a_terminal_of_any_usual_width_is_kept_to_and_shows_the_numbers_whole(store, width, name):
    table = leaderboard_table(store) if name == "leaderboard" else runs_table(store)
    text = render(table, "table", width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text
    if name == "leaderboard":
        row = table.sections[0].rows[0]
        assert f"{row['score']:.2f}" in text
        assert f"({row['ci95'][0]:.1f}–{row['ci95'][1]:.1f})" in text
        assert f"± {table.sections[0].rows[-1]['score_std'] or row['score_std']:.2f}" in text.replace("\u00a0", " ")
        for word in (
            "efficientnet-b0",
            "1-3, 5",
            "optimism",
            "partial (198 of 920)",
            "simulated",
            "failed runs",
            "step",
            "disjoint",
        ):
            assert word in text
    else:
        assert all(row["run_id"] in text for row in table.sections[0].rows)


def test_colour_is_written_only_when_asked_for(store):
    assert "\x1b[" in render(leaderboard_table(store), "table", width=80, colour=True)


def test_json_is_the_table(store):
    table = leaderboard_table(store)
    assert json.loads(render(table, "json")) == table.to_json()


def test_csv_keeps_full_precision(store):
    table = leaderboard_table(store)
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    plain_rows = [(section, row) for section in table.sections for row in section.rows]
    assert len(rows) == len(plain_rows)
    for read, (section, row) in zip(rows, plain_rows, strict=True):
        assert read["section"] == section.title
        assert json.loads(read["run_ids"]) == row["run_ids"]
        if "score" in row:
            assert float(read["score"]) == row["score"]
            assert float(read["two_class.score"]) == row["two_class"]["score"]
            assert json.loads(read["spec"]) == row["spec"]


def test_markdown_has_a_table_for_each_section(store):
    table = leaderboard_table(store)
    text = render(table, "markdown")
    for section in table.sections:
        assert f"## {heading(section)}\n" in text
    bars = [line for line in text.splitlines() if line.startswith("|")]
    references = sum(section.reference is not None for section in table.sections)
    assert references == 1
    assert len(bars) == references + sum(len(section.rows) + 2 for section in table.sections)
    assert "| every cycle called normal |" in text


def test_an_empty_board_says_so():
    table = Table("leaderboard", "last", [])
    assert render(table, "table", width=80) == "The board is empty.\n"
    assert "The board is empty." in render(table, "markdown")
    assert json.loads(render(table, "json"))["sections"] == []
    assert render(table, "csv") == "table,protocol,section,ranked\n"
    with_trials = Table("leaderboard", "last", [], ["Runs of search trials, never ranked: 24."])
    assert render(with_trials, "table", width=80).splitlines()[1] == "Runs of search trials, never ranked: 24."


def nasty_table():
    row = {"rank": None, "model": NASTY, "method": NASTY, "pretrain": NASTY, "seeds": [1], "run_ids": ["a"]}
    return Table("leaderboard", "last", [Section(NASTY, "failed", [{**row, "error": NASTY}])], [NASTY])


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_names_are_never_markup(form):
    text = render(nasty_table(), form, width=400)
    assert "\x1b" not in text
    if form == "table":
        assert "[bold red]x[/] :smile: | `y` <b>z</b>?[31m?*w*" in text
    else:
        assert "<b>" not in text
        row = next(line for line in text.splitlines() if line.startswith("| a "))
        assert row.count("|") == 5


def test_markup_in_a_run_is_shown_as_it_is():
    text = terminal.write(run_report(document(spec(model=NASTY), failed=NASTY)), width=400)
    assert "[bold red]x[/]" in text
    assert "\x1b" not in text


def test_parts_are_named_once():
    ensemble = {**document(spec(), failed="x"), "parts": [{"name": "0a" * 8, "run_id": "0a" * 8}]}
    text = terminal.write(run_report(ensemble), width=100)
    assert "run 1  0a0a0a0a0a0a0a0a" in text
    assert text.count("0a" * 8) == 1
    composite = {**ensemble, "parts": [{"name": "high", "run_id": "0a" * 8, "device": "Meditron"}]}
    assert "high  0a0a0a0a0a0a0a0a, for Meditron" in terminal.write(run_report(composite), width=100)


@pytest.mark.parametrize("width", [80, 120])
def test_a_run_is_shown_whole(store, width):
    run = next(run for run in store.runs() if run.status == "finished")
    text = terminal.write(run_report(store.run(run.run_id)), width=width)
    assert max(map(len, text.splitlines())) <= width
    for rule in ("last", "best-test"):
        for judged in ("4class", "2class"):
            metrics = run.metrics[rule][judged]
            numbers = [f"{metrics[name]:.2f}" for name in ("sp", "se", "score")]
            line = next(line for line in text.splitlines() if line.split()[:2] == [rule, judged])
            assert line.split()[3:6] == numbers
    for word in ("confusion matrices", "as wheeze", "epochs", "method_options.alpha", "code.commit", "a GPU, a GPU"):
        assert word in text


def test_ranks_are_explained_where_there_are_any(store):
    table = leaderboard_table(store)
    assert "#: the ranks" in render(table, "markdown")
    unranked = dataclasses.replace(table, sections=[section for section in table.sections if not section.ranked])
    assert unranked.sections
    assert "#: the ranks" not in render(unranked, "markdown")


def test_columns_are_explained_where_they_are_shown(store):
    table = leaderboard_table(store)
    assert "; state: how far the numbers were checked" in render(table, "markdown")
    rows = [{name: value for name, value in row.items() if name != "state"} for row in table.sections[0].rows]
    without = dataclasses.replace(table, sections=[dataclasses.replace(table.sections[0], rows=rows)])
    assert "state:" not in render(without, "markdown")


def test_latex_has_a_tabular_for_each_section(store):
    table = leaderboard_table(store)
    text = render(table, "latex")
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == len(table.sections)
    for section in table.sections:
        assert f"\\caption{{{heading(section)}}}" in text
    lines = [line for line in text.splitlines() if line.endswith(" \\\\")]
    references = sum(section.reference is not None for section in table.sections)
    assert references == 1
    assert len(lines) == references + sum(len(section.rows) + 1 for section in table.sections)
    assert "efficientnet-b0 + patchmix-cl" in text
    assert "$\\pm$" in text


@pytest.mark.parametrize("name", ["leaderboard", "runs"])
def test_html_has_a_table_for_each_section(store, name):
    table = leaderboard_table(store) if name == "leaderboard" else runs_table(store)
    text = render(table, "html")
    assert text.count("<table") == len(table.sections)
    for section in table.sections:
        assert f"<h2>{heading(section)}</h2>" in text
    assert "<script" not in text
    rows = sum(len(section.rows) + (section.reference is not None) for section in table.sections)
    assert text.count("<tr>") == rows + len(table.sections)


def test_html_shows_names_as_text():
    assert "<b>" not in render(nasty_table(), "html")
    assert "The board is empty." in render(Table("leaderboard", "last", []), "html")


def test_an_unknown_format_is_refused_with_those_there_are():
    with pytest.raises(ResultError, match="Unknown format 'xml'") as caught:
        render(nasty_table(), "xml")
    assert all(name in caught.value.hint for name in FORMATS)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("values", "text"), [([1], "1"), ([1, 2, 3], "1-3"), ([5, 1, 2, 3, 9, 8], "1-3, 5, 8-9"), ([1, 3], "1, 3")]
)
def test_seeds_in_print(values, text):
    assert seeds(values) == text


def test_control_characters_are_shown_as_question_marks():
    assert plain("a\x00b\nc\u202e") == "a?b?c?"


def test_a_long_board_is_cut_for_the_terminal_alone_and_says_so(store):
    table = leaderboard_table(store)
    section = table.sections[0]
    rows = [{**section.rows[0], "model": f"model{number:03d}"} for number in range(130)]
    reference = section.reference
    long = Table("leaderboard", "last", [Section(section.title, "systems", rows, ranked=True, reference=reference)])
    shown = render(long, "table", width=160)
    assert "(first 100 of 130; all with --format csv or json)" in " ".join(shown.split())
    assert "model099" in shown
    assert "model100" not in shown
    assert "every cycle called normal" in shown
    for form in ("csv", "json", "markdown"):
        assert "model129" in render(long, form)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "?=1+1"),
        ("\r=1+1", "?=1+1"),
        ("\n=1+1", "' =1+1"),
        ("  =1+1", "'  =1+1"),
        ("\u00a0=1+1", "' =1+1"),
        ("＝1+1", "'＝1+1"),
        ("−x", "'−x"),
        ("=1+\x1b[2J", "'=1+?[2J"),
        ("two\nlines", "two lines"),
        ("-", "-"),
        ("–", "–"),
        ("a=b", "a=b"),
        ("-1.5", "-1.5"),
        ("+3e-4", "+3e-4"),
        (-1.5, "-1.5"),
        (-3, "-3"),
        (None, ""),
        (True, "true"),
        (["=x"], '["=x"]'),
    ],
)
def test_no_cell_of_a_csv_is_a_formula(value, cell):
    (row,) = csv.DictReader(io.StringIO(csv_text(["name"], [{"name": value}, {"name": "end"}][:1])))
    assert row["name"] == cell
    assert csv_text(["=x"], []) == "'=x\n"


def test_json_holds_nothing_that_a_terminal_obeys():
    document = {"name": "\x1b[2J\x9b2J\x7f\u202e\u2028 β – 表 😀 \ud800"}
    text = json_text(document)
    assert json.loads(text) == document
    assert "β – 表 😀" in text
    assert all(letter.isprintable() or letter == "\n" for letter in text)
