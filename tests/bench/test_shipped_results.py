"""The real results that the documentation shows: they add up, and follow from the predictions beside them."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from bench.core.datasets import DATASETS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "sprsound-2022.md"
NUMBERS = ("se", "sp", "as", "hs", "score")
EVENTS = {"inter": 1429, "intra": 1004}
SYSTEMS, TASKS, SEEDS = 4, ("event-7", "event-2"), ("1", "2")


def shown_runs():
    """File of the predictions and seed of each run on the page, with its numbers by part."""
    runs, numbers = [], {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 11 or cells[2] not in ("inter", "intra*"):
            continue
        if cells[2] == "inter":
            numbers = {}
            runs.append((PAGE.parent / re.search(r"\((.+)\)", cells[10])[1], cells[1], numbers))
        numbers[cells[2].rstrip("*")] = dict(zip(NUMBERS, map(float, cells[3:8]), strict=True))
    return runs


RUNS = shown_runs()
BY_RUN = pytest.mark.parametrize(("file", "seed", "numbers"), RUNS, ids=[file.stem for file, *_ in RUNS])


def task_of(file):
    return next(task for task in TASKS if file.name.startswith(task))


def test_every_system_ran_both_tasks_with_both_seeds():
    assert sorted((task_of(file), seed) for file, seed, _ in RUNS) == sorted(
        (task, seed) for task in TASKS for seed in SEEDS for _ in range(SYSTEMS)
    )
    assert {file for file, *_ in RUNS} == set(PAGE.with_suffix("").iterdir())


@BY_RUN
def test_the_numbers_of_a_run_add_up(file, seed, numbers):
    assert set(numbers) == set(EVENTS)
    for part in numbers.values():
        se, sp, total = part["se"], part["sp"], part["se"] + part["sp"]
        assert part["as"] == pytest.approx(total / 2, abs=0.011)
        assert part["hs"] == pytest.approx(2 * se * sp / total, abs=0.011)
        assert part["score"] == pytest.approx((part["as"] + part["hs"]) / 2, abs=0.011)


@BY_RUN
def test_predictions_are_of_every_event_and_hold_no_label(file, seed, numbers):
    with file.open(encoding="utf-8", newline="") as opened:
        head, *rows = csv.reader(opened)
    task = DATASETS.card("sprsound").task(task_of(file))
    assert head == ["recording", "cycle", *task.classes]
    assert len(rows) == sum(EVENTS.values())
    assert all(sum(map(float, row[2:])) == pytest.approx(1, abs=1e-4) for row in rows)


@pytest.mark.parametrize(("file", "seed", "numbers"), RUNS[::2], ids=[file.stem for file, *_ in RUNS[::2]])
def test_the_numbers_follow_from_the_predictions(bench, sprsound_folder, tmp_path, file, seed, numbers):
    words = ["--dataset", "sprsound", "--task", task_of(file), "--data", sprsound_folder, "--seed", seed]
    named = ["--system", "shown", "--selection", "last", "--home", tmp_path, "--format", "json"]
    told = json.loads(bench("board", "submit", file, *words, *named).out)
    strict = "2class" if task_of(file) == "event-2" else "7class"
    for part, shown in numbers.items():
        found = told["metrics"][part][strict]
        assert {name: found[name] for name in NUMBERS} == pytest.approx(shown, abs=0.0051), part
        assert found["n"] == EVENTS[part]
