"""Transfers as ``bench evaluate`` leaves them, with made-up probabilities: two tested parts, a class left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from board_runs import spec

from bench.core.datasets import FOUR_CLASSES, TaskCard, TestPart
from leaderboard.results.predictions import CycleSet
from leaderboard.results.transfer import Transfer, TransferFolder, transfer_id, transfer_metrics
from leaderboard.results.validation import run_id_of
from leaderboard.tasks import described_task

TASK = TaskCard(
    id="record-4",
    title="4 classes of recordings",
    classes=("quiet", "hum", "noise", "squeak"),
    shared=("normal", "abnormal", None, "abnormal"),
    unit="recording",
    parts=(TestPart(id="new", title="new patients"), TestPart(id="known", title="known ones", patients_seen=True)),
    score="challenge",
)


def cycles_of_parts(n: int = 60) -> CycleSet:
    """Cycles of six patients in two parts, with all classes in each."""
    keys = tuple((f"r{i:03d}", 0) for i in range(n))
    patients = tuple(f"p{i % 6}" for i in range(n))
    parts = tuple("new" if i % 6 < 3 else "known" for i in range(n))
    return CycleSet(keys, tuple(i * 7 % 11 % 4 for i in range(n)), patients, ("one",) * n, parts)


def made_transfer(*, task: TaskCard = TASK, rule: str = "last", partial: str | None = None, **changes: Any) -> Transfer:
    """A transfer of a run on ICBHI to a data set that is not registered; its numbers depend on the seed."""
    values, cycles = spec(**changes), cycles_of_parts()
    if not task.other_parts:
        cycles = replace(cycles, parts=())
    drawn = np.random.default_rng(values["seed"]).random(len(cycles))
    probabilities = np.stack([drawn, 1 - drawn], axis=1)
    run_id = run_id_of(values)
    document: Any = {
        "schema": 1,
        "kind": "transfer",
        "transfer_id": transfer_id(run_id, rule, "elsewhere", task.id, "e" * 64),
        "run_id": run_id,
        "rule": rule,
        "created": "2026-01-02T10:00:00+00:00",
        "spec": values,
        "trained_on": described_task("ICBHI 2017", FOUR_CLASSES, simulated=False),
        "judged_on": {
            "dataset": "elsewhere",
            "task": described_task("Elsewhere", task, simulated=False),
            "data_fingerprint": "e" * 64,
            "partial": partial,
            "judged_set": cycles.hash,
        },
        "metrics": transfer_metrics(cycles, probabilities, task),
        "provenance": {},
    }
    return Transfer(document, cycles, probabilities)


def write_transfer(home: Path, **changes: Any) -> TransferFolder:
    """Write a made-up transfer into a results folder."""
    made = made_transfer(**changes)
    folder = TransferFolder.of(home, made.id)
    folder.write(made)
    return folder
