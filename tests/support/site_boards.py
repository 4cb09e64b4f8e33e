"""A board with all that the page must show: several seeds, ties, parts of ICBHI, simulated, failed, submitted."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any, cast

from board_runs import cycle_set, document, scores_for, spec, write_run

from leaderboard.metrics import CLASSES, score_cycles
from leaderboard.predictions import CycleSet
from leaderboard.results import ResultDocument, RunResult
from leaderboard.rows import put
from leaderboard.store import Store
from leaderboard.submissions import OfficialPart, Statement, submit

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


def make_large_board(home: Path, systems: int, seeds: int, epochs: int) -> Store:
    """A board of many runs with long learning curves, stored without run folders."""
    store, cycles = Store.open(home), cycle_set()
    models = ("ast", "cnn6", "cnn14", "resnet18", "efficientnet-b0")
    with store.session(write=True) as session:
        for system, seed in itertools.product(range(systems), range(1, seeds + 1)):
            scores = {rule: scores_for(1000 * system + seed, rule, skill=system % 20 / 10) for rule in EVERY}
            judged = {rule: score_cycles(cycles.labels, values) for rule, values in scores.items()}
            values = spec(model=models[system % 5], lr=1e-5 * (1 + system), seed=seed, epochs=epochs)
            result = document(values)
            for rule, metrics in judged.items():
                result["metrics"][rule] = {name: {**found, "epoch": epochs} for name, found in metrics.items()}
                result["predictions"][rule] = f"predictions-{rule}.csv"
            result["epochs"] = [
                {
                    "epoch": epoch,
                    "loss": 1.4 / epoch,
                    "lr": 5e-5,
                    "seconds": 60.0,
                    "cycles_per_second": 99.5,
                    "test": judged["last"],
                    "val": judged["best-val"],
                }
                for epoch in range(1, epochs + 1)
            ]
            put(session, RunResult(cast(ResultDocument, result), cycles, scores))
    return store
