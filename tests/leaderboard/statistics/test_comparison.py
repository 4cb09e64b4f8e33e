"""Two systems side by side: which runs a word names, what is refused, and what the verdict says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from board_runs import cycle_set, write_run
from official_sets import many_patients

from bench.core.datasets import FOUR_CLASSES
from bench.core.errors import ResultError
from leaderboard.results.predictions import CycleSet
from leaderboard.statistics.breakdown import read_system_counts
from leaderboard.statistics.comparison import (
    Comparison,
    compare,
    pooled_seed_spreads,
    runs_of,
    verdict_sentence,
)
from leaderboard.statistics.intervals import Estimate, PairedEstimate, paired_difference, system_estimate
from leaderboard.statistics.patient_hits import RATES
from leaderboard.statistics.seed_spread import PAPER_SPREAD
from leaderboard.store.store import Store
from leaderboard.tables.comparison_table import comparison_table
from leaderboard.tasks import JudgedTask


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three seeds of a good system, two of a poor one, one alone, two systems of one method, another set."""
    home = tmp_path_factory.mktemp("board")
    store, cycles = Store.open(home), many_patients()
    runs = [{"method": "good", "seed": seed} for seed in (1, 2, 3)]
    runs += [{"method": "poor", "seed": seed, "skill": 0.2} for seed in (1, 2)]
    runs += [{"method": "alone", "seed": 7, "salt": 3}]
    runs += [{"method": "twice", "epochs": epochs, "salt": 4} for epochs in (2, 3)]
    for run in runs:
        store.import_run(write_run(home, cycles=cycles, **run))
    store.import_run(write_run(home, method="small", cycles=cycle_set()))
    store.import_run(write_run(home, method="demo", dataset="demo", cycles=cycles))
    store.import_run(write_run(home, method="broken", failed="no memory"))
    return store


@pytest.fixture(scope="module")
def sides(store):
    board = store.runs()
    return lambda *methods: [runs_of(store, board, f"ast/{method}", "last") for method in methods]


# --- which runs -------------------------------------------------------------------------------------------------


def test_a_run_stands_for_its_system_sorted_by_seed_or_for_itself(store):
    board = store.runs()
    by_seed = {run.spec["seed"]: run for run in board if run.spec["method"] == "good"}
    for text in ("ast/good", by_seed[2].run_id, by_seed[3].run_id[:12]):
        assert [run.spec["seed"] for run in runs_of(store, board, text, "last")] == [1, 2, 3]
    assert [run.spec["seed"] for run in runs_of(store, board, by_seed[2].run_id, "last", single=True)] == [2]


@pytest.mark.parametrize(
    ("text", "rule", "single", "told"),
    [
        ("ast/twice", "last", False, "'ast/twice' is 2 systems on this board"),
        ("ast/good", "last", True, "'ast/good' is 3 runs"),
        ("ast/good", "best-val", False, "no finished run with numbers under the rule 'best-val'"),
        ("ast/broken", "last", False, "no finished run with numbers under the rule 'last'"),
        ("ast/nothing", "last", False, "There is no run 'ast/nothing'"),
    ],
)
def test_what_names_no_single_system_is_refused(store, text, rule, single, told):
    with pytest.raises(ResultError, match=told):
        runs_of(store, store.runs(), text, rule, single=single)


def test_the_hint_names_a_run_of_each_system(store):
    board = store.runs()
    with pytest.raises(ResultError) as error:
        runs_of(store, board, "ast/twice", "last")
    assert all(run.run_id in error.value.hint for run in board if run.spec["method"] == "twice")


# --- what cannot be compared ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("good", "good", "A and B are one system"),
        ("good", "demo", "A was run on 'ICBHI 2017, official split', B on 'simulated'"),
        ("good", "small", r"different cycles \(\d+ and 60\): \d+ are A's alone, \d+ are B's alone"),
    ],
)
def test_systems_that_share_no_ground_are_refused(store, sides, a, b, told):
    with pytest.raises(ResultError, match=told):
        compare(store, *sides(a, b), "last")


def test_the_same_cycles_with_other_labels_are_told_from_other_cycles(tmp_path):
    store, cycles = Store.open(tmp_path), cycle_set()
    labels = (*cycles.labels[:-1], (cycles.labels[-1] + 1) % 4)
    other = CycleSet(cycles.keys, labels, cycles.patients, cycles.devices)
    for method, judged in (("a", cycles), ("b", other)):
        store.import_run(write_run(tmp_path, method=method, cycles=judged))
    board = store.runs()
    with pytest.raises(ResultError, match=r"\(60 and 60\): classes, patients or devices differ"):
        compare(store, *(runs_of(store, board, f"ast/{method}", "last") for method in "ab"), "last")


# --- numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("judged", ["4class", "2class"])
def test_differences_and_rates_are_those_of_the_stored_predictions(store, sides, judged):
    a, b = sides("good", "poor")
    counts = [read_system_counts(store, runs, "last").by_patient for runs in (a, b)]
    found = compare(store, a, b, "last")
    wanted = paired_difference(*counts, judged=judged)
    told = found.differences["official"][judged]
    assert told["favours_a"] == pytest.approx(wanted.favours_a)
    for name in RATES:
        one = getattr(wanted, name)
        assert told[name]["value"] == pytest.approx(one.value)
        assert told[name]["ci95"] == pytest.approx([one.lo, one.hi])
        for side, of_side in zip("ab", counts, strict=True):
            rate = getattr(system_estimate(of_side, judged=judged), name)
            cell = found.systems[side]["views"]["official"][judged][name]
            assert cell["value"] == pytest.approx(rate.value)
            assert cell["ci95"] == pytest.approx([rate.lo, rate.hi])


def test_the_other_way_round_every_number_has_the_other_sign(store, sides):
    a, b = sides("good", "poor")
    forth, back = compare(store, a, b, "last"), compare(store, b, a, "last")
    for name in RATES:
        one, other = (found.differences["official"]["4class"][name] for found in (forth, back))
        assert one["value"] == pytest.approx(-other["value"])
        assert one["ci95"] == pytest.approx([-end for end in other["ci95"][::-1]])
    assert (forth.tied, back.tied) == (False, False)
    assert forth.sentence.startswith("A (ast + good) is better than B (ast + poor) by ")
    assert back.sentence == forth.sentence.replace("A (", "_ (").replace("B (", "A (").replace("_ (", "B (")


def test_systems_of_equal_skill_are_not_told_apart(store, sides):
    found = compare(store, *sides("good", "alone"), "last")
    assert found.tied
    lo, hi = found.differences["official"]["4class"]["score"]["ci95"]
    assert lo <= 0 <= hi
    assert found.sentence.startswith("The data do not tell A (ast + good) from B (ast + alone)")


def test_a_single_seed_borrows_the_spread_of_its_section(store, sides):
    board = [run for run in store.runs() if run.spec["dataset"] == "icbhi"]
    spreads = pooled_seed_spreads(board, "last", official=True)
    good, poor = ([run.metrics["last"]["4class"]["score"] for run in runs] for runs in sides("good", "poor"))
    wanted = (2 * np.var(good, ddof=1) + np.var(poor, ddof=1)) / 3
    assert spreads["4class"].score == pytest.approx(np.sqrt(wanted))
    assert (spreads["4class"].degrees, spreads["2class"].degrees) == (3, 3)
    a, b = sides("good", "alone")
    counts = [read_system_counts(store, runs, "last").by_patient for runs in (a, b)]
    found = compare(store, a, b, "last")
    assert found.differences["official"]["4class"]["score"]["ci95"] == pytest.approx(
        [getattr(paired_difference(*counts, pooled=spreads["4class"]).score, end) for end in ("lo", "hi")]
    )
    assert f"Score ± {spreads['4class'].score:.2f}" in found.covers


@pytest.mark.parametrize(("official", "wanted"), [(True, PAPER_SPREAD), (False, None)])
def test_the_papers_spread_stands_in_on_the_official_part_for_four_classes_alone(store, official, wanted):
    alone = [run for run in store.runs() if run.spec["method"] == "alone"]
    assert pooled_seed_spreads(alone, "last", official) == {"4class": wanted, "2class": None}


def test_trials_of_a_search_lend_no_spread():
    def run(kind, score):
        rates = {"sp": 80.0, "se": 40.0, "score": score}
        metrics, judged = {"last": {"4class": rates, "2class": rates}}, JudgedTask("a-set", "A set", FOUR_CLASSES)
        return SimpleNamespace(kind=kind, system="s", metrics=metrics, judged_task=judged)

    trials = [run("trial", score) for score in (50.0, 70.0)]
    assert pooled_seed_spreads(trials, "last", official=False)["4class"] is None
    runs = [run("run", score) for score in (60.0, 62.0)]
    assert pooled_seed_spreads([*trials, *runs], "last", official=False)["4class"].score == pytest.approx(np.sqrt(2))
    assert pooled_seed_spreads(runs, "best-val", official=False)["4class"] is None


# --- words ------------------------------------------------------------------------------------------------------


def paired(value, reach, covers=True):
    score = Estimate(value, value - reach, value + reach, reach / 2, 9.0 if reach else np.inf)
    return PairedEstimate(score, score, score, 49, 0.9, covers)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            paired(2.0, 1.0),
            "X is better than Y by 2.00 points of Score (95 % interval 1.00 to 3.00 over patients and seeds).",
        ),
        (
            paired(-2.0, 1.0),
            "Y is better than X by 2.00 points of Score (95 % interval 1.00 to 3.00 over patients and seeds).",
        ),
        (
            paired(0.5, 1.0),
            "The data do not tell X from Y: the difference of 0.50 points (95 % interval -0.50 to 1.50 over patients "
            "and seeds) may be none.",
        ),
        (
            paired(2.0, 1.0, covers=False),
            "X is better than Y by 2.00 points of Score (95 % interval 1.00 to 3.00 over patients). This is said of "
            "these runs, not of the methods: other seeds may differ.",
        ),
        (paired(2.0, 0.0), "X and Y differ by 2.00 points of Score, for every patient alike: there is no interval."),
    ],
)
def test_the_verdict_says_who_is_better_or_that_nobody_knows(found, sentence):
    assert verdict_sentence(found, "X", "Y") == sentence


def test_an_interval_that_ends_at_zero_tells_nobody_apart():
    assert verdict_sentence(paired(1.0, 1.0), "X", "Y").startswith("The data do not tell X from Y")
    assert verdict_sentence(paired(-1.0, 1.0), "X", "Y").startswith("The data do not tell X from Y")


def test_notes_warn_of_simulated_data_and_of_too_few_patients(tmp_path):
    store = Store.open(tmp_path)
    for method in "ab":
        store.import_run(write_run(tmp_path, method=method, dataset="demo", salt=ord(method)))
    board = store.runs()
    found = compare(store, *(runs_of(store, board, f"ast/{method}", "last") for method in "ab"), "last")
    assert found.notes == (
        "Simulated data prove the pipeline, never a method.",
        "Patient-disjoint: not known of these runs, or too few patients are left.",
    )
    assert found.differences["patient-disjoint"] is None
    assert found.systems["a"]["views"]["patient-disjoint"] is None
    assert "of this run, not of the method" in found.covers


# --- as a table -------------------------------------------------------------------------------------------------


def test_the_table_holds_both_systems_every_rate_device_and_class(store, sides):
    found = compare(store, *sides("good", "poor"), "last")
    table = comparison_table(found)
    systems, rates, devices, classes = table.sections
    assert [row["side"] for row in systems.rows] == ["A", "B"]
    assert [row["what"] for row in rates.rows] == [
        "Sp",
        "Se",
        "Score",
        "Se, 2-class",
        "Score, 2-class",
        "Score, patient-disjoint",
    ]
    cycles = found.systems["a"]["devices"]["Meditron"]["cycles"]
    assert [row["what"] for row in devices.rows] == [f"Meditron ({cycles} cycles, 40 patients)"]
    assert [row["what"].split(" (")[0] for row in classes.rows] == ["normal", "crackle", "wheeze", "both"]
    for row in (*rates.rows, *devices.rows, *classes.rows):
        assert row["difference"]["value"] == pytest.approx(row["a"]["value"] - row["b"]["value"], abs=1e-9)
    assert table.notes == [found.covers, *found.notes, found.sentence]


def test_a_class_without_a_cycle_has_no_difference():
    part = {"cycles": 3, "recall": 50.0, "recall_std": None}
    none = {"cycles": 0, "recall": None, "recall_std": None}
    side = {"views": {}, "devices": {}, "classes": {"normal": part, "both": none}}
    found = Comparison(
        "last", "data", {"a": side, "b": side}, {"official": None, "patient-disjoint": None}, True, "", "", ()
    )
    *_, classes = comparison_table(found).sections
    assert [row["difference"]["value"] for row in classes.rows] == [0.0, None]


def test_the_document_is_the_comparison(store, sides):
    found = compare(store, *sides("good", "poor"), "last")
    told = found.to_json()
    assert (told["a"], told["b"]) == (found.systems["a"], found.systems["b"])
    assert (told["difference"], told["tied"], told["notes"]) == (found.differences, found.tied, list(found.notes))
    assert told["a"]["scores"] == [run.metrics["last"]["4class"]["score"] for run in sides("good")[0]]
    assert "seed" not in told["a"]["spec"]
