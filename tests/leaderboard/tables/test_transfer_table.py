"""The table of transfers: what makes a row, its numbers and intervals, and how it is written."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from made_transfers import TASK, made_transfer

from bench.core.datasets import FOUR_CLASSES, TaskCard
from leaderboard.render.formats import FORMATS, render
from leaderboard.results.transfer import judged_cycles
from leaderboard.statistics.intervals import t_quantile
from leaderboard.tables.transfer_table import transfer_table
from leaderboard.tasks import described_task

TWO = TaskCard(id="two", title="2 classes", classes=("quiet", "hum", "noise", "squeak"))


def rows_of(*transfers, protocol="last"):
    return [row for section in transfer_table(transfers, protocol).sections for row in section.rows]


def test_a_row_is_a_part_for_all_seeds_of_a_system():
    made = [made_transfer(seed=seed) for seed in (2, 1)]
    rows = rows_of(*made, made_transfer(method="ce"))
    assert [(row["part"], row["method"], row["seeds"]) for row in rows] == [
        ("new", "ce", [1]),
        ("new", "patchmix-cl", [1, 2]),
        ("known", "ce", [1]),
        ("known", "patchmix-cl", [1, 2]),
    ]
    values = [one.document["metrics"]["new"]["hs"] for one in made]
    assert rows[1]["hs"] == pytest.approx(statistics.mean(values))
    assert rows[1]["hs_std"] == pytest.approx(statistics.stdev(values))
    assert rows[1]["run_ids"] == [made[1].document["run_id"], made[0].document["run_id"]]


def test_nothing_is_ranked_and_other_rules_stand_apart():
    table = transfer_table([made_transfer(), made_transfer(rule="best-test")])
    assert [section.ranked for section in table.sections] == [False]
    assert len(table.sections[0].rows) == 2
    assert "Transfers under other selection rules: 1 (--protocol)." in table.notes
    assert not transfer_table([made_transfer()], "best-val").sections


def test_both_directions_stand_side_by_side():
    there = made_transfer(task=TWO)
    back = made_transfer(task=TWO, seed=5)
    back.document["trained_on"], back.document["judged_on"]["task"] = (
        there.document["judged_on"]["task"],
        {**described_task("ICBHI 2017", FOUR_CLASSES, simulated=False), "shared": list(TWO.shared)},
    )
    third = made_transfer()
    places = [(row["trained_on"]["dataset"], row["judged_on"]["task"]) for row in rows_of(there, third, back)]
    assert places.index(("Elsewhere", "cycle-4")) in (
        places.index(("ICBHI 2017", "two")) - 1,
        places.index(("ICBHI 2017", "two")) + 1,
    )


def jackknife(transfer):
    """The 95 % interval of the Score of the main part of one run, from the cycles one patient at a time."""
    cycles = judged_cycles(transfer, transfer.task.main)
    place = {key: row for row, key in enumerate(transfer.cycles.keys)}
    labels = np.array(cycles.labels)
    chosen = np.array([transfer.probabilities[place[key]].argmax() for key in cycles.keys])

    def score(kept):
        sp, se = (100 * (chosen[kept & (labels == kind)] == kind).mean() for kind in (0, 1))
        mean = (sp + se) / 2
        return mean if transfer.task.score == "mean" else (mean + 2 * sp * se / (sp + se)) / 2

    patients = sorted(set(cycles.patients))
    without = np.array([score(np.array([one != patient for one in cycles.patients])) for patient in patients])
    count = len(patients)
    error = math.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    value, reach = score(np.ones(len(labels), dtype=bool)), t_quantile(0.975, count - 1) * error
    return [max(value - reach, 0), min(value + reach, 100)]


@pytest.mark.parametrize("task", [TWO, TASK], ids=["mean", "challenge"])
def test_the_interval_is_a_jackknife_over_patients(task):
    made = made_transfer(task=task, seed=3)
    row = next(row for row in rows_of(made) if row["part"] == task.main.id)
    assert row["ci95"] == pytest.approx(jackknife(made))
    assert row["patients"] == (6 if task is TWO else 3)


def test_seeds_whose_files_list_the_cycles_otherwise_make_the_same_row():
    made = [made_transfer(seed=seed) for seed in (1, 2)]
    order = list(reversed(range(len(made[1].cycles))))
    turned = replace(made[1], cycles=made[1].cycles.subset(order), probabilities=made[1].probabilities[order])
    assert rows_of(made[0], turned) == rows_of(*made)


def test_patients_are_seen_in_training_on_the_same_data_set_alone():
    def seen(dataset):
        rows = rows_of(made_transfer(dataset=dataset))
        return {row["part"]: row["patients_seen"] for row in rows}

    assert seen("icbhi") == {"new": False, "known": False}
    assert seen("elsewhere") == {"new": False, "known": True}


def test_what_is_left_out_is_said():
    made = made_transfer()
    notes = transfer_table([made]).notes
    left_out = "Neither normal nor abnormal, noise of Elsewhere, 4 classes of recordings is left out"
    assert f"{left_out}: {made.left_out} cycles are not judged." in notes
    back = made_transfer(task=TWO)
    back.document["trained_on"] = made.document["judged_on"]["task"]
    assert transfer_table([back]).notes[0] == f"{left_out} of the probabilities."


@pytest.mark.parametrize("form", FORMATS)
def test_it_is_written_in_every_format(form):
    text = render(transfer_table([made_transfer(partial="partial (3 of 9)")]), form, width=200)
    for word in (
        "Elsewhere",
        "record-4",
        "known",
        "partial (3 of 9)",
        f"{int(made_transfer().document['metrics']['new']['sp'])}.",
    ):
        assert word in text


def test_an_empty_table_says_so():
    assert "nothing" in render(transfer_table([]), "table") or "empty" in render(transfer_table([]), "table")
    assert json.loads(render(transfer_table([]), "json"))["sections"] == []


def test_as_and_hs_are_shown_where_the_score_is_made_of_them():
    assert rows_of(made_transfer(task=TWO))[0]["hs"] is None
    assert rows_of(made_transfer())[0]["hs"] is not None
