"""A board of ICBHI, simulated and submitted runs, and beside them those of a data set of two tasks and two parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import task_runs
from plugin_files import fresh_registries
from site_boards import make_board
from task_runs import FIVE, NOISES, cycles_of, write_task_run

from bench.core.datasets import DATASETS, DatasetCard, TaskCard
from leaderboard.results.predictions import CycleSet
from leaderboard.store.store import Store

PAIR = replace(
    FIVE, id="noise-pair", title="normal or not", classes=("Normal", "Adventitious"), shared=("normal", "abnormal")
)

PRINTED = [
    {"system": "Winner", "part": "inter", "sp": 80.0, "se": 60.0, "as": 70.0, "hs": 68.57, "score": 69.29},
    {"system": "Poster", "part": "inter", "sp": 80.0, "se": 60.0, "as": 75.0, "hs": 68.57, "score": 69.29},
    {"system": "Abstract", "part": None, "sp": None, "se": None, "as": None, "hs": 89, "score": None},
]


def many_cycles(task: TaskCard, n: int = 300) -> CycleSet:
    """Cycles of thirty-one new patients and twenty-five known ones."""
    base = cycles_of(task, n)
    known = [part == "intra" for part in base.parts]
    patients = tuple(f"k{i // 2 % 25:02d}" if known[i] else f"n{i // 2 % 31:02d}" for i in range(n))
    return replace(base, keys=tuple((f"{name}_{i % 4}", i) for i, name in enumerate(patients)), patients=patients)


@contextmanager
def registered_noises(folder: Path, **changes: object) -> Iterator[DatasetCard]:
    """The data set with its two tasks and printed results, registered until the context ends."""
    shared = {"architecture": "a CNN", "venue": "a challenge", "year": 2022, "task": FIVE.id, "doubts": ""}
    rows = [{**shared, **row, "source": "https://example.org/paper"} for row in PRINTED]
    (folder / "published.json").write_text(json.dumps(rows), encoding="utf-8")
    card = replace(NOISES, tasks=(FIVE, PAIR), published=folder / "published.json", **changes)  # type: ignore[arg-type]
    before = task_runs.NOISES
    task_runs.NOISES = card
    try:
        with fresh_registries():
            DATASETS.add(card.id, card, "nowhere:Reader", version="1")
            yield card
    finally:
        task_runs.NOISES = before


def make_task_board(home: Path) -> Store:
    """The board of :func:`site_boards.make_board` and five runs for each task of the data set, which is registered."""
    store = make_board(home)
    for task in (FIVE, PAIR):
        for model, skill, seeds in (("cnn6", 1.0, 2), ("ast", 1.6, 2), ("resnet18", 0.4, 1)):
            for seed in range(1, seeds + 1):
                run = {"model": model, "method": "ce", "pretrain": "none", "seed": seed}
                folder = write_task_run(home, task=task, cycles=many_cycles(task), skill=skill, salt=len(model), **run)
                store.import_run(folder)
    return store
