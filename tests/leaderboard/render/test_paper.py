from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from html import unescape

import pytest
from board_runs import write_run
from row_systems import systems_with

from bench.core.errors import ResultError
from leaderboard.published import TABLES, printed_table
from leaderboard.render.formats import render
from leaderboard.render.latex_text import escaped
from leaderboard.store.store import Store
from leaderboard.tables.paper_tables import paper_table

CL = {"alpha": 1.0, "mix": "patch", "negatives": "all", "target": "stop-z"}
PART = "partial (198 of 920)"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Five seeds of the paper's method on ICBHI, fine-tuning on a part of it, and a simulated CNN."""
    home = tmp_path_factory.mktemp("board")
    board = Store.open(home)
    runs = [{"seed": seed, "method_options": CL, "epochs": 3} for seed in range(1, 6)]
    runs += [{"method": "ce", "method_options": {}, "partial": PART}]
    runs += [{"model": "cnn6", "method": "ce", "method_options": {}, "pretrain": "none", "dataset": "demo"}]
    for run in runs:
        board.import_run(write_run(home, **run))
    return board


@pytest.fixture(params=TABLES)
def table(store, request):
    expected = {"patchmix-cl": {"icbhi": {"epochs": 50}}, "cl-patch": {"icbhi": {"epochs": 50}}}
    return paper_table(printed_table(request.param), store, "best-test", systems_with(request.param, expected))


@pytest.mark.parametrize("width", [80, 100, 180])
def test_a_terminal_shows_print_and_runs_side_by_side(table, width):
    text = render(table, "table", width=width).replace("\u00a0", " ")
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text
    for row in table.rows:
        assert f"{row['published']['score']:.2f}" in text
        if row["reproduced"]:
            assert f"{row['reproduced']['score']:.2f}" in text
        if row["delta"] is not None:
            assert f"{row['delta']:+.2f}" in text
    flat = " ".join(text.split())
    for row in table.rows:
        if row["not_runnable"]:
            assert row["not_runnable"] in flat
    if table.name != "table1":
        assert "1-5" in text
        assert "epochs 3 instead of 50" in flat
    if width < 100:
        return
    assert "partial" in text
    assert ("simulated" in text) == (table.name != "table2")
    for row in table.rows if table.name == "table2" and width > 100 else ():
        for word in row["options"].values():
            assert f" {word} " in text


def cells_of(text, form):
    """Rows of a Markdown or LaTeX table as lists of cells, without its heads."""
    if form == "markdown":
        lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return [row for row in rows if not any("paper" in cell for cell in row)]
    parts = [part.split("\\midrule", 1)[1].split("\\bottomrule")[0] for part in text.split("\\begin{tabular}")[1:]]
    lines = [
        line.replace("\\allowbreak{}", "") for part in parts for line in part.splitlines() if line.endswith("\\\\")
    ]
    rows = [line.removesuffix("\\\\").strip().split(" & ") for line in lines if "multicolumn" not in line]
    return [[re.sub(r"^\\parbox\[t\]\{[^}]*\}\{\\ragged(?:right|left) ", "", cell) for cell in row] for row in rows]


def columns_of(table, form):
    """How many columns a table has in a form: on paper some of the wider tables' stand below others."""
    if form == "latex":
        return len(table.columns) + (6 if table.name == "table3" else 8)
    return len(table.columns) + 10


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_a_document_has_the_papers_columns_rows_and_sections(table, form):
    text = render(table, form)
    rows = cells_of(text, form)
    assert len(rows) == len(table.rows)
    width = columns_of(table, form)
    assert {len(row) for row in rows} == {width}
    for cells, row in zip(rows, table.rows, strict=True):
        first = (row["options"] and row["method"]) or row["system"]
        assert cells[0].startswith(first)
        dagger = "†" if form == "markdown" else "\\dagger"
        assert (dagger in cells[0]) == (row["authors_run"] and table.name != "table2")
        dash = "–" if form == "markdown" else "\\textendash{}"
        here = width - (5 if form == "latex" else 6)
        assert (cells[here] == dash) == (row["reproduced"] is None)
    assert ("2-class eval." in text) == (table.name == "table3")


def test_latex_marks_the_best_and_the_second_printed_number_of_each_column(store):
    text = render(paper_table(printed_table("table3"), store, "best-test", systems_with("table3")), "latex")
    assert re.findall(r"\\textbf\{([^}]*)\}", text) == ["51.83", "85.60", "62.37", "56.40", "81.66", "68.71"]
    assert re.findall(r"\\underline\{([^}]*)\}", text) == ["46.38", "59.55", "81.66", "79.34", "66.77", "55.77"]
    second = render(paper_table(printed_table("table2"), store, "best-test", systems_with("table2")), "latex")
    assert "\\textbf{62.37} $\\pm$\\,0.61" in second
    assert re.findall(r"\\underline\{([^}]*)\}", second) == ["81.66", "43.54", "61.52"]


def test_latex_has_booktabs_rules_and_closes_what_it_opens(table):
    text = render(table, "latex")
    for rule in ("\\toprule", "\\bottomrule", "\\cmidrule(lr)"):
        assert rule in text
    pages = text.count("\\begin{table*}")
    assert text.count("\\midrule") >= len({row["section"] for row in table.rows})
    assert pages == (2 if table.name == "table3" else 1)
    assert re.findall(r"\\begin\{([a-z*]+)\}", text) == [*["table*", "tabular"] * pages, "minipage"]
    assert re.findall(r"\\end\{([a-z*]+)\}", text) == [
        *["tabular", "table*"] * (pages - 1),
        "tabular",
        "minipage",
        "table*",
    ]
    bare = re.sub(r"\\.", "", text)
    assert bare.count("{") == bare.count("}")
    assert all(ord(character) < 128 for character in text)
    width = columns_of(table, "latex")
    assert len(re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]) == width
    spans = re.findall(r"\\multicolumn\{(\d+)\}\{c\}", text)
    assert sum(map(int, spans)) == pages * width


def test_latex_escapes_what_it_would_read():
    assert escaped("a_b & 5 % {x} #1 $ ~ ^ \\") == (
        "a\\_b \\& 5 \\% \\{x\\} \\#1 \\$ \\textasciitilde{} \\textasciicircum{} \\textbackslash{}"
    )
    assert escaped("[a] * --only") == "{[}a{]} {*} -{}-only"


def test_json_is_the_table(table):
    assert json.loads(render(table, "json")) == table.to_json()


def test_csv_keeps_full_precision_and_the_same_columns_with_and_without_runs(table, tmp_path):
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [row["id"] for row in rows] == [row["id"] for row in table.rows]
    for read, row in zip(rows, table.rows, strict=True):
        assert float(read["published.score"]) == row["published"]["score"]
        assert json.loads(read["published.consistent"]) is row["published"]["consistent"]
        found = row["reproduced"]
        assert read["reproduced.score"] == (repr(found["score"]) if found else "")
        assert (json.loads(read["reproduced.seeds"]) == found["seeds"]) if found else not read["reproduced.seeds"]
    empty = paper_table(printed_table(table.name), Store.open(tmp_path), "best-test", systems_with(table.name))
    assert render(empty, "csv").splitlines()[0].split(",") == list(rows[0])


def test_colour_makes_the_best_bold(store):
    table = paper_table(printed_table("table2"), store, "best-test", systems_with("table2"))
    assert "\x1b[1m62.37" in render(table, "table", width=100, colour=True)


def test_other_formats_are_refused(table):
    with pytest.raises(ResultError, match="Unknown format 'xml'"):
        render(table, "xml")


def test_html_has_every_row_print_and_runs_side_by_side(table):
    text = render(table, "html")
    assert text.count("<tr>") == 2 + len(table.rows) + (len({row["section"] for row in table.rows}) > 1) * len(
        {row["section"] for row in table.rows}
    )
    cells = re.sub(r"<[^>]*>", "", text)
    for row in table.rows:
        assert f"{row['published']['score']:.2f}" in cells
        if row["reproduced"]:
            assert f"{row['reproduced']['score']:.2f}" in cells
        if row["not_runnable"]:
            assert row["not_runnable"] in unescape(cells)
    latex_text = render(table, "latex")
    assert re.findall(r"<strong>([^<]*)</strong>", text) == re.findall(
        r"textbf\{([^}]*)\}", latex_text.replace("{*}", "*")
    )
    assert re.findall(r"<u>([^<]*)</u>", text) == re.findall(r"underline\{([^}]*)\}", latex_text.replace("{*}", "*"))


def test_html_shows_markup_in_names_as_text(table):
    row = {**table.rows[0], "method": "<b>x</b>", "architecture": "<b>x</b>", "system": "<b>x</b>"}
    text = render(dataclasses.replace(table, rows=[row], notes=["<i>note</i>"]), "html")
    assert "<b>" not in text
    assert "&lt;i&gt;note" in text
