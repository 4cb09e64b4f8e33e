from __future__ import annotations

import json

import pytest
from board_runs import cycle_set, write_run
from task_runs import write_task_run

from leaderboard.results.predictions import CycleSet
from leaderboard.statistics.breakdown import read_system_counts
from leaderboard.statistics.comparison import pooled_seed_spreads
from leaderboard.statistics.intervals import paired_difference, system_estimate
from leaderboard.store.store import Store


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    store = Store.open(tmp_path)
    for run in (
        *({"seed": seed} for seed in (1, 2, 3)),
        *({"seed": seed, "method": "ce", "skill": 0.2, "salt": 1} for seed in (1, 2)),
        {"method": "scl", "salt": 2},
        {"method": "scl", "salt": 3, "lr": 1.0, "rules": ("last",)},
        {"method": "demo", "dataset": "demo"},
        {"method": "part", "partial": "partial (198 of 920)"},
        {"method": "other", "cycles": cycle_set(48)},
        {"method": "broken", "failed": "The loss is nan."},
    ):
        store.import_run(write_run(tmp_path, **run))
    return tmp_path


def runs(home, method):
    return [run for run in Store.open(home).runs() if run.spec["method"] == method]


@pytest.fixture
def compared(home, bench):
    def run(*words):
        return json.loads(bench("board", "compare", *words, "--format", "json", "--home", home).out)

    return run


def test_a_run_stands_for_all_seeds_of_its_system(home, compared):
    by_id = compared(runs(home, "patchmix-cl")[0].run_id[:8], runs(home, "ce")[1].run_id)
    by_name = compared("ast/patchmix-cl", "ast/ce")
    assert by_id == by_name
    assert (by_id["a"]["seeds"], by_id["b"]["seeds"]) == ([1, 2, 3], [1, 2])
    alone = compared(runs(home, "patchmix-cl")[0].run_id, runs(home, "patchmix-cl")[1].run_id, "--single")
    assert (alone["a"]["seeds"], alone["b"]["seeds"]) == ([1], [2])


@pytest.mark.parametrize("rule", ["last", "best-test"])
def test_the_numbers_are_those_of_the_stored_predictions(home, compared, rule):
    store = Store.open(home)
    found = compared("ast/patchmix-cl", "ast/ce", "--protocol", rule)
    counts = [read_system_counts(store, runs(home, method), rule).by_patient for method in ("patchmix-cl", "ce")]
    official = [run for run in store.runs() if run.spec["dataset"] == "icbhi" and not run.partial]
    spreads = pooled_seed_spreads(official, rule, official=True)
    for judged in ("4class", "2class"):
        difference = paired_difference(*counts, judged=judged, pooled=spreads[judged])
        for name in ("sp", "se", "score"):
            told = found["difference"]["official"][judged][name]
            wanted = getattr(difference, name)
            assert (told["value"], *told["ci95"]) == pytest.approx((wanted.value, wanted.lo, wanted.hi))
            for side, system in zip("ab", counts, strict=True):
                alone = getattr(system_estimate(system, judged=judged, pooled=spreads[judged]), name)
                told = found[side]["views"]["official"][judged][name]
                assert (told["value"], *told["ci95"]) == pytest.approx((alone.value, alone.lo, alone.hi))
        assert found["difference"]["official"][judged]["favours_a"] == difference.favours_a
    scores = [run.metrics[rule]["4class"]["score"] for run in runs(home, "ce")]
    assert found["b"]["scores"] == scores
    assert found["protocol"] == rule
    assert set(found["a"]["devices"]) == {"Meditron"}
    assert list(found["a"]["classes"]) == ["normal", "crackle", "wheeze", "both"]
    assert found["a"]["views"]["patient-disjoint"]["cycles"] == 60


def test_a_clear_difference_is_put_in_a_sentence_whatever_the_order(compared):
    found, turned = compared("ast/patchmix-cl", "ast/ce"), compared("ast/ce", "ast/patchmix-cl")
    score = found["difference"]["official"]["4class"]["score"]
    assert score["ci95"][0] > 0
    assert not found["tied"]
    lo, hi = score["ci95"]
    size = f"by {score['value']:.2f} points of Score (95 % interval {lo:.2f} to {hi:.2f} over patients and seeds)."
    assert found["sentence"] == f"A (ast + patchmix-cl) is better than B (ast + ce) {size}"
    assert turned["sentence"] == f"B (ast + patchmix-cl) is better than A (ast + ce) {size}"


def test_what_the_data_do_not_tell_apart_is_said_too(home, compared):
    first, second = (run.run_id for run in runs(home, "scl"))
    found = compared(first, second)
    assert found["tied"]
    assert found["sentence"].startswith("The data do not tell A (ast + scl) from B (ast + scl)")
    assert found["a"]["differs"] != found["b"]["differs"]
    assert found["b" if found["b"]["differs"]["lr"] == 1.0 else "a"]["optimism"] is None
    assert "a single seed is given the spread of the rows of several seeds" in found["covers"]


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_the_terminal_shows_both_systems_and_the_difference(home, bench, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = bench("board", "compare", "ast/patchmix-cl", "ast/ce", "--home", home).out
    assert max(map(len, text.splitlines())) <= columns
    words = ["A − B", "ast + patchmix-cl", "patient-disjoint", "Meditron (60 cycles, 4 patients)", "wheeze (12 cycles)"]
    words += ["Selection rule: last.", "is better than", "test patients than these 4", "1:"]
    assert [word for word in words if word not in " ".join(text.split())] == []


def test_simulated_data_are_marked_and_compared_with_each_other_alone(home, bench, compared):
    store = Store.open(home)
    store.import_run(
        write_run(home, method="demo2", dataset="demo", salt=5, result={"patients_on_both_sides": ["101"]})
    )
    found = compared("ast/demo", "ast/demo2")
    assert found["data"] == "simulated"
    assert "Simulated data prove the pipeline, never a method." in found["notes"]
    assert found["difference"]["patient-disjoint"] is None
    assert any(note.startswith("Patient-disjoint: not known") for note in found["notes"])


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("ast/demo", "ast/ce", "A was run on 'simulated', B on 'ICBHI 2017, official split'"),
        ("ast/ce", "ast/part", "B on 'partial (198 of 920)'"),
        ("ast/ce", "ast/other", "judged on different cycles (60 and 48): 12 are A's alone, 0 are B's alone"),
        ("ast/ce", "ast/ce", "A and B are one system"),
        ("ast/ce", "ast/scl", "'ast/scl' is 2 systems on this board"),
        ("ast/ce", "ast/broken", "has no finished run with numbers under the rule 'last'"),
        ("ast/ce", "ast/none", "There is no run 'ast/none'"),
    ],
)
def test_what_cannot_be_compared_is_refused(home, bench, a, b, said):
    assert said in " ".join(bench("board", "compare", a, b, "--home", home, code=2).err.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["ast/ce", "ast/patchmix-cl", "--protocol", "best-val"],
            "no finished run with numbers under the rule 'best-val'",
        ),
        (["ast/ce", "ast/patchmix-cl", "--protocol", "lst"], "did you mean 'last'?"),
        (["ast/ce", "ast/patchmix-cl", "--format", "csv"], "Unknown format 'csv'"),
        (["ast/ce", "ast/patchmix-cl", "--single"], "is 2 runs"),
        (["ast/ce"], "Missing argument 'B'"),
    ],
)
def test_wrong_words_are_refused(home, bench, words, said):
    assert said in " ".join(bench("board", "compare", *words, "--home", home, code=2).err.split())


def test_the_same_cycles_with_other_patients_are_other_cycles(home, bench):
    whole = cycle_set()
    moved = CycleSet(whole.keys, whole.labels, tuple(reversed(whole.patients)), whole.devices)
    Store.open(home).import_run(write_run(home, method="moved", cycles=moved))
    said = bench("board", "compare", "ast/ce", "ast/moved", "--home", home, code=2).err
    assert "classes, patients or devices differ" in " ".join(said.split())


@pytest.mark.parametrize("part", ["inter", "intra"])
def test_systems_of_a_task_are_compared_on_each_part(tmp_path, compared, bench, part):
    home = tmp_path / "tasks"
    first, second = (write_task_run(home, method=method, salt=salt) for salt, method in enumerate(("ce", "scl")))
    store = Store.open(home)
    for folder in (first, second):
        store.import_run(folder)
    words = (first.name, second.name, "--part", part, "--home", home)
    found = json.loads(bench("board", "compare", *words, "--format", "json").out)
    assert (found["task"], found["part"]) == ("noise-5", part)
    runs = {run.run_id: run.metrics_of(part)["last"]["5class"] for run in store.runs()}
    for rate in ("sp", "se", "score"):
        told = found["difference"]["official"]["5class"][rate]["value"]
        assert told == pytest.approx(runs[first.name][rate] - runs[second.name][rate])
    assert found["sentence"] in " ".join(bench("board", "compare", *words).out.split())
