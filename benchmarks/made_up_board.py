"""A board of made-up runs: one run folder with drawn scores, and as many copies of it in the database as are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from leaderboard.results.predictions import CycleSet
    from leaderboard.store.store import Store

CYCLES, RULE = 60, "last"


def write_made_up_run(home: Path, seed: int = 1) -> Path:
    """Write the folder of a run with one epoch, whose scores are drawn; its numbers say nothing.

    Args:
        home: The results folder.
        seed: Seed of the run.

    Returns:
        The run's folder.
    """
    from leaderboard.metrics import score_cycles
    from leaderboard.results.predictions import write_cycles, write_predictions
    from leaderboard.results.run_folder import RunFolder
    from leaderboard.results.validation import run_id_of

    spec = _spec(seed)
    run_id, cycles = run_id_of(spec), _cycles()
    scores = np.random.default_rng(seed).standard_normal((CYCLES, 4)) + 1.5 * np.eye(4)[list(cycles.labels)]
    judged = score_cycles(cycles.labels, scores.astype(np.float32))
    folder = home / "runs" / run_id
    folder.mkdir(parents=True)
    write_cycles(folder / "test-cycles.csv", cycles)
    write_predictions(folder / f"predictions-{RULE}.csv", cycles.keys, scores.astype(np.float32))
    RunFolder(folder).write(_document(run_id, spec, judged))
    return folder


def multiply_runs(store: Store, times: int, seeds: int = 5) -> None:
    """Copy every run of a board in SQLite, with its numbers and predictions, under new ids and as other systems.

    Args:
        store: The board.
        times: Copies of each run.
        seeds: Runs that make a system.
    """
    new = {
        "run_id": "substr({0}.run_id, 1, 4) || printf('%012x', i)",
        "system": f"substr({{0}}.system, 1, 32) || printf('%032x', i / {seeds})",
        "seed": f"1 + i % {seeds}",
    }
    count = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {times - 1}) "
    with store.session(write=True) as session:
        connection: Any = session.connection().connection.dbapi_connection
        for table in ("runs", "metrics", "predictions"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(new.get(name, name).format(table) for name in names)
            connection.execute(f"{count}INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table}, n")


def _cycles() -> CycleSet:
    """Cycles of twelve recordings and four patients, with all four classes."""
    from leaderboard.results.predictions import CycleSet

    keys = tuple((f"{101 + i % 4}_1b{i % 3}_Al_sc_Meditron", i // 12) for i in range(CYCLES))
    labels = tuple(i * 7 % 5 % 4 for i in range(CYCLES))
    return CycleSet(keys, labels, tuple(name[:3] for name, _ in keys), ("Meditron",) * CYCLES)


def _spec(seed: int) -> dict[str, Any]:
    return {
        "model": "cnn6",
        "model_options": {},
        "pretrain": "audioset",
        "weights_sha256": "a" * 64,
        "method": "ce",
        "method_options": {},
        "frontend": "ast",
        "frontend_version": 1,
        "frontend_options": {},
        "dataset": "icbhi",
        "data_fingerprint": "f" * 64,
        "split": "official",
        "partial": None,
        "epochs": 1,
        "lr": 5e-5,
        "seed": seed,
        "precision": "fp32",
    }


def _document(run_id: str, spec: dict[str, Any], judged: dict[str, Any]) -> dict[str, Any]:
    from leaderboard.results.schema import RULES

    none: dict[str, Any] = dict.fromkeys(RULES)
    row = {"epoch": 1, "loss": 0.7, "lr": 5e-5, "seconds": 6.0, "cycles_per_second": 99.5, "test": judged, "val": None}
    return {
        "schema": 1,
        "run_id": run_id,
        "status": "finished",
        "error": None,
        "created": "2026-01-01T10:00:00+00:00",
        "spec": spec,
        "execution": {"device": "cpu", "processes": 1},
        "profile": "paper",
        "partial": None,
        "metrics": {**none, RULE: {name: {**numbers, "epoch": 1} for name, numbers in judged.items()}},
        "epochs": [row],
        "predictions": {**none, RULE: f"predictions-{RULE}.csv"},
        "provenance": {
            "code": {"version": "0.1.0", "commit": "c" * 40, "dirty": False},
            "packages": {"torch": "2.14.1"},
            "hardware": {"cpu": "a CPU", "gpus": []},
            "processes": 1,
            "device": "cpu",
            "precision": "fp32",
        },
        "seconds": 12.5,
        "cycles_per_second": 99.5,
    }
