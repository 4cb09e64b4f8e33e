"""Published systems as data, and which of them a table lets be compared."""

import csv
import io
import json

import pytest

from leaderboard.published.systems import (
    EVIDENCE,
    KINDS,
    PRINTED_RULES,
    PRINTED_SENSITIVITIES,
    SPLITS,
    PublishedSystem,
    published_systems,
)
from leaderboard.render.formats import FORMATS, render
from leaderboard.tables.published_table import doubts, published_table

SYSTEMS = {system.id: system for system in published_systems()}


def system(**changes):
    fields = {
        "id": "a",
        "dataset": "icbhi",
        "system": "A",
        "architecture": "AST",
        "pretrain": "-",
        "venue": "here",
        "year": 2026,
        "kind": "published",
        "table": "4class",
        "sp": 80.0,
        "se": 40.0,
        "score": 60.0,
        "protocol": "best-test",
        "split": "official",
        "sensitivity": "4class",
        "evidence": "read",
        "source": "https://example.org",
    }
    return PublishedSystem(**{**fields, **changes})


def sections():
    return {section.title: section for section in published_table().sections}


def test_all_are_there_under_ids_of_their_own():
    assert len(SYSTEMS) == len(published_systems()) == 24 + 83


def test_every_field_has_one_of_its_words():
    for found in published_systems():
        assert found.kind in KINDS
        assert found.protocol in PRINTED_RULES
        assert found.split in SPLITS
        assert found.sensitivity in PRINTED_SENSITIVITIES
        assert found.evidence in EVIDENCE
        assert 2010 < found.year <= 2026
        assert found.id.startswith("table3-") or found.source.startswith("https://")


@pytest.mark.parametrize(
    ("name", "score"),
    [("sg-scl-2024", 61.71), ("bts-2024", 63.54), ("pafa-2025", 64.84), ("table3-patchmix-cl", 62.37)],
)
def test_numbers_are_as_printed(name, score):
    assert SYSTEMS[name].score == score


def test_just_those_whose_numbers_do_not_add_up_are_inconsistent():
    wrong = {found.id for found in published_systems() if found.consistent is False and "table3" not in found.id}
    assert wrong == {
        "audio-clap-2024",
        "tafilm-ast-2026-2c",
        "pafa-2025-2c",
        "dass-ft-2026-2c",
        "dass-reg-2026-2c",
    }
    assert SYSTEMS["stah-2026"].consistent is None


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("resp-agent-2026", (79.29, None, 66.1, None, 72.7, None)),
        ("dass-reg-2026", (76.72, 5.67, 47.72, 3.23, 62.22, 1.29)),
        ("dass-ft-2026", (74.68, 2.5, 47.43, 1.58, 61.06, 1.27)),
        ("dass-ft-2026-2c", (73.74, 3.38, 61.72, 2.94, 68.2, 2.05)),
        ("dass-reg-2026-2c", (76.72, 5.67, 60.29, 3.96, 68.4, 1.04)),
        ("lungmix-2025", (None, None, None, None, 58.53, None)),
        ("lsaa-joint-2026", (None, None, None, None, 61.17, 0.31)),
        ("lung-srad-2026", (79.53, 0.95, 49.42, 1.19, 64.48, 0.25)),
        ("lung-srad-2026-2c", (79.53, 0.95, 65.61, 0.24, 72.57, 0.47)),
        ("pafa-2025-2c", (74.87, None, 68.29, None, 72.08, None)),
    ],
)
def test_numbers_that_are_not_verified_stand_with_their_doubt_and_without_a_rank(name, numbers):
    found = SYSTEMS[name]
    assert (found.sp, found.sp_std, found.se, found.se_std, found.score, found.score_std) == numbers
    assert found.comparable
    assert not found.verified
    assert doubts(found)
    assert [row["rank"] for section in published_table().sections for row in section.rows if row["id"] == name] == [
        None
    ]


def test_the_grounds_of_what_cannot_be_compared_are_said():
    stah = SYSTEMS["stah-2026"]
    assert (stah.protocol, stah.sensitivity) == ("best-test", "macro")
    assert "70bb557" in stah.code
    assert "Se is a mean over classes" in doubts(stah)
    assert "every fifth batch of the test part" in stah.note
    assert not SYSTEMS["stah-2026-2c"].comparable


def test_every_row_is_claimed():
    assert {row["state"] for section in published_table().sections for row in section.rows} == {"claimed"}


@pytest.mark.parametrize("name", ["mvst-2024", "add-rsc-ast-2025", "rep-mvst-z1l0ng", "ast-sam-2025", "stah-2026"])
def test_another_split_or_sensitivity_is_never_ranked(name):
    assert not SYSTEMS[name].comparable
    for section in published_table().sections:
        assert not section.ranked or name not in [row["id"] for row in section.rows]


@pytest.mark.parametrize(
    "change",
    [
        {"split": "official-stated"},
        {"split": "other"},
        {"split": "unknown"},
        {"sensitivity": "2class"},
        {"sensitivity": "unknown"},
        {"protocol": "unknown"},
        {"evidence": "second-hand"},
        {"score": 60.5},
    ],
)
def test_one_doubt_is_enough_to_be_unverified_and_is_said(change):
    assert system().verified
    assert doubts(system()) == []
    assert not system(**change).verified
    assert len(doubts(system(**change))) == 1


def test_ranked_rows_share_table_rule_and_split_and_are_sorted():
    for section in published_table().sections:
        scores = [row["score"] for row in section.rows]
        assert scores == sorted(scores, reverse=True)
        if section.ranked:
            assert len({(row["table"], row["protocol"], row["split"]) for row in section.rows}) == 1
            assert [row["rank"] for row in section.rows] == list(range(1, len(scores) + 1))
            assert all(row["verified"] for row in section.rows)


def test_every_system_stands_in_one_section():
    shown = [row["id"] for section in published_table().sections for row in section.rows]
    assert sorted(shown) == sorted(SYSTEMS)


def test_the_last_epochs_are_not_ranked_with_the_best_ones():
    found = sections()
    assert [row["id"] for row in found["4-class, official split, last"].rows] == ["rep-patchmix-auscult-last"]
    assert "table3-patchmix-cl" in [row["id"] for row in found["4-class, official split, best-test"].rows]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_shows_every_system(form):
    text = render(published_table(), form, width=120)
    if form == "json":
        document = json.loads(text)
        assert sum(len(section["rows"]) for section in document["sections"]) == len(SYSTEMS)
    elif form == "csv":
        assert {row["id"] for row in csv.DictReader(io.StringIO(text))} == set(SYSTEMS)
    else:
        assert "PC-MCL" in text
        assert "65.37" in text


def test_the_command_prints_them_without_a_board(bench, tmp_path):
    printed = bench("report", "published", "--format", "json", "--home", tmp_path / "none")
    assert json.loads(printed.out)["table"] == "published"
    assert not (tmp_path / "none").exists()
