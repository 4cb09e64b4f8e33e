"""Run folders as a run leaves them, with made-up scores: what the board's tests feed on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.metrics import score_cycles
from leaderboard.results.predictions import CycleSet, write_cycles, write_predictions
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.schema import RULES
from leaderboard.results.validation import run_id_of

CYCLES = 60


def cycle_set(n: int = CYCLES) -> CycleSet:
    """Cycles of twelve recordings and four patients, not in sorted order, with all four classes."""
    keys = [(f"{101 + i % 4}_1b{i % 3}_Al_sc_Meditron", i // 12) for i in range(n)]
    labels = tuple(i * 7 % 5 % 4 for i in range(n))
    return CycleSet(tuple(keys), labels, tuple(key[0][:3] for key in keys), ("Meditron",) * n)


def spec(**changes: Any) -> dict[str, Any]:
    """The identity fields of a run."""
    base = {
        "model": "ast",
        "model_options": {"depth": 12},
        "pretrain": "imagenet+audioset",
        "weights_sha256": "a" * 64,
        "method": "patchmix-cl",
        "method_options": {"alpha": 1.0},
        "frontend": "ast",
        "frontend_version": 1,
        "frontend_options": {},
        "dataset": "icbhi",
        "data_fingerprint": "f" * 64,
        "split": "official",
        "partial": None,
        "epochs": 2,
        "lr": 5e-5,
        "seed": 1,
        "precision": "fp32",
    }
    return {**base, **changes}


def scores_for(seed: int, rule: str, n: int = CYCLES, skill: float = 1.5) -> np.ndarray:
    """Scores of some skill, float32 values as a model gives them."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}:{rule}".encode()).digest()[:8], "little"))
    scores = rng.standard_normal((n, 4)) + skill * np.eye(4)[list(cycle_set(n).labels)]
    return scores.astype(np.float32)


def document(
    values: dict[str, Any], *, run_id: str | None = None, failed: str | None = None, **changes: Any
) -> dict[str, Any]:
    """A result document without metrics."""
    return {
        "schema": 1,
        "run_id": run_id or run_id_of(values),
        "status": "failed" if failed else "finished",
        "error": failed,
        "created": f"2026-01-{1 + values['seed'] % 28:02d}T10:00:00+00:00",
        "spec": values,
        "execution": {"device": "cpu", "processes": 1},
        "profile": "paper",
        "partial": values["partial"],
        "metrics": dict.fromkeys(RULES),
        "epochs": [],
        "predictions": dict.fromkeys(RULES),
        "provenance": {
            "code": {"version": "0.1.0", "commit": "c" * 40, "dirty": False},
            "packages": {"torch": "2.14.1"},
            "hardware": {"cpu": "a CPU", "gpus": ["a GPU", "a GPU"]},
            "processes": 2,
            "device": "cpu",
            "precision": "fp32",
        },
        "seconds": 12.5,
        "cycles_per_second": 99.5,
        **changes,
    }


def write_run(
    home: Path,
    *,
    rules: tuple[str, ...] = ("last", "best-test"),
    salt: int = 0,
    failed: str | None = None,
    cycles: CycleSet | None = None,
    skill: float = 1.5,
    result: dict[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write a whole run folder.

    Args:
        home: The results folder.
        rules: Selection rules that have metrics.
        salt: Changes the scores but not the spec.
        failed: What the run failed with.
        cycles: The judged cycles; :func:`cycle_set` by default.
        skill: How often the scores are right: 0 is chance, 1.5 about two in three.
        result: Fields of the result document.
        **fields: Fields of the spec.
    """
    values = spec(**fields)
    told = document(values, failed=failed, **(result or {}))
    folder = home / "runs" / str(told["run_id"])
    if not failed:
        add_metrics(folder, told, rules, salt, cycles or cycle_set(), skill)
    folder.mkdir(parents=True, exist_ok=True)
    RunFolder(folder).write(told)
    return folder


def add_metrics(
    folder: Path, result: dict[str, Any], rules: tuple[str, ...], salt: int, cycles: CycleSet, skill: float
) -> None:
    """Write cycles and predictions, and put what follows from them into the document."""
    seed = result["spec"]["seed"] + 1000 * salt
    write_cycles(folder / "test-cycles.csv", cycles)
    for number, rule in enumerate(rules, start=1):
        scores = scores_for(seed, rule, len(cycles), skill)
        judged = score_cycles(cycles.labels, scores)
        write_predictions(folder / f"predictions-{rule}.csv", cycles.keys, scores)
        result["predictions"][rule] = f"predictions-{rule}.csv"
        result["metrics"][rule] = {name: {**m, "epoch": number} for name, m in judged.items()}
        row = {"loss": 0.7 / number, "lr": 5e-5, "seconds": 6.0, "cycles_per_second": 99.5, "test": judged, "val": None}
        result["epochs"].append({"epoch": number, **row})
