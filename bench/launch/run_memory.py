"""The memory that a run will take: from runs like it on the board, or computed; said before it starts, and after."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.engine.distribution import DistributionOptions
from bench.experiment.spec import RunSpec
from leaderboard.store.costs import RunCost
from leaderboard.store.result_rows import system_hash
from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

MIB = 2**20
DECIDING = ("micro_batch", "checkpointing", "eval_batch")
"""Fields of a run's execution that its memory depends on."""

ADVICE = "Use --set checkpointing=true, or --set micro_batch=… where the model does not normalise over the batch."


@dataclass(frozen=True)
class RunMemory:
    """The memory of a process of a run at its peak, of the GPU where it runs on one.

    Attributes:
        mib: Its size, MiB; None where nothing is known.
        source: Where that is from: ``other seeds`` of the same system that ran here, or ``computed``.
        parts: What of a computed one is for what, MiB.
    """

    mib: float | None = None
    source: Literal["other seeds", "computed", "nothing"] = "nothing"
    parts: Mapping[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The estimate as documents hold it."""
        return {"mib": self.mib, "source": self.source, "parts": None if self.parts is None else dict(self.parts)}


def memory_of_run(spec: RunSpec, store: Store | None) -> RunMemory:
    """Estimate what a run will take.

    Args:
        spec: What to run; its plug-ins, if it has some, are not asked.
        store: The board whose runs count; None for none.
    """
    known = [] if store is None else list(peaks_of(spec, store.costs(system_hash(spec.identity()))))
    if known:
        return RunMemory(max(known), "other seeds")
    if spec.plugins:
        return RunMemory()
    from bench.engine.memory_estimate import step_memory

    found = step_memory(spec)
    if found is None:
        return RunMemory()
    parts = {name: round(size / MIB, 1) for name, size in vars(found).items()}
    return RunMemory(round(found.total / MIB, 1), "computed", parts)


def peaks_of(spec: RunSpec, runs: Sequence[RunCost]) -> Iterable[float]:
    """The peaks of those runs that held as much in memory at a time as a spec would, MiB."""
    place, defaults = spec.distribution, DistributionOptions()
    kind = "gpu" if place.device == "cuda" else "host"
    for run in runs:
        # What is as by default may not be written down.
        alike = all(run.execution.get(name, getattr(defaults, name)) == getattr(place, name) for name in DECIDING)
        peak = run.peak_memory_mib.get(kind)
        if alike and peak is not None and (run.device, run.processes) == (place.device, place.processes):
            yield peak


def say_memory(spec: RunSpec, memory: RunMemory) -> None:
    """Say what a run will take, and warn where less is free."""
    if memory.mib is None:
        return
    each = f" in each of {spec.distribution.processes} processes" if spec.distribution.processes > 1 else ""
    logger.info(f"memory: about {in_words(memory.mib)}{each} ({memory.source})")
    free = _free_mib(spec)
    # On a GPU that several processes do not share, each has its own; on a host they share what there is.
    needed = memory.mib * (spec.distribution.processes if spec.distribution.device == "cpu" else 1)
    if free is not None and needed > free:
        logger.warning(f"The run will take about {in_words(needed)} of memory, but {in_words(free)} are free. {ADVICE}")


def say_peak(memory: RunMemory, document: Mapping[str, Any]) -> None:
    """Say what a finished run took, beside what was estimated."""
    place = document["provenance"]
    peak = place["peak_memory_mib"]["gpu" if place["device"] == "cuda" else "host"]
    if document["status"] == "finished" and peak is not None and memory.mib is not None:
        logger.info(f"memory: {in_words(peak)} at the peak, {in_words(memory.mib)} were estimated")


def in_words(mib: float) -> str:
    """An amount of memory for people."""
    return f"{mib / 1024:.1f} GiB"


def _free_mib(spec: RunSpec) -> float | None:
    """Memory that is free for a run: of this machine, or of its GPU; None where that cannot be told."""
    if spec.distribution.device == "cpu":
        import psutil

        return float(psutil.virtual_memory().available / MIB)
    if spec.distribution.processes > 1:
        # The processes choose their GPUs; this one must not take memory on any.
        return None
    import torch

    return float(torch.cuda.mem_get_info()[0] / MIB)
