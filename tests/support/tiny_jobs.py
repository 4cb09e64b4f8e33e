"""Jobs of a few words: real processes that write a file as their result, or do what a job must not do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.launch.jobs import Job
from bench.launch.tasks import Task

ROOT = Path(__file__).resolve().parents[2]


def tiny_job(folder: Path, key: str, does: str = "", **options: Any) -> Job:
    """A job whose result is the file of its key.

    Args:
        folder: Where it writes.
        key: What it is called.
        does: Words of :func:`main` that it does before: ``kill once``, ``hang``, ``raise``, ``memory``, ``wait``.
        options: Attributes of the job.
    """
    path = os.pathsep.join((str(Path(__file__).parent), str(ROOT)))
    return Job(
        key=key,
        module="tiny_jobs",
        task={"out": str(folder / key), "does": does},
        name=f"job {key}",
        **{"log": folder / f"{key}.log", "environment": {"PYTHONPATH": path}, **options},
    )


def tiny_task(folder: Path, key: str, does: str = "", after: tuple[str, ...] = (), **options: Any) -> Task:
    """A task that such a job does."""
    job = tiny_job(folder, key, does, **options)
    return Task(key=key, said=f"task {key}", is_done=(folder / key).exists, after=after, job=job)


def main(task: Mapping[str, Any], parent: object) -> None:
    """Do what the task says, and leave the result: the place that the process had, its threads and its cores."""
    out = Path(task["out"])
    began = out.with_suffix(".began")
    first = not began.exists()
    began.write_text(str(os.getpid()))
    match task["does"]:
        case "kill once" if first:
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("nobody has thought of this")
        case "memory" if first:
            from bench.core.errors import MemoryRunError

            raise MemoryRunError("The device ran out of memory.")
        case "hang":
            # What hangs does not hear that it is to stop.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "wait":
            time.sleep(600)
        case "a while":
            time.sleep(0.5)
    out.write_text(" ".join(os.environ.get(it, "-") for it in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")))
