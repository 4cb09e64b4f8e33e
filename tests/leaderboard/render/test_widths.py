"""Every table at every width of a terminal: what each row keeps, what goes first, and that no line is too long."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
from report_tables import LONG, NAMES, ODD, PART, long_board, report_tables

from bench.core.text import plain
from leaderboard.render import terminal
from leaderboard.render.cells import Column, Report, text_table
from leaderboard.render.formats import render
from leaderboard.render.run import run_report
from leaderboard.render.system_names import system_lines
from leaderboard.render.widths import allotted, kept_sets
from leaderboard.tables.board_tables import Section, Table
from leaderboard.tables.paper_tables import PaperTable

WIDTHS = (40, 60, 80, 100, 140, 180)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return report_tables(long_board(tmp_path_factory.mktemp("board")))


def without_spaces(text):
    return re.sub(r"\s", "", text)


def names_of(table):
    """What each row of a table is called, in the table's order."""
    if isinstance(table, PaperTable):
        first = next(iter(table.columns.values()))
        return [row["method" if first == "method" else first] for row in table.rows]
    found = []
    for section in table.sections:
        for row in [*section.rows, *([section.reference] if section.reference else [])]:
            if section.kind in ("systems", "compared", "failed"):
                found.append(system_lines(row)[0])
            elif section.kind == "runs":
                found.append(row["name"] or f"{row['model']} + {row['method']}")
            else:
                found.append(next(row[name] for name in ("system", "part", "what") if name in row))
    return found


def rates_of(table):
    """Scores with their intervals that no width may hide."""
    if isinstance(table, PaperTable):
        for row in table.rows:
            yield row["published"]["score"], None
            if row["reproduced"]:
                yield row["reproduced"]["score"], row["reproduced"]["ci95"]
        return
    for section in table.sections:
        for row in section.rows:
            yield row.get("score"), row.get("ci95")
            if section.kind == "comparison":
                yield from ((row[side]["value"], None) for side in ("a", "b", "difference"))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_each_row_keeps_its_name_score_and_interval_and_no_line_is_too_long(tables, name, width):
    table = tables[name]
    text = render(table, "table", width=width)
    assert max(map(len, text.splitlines())) <= width
    found = without_spaces(text)
    for row_name in names_of(table):
        # A name may share its lines with other columns, so that its words are looked for one by one; of a word that
        # no column holds, its beginning.
        for word in plain(row_name).split(" "):
            assert word[:16] in found
    for score, interval in rates_of(table):
        assert score is None or f"{score:.2f}" in text
        assert interval is None or f"({interval[0]:.1f}–{interval[1]:.1f})" in text


@pytest.mark.parametrize("width", [1, 20])
@pytest.mark.parametrize("name", NAMES)
def test_a_sliver_of_a_terminal_is_kept_to(tables, name, width):
    assert max(map(len, render(tables[name], "table", width=width).splitlines())) <= width


def test_at_any_width_below_80_a_row_is_a_card_of_its_name_its_score_and_the_rest(tables):
    section = next(s for s in tables["leaderboard"].sections if s.ranked)
    row = next(row for row in section.rows if len(row["seeds"]) == 5)
    for width in (60, 79):
        lines = render(tables["leaderboard"], "table", width=width).splitlines()
        start = next(i for i, line in enumerate(lines) if f"epochs {row['epochs']}, " in line) - 1
        assert lines[start].endswith("  ast + patchmix-cl")
        card = "\n".join(lines[start : lines.index("", start)])
        score = f"Score: {row['score']:.2f} ± {row['score_std']:.2f} ({row['ci95'][0]:.1f}–{row['ci95'][1]:.1f})"
        assert score in card
        for label in ("seeds: 1-5", "Sp: ", "Se: ", "disjoint: ", "2-class: ", "optimism: "):
            assert label in card


def test_a_card_that_a_number_names_says_of_what_and_one_without_a_name_has_no_empty_title():
    columns = [Column("cycle"), Column("predicted", number=False), Column("remark", number=False)]
    numbered = text_table("t", columns, [["0", "wheeze", "a" * 30], ["1", "both", "b" * 30]])
    lines = terminal.write(Report("t", [numbered]), width=30).splitlines()
    assert [line for line in lines if line.startswith("cycle")] == ["cycle 0", "cycle 1"]
    grouped = text_table(
        "t", [Column("rule", number=False), *columns], [["last", "0", "x", "a" * 30], ["", "1", "y", "z"]]
    )
    text = terminal.write(Report("t", [grouped]), width=30)
    assert "\nlast\n" in text
    assert "\n\n\n  cycle: 1" not in text


def test_a_table_that_fits_below_80_columns_stays_one(tables):
    text = render(tables["parts"], "table", width=60)
    assert re.search(r"^ part +cycles +patients +Sp +Se +Score$", text, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_word_of_usual_length_is_broken(tables, width):
    for name in ("table1", "table2", "table3", "parts"):
        table = tables[name]
        text = render(table, "table", width=width)
        for row in getattr(table, "rows", ()):
            for field in table.columns.values():
                value = row["options"][field[8:]] if field.startswith("options.") else row[field]
                assert all(word in text for word in str(value).split())


def left_out(text):
    found = re.search(r"Left out here: (.*?) \(a wider terminal", " ".join(text.split()))
    return set(found[1].split(", ")) if found else set()


def test_columns_are_left_out_in_one_order_and_what_is_left_out_is_said(tables):
    section = next(s for s in tables["leaderboard"].sections if s.ranked)
    usual = [row for row in section.rows if row["model"] != LONG]
    table = Table("leaderboard", "last", [dataclasses.replace(section, rows=usual)])
    gone = [left_out(render(table, "table", width=width)) for width in range(80, 141)]
    assert gone[0] >= {"2-class"}
    assert gone[-1] == set()
    assert all(narrow >= wide for narrow, wide in itertools.pairwise(gone))
    assert not set().union(*gone) & {"#", "system", "Score"}


def test_what_a_row_may_say_besides_is_shown_where_a_row_says_it(tables):
    section = next(s for s in tables["leaderboard"].sections if s.ranked)
    said = ("state", "marks", "inputs", "created")
    silent = [{name: value for name, value in row.items() if name not in said} for row in section.rows]
    bare = Table("leaderboard", "last", [dataclasses.replace(section, rows=silent)])
    grid_alone = render(bare, "table", width=200).partition("Selection rule")[0]
    assert not any(word in grid_alone for word in ("state", "marks", "inputs  ", "date"))
    told = {
        "state": "recomputed",
        "marks": [{"mark": "copy", "review": None}, {"mark": "ties", "review": {"verdict": "rejected"}}],
        "created": "2026-03-04T05:06:07+00:00",
        "inputs": {
            "metadata": True,
            "ensemble": 5,
            "tta": False,
            "thresholds": "undeclared",
            "pretrained_on_icbhi": False,
        },
    }
    table = Table("leaderboard", "last", [dataclasses.replace(section, rows=[{**section.rows[0], **told}])])
    wide = render(table, "table", width=220)
    words = (
        "recomputed",
        "copy",
        "ties (rejected)",
        "2026-03-04",
        "metadata",
        "ensemble of 5",
        "undeclared: thresholds",
    )
    assert all(word in wide for word in words)
    assert "augmentation" not in wide
    for width in WIDTHS:
        shown = " ".join(render(table, "table", width=width).split())
        assert all(word in shown for word in ("recomputed", "copy", "ties", "(rejected)"))
    plain_ones = {"metadata": False, "ensemble": 1, "tta": False, "thresholds": "none", "pretrained_on_icbhi": False}
    for inputs, text in ((plain_ones, None), (dict.fromkeys(plain_ones, "undeclared"), "undeclared")):
        row = {**silent[0], "inputs": inputs}
        shown = render(Table("leaderboard", "last", [dataclasses.replace(section, rows=[row])]), "table", width=220)
        assert ("inputs" in shown.partition("Selection rule")[0]) == (text is not None)
        assert text is None or text in shown


def test_a_marked_run_is_marked_in_the_papers_tables_too(tables):
    rows = [
        {**row, "reproduced": row["reproduced"] and {**row["reproduced"], "marks": [{"mark": "ties", "review": None}]}}
        for row in tables["table3"].rows
    ]
    table = dataclasses.replace(tables["table3"], rows=rows)
    shown = sum(row["reproduced"] is not None for row in rows)
    for form in ("markdown", "latex", "html"):
        assert render(table, form).count("marked: ties") == shown
    for width in WIDTHS:
        assert " ".join(render(table, "table", width=width).split()).count("ties") == shown


def test_a_single_run_keeps_to_the_width_and_shows_all_its_numbers(tmp_path):
    store = long_board(tmp_path, most=1)
    run = next(run for run in store.runs() if run.spec["model"] == LONG)
    for width in (20, 40, 60, 80, 140):
        text = terminal.write(run_report(store.run(run.run_id)), width=width)
        assert max(map(len, text.splitlines())) <= width
        for judged in ("4class", "2class"):
            metrics = run.metrics["last"][judged]
            assert all(f"{metrics[name]:.2f}" in text for name in ("sp", "se", "score"))


def test_a_date_goes_before_any_number(tables):
    section = next(s for s in tables["leaderboard"].sections if s.ranked)
    rows = [{**row, "created": "2026-03-04T05:06:07+00:00"} for row in section.rows if row["model"] != LONG]
    table = Table("leaderboard", "last", [dataclasses.replace(section, rows=rows)])
    gone = [left_out(render(table, "table", width=width)) for width in range(80, 160)]
    assert gone[-1] == set()
    assert next(one for one in reversed(gone) if one) == {"date"}


# --- what tells rows apart --------------------------------------------------------------------------------------


def test_rows_of_one_name_are_told_apart_by_pretraining_and_settings(tables):
    for section in tables["leaderboard"].sections:
        if section.kind == "systems":
            labels = ["; ".join(system_lines(row)) for row in section.rows]
            assert len(set(labels)) == len(labels)
            assert not any("None" in label for label in labels)
    labels = {line for s in tables["leaderboard"].sections for row in s.rows for line in system_lines(row)[1:]}
    assert {"from scratch", "from imagenet", "without alpha, smoothing 0.1"} <= labels


@pytest.mark.parametrize(
    ("differs", "text"),
    [
        ({"method_options.alpha": 0.5}, "alpha 0.5"),
        ({"method_options.alpha": None}, "without alpha"),
        ({"method_options.symmetric": True, "method_options.mixed": False}, "with symmetric, without mixed"),
        ({"model_options.depth": 3, "method_options.depth": 4}, "model_options.depth 3, method_options.depth 4"),
        ({"model_options.sizes": [1, 2]}, "sizes 1, 2"),
        ({"weights_sha256": "0123456789abcdef" * 4}, "weights_sha256 01234567"),
        ({"method_options.alpha": 0}, "alpha 0"),
        (
            {"sampler": None, "milestones": "", "drop_last": None},
            "default sampler, without milestones, default drop_last",
        ),
        ({"drop_last": False, "init_from": None}, "without drop_last, without init_from"),
    ],
)
def test_a_setting_in_words(differs, text):
    row = {"model": "ast", "method": "ce", "pretrain": "none", "differs": differs}
    assert system_lines(row) == ["ast + ce", text]


def test_a_submission_says_its_pretraining_where_another_of_its_name_has_another():
    row = {"name": "ours", "model": "m", "method": "n", "pretrain": "none", "differs": {"pretrain": "none"}}
    assert system_lines(row) == ["ours (submitted)", "from scratch"]
    assert system_lines({**row, "differs": {}}) == ["ours (submitted)"]


def test_odd_names_are_shown_as_they_are(tables):
    for width in WIDTHS:
        assert without_spaces(ODD)[:8] in without_spaces(render(tables["leaderboard"], "table", width=width))
    assert PART in render(tables["leaderboard"], "table", width=40)


# --- the parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("least", "wished", "shares", "room", "widths"),
    [
        ([3, 4], [3, 4], [1, 1], 20, [3, 4]),
        ([3, 4], [30, 4], [1, 1], 20, [16, 4]),
        ([2, 2], [20, 20], [1, 3], 12, [4, 8]),
        ([2, 2], [3, 20], [1, 1], 12, [3, 9]),
        ([5, 5], [9, 9], [1, 1], 9, None),
        ([], [], [], 0, []),
    ],
)
def test_room_is_dealt_out_by_shares_until_nobody_wishes_for_more(least, wished, shares, room, widths):
    assert allotted(least, wished, shares, room) == widths


def test_columns_of_one_rank_go_together_the_highest_first():
    columns = [Column(str(rank), expendable=rank) for rank in (0, 2, 1, 2, 0)]
    assert list(kept_sets(columns)) == [[0, 1, 2, 3, 4], [0, 2, 4], [0, 4]]
    assert list(kept_sets(columns[:1])) == [[0]]


@pytest.mark.parametrize("width", [1, 5, 20, 50, 80])
def test_pairs_without_heads_fit_any_width(width):
    columns = [Column("name", number=False), Column("value", number=False, wrap=True)]
    table = text_table("", columns, [["a_name_of_thirty_letters_or_so", "b " * 60]], heads=False)
    text = terminal.write(Report("pairs", [table]), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert without_spaces(text) == "a_name_of_thirty_letters_or_so" + "b" * 60 or width < 80


def test_a_table_without_rows_or_with_wide_letters_keeps_to_the_width():
    columns = [Column("system", number=False, wrap=True), Column("Score")]
    assert "Score" in terminal.write(Report("none", [text_table("", columns, [])]), width=30)
    text = terminal.write(Report("wide", [text_table("表", columns, [["表示" * 30, "1.00"]])]), width=30)
    assert all(sum(2 if ord(letter) > 0x2E80 else 1 for letter in line) <= 30 for line in text.splitlines())
    assert "Score: 1.00" in text


def test_an_unranked_section_has_no_column_of_ranks(tables):
    section = next(s for s in tables["leaderboard"].sections if s.title == PART)
    text = render(Table("leaderboard", "last", [Section(PART, "systems", section.rows)]), "table", width=120)
    assert " # " not in text
