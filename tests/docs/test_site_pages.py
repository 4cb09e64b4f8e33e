"""What the pages made from code are made of: Markdown, the arrows of the architecture, sentences of errors."""

from __future__ import annotations

import re

import pytest
from site_pages import architecture, errors, markdown, pictures

from bench.core.errors import BenchError, DataError, RegistryError
from leaderboard.published import printed_table


def test_words_of_cards_are_no_markup():
    assert markdown.text("a_b * [c](d) | <e> `x_y|z`") == r"a\_b \* \[c\](d) \| &lt;e&gt; `x_y|z`"
    assert markdown.text(None) == markdown.code("") == "–"
    assert markdown.code("__main__|a") == "<code>&#95;&#95;main&#95;&#95;&#124;a</code>"


def test_a_table_without_rows_is_none():
    assert markdown.table(("a",), []) == ""
    assert markdown.table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_arrows_that_follow_from_others_are_left_out():
    arrows = {"cli": {"api", "core"}, "api": {"engine", "core"}, "engine": {"core"}, "core": set()}
    assert architecture.without_shortcuts(arrows) == {
        "cli": {"api"},
        "api": {"engine"},
        "engine": {"core"},
        "core": set(),
    }


def test_the_rooms_hold_all_modules_and_the_commands_stand_on_the_interface():
    numbers, arrows = architecture.rooms()
    assert sum(numbers.values()) == len(architecture.import_graph().import_graph(architecture.ROOT))
    assert "bench.api" in arrows["bench.cli"]
    assert arrows["bench.core"] == set()


@pytest.mark.parametrize(
    ("error", "exit_code", "sentence", "hint"),
    [
        ("RegistryError", RegistryError.exit_code, "Unknown … '…': …", ""),
        ("StoreError", 4, "There is no board here: BENCH_STORE is 'none'.", ""),
    ],
)
def test_sentences_of_errors_are_read_from_the_source(error, exit_code, sentence, hint):
    found = [one for one in errors.error_messages() if one.error == error and one.sentence == sentence]
    assert found
    assert found[0].exit_code == exit_code


def test_every_error_has_the_exit_code_of_its_class():
    def classes(top):
        return {
            top.__name__: top,
            **{name: one for below in top.__subclasses__() for name, one in classes(below).items()},
        }

    known = classes(BenchError)
    for message in errors.error_messages():
        if message.error in known:
            assert message.exit_code == known[message.error].exit_code, message
    assert {message.exit_code for message in errors.error_messages()} == {1, 2, 3, 4, 130}
    assert known["DataError"] is DataError


def test_the_counts_of_the_pictures_agree_with_one_another():
    from bench.data.datasets.icbhi.card import CARD

    assert len(CARD.patients) == pictures.PATIENTS_TRAINING + pictures.PATIENTS_TEST - pictures.PATIENTS_IN_BOTH
    assert len(CARD.shared_patients) == pictures.PATIENTS_IN_BOTH
    assert sum(sum(both) for both in pictures.RECORDINGS.values()) == CARD.recordings
    assert set(pictures.RECORDINGS) == set(CARD.devices)


def test_the_intervals_of_the_picture_are_those_of_the_results_page():
    page = (architecture.ROOT / "docs" / "results" / "sprsound-2022.md").read_text(encoding="utf-8")
    for system, score, low, high, rank in pictures.SPRSOUND_ROWS:
        (row,) = [
            line for line in page.splitlines() if line.startswith(f"| {rank} | {system} |") and str(score) in line
        ]
        assert f"({low}–{high})" in row


def test_rows_that_do_not_add_up_are_those_of_the_page_on_quirks():
    page = (architecture.ROOT / "docs" / "quirks.md").read_text(encoding="utf-8")
    table = page.partition("### Printed numbers that do not add up")[2].partition("The board stores")[0]
    odd = [row for name in ("table1", "table3") for row in printed_table(name).rows if not row.consistent]
    printed = [tuple(map(float, pair)) for pair in re.findall(r"\| ([\d.]+) \| ([\d.]+) \|", table)]
    assert sorted(score for score, _ in printed) == sorted(row.score for row in odd)
    for row in odd:
        assert dict(printed)[row.score] == pytest.approx((row.sp + row.se) / 2, abs=0.0051)
