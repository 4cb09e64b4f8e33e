"""What the runs of a board took: time and peak memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from leaderboard.store import schema

TRAINED_HERE = ("run", "part", "trial")
"""Kinds of results that a training made."""


@dataclass(frozen=True)
class RunCost:
    """What a finished run took.

    Attributes:
        system: Hash of its spec without the seed.
        spec: The identity fields of its spec.
        device: ``cpu`` or ``cuda``.
        processes: Processes that shared it.
        seconds: How long it took.
        peak_memory_mib: The most memory that a process of it had, MiB: ``host`` and ``gpu``, None where not known.
        execution: The execution fields of its spec.
    """

    system: str
    spec: dict[str, Any]
    device: str | None
    processes: int | None
    seconds: float
    peak_memory_mib: dict[str, float | None]
    execution: dict[str, Any] = field(default_factory=dict)


def read_costs(session: Session, system: str | None = None) -> list[RunCost]:
    """Read what every finished run took, or those of one system, oldest first."""
    run = schema.Run
    columns = (run.system, run.spec, run.device, run.processes, run.seconds, run.provenance, run.execution)
    wanted = sa.select(*columns).where(run.status == "finished", run.kind.in_(TRAINED_HERE), run.seconds > 0)
    if system is not None:
        wanted = wanted.where(run.system == system)
    rows = session.connection().execute(wanted.order_by(run.created, run.run_id)).all()
    return [
        RunCost(hashed, spec, device, processes, seconds, provenance.get("peak_memory_mib") or {}, execution or {})
        for hashed, spec, device, processes, seconds, provenance, execution in rows
    ]
