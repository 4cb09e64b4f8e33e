"""A board with all that the page must show: several seeds, ties, parts of ICBHI, simulated, failed, submitted."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any, cast

from board_runs import cycle_set, scores_for, write_run

from leaderboard.metrics import CLASSES
from leaderboard.results.official_part import OfficialPart
from leaderboard.results.predictions import CycleSet
from leaderboard.results.schema import EpochRow
from leaderboard.results.submissions import Statement, submit
from leaderboard.site.data import SiteData
from leaderboard.site.system_predictions import MOST_SCORED
from leaderboard.store.store import Store

NASTY = "</script><img src=x onerror=alert(1)> \"our\" CRNN & 'co' ]]> {{ 1 }}"
PARTIAL = "partial (198 of 920)"
DEVICES = ("Meditron", "Litt3200", "AKGC417L")
EVERY = ("last", "best-test", "best-val")


def cycles_of_patients(n: int = 600) -> CycleSet:
    """Cycles of thirty patients, two of whom are on both sides of the official split, recorded by three devices."""
    names = [str(150 + number) for number in range(28)] + ["200", "218"]
    patients = tuple(names[i * 7 % 30] for i in range(n))
    devices = tuple(DEVICES[names.index(patient) % 3] for patient in patients)
    keys = tuple(
        (f"{patient}_1b1_Al_sc_{device}", i) for i, (patient, device) in enumerate(zip(patients, devices, strict=True))
    )
    return CycleSet(keys, cycle_set(n).labels, patients, devices)


def runs() -> list[dict[str, Any]]:
    """What :func:`write_run` makes the board's runs from."""
    found: list[dict[str, Any]] = []
    systems = [
        ("ast", "patchmix-cl", 1.5, 3),
        ("ast", "ce", 1.45, 3),
        ("cnn6", "ce", 1.0, 2),
        ("resnet18", "ce", 0.4, 1),
    ]
    for salt, (model, method, skill, seeds) in enumerate(systems):
        rules = EVERY if model != "cnn6" else EVERY[:2]
        found += [
            {"model": model, "method": method, "seed": seed, "skill": skill, "salt": salt, "rules": rules}
            for seed in range(1, seeds + 1)
        ]
    found.append({"seed": 1, "lr": 1e-4, "skill": 1.4, "salt": 9})
    found += [{"dataset": "demo", "pretrain": "none", "seed": seed, "salt": 20} for seed in (1, 2)]
    found.append({"partial": PARTIAL, "salt": 21})
    found.append({"seed": 9, "failed": "The loss is <b>nan</b> at step 12."})
    return found


def make_board(home: Path) -> Store:
    """Write the runs and a submission whose name is markup, and import them."""
    store, cycles = Store.open(home), cycles_of_patients()
    for run in runs():
        store.import_run(write_run(home, cycles=cycles, **run))
    part = OfficialPart("icbhi", None, cycles, frozenset({"156", "218"}), "the test")
    with (home / "answers.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["recording", "cycle", *CLASSES])
        scores = scores_for(77, "last", len(cycles), 1.3).tolist()
        writer.writerows([*key, *row] for key, row in zip(cycles.keys, scores, strict=True))
    submit(home / "answers.csv", part, Statement(system=NASTY, selection="last"), home, store, {"version": "0.1.0"})
    return store


def enlarged(board: SiteData, systems: int, epochs: int) -> SiteData:
    """A board of many systems and long learning curves, made of copies of the first system of another one."""
    copies, runs, records = [], {}, {}
    first = board.systems[0]
    for number in range(systems):
        names = {run_id: f"{number:08x}{run_id[:8]}" for run_id in first.rules["last"]["run_ids"]}
        rules = {
            rule: {**facts, "run_ids": [names[run_id] for run_id in facts["run_ids"]]}
            for rule, facts in first.rules.items()
        }
        predictions = first.predictions if number < MOST_SCORED else {}
        copies.append(dataclasses.replace(first, id=f"{number:012x}", rules=rules, predictions=predictions))
        for old, new in names.items():
            runs[new] = dataclasses.replace(board.runs[old], run_id=new)
            last = board.records[old].epochs[-1]
            curve = [cast(EpochRow, {**last, "val": last["test"], "epoch": 1 + epoch}) for epoch in range(epochs)]
            records[new] = dataclasses.replace(board.records[old], epochs=curve)
    return dataclasses.replace(board, systems=copies, runs=runs, records=records)
