from __future__ import annotations

import sqlite3

import board_runs
import numpy as np
import pytest
from board_runs import cycle_set, write_run
from official_sets import many_patients

from leaderboard.render.formats import render
from leaderboard.results.predictions import CycleSet
from leaderboard.statistics import row_statistics
from leaderboard.statistics.breakdown import read_system_counts
from leaderboard.statistics.intervals import paired_difference, system_estimate
from leaderboard.statistics.seed_spread import PAPER_SPREAD
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table


def board(home, *runs):
    store = Store.open(home)
    for run in runs:
        store.import_run(write_run(home, **run))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three systems of about the same skill and one that is far behind."""
    runs = [{"method": method, "seed": seed} for method in ("a", "b", "c") for seed in (1, 2)]
    for number, run in enumerate(runs):
        run["salt"] = number
    runs += [{"method": "poor", "seed": seed, "skill": 0.4} for seed in (1, 2)]
    return board(tmp_path_factory.mktemp("board"), *({**run, "cycles": many_patients()} for run in runs))


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_a_rows_interval_is_that_of_its_runs_under_the_rule(store, rule):
    runs = {run.run_id: run for run in store.runs()}
    for row in leaderboard_table(store, rule).sections[0].rows:
        counts = read_system_counts(store, [runs[run_id] for run_id in row["run_ids"]], rule)
        score = system_estimate(counts.by_patient).score
        assert row["ci95"] == pytest.approx([score.lo, score.hi], abs=1e-9)
        assert row["score"] == pytest.approx(score.value, abs=1e-9)
        assert row["patient_disjoint"]["score"] == pytest.approx(row["score"], abs=1e-9)  # nobody is on both sides here
        assert row["devices"]["Meditron"]["cycles"] == 600
        assert row["classes"]["both"]["cycles"] > 0


def test_rows_that_the_data_do_not_tell_apart_share_a_rank(store):
    rows = leaderboard_table(store).sections[0].rows
    assert [row["place"] for row in rows] == [1, 2, 3, 4]
    assert [row["rank"] for row in rows] == [1, 1, 1, 4]
    assert [row["ranks"] for row in rows] == [[1, 3]] * 3 + [[4, 4]]
    runs = {run.run_id: run for run in store.runs()}
    counts = [read_system_counts(store, [runs[run_id] for run_id in row["run_ids"]], "last").by_patient for row in rows]
    assert [paired_difference(counts[0], other).score.holds_zero for other in counts] == [True, True, True, False]


def test_rows_of_other_sections_have_intervals_but_no_rank(tmp_path):
    rows = leaderboard_table(board(tmp_path, {"dataset": "demo"}, {"partial": "partial (198 of 920)"}))
    for section in rows.sections:
        row = section.rows[0]
        assert row["ci95"][0] < row["score"] < row["ci95"][1]
        assert (row["rank"], row["ranks"], row["place"]) == (None, None, None)
        assert row["patient_disjoint"] is None


def test_the_all_normal_reference_stands_beside_the_ranked_rows(store):
    reference = leaderboard_table(store).sections[0].reference
    assert (reference["sp"], reference["se"], reference["score"], reference["rank"]) == (100.0, 0.0, 50.0, None)
    assert leaderboard_table(store).to_json()["sections"][0]["reference"] == reference


@pytest.mark.parametrize(("name", "limit", "able"), [("MOST_ROWS", 2, 2), ("MOST_RUNS", 5, 2), ("MOST_RUNS", 1, 0)])
def test_rows_beyond_the_limits_have_no_interval_and_a_note_says_so(store, monkeypatch, name, limit, able):
    monkeypatch.setattr(row_statistics, name, limit)
    table = leaderboard_table(store)
    rows = table.sections[0].rows
    assert [row["ci95"] is not None for row in rows] == [number < able for number in range(4)]
    assert [row["rank"] for row in rows[able:]] == [row["place"] for row in rows[able:]]
    assert f"of the first {able} of 4 systems" in table.notes[-1]


def test_a_row_without_predictions_is_named(tmp_path):
    store = board(tmp_path, {"seed": 1}, {"seed": 2, "method": "ce"})
    connection = sqlite3.connect(tmp_path / "leaderboard.sqlite")
    with connection:
        connection.execute("DELETE FROM predictions WHERE run_id IN (SELECT run_id FROM runs WHERE method = 'ce')")
    connection.close()
    table = leaderboard_table(store)
    assert {row["method"]: row["ci95"] is None for row in table.sections[0].rows} == {"patchmix-cl": False, "ce": True}
    assert (
        table.notes[-1] == "Systems without an interval (their stored predictions are missing or differ in cycles): 1."
    )


def test_a_section_says_what_its_test_part_can_show(store):
    table = leaderboard_table(store)
    section = table.sections[0]
    assert 0.5 < section.floor < 10.0
    assert table.to_json()["sections"][0]["resolution_floor"] == section.floor
    heading = f"ICBHI 2017, official split (five seeds show differences of {section.floor:.1f} points and more)"
    assert heading in " ".join(render(table, width=140).split())


def test_a_row_of_one_seed_says_whose_spread_it_was_given(tmp_path, store):
    alone = board(tmp_path, {"method": "a", "cycles": many_patients()})
    row, notes = leaderboard_table(alone).sections[0].rows[0], leaderboard_table(alone).notes
    assert row["covers_seeds"]
    assert "a single seed is given the spread of the paper's own rows" in notes[-1]
    counts = read_system_counts(alone, alone.runs(), "last").by_patient
    score = system_estimate(counts, pooled=PAPER_SPREAD).score
    assert row["ci95"] == pytest.approx([score.lo, score.hi])
    assert "cover other test patients than these 40 and other seeds" in leaderboard_table(store).notes[-1]


def test_a_simulated_row_of_one_seed_is_of_this_run(tmp_path):
    table = leaderboard_table(board(tmp_path, {"dataset": "demo", "cycles": many_patients()}))
    assert not table.sections[0].rows[0]["covers_seeds"]
    assert "of this run, not of the method" in table.notes[-1]


def test_a_system_that_never_varies_has_a_dash_for_an_interval(tmp_path, monkeypatch):
    cycles = many_patients()
    normal = np.tile([0.9, 0.05, 0.03, 0.02], (len(cycles), 1))
    monkeypatch.setattr(board_runs, "scores_for", lambda *_: normal)
    store = board(tmp_path, *({"method": "normal", "seed": seed, "cycles": cycles} for seed in (1, 2)))
    monkeypatch.undo()
    store.import_run(write_run(tmp_path, method="other", cycles=cycles))
    table = leaderboard_table(store)
    row = next(row for row in table.sections[0].rows if row["method"] == "normal")
    assert (row["ci95"], row["degenerate"], row["score"]) == (None, True, 50.0)
    assert "(–)" in render(table, width=140)


def test_a_single_patient_gives_no_interval(tmp_path):
    whole = cycle_set()
    lone = CycleSet(whole.keys, whole.labels, ("101",) * 60, whole.devices)
    table = leaderboard_table(board(tmp_path, {"cycles": lone}))
    assert table.sections[0].rows[0]["ci95"] is None
    few = "Systems without an interval (fewer than two patients with normal or with abnormal cycles): 1."
    assert table.notes == [few]
