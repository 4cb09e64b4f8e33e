"""A run's result: per-cycle outputs, metrics for each selection rule, epochs and provenance, spooled in its folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, PrunedRunError
from bench.core.provenance import code_version, package_versions
from bench.core.text import echoed
from bench.engine.data import rows_of_epoch
from bench.engine.hardware import hardware, peak_memory_mib
from bench.engine.states import epochs_so_far
from bench.experiment.spec import RunSpec
from leaderboard.metrics import score_cycles
from leaderboard.results.predictions import CycleSet, write_cycles, write_predictions
from leaderboard.results.run_folder import CYCLES_FILE, RULES, SCHEMA, write_result

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.engine.trainer import Outcome


LONGEST_ERROR = 10_000
"""Characters of an error that a result keeps."""


def write_run_result(spec: RunSpec, data: RunData, outcome: Outcome, folder: Path, processes: int) -> None:
    """Write predictions, judged cycles and, as the last act, ``result.json``.

    Args:
        spec: What was run.
        data: What it was run on.
        outcome: What training left.
        folder: The run's folder.
        processes: How many processes shared it.
    """
    cycles = test_cycles(data)
    write_cycles(folder / CYCLES_FILE, cycles)
    metrics: dict[str, Any] = dict.fromkeys(RULES)
    files: dict[str, str | None] = dict.fromkeys(RULES)
    for rule, choice in outcome.selection.choices.items():
        files[rule] = f"predictions-{rule}.csv"
        write_predictions(folder / str(files[rule]), cycles.keys, choice.scores)
        judged = score_cycles(cycles.labels, choice.scores)
        metrics[rule] = {name: {**values, "epoch": choice.epoch} for name, values in judged.items()}
    position = outcome.position
    trained = sum(entry["seconds"] for entry in position.epochs)
    document = {
        **_common(spec, processes, peak_memory_mib()),
        "status": "finished",
        "error": None,
        "metrics": metrics,
        # An epoch that never reached the official Se threshold can be "best" only for want of another.
        "best_above_min_se": {rule: choice.eligible for rule, choice in outcome.selection.choices.items()},
        "judged_set": cycles.hash,
        "patients_on_both_sides": patients_on_both_sides(data, cycles),
        "epochs": position.epochs,
        "predictions": files,
        "seconds": position.seconds,
        "cycles_per_second": len(position.epochs) * rows_of_epoch(len(data.train), spec) / max(trained, 1e-9),
    }
    write_result(folder, document)


def write_failed_result(spec: RunSpec, folder: Path, error: BenchError) -> dict[str, Any]:
    """Store a run that started and failed, or was pruned: it is shown as that and never counts as done.

    Args:
        spec: What was run.
        folder: The run's folder.
        error: What ended it.

    Returns:
        The document.
    """
    epochs = epochs_so_far(folder / "checkpoint")
    # The processes of a group have taken their peaks with them; this one did not train.
    peak: dict[str, float | None] = peak_memory_mib() if spec.processes == 1 else {"host": None, "gpu": None}
    document = {
        **_common(spec, spec.processes, peak),
        "status": "pruned" if isinstance(error, PrunedRunError) else "failed",
        # Words of other programs stand in it: the board takes one line that can be shown.
        "error": echoed(" ".join(error.message.split()), LONGEST_ERROR),
        "metrics": dict.fromkeys(RULES),
        "epochs": epochs,
        "predictions": dict.fromkeys(RULES),
        "seconds": sum(entry["seconds"] for entry in epochs),
        "cycles_per_second": None,
    }
    write_result(folder, document)
    return document


def test_cycles(data: RunData) -> CycleSet:
    """The cycles of the test part, with class, patient and device."""
    rows, _ = data.cycles_of(data.test)
    keys = data.keys(rows)
    recordings = [data.recordings[name] for name, _ in keys]
    return CycleSet(
        keys=tuple(keys),
        labels=tuple(int(label) for label in data.bank.labels[rows]),
        patients=tuple(recording.patient for recording in recordings),
        devices=tuple(recording.device for recording in recordings),
    )


def patients_on_both_sides(data: RunData, cycles: CycleSet) -> list[str]:
    """Patients of the judged cycles who have cycles in the training part too (held-out ones included)."""
    trained = {data.recordings[name].patient for rows in (data.train, data.val) for name, _ in data.keys(rows)}
    return sorted(trained & set(cycles.patients))


def _common(spec: RunSpec, processes: int, peak: dict[str, float | None]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "run_id": spec.run_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": spec.identity(),
        "execution": {name: value for name, value in spec.execution().items() if name != "study"},
        "profile": spec.profile,
        "partial": spec.partial,
        **_study(spec),
        "provenance": {
            "code": code_version(),
            "packages": package_versions(),
            "hardware": hardware(),
            "processes": processes,
            "device": spec.device,
            "precision": spec.precision,
            "peak_memory_mib": peak,
        },
    }


def _study(spec: RunSpec) -> dict[str, Any]:
    """What a run of a study says of it; a trial is a kind of its own, so that no table takes it for a system."""
    if not spec.study:
        return {}
    return {"study": dict(spec.study), **({"kind": "trial"} if spec.study["role"] == "trial" else {})}
