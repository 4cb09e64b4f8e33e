"""One value, five writers: each keeps the text of every cell, and none takes text for markup."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from board_runs import write_run

from bench.core.text import plain
from leaderboard.render.board import MOST_ROWS
from leaderboard.render.cells import Cell, Column, FilledColumn, Report, Row, Section, Table, cells_of, text_table
from leaderboard.render.formats import FORMATS, WRITERS, render
from leaderboard.render.latex_text import escaped as latex_escaped
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import runs_table

FORMS = [form for form in FORMATS if form != "json"]

HOSTILE = (
    "[bold red]x[/] :smile:",
    "| `y` *w* _u_ # h",
    "<script>alert(1)</script> &amp; \"q\" 'r'",
    "\\end{tabular} a_b %c $d$ ^e ~f {g} \\input{x}",
    "=cmd|'/C calc'!A0",
    "@SUM(A1)",
    "\x1b[2J\x9b1m \u202e \u2028 \ud800",
    "{{ 7 * 7 }} {% raw %}",
    "arXiv 2602.15909 javascript:alert(1)",
    "naïve λ 表 – ± −1",
)


class Cells(HTMLParser):
    """The text of a page's cells, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.elements, self._open = [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self._open = True

    def handle_endtag(self, tag):
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data):
        if self._open:
            self.cells[-1] += data


def squeezed(text):
    return re.sub(r"\s+", "", text)


def from_markdown(text):
    """Rows of Markdown tables as the text that they show."""
    bars = [line for line in text.splitlines() if line.startswith("| ")]
    shown = [re.sub(r"\\(.)", r"\1", bar) for bar in bars]
    return [re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), bar) for bar in shown]


def shown_by(form, report):
    """All the text that a format shows of a report's cells, without spaces."""
    text = WRITERS[form](report, width=4000) if form == "table" else WRITERS[form](report)
    if form == "markdown":
        return squeezed("".join(from_markdown(text)))
    if form == "html":
        return squeezed("".join(Cells(text).cells))
    if form == "csv":
        return squeezed("".join(cell for row in csv.reader(io.StringIO(text)) for cell in row))
    return squeezed(text)


def expected_by(form, text):
    """How a format spells a text."""
    return squeezed(latex_escaped(text) if form == "latex" else plain(text))


def text_report(*texts, number=False):
    columns = [Column(f"c{place}", number=number, wrap=True) for place in range(len(texts))]
    return Report("texts", [text_table("title", columns, [texts])], caption="caption", notes=["note"])


def full_table():
    """A table with all that the value can say."""
    columns = [
        Column("system", number=False, wrap=True, share=2, card="title"),
        Column("Sp", "paper", expendable=2),
        Column("Score", "paper", card="lead"),
        Column("Δ,\nlast"),
        Column("source", number=False, linked=True, separator=" + "),
    ]

    def row(name, place="", values=None):
        cells = [["ast", name], ["61.50"], ["62.37", "± 0.61"], ["+1.20", "(0.1 to 2.3)"], ["arXiv 2602.15909", "code"]]
        told = [Cell(lines, place if lines[0] == "62.37" else "") for lines in cells]
        text = {column.label: column.line(cell) for column, cell in zip(columns, told, strict=True)}
        return Row(told, {"id": name, **text, **(values or {})})

    sections = [
        Section("4-class", [row("first", "best"), row("second", "second")], reference=row("below")),
        Section("2-class", [row("third")]),
    ]
    return Table("Both", columns, sections)


# --- every cell's text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_every_writer_keeps_every_cell_of_one_value(form):
    report = Report("full", [full_table()], "Table 1. Both", "Percent.", ["A note."])
    shown = shown_by(form, report)
    for section in full_table().sections:
        for row in section.rows if form == "csv" else section.shown():
            for line in (line for cell in row.cells for line in cell.lines):
                assert expected_by(form, line) in shown, line
    assert ("below" in shown) == (form != "csv")
    for column in full_table().columns:
        for word in column.label.split():
            assert expected_by(form, word) in shown, word


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [True, False])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_whole_and_is_never_markup(form, number, text):
    shown = shown_by(form, text_report(text, "end", number=number))
    assert expected_by(form, text) in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_command_cell_or_escape(text):
    harmless, hostile = text_report("x", "end"), text_report(text, "end")
    pages = [Cells(WRITERS["html"](report)) for report in (harmless, hostile)]
    assert pages[0].elements == pages[1].elements
    assert len(pages[0].cells) == len(pages[1].cells)
    bars = [
        [len(re.findall(r"(?<!\\)\|", line)) for line in WRITERS["markdown"](report).splitlines()]
        for report in (harmless, hostile)
    ]
    assert bars[0] == bars[1]
    commands = [
        re.findall(r"\\(?:begin|end|input|script)\b(?=\{)|(?<!\\)[%]", WRITERS["latex"](report))
        for report in (harmless, hostile)
    ]
    assert commands[0] == commands[1]
    rows = [list(csv.reader(io.StringIO(WRITERS["csv"](report)))) for report in (harmless, hostile)]
    assert [len(row) for row in rows[0]] == [len(row) for row in rows[1]]
    assert not rows[1][1][0].startswith(("=", "+", "@"))
    for form in FORMS:
        assert all(letter.isprintable() or letter == "\n" for letter in WRITERS[form](hostile))


@pytest.mark.parametrize("form", FORMS)
def test_titles_captions_and_notes_are_text_too(form):
    nasty = "<b>x</b> \\input{y} *z* \x1b[2J"
    table = text_table(nasty, [Column(nasty, number=False)], [["cell"]])
    text = WRITERS[form](Report("nasty", [table], nasty, nasty, [nasty]))
    assert "\x1b" not in text
    if form in ("markdown", "html"):
        assert "<b>" not in text
    if form == "latex":
        assert "\\input" not in text
    if form == "markdown":
        assert "*z*" not in re.sub(r"\\\*", "", text)


# --- what the value says ----------------------------------------------------------------------------------------


def test_the_place_of_a_number_is_emphasised_and_its_deviation_is_not():
    report = Report("full", [full_table()])
    assert "\x1b[1m62.37\x1b[0m" in WRITERS["table"](report, width=200, colour=True)
    assert "\x1b[4m62.37\x1b[0m" in WRITERS["table"](report, width=200, colour=True)
    latex, html = WRITERS["latex"](report), WRITERS["html"](report)
    assert re.findall(r"\\(textbf|underline)\{([^}]*)\}", latex) == [("textbf", "62.37"), ("underline", "62.37")]
    assert re.findall(r"<(strong|u)>([^<]*)</", html) == [("strong", "62.37"), ("u", "62.37")]


def test_lines_of_words_are_joined_as_their_column_says_and_those_of_numbers_by_a_space():
    words, numbers = Column("a", number=False, separator=" + "), Column("b")
    cell = Cell(["1", "2\n", "3"])
    assert words.line(cell) == "1 + 2? + 3"
    assert words.parts(cell) == ("1 + 2? + 3", "")
    assert numbers.line(cell) == "1 2? 3"
    assert numbers.parts(cell) == ("1", "2? 3")
    assert numbers.parts(Cell()) == ("", "")


def test_groups_span_the_neighbours_that_share_a_heading():
    table = full_table()
    assert table.groups == [("", 1), ("paper", 2), ("", 2)]
    assert [column.label for column in table.columns] == ["system", "paper Sp", "paper Score", "Δ, last", "source"]
    assert text_table("t", [Column("a"), Column("b")], []).groups == []
    assert "\\multicolumn{2}{c}{paper}" in WRITERS["latex"](Report("t", [table]))
    assert '<th scope="colgroup" colspan="2"' in WRITERS["html"](Report("t", [table]))


def test_columns_of_pages_stand_on_pages_and_in_markdown_alone():
    columns = [Column("name", number=False), Column("code", number=False, pages_only=True, linked=True)]
    report = Report("t", [text_table("t", columns, [["ast", "https://example.org/x"]])])
    for form in FORMS:
        assert ("example.org" in WRITERS[form](report)) == (form not in ("table", "latex")), form


@pytest.mark.parametrize(("width", "is_narrow"), [(79, False), (80, True), (169, True), (170, False)])
def test_a_terminal_takes_the_narrow_form_where_the_room_is_short(width, is_narrow):
    narrow = text_table("t", [Column("both", number=False)], [["one, two"]])
    table = Table("t", [Column("one"), Column("two")], [Section("", [Row([Cell(["1"]), Cell(["2"])])])], narrow)
    assert ("both" in WRITERS["table"](Report("t", [table]), width=width)) == is_narrow


def test_latex_takes_the_narrow_form_where_the_wide_one_does_not_fit():
    narrow = text_table("t", [Column("both", number=False)], [["one, two"]])
    for columns, is_narrow in ((2, False), (40, True)):
        wide = text_table("t", [Column(f"n{place}") for place in range(columns)], [["1234567.89"] * columns])
        table = Table(wide.title, wide.columns, wide.sections, narrow)
        assert ("both" in WRITERS["latex"](Report("t", [table]))) == is_narrow


def test_a_terminal_says_how_many_rows_follow():
    rows = [Row([Cell([f"row{place}"])], {"name": place}) for place in range(2)]
    table = Table("t", [Column("name", number=False)], [Section("", rows, Row([Cell(["reference"])]), left_out=3)])
    shown = WRITERS["table"](Report("t", [table]), width=100)
    assert "t (first 2 of 5; all with --format csv or json)" in shown
    assert [word for word in ("row0", "row1", "reference") if word in shown] == ["row0", "row1", "reference"]


def test_only_a_terminal_gets_the_first_rows_alone(monkeypatch, tmp_path):
    monkeypatch.setitem(MOST_ROWS, "runs", 2)
    store = Store.open(tmp_path)
    ids = [store.import_run(write_run(tmp_path, seed=seed)) for seed in range(1, 5)]
    table = runs_table(store)
    shown = {name: sum(row["run_id"] in render(table, name) for row in table.sections[0].rows) for name in FORMATS}
    assert shown == {name: 2 if name == "table" else len(ids) for name in FORMATS}
    assert "first 2 of 4" in render(table)


def test_a_filled_column_says_its_lines_and_place_of_a_row():
    columns = [
        FilledColumn(Column("name", number=False), lambda row: [row["name"], row["more"]]),
        FilledColumn(Column("Score"), lambda row: [f"{row['score']:.1f}"], place=lambda row: row["place"]),
    ]
    row = {"name": "ast", "more": "from scratch", "score": 1.25, "place": "best"}
    assert cells_of(columns, row) == [Cell(["ast", "from scratch"]), Cell(["1.2"], "best")]


def test_names_of_csv_are_those_asked_for_and_then_those_of_any_row():
    rows = [Row([], {"b": 1, "a": 0.1}), Row([], {"c": [1], "b": None})]
    report = Report("t", [Table("t", [], [Section("", rows)])], fields=("z", "a"))
    assert WRITERS["csv"](report) == "z,a,b,c\n,0.1,1,\n,,,[1]\n"


def test_a_report_without_tables_says_so():
    report = Report("board", [], caption="Percent.", notes=["A note."], empty="The board is empty.", fields=("table",))
    assert WRITERS["table"](report, width=80) == "The board is empty.\nA note.\n"
    assert WRITERS["markdown"](report) == "The board is empty.\n\nPercent.\nA note.\n"
    assert WRITERS["latex"](report) == "% The board is empty.\n% A note.\n"
    assert WRITERS["csv"](report) == "table\n"
    assert "<li>The board is empty.</li>" in WRITERS["html"](report)


def test_notes_are_a_list_where_the_report_says_so():
    for listed, line in ((True, "- A note."), (False, "A note.")):
        report = Report("t", [full_table()], notes=["A note."], listed=listed)
        assert WRITERS["table"](report, width=80).splitlines()[-1] == line
        assert WRITERS["markdown"](report).splitlines()[-1] == line
