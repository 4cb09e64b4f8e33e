from __future__ import annotations

import json
import statistics
import time

import pytest
from board_runs import write_run
from speeds import limit

from benchmarks.made_up_board import multiply_runs
from leaderboard.render.system_names import system_lines
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import leaderboard_table, runs_table


def board(home, *runs):
    """Write and import runs; gives the store and the folders."""
    store = Store.open(home)
    folders = [write_run(home, **run) for run in runs]
    for folder in folders:
        store.import_run(folder)
    return store, folders


def by_title(table):
    return {section.title: section for section in table.sections}


def test_an_empty_board_has_no_sections(tmp_path):
    table = leaderboard_table(Store.open(tmp_path))
    assert table.to_json() == {"table": "leaderboard", "protocol": "last", "sections": [], "notes": []}


def test_seeds_of_one_spec_make_one_row(tmp_path):
    store, folders = board(tmp_path, *({"seed": seed} for seed in (3, 1, 2)))
    row = leaderboard_table(store).sections[0].rows[0]
    documents = [json.loads((folder / "result.json").read_text()) for folder in folders]
    scores = [d["metrics"]["last"]["4class"]["score"] for d in documents]
    best = [d["metrics"]["best-test"]["4class"]["score"] for d in documents]
    assert row["seeds"] == [1, 2, 3]
    assert row["run_ids"] == [folders[1].name, folders[2].name, folders[0].name]
    assert row["score"] == pytest.approx(statistics.fmean(scores), abs=1e-12)
    assert row["score_std"] == pytest.approx(statistics.stdev(scores), abs=1e-12)
    binary = [d["metrics"]["last"]["2class"]["se"] for d in documents]
    assert row["two_class"]["se"] == pytest.approx(statistics.fmean(binary), abs=1e-12)
    gaps = [b - s for b, s in zip(best, scores, strict=True)]
    assert row["optimism"] == pytest.approx(statistics.fmean(gaps), abs=1e-12)
    assert (row["scores"], row["optimisms"]) == ([scores[i] for i in (1, 2, 0)], [gaps[i] for i in (1, 2, 0)])
    assert (row["rank"], row["epochs"], row["cycles"]) == (1, 2, 60)


def test_one_seed_has_no_deviation(tmp_path):
    row = leaderboard_table(board(tmp_path, {})[0]).sections[0].rows[0]
    assert row["sp_std"] is row["se_std"] is row["score_std"] is None


def test_only_the_seed_may_differ_within_a_row_and_the_difference_is_named(tmp_path):
    store, _ = board(
        tmp_path, {"seed": 1}, {"seed": 2, "method_options": {"alpha": 0.5}}, {"seed": 3, "method": "ce", "lr": 1.0}
    )
    rows = leaderboard_table(store).sections[0].rows
    assert len(rows) == 3
    differs = {row["method"]: set() for row in rows}
    for row in rows:
        differs[row["method"]].add(json.dumps(row["differs"]))
    assert differs == {
        "patchmix-cl": {'{"method_options.alpha": 1.0}', '{"method_options.alpha": 0.5}'},
        "ce": {"{}"},
    }


def test_what_runs_chose_by_themselves_stands_in_the_place_of_the_setting(tmp_path):
    name = "method_options.alpha"
    left_to_the_run = {"method_options": {"alpha": 0.0}}
    store, _ = board(
        tmp_path,
        *({"seed": seed, **left_to_the_run, "result": {"chosen": {name: 0.1 * seed}}} for seed in (1, 2)),
        {"seed": 1, "method_options": {"alpha": 0.5}},
    )
    rows = leaderboard_table(store).sections[0].rows
    assert {tuple(row["seeds"]): row.get("chosen") for row in rows} == {(1, 2): {name: [0.1, 0.2]}, (1,): None}
    assert {system_lines(row)[-1] for row in rows} == {"alpha chosen (0.1, 0.2)", "alpha 0.5"}


def test_only_full_icbhi_is_ranked(tmp_path):
    part = "partial (198 of 920)"
    store, _ = board(
        tmp_path,
        {"seed": 1},
        {"seed": 2, "method": "ce"},
        {"seed": 3, "partial": part},
        {"seed": 4, "dataset": "demo"},
        {"seed": 5, "failed": "The loss is nan."},
    )
    sections = by_title(leaderboard_table(store))
    assert list(sections) == ["ICBHI 2017, official split", part, "simulated", "failed runs"]
    assert [section.ranked for section in sections.values()] == [True, False, False, False]
    assert [row["place"] for row in sections["ICBHI 2017, official split"].rows] == [1, 2]
    assert [section.reference is not None for section in sections.values()] == [True, False, False, False]
    for title in (part, "simulated", "failed runs"):
        assert [row["rank"] for row in sections[title].rows] == [None]
    assert sections["failed runs"].rows[0]["error"] == "The loss is nan."


def test_failed_runs_may_be_left_out(tmp_path):
    store, _ = board(tmp_path, {"failed": "The loss is nan."})
    assert leaderboard_table(store, failed=False).sections == []


def test_rows_are_sorted_by_score_and_equal_scores_share_a_place(tmp_path):
    store, _ = board(
        tmp_path,
        {"seed": 1, "method": "ce"},
        {"seed": 1, "method": "aft"},
        *({"seed": s, "lr": s} for s in range(2, 6)),
    )
    rows = leaderboard_table(store).sections[0].rows
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [row["place"] for row in rows] == [1 + sum(other > score for other in scores) for score in scores]
    assert len({row["place"] for row in rows}) < len(rows)


def test_each_protocol_shows_its_own_numbers(tmp_path):
    store, folders = board(
        tmp_path, {"seed": 1}, {"seed": 2, "method": "ce", "rules": ("last", "best-test", "best-val")}
    )
    for rule, count in (("last", 2), ("best-test", 2), ("best-val", 1)):
        table = leaderboard_table(store, rule)
        rows = {row["run_ids"][0]: row for row in table.sections[0].rows}
        assert len(rows) == count
        for folder in folders:
            stored = json.loads((folder / "result.json").read_text())["metrics"][rule]
            if stored is not None:
                assert rows[folder.name]["score"] == stored["4class"]["score"]
    assert table.notes[:-1] == [
        "Finished runs without numbers under best-val (no held-out patients: --val-fraction): 1."
    ]


def test_a_best_epoch_below_the_least_sensitivity_is_named(tmp_path):
    folder = write_run(tmp_path)
    path = folder / "result.json"
    content = json.loads(path.read_text()) | {"best_above_min_se": {"last": False, "best-test": False}}
    path.write_text(json.dumps(content))
    store = Store.open(tmp_path)
    store.import_run(folder)
    assert leaderboard_table(store, "last").sections[0].rows[0]["below_min_se"] == []
    table = leaderboard_table(store, "best-test")
    assert table.sections[0].rows[0]["below_min_se"] == [1]
    assert folder.name in table.notes[0]


def test_the_list_of_runs_is_newest_first(tmp_path):
    store, folders = board(tmp_path, {"seed": 1}, {"seed": 2, "failed": "no"}, {"seed": 3})
    rows = runs_table(store).sections[0].rows
    assert [row["run_id"] for row in rows] == [folder.name for folder in reversed(folders)]
    assert [row["score"] is None for row in rows] == [False, True, False]
    assert rows[0]["rules"] == ["last", "best-test"]


@pytest.mark.slow
def test_a_board_of_many_runs_is_quick(tmp_path):
    store, _ = board(tmp_path, {})
    multiply_runs(store, 3000, seeds=3000)
    start = time.process_time()
    rows = leaderboard_table(store).sections[0].rows
    assert time.process_time() - start < limit(1)
    assert sorted(len(row["run_ids"]) for row in rows) == [1, 3000]
