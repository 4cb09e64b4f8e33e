"""The words, numbers and escapes of the writers by themselves: round trips, ends of ranges, and hostile characters."""

from __future__ import annotations

import csv as csv_reader
import html as html_text
import io
import itertools
import json
import math
import re
import unicodedata

import numpy as np
import pytest

from bench.core.errors import ResultError
from bench.core.text import plain
from leaderboard.render import csv, html, latex, markdown, terminal
from leaderboard.render.bibtex import run_entry, submission_entry
from leaderboard.render.board_columns import ranks
from leaderboard.render.cells import (
    Cell,
    Column,
    FilledColumn,
    Report,
    Row,
    Section,
    Table,
    cells_of,
    groups_of,
    text_table,
)
from leaderboard.render.csv import csv_text
from leaderboard.render.formats import FORMATS, check_format
from leaderboard.render.json_text import escaped as json_escaped
from leaderboard.render.json_text import json_text
from leaderboard.render.latex_text import LONG, breakable, widest_part, widest_word, width
from leaderboard.render.latex_text import escaped as latex_escaped
from leaderboard.render.links import pieces
from leaderboard.render.markdown import escaped as markdown_escaped
from leaderboard.render.numbers import interval_lines, mean_lines, number, seeds
from leaderboard.render.system_names import data_words, published_lines, run_lines, system_lines
from leaderboard.render.widths import allotted, kept_sets

EVERY_LETTER = [
    chr(code) for code in (*range(0x250), *range(0x370, 0x500), *range(0x2000, 0x2300), 0x1F600, 0xD800, 0x8868)
]


# --- numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sign", "shown"),
    [
        (None, "", "–"),
        (None, "+", "–"),
        (61.25, "", "61.25"),
        (61.256, "", "61.26"),
        (-0.004, "", "-0.00"),
        (61.0, "", "61.00"),
        (0.0, "+", "+0.00"),
        (1.5, "+", "+1.50"),
        (-1.5, "+", "-1.50"),
        (100, "", "100.00"),
    ],
)
def test_a_number_has_two_decimals_or_is_a_dash(value, sign, shown):
    assert number(value, sign) == shown


@pytest.mark.parametrize(
    ("mean", "deviation", "lines"),
    [(61.5, 0.25, ["61.50", "± 0.25"]), (61.5, 0.0, ["61.50", "± 0.00"]), (61.5, None, ["61.50"]), (None, None, ["–"])],
)
def test_a_deviation_stands_below_its_mean_where_there_is_one(mean, deviation, lines):
    assert mean_lines(mean, deviation) == lines


@pytest.mark.parametrize(
    ("ends", "sign", "lines"),
    [
        ([57.04, 66.96], "", ["(57.0–67.0)"]),
        ([-1.26, 3.04], "+", ["(-1.3 to +3.0)"]),
        (None, "", []),
        ([], "+", []),
    ],
)
def test_an_interval_stands_in_brackets(ends, sign, lines):
    assert interval_lines(ends, sign) == lines


def test_seeds_are_shortened_and_can_be_read_back():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = sorted(set(rng.integers(0, 30, rng.integers(1, 15)).tolist()))
        read = []
        for part in seeds(values).split(", "):
            first, _, last = part.partition("-")
            read += range(int(first), int(last or first) + 1)
        assert read == values
    assert seeds([3, 1, 2]) == "1-3"
    assert seeds([]) == ""


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"rank": 1, "ranks": [1, 3]}, "1–3"),
        ({"rank": 2, "ranks": [2, 2]}, "2"),
        ({"rank": 4, "ranks": None}, "4"),
        ({"rank": None, "ranks": None}, ""),
    ],
)
def test_ranks_are_a_range_or_one_or_nothing(row, shown):
    assert ranks(row) == shown


# --- names ------------------------------------------------------------------------------------------------------


def named(**fields):
    return {"name": None, "model": "ast", "method": "ce", "pretrain": "imagenet", "differs": {}, **fields}


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (named(), ["ast + ce", "from imagenet"]),
        (named(pretrain="none"), ["ast + ce"]),
        (named(pretrain="none", differs={"pretrain": "none"}), ["ast + ce", "from scratch"]),
        (named(name="ours"), ["ours (submitted)"]),
        (named(name="ours", differs={"pretrain": "imagenet"}), ["ours (submitted)", "from imagenet"]),
        (named(differs={"o.alpha": 0.5, "sampler": None}), ["ast + ce", "from imagenet", "alpha 0.5, default sampler"]),
        (
            named(differs={"o.tau": 0.037254863797721485, "lr": 1e-05}),
            ["ast + ce", "from imagenet", "tau 0.03725, lr 1e-05"],
        ),
        (named(name="ours", differs={"epochs": None}), ["ours (submitted)", "without epochs"]),
        (named(differs={"a.size": 1, "b.size": 2}), ["ast + ce", "from imagenet", "a.size 1, b.size 2"]),
        (named(differs={"x": True, "y": False}), ["ast + ce", "from imagenet", "with x, without y"]),
        (named(differs={"sha": "ab" * 32, "l": [1, 2]}), ["ast + ce", "from imagenet", "sha abababab, l 1, 2"]),
        (named(study={"objective": "test", "name": "s"}), ["ast + ce", "from imagenet", "tuned on the TEST SET: s"]),
        (named(study={"objective": "held-out", "name": "s"}), ["ast + ce", "from imagenet", "tuned: s"]),
        ({"reference": "every cycle called normal"}, ["every cycle called normal"]),
    ],
)
def test_a_system_is_called_by_its_name_start_and_what_tells_it_apart(row, lines):
    assert system_lines(row) == lines


def test_naming_a_row_leaves_it_as_it_was():
    row = named(differs={"pretrain": "imagenet", "epochs": 3})
    before = json.dumps(row)
    assert system_lines(row) == system_lines(row)
    assert json.dumps(row) == before


def test_runs_and_printed_systems_have_names():
    assert run_lines(named(study="s", kind="trial")) == ["ast + ce", "trial of s"]
    assert run_lines(named(name="ours")) == ["ours"]
    assert run_lines(named(kind="part")) == ["ast + ce", "part of a composite"]
    assert system_lines(named(kind="ensemble", model="5 × ast + ce", method="mean")) == [
        "5 × ast + ce (ensemble: mean)"
    ]
    system = {"system": "X", "kind": "reproduction", "architecture": "CNN", "pretrain": "-"}
    assert published_lines(system) == ["X (re-run by others)", "CNN"]
    assert published_lines({**system, "kind": "own", "pretrain": "IN"}) == ["X", "CNN from IN"]


@pytest.mark.parametrize(
    ("dataset", "partial", "task", "words"),
    [
        ("demo", None, None, "simulated"),
        ("demo", "half", None, "simulated, half"),
        ("icbhi", "half", None, "half"),
        ("icbhi", None, None, "icbhi"),
        ("coughs", None, "cough-3", "coughs, cough-3"),
        ("coughs", "half", "cough-3", "coughs, cough-3, half"),
        ("demo", "half", "cough-3", "demo, cough-3, simulated, half"),
    ],
)
def test_data_are_called_as_the_board_calls_them(dataset, partial, task, words):
    assert data_words(dataset, partial, task, is_simulated=dataset == "demo") == words


# --- CSV and JSON -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.1, 1 / 3, 61.25, 1e-300, -0.0, 5e300, 2.5e-8])
def test_numbers_of_csv_come_back_to_the_last_bit(value):
    (row,) = csv_reader.DictReader(io.StringIO(csv_text(["x"], [{"x": value}])))
    assert float(row["x"]) == value


@pytest.mark.parametrize("value", [[1, "a,b"], {"a": None, "ü": [True]}, [], {}, False])
def test_lists_and_objects_of_csv_are_json(value):
    (row,) = csv_reader.DictReader(io.StringIO(csv_text(["x"], [{"x": value}])))
    assert json.loads(row["x"]) == value


@pytest.mark.parametrize("text", ['a"b', "a,b", "a;b", "'quoted'", " lead", "ü – 表"])
def test_text_of_csv_comes_back(text):
    (row,) = csv_reader.DictReader(io.StringIO(csv_text(["x", "y"], [{"x": text}])))
    assert (row["x"], row["y"]) == (text, "")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("  =1", "'  =1"),
        ("＝1+1", "'＝1+1"),
        ("−1+cmd", "'−1+cmd"),
        ("@x", "'@x"),
        ("+a", "'+a"),
        ("\n=1", "' =1"),
        ("\r=1", "?=1"),
        ("\t=1", "?=1"),
        ("a\n=b", "a =b"),
        ("+49 30", "'+49 30"),
        ("−1.5", "'−1.5"),
    ],
)
def test_what_a_spreadsheet_would_run_has_an_apostrophe_and_stands_on_one_line(text, cell):
    assert list(csv_reader.reader(io.StringIO(csv_text(["x"], [{"x": text}])))) == [["x"], [cell]]


@pytest.mark.parametrize("letter", EVERY_LETTER[:256] + EVERY_LETTER[-3:])
def test_json_comes_back_whatever_letters_it_has(letter):
    document = {f"name {letter}": [letter, {"x": letter * 2}]}
    text = json_text(document)
    assert json.loads(text) == document
    assert all(one.isprintable() or one == "\n" for one in text)


def test_json_refuses_what_it_cannot_say():
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            json_text({"x": value})


def test_escaping_json_twice_changes_nothing():
    once = json_escaped(json.dumps("\u2028\x7fü", ensure_ascii=False))
    assert json_escaped(once) == once


# --- LaTeX and Markdown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(0, len(EVERY_LETTER), 64))
def test_every_letter_is_balanced_latex_without_a_live_command(place):
    for letter in EVERY_LETTER[place : place + 64]:
        found = latex_escaped(f"a{letter}b")
        depth = 0
        for one in re.sub(r"\\[{}]", "", found):
            depth += (one == "{") - (one == "}")
            assert depth >= 0, (letter, found)
        assert depth == 0, (letter, found)
        assert not re.search(r"(?<!\\)[%#&_]", found), (letter, found)
        assert found.startswith("a")
        assert found.endswith("b")


@pytest.mark.parametrize("mark", ["\u0300", "\u0308", "\u0327", "\u030c"])
def test_letters_with_marks_are_set_by_commands_whether_in_one_or_two_characters(mark):
    whole = next(letter for letter in map(chr, range(0xC0, 0x180)) if unicodedata.normalize("NFD", letter)[1:] == mark)
    assert re.fullmatch(r"\\.\{\w\}", latex_escaped(whole))


@pytest.mark.parametrize("text", ["", "word", "a-b_c/d", "x" * (3 * LONG + 1), "a " * 5, "1.00 ± 2.00 word", "λ" * 20])
def test_breaking_adds_no_letter(text):
    assert breakable(text).replace("\\allowbreak{}", "") == latex_escaped(text)
    assert widest_part(text) <= widest_word(text) + 1e-12
    assert widest_word(text) <= width(text) + 1e-12


def test_no_part_of_a_long_word_is_longer_than_it_may_be():
    for length in range(1, 4 * LONG):
        parts = breakable("x" * length).split("\\allowbreak{}")
        assert max(map(len, parts)) <= LONG
        assert (len(parts) == 1) is (length <= LONG)


def test_widths_add_up():
    assert width("") == 0
    for one, other in (("abc", "DEF"), ("61.5", " ± "), ("表", "x")):
        assert width(one + other) == pytest.approx(width(one) + width(other), abs=0.1)


@pytest.mark.parametrize("place", range(0, len(EVERY_LETTER), 64))
def test_markdown_shows_every_letter_as_it_is(place):
    for letter in EVERY_LETTER[place : place + 64]:
        found = markdown_escaped(f"a{letter}b")
        shown = html_text.unescape(re.sub(r"\\([\\`*_\[\]#])", r"\1", found))
        assert shown == plain(f"a{letter}b"), found
        assert not set(found) & set("<>|\n")


# --- links ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (
            "arXiv 2602.15909 and arXiv 2305.14032",
            ["https://arxiv.org/abs/2602.15909", "https://arxiv.org/abs/2305.14032"],
        ),
        ("https://example.org/a, https://example.org/b.", ["https://example.org/a", "https://example.org/b"]),
        ("https://example.org/(x)", ["https://example.org/"]),
        ("see10.1109/x", []),
        ("", []),
    ],
)
def test_a_text_may_cite_several_places(text, addresses):
    found = pieces(text)
    assert [piece.address for piece in found if piece.address] == addresses
    assert "".join(piece.text for piece in found) == text.replace("https://", "")


# --- widths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_no_column_gets_less_than_it_needs_or_more_than_it_wishes(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 8))
    least = rng.integers(1, 10, size).astype(float).tolist()
    wished = [one + float(more) for one, more in zip(least, rng.integers(0, 20, size), strict=True)]
    shares, room = rng.integers(1, 4, size).tolist(), float(sum(least) + rng.integers(0, 60))
    found = allotted(least, wished, shares, room)
    assert all(a - 1e-9 <= b <= c + 1e-9 for a, b, c in zip(least, found, wished, strict=True))
    assert sum(found) == pytest.approx(min(room, sum(wished)))
    assert allotted(least, wished, shares, sum(least) - 0.1) is None


def test_every_set_of_columns_holds_the_next_one():
    columns = [Column(str(place), expendable=rank) for place, rank in enumerate((0, 3, 1, 3, 2, 0))]
    sets = [set(kept) for kept in kept_sets(columns)]
    assert all(small < large for large, small in itertools.pairwise(sets))
    assert sets[-1] == {0, 5}


# --- cells ------------------------------------------------------------------------------------------------------


def test_a_column_s_label_names_its_group_and_its_head_on_one_line():
    assert Column("Δ,\nlast", "paper").label == "paper Δ, last"
    assert Column("Sp").label == "Sp"


@pytest.mark.parametrize(
    ("groups", "spans"),
    [
        (["", "", ""], []),
        (["a", "a", ""], [("a", 2), ("", 1)]),
        (["a", "", "a"], [("a", 1), ("", 1), ("a", 1)]),
        ([], []),
    ],
)
def test_groups_span_neighbours_alone(groups, spans):
    assert groups_of([Column("x", group) for group in groups]) == spans


def test_a_cell_of_no_lines_is_an_empty_one():
    assert Column("x").parts(Cell()) == ("", "")
    assert Column("x", number=False).parts(Cell()) == ("", "")
    assert Column("x").line(Cell(["1", "± 2"])) == "1 ± 2"
    assert Column("x", number=False, separator=" / ").line(Cell(["a", "b"])) == "a / b"


def test_columns_of_pages_leave_with_their_cells_and_the_reference_too():
    columns = [Column("a"), Column("b", pages_only=True), Column("c")]
    row = Row([Cell(["1"]), Cell(["2"]), Cell(["3"])], {"a": 1})
    table = Table("t", columns, [Section("s", [row], reference=row)])
    paper = table.for_paper()
    assert [column.head for column in paper.columns] == ["a", "c"]
    for one in paper.sections[0].shown():
        assert [cell.lines[0] for cell in one.cells] == ["1", "3"]
        assert one.values == {"a": 1}
    assert paper.for_paper() is paper


def test_the_row_to_compare_with_stands_after_the_others():
    rows = [Row([Cell([str(n)])]) for n in range(3)]
    section = Section("s", rows, reference=Row([Cell(["r"])]))
    assert [row.cells[0].lines[0] for row in section.shown()] == ["0", "1", "2", "r"]


def test_filled_columns_say_a_row_in_their_order():
    columns = [
        FilledColumn(Column("a"), lambda row: [row["a"]]),
        FilledColumn(Column("b"), lambda row: [row["b"], "x"], lambda row: "best" if row["b"] == "2" else ""),
    ]
    assert cells_of(columns, {"a": "1", "b": "2"}) == [Cell(["1"]), Cell(["2", "x"], "best")]


# --- whole reports ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["xml", "", "JSON", "table "])
def test_an_unknown_form_is_refused_with_all_that_are_known(form):
    with pytest.raises(ResultError, match=f"Unknown format '{form}'") as error:
        check_format(form)
    assert all(known in error.value.hint for known in FORMATS)


EMPTY = Report("none", [], heading="Nothing", empty="The board holds no run yet.", notes=["A note."])


@pytest.mark.parametrize("write", [terminal.write, markdown.write, latex.write, html.write])
def test_a_report_without_tables_says_why_and_keeps_its_notes(write):
    text = " ".join(write(EMPTY).split())
    assert "The board holds no run yet." in text
    assert "A note." in text


def test_a_report_without_tables_is_a_line_of_names_in_csv():
    assert csv.write(Report("none", [], fields=["a", "b"])) == "a,b\n"


@pytest.mark.parametrize("write", [terminal.write, markdown.write, latex.write, html.write, csv.write])
def test_a_report_is_written_the_same_each_time_and_ends_its_last_line(write):
    table = text_table("Numbers", [Column("name", number=False), Column("Score")], [["a", "1"], ["b", "2"]])
    report = Report("numbers", [table, table], caption="Percent.", notes=["One.", "Two."], listed=True)
    assert write(report) == write(report)
    assert write(report).endswith("\n")
    assert not any(line != line.rstrip() for line in terminal.write(report).splitlines())


def test_notes_of_markdown_are_a_list_where_the_report_says_so():
    listed, plain_notes = (Report("n", [], notes=["# One", "Two"], listed=flag) for flag in (True, False))
    assert "- \\# One\n- Two\n" in markdown.write(listed)
    assert "- " not in markdown.write(plain_notes)


# --- BibTeX -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paper", "created", "year"),
    [
        ("Doe, 2024", "2026-01-01", "2024"),
        ("Doe, 1999 and 2024", "2026-01-01", "1999"),
        ("In 20245 words", "2026-01-01", "2026"),
        ("", "2025-12-31", "2025"),
        (None, "2025-12-31", "2025"),
    ],
)
def test_the_year_is_that_of_the_paper_or_of_the_submission(paper, created, year):
    entry = submission_entry("x", "ab12", {"paper": paper}, created)
    assert f"year = {{{year}}}" in entry
    assert ("howpublished" in entry) is bool(paper)
    assert "url" not in entry


def test_an_address_of_bibtex_keeps_its_characters_but_for_those_that_end_it():
    entry = submission_entry("x", "ab12", {"url": "https://e.org/a_b?c=d%20{}\\ \n}"}, "2026")
    assert "url = {https://e.org/a_b?c=d%20}," in entry.replace("%20?", "%20")


def test_keys_are_ascii_and_never_empty():
    for name, key in (("Ünïcode Net", "unicode-net"), ("表", ""), ("--", "")):
        entry = submission_entry(name, "", {}, "2026")
        assert entry.startswith(f"@misc{{{key or 'row'},")
    assert run_entry("s", ["ab12"], "2026", "1").startswith("@software{lungbench-ab12,")
