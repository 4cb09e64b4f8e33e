"""The record of a matrix: what was asked, and which runs that is, as ``matrix.json`` holds it."""

from __future__ import annotations

from typing import Any

from bench.launch.jobs import LaunchOptions
from bench.launch.matrix.folder import now
from bench.launch.matrix.plans import MatrixPlan, PlannedRun

FORMAT = 1


def record_of(plan: MatrixPlan, options: LaunchOptions) -> dict[str, Any]:
    """What ``matrix.json`` says of a matrix.

    Args:
        plan: Its runs.
        options: Where they are carried out.
    """
    return {
        "format": FORMAT,
        "name": plan.name,
        "source": plan.source,
        "profile": plan.profile,
        "begun": now(),
        "launcher": options.launcher,
        "jobs": options.jobs,
        "runs": [described(run) for run in plan.runs],
        "refused": {place: error.message for place, error in plan.refused.items()},
    }


def described(run: PlannedRun) -> dict[str, Any]:
    """A planned run as documents name it."""
    model, pretrain, method = run.names
    return {
        "run_id": run.run_id,
        "rows": list(run.rows),
        "systems": list(run.systems),
        "model": model,
        "pretrain": pretrain,
        "method": method,
        "seed": run.spec.seed,
        "parts": run.parts,
    }
