"""The board's numbers from Python, against what plain numpy makes of the stored predictions."""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean, stdev

import numpy as np
import pytest
from board_runs import write_run

from bench.api.boards import open_board
from bench.core.errors import ResultError, SpecError, StoreError
from leaderboard.store.store import Store

RUNS = (
    *({"seed": seed} for seed in (1, 2, 3)),
    *({"seed": seed, "method": "ce", "skill": 0.2, "salt": 1} for seed in (1, 2)),
    {"method": "ce", "lr": 1e-4, "salt": 2},
    {"method": "mixup", "rules": ("last",), "salt": 3},
    {"method": "demo", "dataset": "demo"},
    {"method": "broken", "failed": "The loss is nan."},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    store = Store.open(folder)
    for run in RUNS:
        store.import_run(write_run(folder, **run))
    return folder


@pytest.fixture
def board(home):
    return open_board(home)


def rates(labels, predicted):
    """Specificity, sensitivity and Score by their definitions, percent."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    normal = labels == 0
    sp = 100 * np.mean(predicted[normal] == 0)
    strict = 100 * np.mean(predicted[~normal] == labels[~normal])
    loose = 100 * np.mean(predicted[~normal] != 0)
    return {"4class": (sp, strict, (sp + strict) / 2), "2class": (sp, loose, (sp + loose) / 2)}


def recomputed(board, run_id, rule="last"):
    cycles, scores = board.run(run_id).predictions(rule)
    return rates(cycles.labels, scores.argmax(1))


def names_of(row):
    return (row.model, row.method, row.differs.get("lr"))


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_the_metrics_of_a_run_follow_from_its_predictions(board, rule):
    finished = [run for run in board.runs() if rule in run.rules]
    assert len(finished) == (8 if rule == "last" else 7)
    for run in finished:
        found = recomputed(board, run.run_id, rule)
        for judged, stored in board.run(run.run_id).metrics[rule].items():
            assert [stored[name] for name in ("sp", "se", "score")] == pytest.approx(found[judged])


def test_a_line_of_the_list_has_the_numbers_of_the_last_epoch(board):
    for run in board.runs():
        if run.status == "finished":
            assert (run.sp, run.se, run.score) == pytest.approx(recomputed(board, run.run_id)["4class"])
        else:
            assert (run.sp, run.se, run.score, list(run.rules)) == (None, None, None, [])


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_a_system_has_mean_and_deviation_over_its_seeds(board, rule):
    for system in board.systems(rule):
        single = [recomputed(board, run_id, rule) for run_id in system.run_ids]
        assert list(system.scores) == pytest.approx([one["4class"][2] for one in single])
        for place, name in enumerate(("sp", "se", "score")):
            values = [one["4class"][place] for one in single]
            assert getattr(system, name) == pytest.approx(fmean(values))
            assert system.two_class[name] == pytest.approx(fmean(one["2class"][place] for one in single))
            deviation = getattr(system, f"{name}_std")
            assert deviation == (pytest.approx(stdev(values)) if len(values) > 1 else None)


def test_optimism_is_the_score_of_best_test_minus_that_of_last(board):
    for system in board.systems():
        if system.method == "mixup":
            assert (system.optimism, list(system.optimisms)) == (None, [None])
            continue
        gaps = [
            recomputed(board, run_id, "best-test")["4class"][2] - recomputed(board, run_id)["4class"][2]
            for run_id in system.run_ids
        ]
        assert list(system.optimisms) == pytest.approx(gaps)
        assert system.optimism == pytest.approx(fmean(gaps))


def test_runs_are_one_system_where_they_differ_in_the_seed_alone(board):
    seeds = {names_of(system): list(system.seeds) for system in board.systems()}
    assert seeds[("ast", "patchmix-cl", None)] == [1, 2, 3]
    assert sorted(len(found) for (_, method, _), found in seeds.items() if method == "ce") == [1, 2]
    assert "broken" not in {system.method for system in board.systems()}


def test_a_system_without_numbers_under_a_rule_is_left_out(board):
    assert "mixup" in {system.method for system in board.systems("last")}
    assert "mixup" not in {system.method for system in board.systems("best-test")}
    assert board.systems("best-val") == []


def test_places_are_in_the_order_of_scores_within_a_section(board):
    ranked = [system for system in board.systems() if system.rank is not None]
    assert len({system.section for system in ranked}) == 1
    by_score = sorted(ranked, key=lambda system: -system.score)
    assert [system.place for system in by_score] == sorted(system.place for system in by_score)
    for system in ranked:
        assert 1 <= system.ranks[0] <= system.place <= system.ranks[1] <= len(ranked)
        assert system.rank == system.ranks[0]
    assert all(system.rank is None for system in board.systems() if system.spec["dataset"] == "demo")


def test_an_interval_holds_the_score_that_it_is_of(board):
    for system in board.systems():
        if not system.degenerate:
            low, high = system.ci95
            assert low <= system.score <= high


def test_parts_add_up_to_the_whole(board):
    system = next(system for system in board.systems() if system.method == "patchmix-cl")
    labels = board.run(system.run_ids[0]).predictions()[0].labels
    assert sum(one["cycles"] for one in system.classes.values()) == len(labels) == system.cycles
    for number, (_, part) in enumerate(system.classes.items()):
        assert part["cycles"] == labels.count(number)
    assert sum(part["cycles"] for part in system.devices.values()) == len(labels)


# --- order --------------------------------------------------------------------------------------------------------


def test_the_order_in_which_runs_come_changes_nothing(home, tmp_path, board):
    folders = sorted((home / "runs").iterdir())
    random.Random(4).shuffle(folders)
    store = Store.open(tmp_path / "other")
    for folder in folders:
        store.import_run(folder)
    other = open_board(tmp_path / "other")
    assert [vars(run) for run in other.runs()] == [vars(run) for run in board.runs()]
    for rule in ("last", "best-test"):
        assert other.table("leaderboard", rule).to_json() == board.table("leaderboard", rule).to_json()
    assert other.compare("ast/patchmix-cl", "ast/mixup").to_json() == (
        board.compare("ast/patchmix-cl", "ast/mixup").to_json()
    )


def test_a_run_that_comes_twice_is_there_once(home, board, tmp_path):
    folder = shutil.copytree(home / "runs", tmp_path / "home" / "runs")
    store = Store.open(tmp_path / "home")
    for path in [*folder.iterdir(), *folder.iterdir()]:
        store.import_run(path)
    assert len(open_board(tmp_path / "home").runs()) == len(board.runs())


def test_several_threads_read_the_same(board):
    def read(_):
        return board.runs(), board.table("leaderboard").to_json(), board.compare("ast/patchmix-cl", "ast/mixup").tied

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, range(8)))
    assert all(one == found[0] for one in found)


def test_what_is_read_is_as_new_as_the_call(tmp_path):
    board = open_board(tmp_path)
    assert board.runs() == []
    Store.open(tmp_path).import_run(write_run(tmp_path, seed=5))
    assert [run.seed for run in board.runs()] == [5]
    assert [system.seeds for system in board.systems()] == [[5]]


# --- comparing ----------------------------------------------------------------------------------------------------


def test_the_difference_is_that_of_the_means(board):
    found = board.compare("ast/patchmix-cl", "ast/mixup")
    means = [
        np.mean([recomputed(board, run)["4class"] for run in side["run_ids"]], axis=0) for side in (found.a, found.b)
    ]
    for place, name in enumerate(("sp", "se", "score")):
        difference = found.difference["official"]["4class"][name]
        assert difference["value"] == pytest.approx(means[0][place] - means[1][place])
        low, high = difference["ci95"]
        assert low <= difference["value"] <= high
    low, high = found.difference["official"]["4class"]["score"]["ci95"]
    assert found.tied == (low <= 0 <= high)


def test_exchanging_the_sides_turns_the_difference_round(board):
    there = board.compare("ast/patchmix-cl", "ast/mixup")
    back = board.compare("ast/mixup", "ast/patchmix-cl")
    assert (there.a["run_ids"], there.b["run_ids"]) == (back.b["run_ids"], back.a["run_ids"])
    for name, one in there.difference["official"]["4class"].items():
        other = back.difference["official"]["4class"][name]
        if name == "favours_a":
            assert one + other == pytest.approx(1.0, abs=0.02)
        else:
            assert other["value"] == pytest.approx(-one["value"])
    assert there.tied == back.tied


def test_a_model_with_a_method_that_is_two_systems_is_refused_with_a_run_of_each(board):
    with pytest.raises(ResultError, match="'ast/ce' is 2 systems on this board") as caught:
        board.compare("ast/ce", "ast/patchmix-cl")
    named = caught.value.hint.partition(": ")[2].rstrip(".").split(", ")
    assert {board.run(run_id).spec["lr"] for run_id in named} == {5e-5, 1e-4}
    for run_id in named:
        assert board.compare(run_id[:10], "ast/patchmix-cl").a["method"] == "ce"


@pytest.mark.parametrize(
    ("a", "b", "rule", "said"),
    [
        ("ast/patchmix-cl", "ast/mixup", "best-test", "'ast/mixup' has no finished run with numbers under the rule"),
        ("ast/patchmix-cl", "ast/broken", "last", "'ast/broken' has no finished run"),
        ("ast/patchmix-cl", "ast/demo", "last", "their Scores cannot be compared"),
        ("ast/patchmix-cl", "ast/nothing", "last", "There is no run 'ast/nothing'"),
        ("ast/patchmix-cl", "ast/patchmix-cl", "last", "A and B are one system"),
    ],
)
def test_what_cannot_be_compared_is_refused(board, a, b, rule, said):
    with pytest.raises(ResultError, match=said):
        board.compare(a, b, rule)


def test_single_of_a_system_with_seeds_asks_for_a_run(board):
    with pytest.raises(ResultError, match="'ast/patchmix-cl' is 3 runs") as caught:
        board.compare("ast/patchmix-cl", "ast/mixup", single=True)
    assert caught.value.hint.count(",") == 2


def test_the_table_of_a_comparison_holds_both_and_its_sentence(board):
    found = board.compare("ast/patchmix-cl", "ast/mixup")
    assert [row["side"] for row in found.table.rows[:2]] == ["A", "B"]
    assert found.sentence in found.table.notes
    assert found.covers in found.table.notes
    assert (found.table.name, found.table.protocol) == ("comparison", "last")
    assert "table" not in found.to_json()
    assert repr(found.table) not in repr(found)


# --- one run ------------------------------------------------------------------------------------------------------


def test_a_beginning_that_several_runs_share_is_refused(board):
    ids = [run.run_id for run in board.runs()]
    shared = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with pytest.raises(ResultError, match=f"'{shared}' is the beginning of"):
        board.run(shared)
    with pytest.raises(ResultError, match="There is no run ''"):
        board.run("")


def test_an_id_is_found_in_capitals_and_whole(board):
    run_id = board.runs()[0].run_id
    assert board.run(run_id).run_id == board.run(run_id[:12].upper()).run_id == run_id


@pytest.mark.parametrize("hostile", ["'; DROP TABLE runs;--", "%", "_" * 16, "\x1b[2J", "a" * 5000, "\0"])
def test_hostile_ids_are_refused_and_harm_nothing(board, hostile):
    before = board.runs()
    with pytest.raises(ResultError) as caught:
        board.run(hostile)
    assert len(caught.value.message) < 400
    assert not {"\x1b", "\0"} & set(caught.value.message)
    assert board.runs() == before


def test_predictions_of_a_rule_that_chose_no_epoch_are_told(board):
    run_id = next(run.run_id for run in board.runs() if run.method == "mixup")
    with pytest.raises(ResultError, match="best-test"):
        board.run(run_id).predictions("best-test")
    with pytest.raises(SpecError, match="did you mean 'best-val'"):
        board.run(run_id).predictions("best-vla")


def test_a_failed_run_has_no_numbers(board):
    run = next(run for run in board.runs() if run.status == "failed")
    stored = board.run(run.run_id)
    assert (stored.status, run.error) == ("failed", "The loss is nan.")
    assert set(stored.metrics.values()) == {None}
    with pytest.raises(ResultError, match=run.run_id):
        stored.predictions()


def test_a_damaged_database_is_told_and_stays(tmp_path):
    (tmp_path / "leaderboard.sqlite").write_bytes(b"no database" * 100)
    before = (tmp_path / "leaderboard.sqlite").read_bytes()
    for call in ("runs", "systems", "table", "to_dataframe"):
        with pytest.raises(StoreError, match=r"leaderboard\.sqlite"):
            getattr(open_board(tmp_path), call)()
    assert (tmp_path / "leaderboard.sqlite").read_bytes() == before


@pytest.mark.parametrize("url", ["://", "nonsense://x", "postgresql://host:port:port/x"])
def test_a_url_that_cannot_be_read_is_refused(url):
    with pytest.raises(StoreError):
        open_board(url)
