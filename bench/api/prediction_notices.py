"""What is to be known of trained runs before their predictions are believed, in sentences and as JSON."""

from __future__ import annotations

from typing import Any

from bench.engine.prediction import TrainedSystem
from bench.engine.trained import TrainedRun
from leaderboard.results.schema import RULES

RESEARCH = "Predictions are for research, and no diagnosis."


def notices(system: TrainedSystem) -> list[str]:
    """Sentences on the runs of a system that say what their predictions are worth, and what is done otherwise here.

    Args:
        system: The trained system.
    """
    return [sentence for run in system.runs for sentence in _of_run(run)]


def _of_run(run: TrainedRun) -> list[str]:
    name, found = f"run {run.run.run_id}", []
    if run.judged.simulated:
        found.append(f"{name} was trained on simulated data: what it says of real recordings means nothing.")
    if run.document["partial"] is not None:
        found.append(f"{name} was trained on a part of its data alone: {run.document['partial']}.")
    if run.normalises_by_batch:
        found.append(
            f"{name} has a front-end ({run.spec.frontend}) that normalises by the batch: here "
            f"{_INSTEAD[_normalised(run)]}, so that scores differ from those of its own evaluation."
        )
    asked = _trained_precision(run)
    if run.spec.precision != asked:
        found.append(f"{name} was trained in {asked}, and computes in {run.spec.precision} here.")
    return found


_INSTEAD = {
    "training batches": "by the extremes of a usual batch of its training",
    "recording": "by the extremes of each recording's own cycles, as the run does not keep those of its training",
}


def _normalised(run: TrainedRun) -> str:
    """By what the pictures of a new recording are normalised."""
    if not run.normalises_by_batch:
        return "cycle"
    return "recording" if run.batch_extremes is None else "training batches"


def _trained_precision(run: TrainedRun) -> str:
    return str(run.document["spec"]["precision"])


def described_runs(system: TrainedSystem) -> list[dict[str, Any]]:
    """The runs of a system as JSON objects: what they are, what they were trained on, and their Scores there.

    Args:
        system: The trained system.
    """
    return [_described(run) for run in system.runs]


def _described(run: TrainedRun) -> dict[str, Any]:
    document, which = run.document, run.run.which
    return {
        "run_id": run.run.run_id,
        "weights": which,
        "model": run.spec.model,
        "method": run.spec.method,
        "seed": run.spec.seed,
        "frontend": run.spec.frontend,
        "dataset": run.judged.dataset,
        "dataset_title": run.judged.title,
        "task": run.judged.task.id,
        "simulated": run.judged.simulated,
        "partial": document["partial"],
        "profile": document["profile"],
        "metrics": document["metrics"].get(which) if which in RULES else None,
        "normalised_by": _normalised(run),
        "device": run.spec.distribution.device,
        "precision": run.spec.precision,
    }
