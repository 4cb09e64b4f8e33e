"""Tables as LaTeX: they fit a line and a page of A4, whatever stands in them; compiled where pdflatex is there."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess

import pytest
from report_tables import NAMES, long_board, report_tables

from leaderboard.render import latex
from leaderboard.render.cells import Column, Report, text_table
from leaderboard.render.formats import render
from leaderboard.render.latex_layout import fitted
from leaderboard.render.latex_text import breakable, escaped, widest_part, widest_word, width
from leaderboard.tables.board_tables import Section, Table

DOCUMENT = "\\documentclass[%s]{article}\n\\usepackage{booktabs}\n\\begin{document}\n%s\\end{document}\n"
LARGEST_OVERFULL = 1.0
"""Points that no eye sees."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return long_board(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def tables(store):
    return report_tables(store)


def compiled(text, folder, options="a4paper"):
    """The log of a document that holds a table; skips where there is no pdflatex."""
    compiler = shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("needs pdflatex")
    (folder / "table.tex").write_text(DOCUMENT % (options, text), encoding="utf-8")
    words = [compiler, "-interaction=nonstopmode", "table.tex"]
    subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=120)
    return (folder / "table.log").read_text(encoding="utf-8", errors="replace")


def assert_fits(text, folder, options="a4paper"):
    log = compiled(text, folder, options)
    assert re.findall(r"^!.*", log, re.MULTILINE) == []
    assert [one for one in re.findall(r"Overfull \\[hv]box \(([\d.]+)pt", log) if float(one) > LARGEST_OVERFULL] == []
    assert "Float too large" not in log
    assert re.search(r"Output written on table\.pdf \(\d+ page", log)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_compiles_without_errors_and_overfull_boxes(tables, name, tmp_path):
    assert_fits(render(tables[name], "latex"), tmp_path)


@pytest.mark.parametrize("options", ["a4paper,11pt", "a4paper,12pt", "a4paper,twocolumn", "letterpaper"])
@pytest.mark.parametrize("name", ["leaderboard", "table3"])
def test_a_table_fits_documents_of_other_type_and_columns(tables, name, options, tmp_path):
    assert_fits(render(tables[name], "latex"), tmp_path, options)


def test_the_papers_widest_table_fits_under_the_other_rules_as_well(store, tmp_path):
    for rule in ("last", "best-val"):
        assert_fits(render(report_tables(store, rule)["table3"], "latex"), tmp_path)


def test_all_that_a_row_may_say_fits_or_is_left_out_with_a_note(tables, tmp_path):
    section = next(s for s in tables["leaderboard"].sections if s.ranked)
    told = {
        "state": "recomputed",
        "marks": [
            {"mark": "labels-as-predictions", "review": None},
            {"mark": "beyond-print", "review": {"verdict": "rejected"}},
        ],
        "created": "2026-03-04T05:06:07+00:00",
        "inputs": {
            "metadata": True,
            "ensemble": 5,
            "tta": False,
            "thresholds": "undeclared",
            "pretrained_on_icbhi": False,
        },
        "score_std": 10.25,
    }
    rows = [{**row, **told} for row in section.rows]
    text = render(Table("leaderboard", "last", [dataclasses.replace(section, rows=rows)]), "latex")
    for word in ("Score", "recomputed", "beyond-print", "labels-as-predictions"):
        assert word in text
    assert "Left out for want of room: 2-class, " in text
    assert_fits(text, tmp_path)


def test_a_table_longer_than_a_page_goes_on_with_its_heads_and_its_number(tables, tmp_path):
    section = tables["runs"].sections[0]
    rows = [{**section.rows[0], "run_id": f"{number:016x}"} for number in range(260)]
    text = render(Table("runs", "last", [Section("runs", "runs", rows)]), "latex")
    parts = text.count("\\begin{table*}")
    assert parts >= 4
    assert text.count("\\caption{runs (continued)}") == text.count("\\addtocounter{table}{-1}") == parts - 1
    assert text.count("\\toprule") == parts
    assert all(text.count(row["run_id"]) == 1 for row in rows)
    assert text.count("Score: 4-class, last epoch, percent.") == 1
    assert_fits(text, tmp_path)


def test_notes_longer_than_a_page_follow_the_table(tables, tmp_path):
    table = dataclasses.replace(tables["parts"], notes=["A note of several words. " * 40] * 20)
    text = render(table, "latex")
    assert text.count("A note of several words. " * 40) == 20
    assert text.rindex("\\end{table*}") < text.index("A note of several")
    assert_fits(text, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_boxes_of_a_row_are_no_wider_than_the_line(tables, name):
    for row in re.findall(r"^.* \\\\$", render(tables[name], "latex"), re.MULTILINE):
        assert sum(float(part) for part in re.findall(r"\{([0-9.]+)\\linewidth\}", row)) < 1


def test_words_that_nothing_holds_are_squeezed_rather_than_lost(tmp_path):
    table = text_table("Many", [Column(f"column{number}") for number in range(20)], [["1234567.89"] * 20])
    layout = fitted(table)
    assert sum(layout.widths) == pytest.approx(layout.size.room(20))
    assert all(room < width("1234567.89") * layout.size.em for room in layout.widths)
    text = latex.write(Report("many", [table]))
    assert text.count("1234567.89") == 20
    assert "! " not in compiled(text, tmp_path)


def test_heads_of_groups_follow_the_columns_that_are_kept():
    columns = [
        Column("system", number=False, wrap=True),
        *(Column(f"{number}", "paper", expendable=number) for number in range(12)),
    ]
    text = latex.write(Report("wide", [text_table("Wide", columns, [["x", *["12345678.90"] * 12]])]))
    aligned = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    assert f"\\multicolumn{{{len(aligned) - 1}}}{{c}}{{paper}}" in text
    assert f"\\cmidrule(lr){{2-{len(aligned)}}}" in text
    gone = re.search(r"Left out for want of room: (.*) \(", text)[1].split(", ")
    assert gone == [f"paper {number}" for number in range(len(aligned) - 1, 12)]


# --- text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve Åñøß", 'na\\"{i}ve \\r{A}\\~{n}\\o{}\\ss{}'),
        ("λ, µ, Ω, Α", "$\\lambda$, $\\mu$, $\\Omega$, A"),
        ("−1 × 2 ≥ …", "$-$1 $\\times$ 2 $\\geq$ \\ldots{}"),
        ("表", "\\ifdefined\\Umathcode 表\\else ?\\fi{}"),
        ("62.37 ± 0.61", "62.37 $\\pm$\\,0.61"),
        ("a--b", "a-{}-b"),
    ],
)
def test_text_that_every_engine_can_set(text, shown):
    assert escaped(text) == shown


def test_words_may_be_broken_where_a_reader_expects_it():
    assert breakable("imagenet+audioset") == "imagenet+\\allowbreak{}audioset"
    assert breakable("patchmix-cl, a--b") == "patchmix-cl, a-\\allowbreak{}-b"
    assert breakable("-1.78") == "-1.78"
    assert breakable("x" * 20) == "\\allowbreak{}".join(["x" * 8, "x" * 8, "x" * 4])
    assert breakable("BioCAS'19 it's") == "BioCAS'\\allowbreak{}19 it's"
    assert widest_part("a imagenet+audioset") == width("imagenet+")
    assert widest_word("1.00 ± 22.00") == width("± 22.00")


def test_widths_are_those_of_computer_modern_or_a_little_more():
    # In ems of ten-point type, from the metrics of cmr10.
    for text, real in (("0123456789", 5.0), ("INTERSPEECH", 7.32), ("patch", 2.44), ("Mm Ww", 3.83)):
        assert real <= width(text) <= 1.06 * real
