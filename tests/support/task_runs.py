"""Run folders of a task with five classes, two tested parts and the challenge's Score, of a data set nobody registers.

A result says itself what it was judged on, so that boards hold such runs without the data set.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from board_runs import document, spec

from bench.core.datasets import DatasetCard, TaskCard, TestPart
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet, write_cycles, write_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import score_parts
from leaderboard.tasks import task_document

FIVE = TaskCard(
    id="noise-5",
    title="5 classes of noises",
    classes=("Normal", "Rhonchi", "Wheeze", "Stridor", "Poor Quality"),
    unit="event",
    parts=(
        TestPart(id="inter", title="new patients"),
        TestPart(id="intra", title="known patients", patients_seen=True),
    ),
    score="challenge",
    shared=("normal", "abnormal", "abnormal", "abnormal", None),
)
FIVE_ALONE = replace(FIVE, id="noise-5-alone", parts=FIVE.parts[:1])
THREE = TaskCard(id="noise-3", title="3 classes of noises", classes=("Normal", "Adventitious", "Poor Quality"))
TWO = TaskCard(id="noise-2", title="normal or not", classes=("Normal", "Adventitious"))
NOISES = DatasetCard(id="noises", title="Noises", summary="A data set for tests.", tasks=(FIVE, THREE, TWO, FIVE_ALONE))

TRAINED_ON = frozenset({"104", "105", "106"})
"""Patients of the training part: those of ``intra``, and one who is in ``inter`` too."""


def cycles_of(task: TaskCard, n: int = 90) -> CycleSet:
    """Cycles of all classes of a task, not in sorted order, as many in each tested part."""
    tested = [task.parts[i % len(task.parts)] for i in range(n)]
    names = [("104", "105", "106") if part.patients_seen else ("101", "102", "104") for part in tested]
    patients = tuple(of_part[i // len(task.parts) % 3] for i, of_part in enumerate(names))
    labels = tuple(i * 7 // 2 % len(task.classes) for i in range(n))
    keys = tuple((f"{patient}_{i % 4}", n - i) for i, patient in enumerate(patients))
    parts = tuple(part.id for part in tested) if len(task.parts) > 1 else ()
    return CycleSet(keys, labels, patients, ("Yunting",) * n, parts)


def scores_of(cycles: CycleSet, classes: int, seed: int, skill: float = 1.0) -> np.ndarray:
    """Scores of some skill, float32 values as a model gives them."""
    noise = np.random.default_rng(seed).standard_normal((len(cycles), classes))
    return (noise + skill * np.eye(classes)[list(cycles.labels)]).astype(np.float32)


def write_task_run(
    home: Path,
    *,
    task: TaskCard = FIVE,
    rules: tuple[str, ...] = ("last", "best-test"),
    cycles: CycleSet | None = None,
    salt: int = 0,
    skill: float = 1.0,
    result: dict[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write a whole run folder of the data set; arguments as for :func:`board_runs.write_run`."""
    values = spec(**{"dataset": NOISES.id, "task": task.id, **fields})
    told = document(values, **{"task": task_document(NOISES, task), **(result or {})})
    folder, cycles = home / "runs" / str(told["run_id"]), cycles or cycles_of(task)
    write_cycles(folder / "test-cycles.csv", cycles)
    others: dict[str, dict[str, Any]] = {part.id: {} for part in task.other_parts}
    for number, rule in enumerate(rules, start=1):
        scores = scores_of(cycles, len(task.classes), values["seed"] + 1000 * salt + number, skill)
        write_predictions(folder / f"predictions-{rule}.csv", cycles.keys, scores, task.classes)
        told["predictions"][rule] = f"predictions-{rule}.csv"
        judged = score_parts(cycles, scores, task)
        for part, metrics in judged.items():
            by_rule = told["metrics"] if part == task.main.id else others[part]
            by_rule[rule] = {name: {**numbers, "epoch": number} for name, numbers in metrics.items()}
        row = {"loss": 0.7 / number, "lr": 5e-5, "seconds": 6.0, "cycles_per_second": 99.5, "val": None}
        told["epochs"].append({"epoch": number, "test": judged[task.main.id], **row})
    RunFolder(folder).write({**told, "other_parts": others} if others else told)
    return folder


def official_part(task: TaskCard = FIVE) -> OfficialPart:
    """The tested cycles of the data set, as its reader would give them."""
    return OfficialPart(NOISES.id, None, cycles_of(task), TRAINED_ON, "the test", task)
