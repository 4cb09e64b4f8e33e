"""What runs inside the workers of a Dask cluster: each job is a process there that ends with its worker.

Dask sends the names of these functions, so that a worker needs lungbench of the same version. Nothing here needs torch.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.environment import outside_groups
from bench.core.errors import InterruptedRunError, LostProcessError, RunError
from bench.core.lifetimes import signal_name
from bench.core.version import __version__
from bench.launch.child import KILLED_HINT
from bench.launch.jobs import Ended, Job
from bench.launch.one_job import read_end, read_job

LOOK_SECONDS = 0.2
"""Between two looks at whether the worker of a job is closing."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """A worker, as it describes itself.

    Attributes:
        identity: What no other worker is called, also not one that takes its address after it.
        name: What its cluster calls it.
        host: Its machine.
        threads: How many tasks Dask would give it at a time.
        devices: The GPUs that it may see by ``CUDA_VISIBLE_DEVICES``; None where that is not set.
        version: Version of lungbench.
        has_folder: Whether it reads there what was written elsewhere, and may write there too.
    """

    identity: str
    name: str
    host: str
    threads: int
    devices: tuple[str, ...] | None
    version: str
    has_folder: bool


_lock = threading.Lock()
_processes: dict[str, subprocess.Popen[bytes]] = {}
_asked: set[str] = set()


def describe(sign: Path, *, dask_worker: Any) -> Description:
    """Describe this worker.

    Args:
        sign: A file that the driver wrote into the folder of its jobs.
        dask_worker: The worker; Dask gives it.
    """
    return Description(
        identity=dask_worker.id,
        name=str(dask_worker.name),
        host=platform.node(),
        threads=dask_worker.state.nthreads,
        devices=visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES")),
        version=__version__,
        has_folder=has_folder(sign),
    )


def visible_devices(words: str | None) -> tuple[str, ...] | None:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` names; the first number below zero ends the list, as in CUDA."""
    if words is None:
        return None
    names: list[str] = []
    for name in filter(None, map(str.strip, words.split(","))):
        if name.startswith("-"):
            break
        names.append(name)
    return tuple(names)


def has_folder(sign: Path) -> bool:
    """Whether the folder of a file that another machine wrote is here too, and can be written to."""
    return sign.is_file() and os.access(sign.parent, os.W_OK)


def carry_out(path: Path, attempt: str, identity: str) -> Ended:
    """Carry out the job of a file in a process of its own, and wait for it.

    Args:
        path: The job's file.
        attempt: What this attempt at it is called.
        identity: The worker that was meant; another one at its address does nothing.
    """
    from distributed import get_worker

    worker = get_worker()
    job = read_job(path)
    if worker.id != identity:
        return Ended(job.key, LostProcessError(f"The Dask worker {worker.name} began anew before {job.name} ended."))
    try:
        process = _start(path, attempt)
    except OSError as error:
        return Ended(job.key, RunError(f"No process can be started for {job.name}: {error.strerror or error}."))
    if process is None:
        return Ended(job.key, InterruptedRunError(f"Stopped before {job.name} began."))
    try:
        code = _wait(process, worker)
    finally:
        with _lock:
            del _processes[attempt]
    return read_end(path) or Ended(job.key, _lost(job, str(worker.name), code))


def _start(path: Path, attempt: str) -> subprocess.Popen[bytes] | None:
    """Start the process of a job; None where it was asked to stop already."""
    command = [sys.executable, "-m", "bench", "job", str(path), "--parent", str(os.getpid())]
    with _lock:
        if attempt in _asked:
            return None
        # Of the worker's own session: a Ctrl-C at the terminal of the worker asks the job too to save its state.
        process = subprocess.Popen(
            command, env=outside_groups(os.environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        _processes[attempt] = process
    return process


def _wait(process: subprocess.Popen[bytes], worker: Any) -> int:
    """Wait for a job's end; a worker that is closing asks it to save its state first. Gives its exit code."""
    asked = False
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if not asked and worker.status.name.startswith("closing"):
                asked = True
                process.terminate()


def _lost(job: Job, worker: str, code: int) -> LostProcessError:
    killed = f": killed by {signal_name(-code)}" if code < 0 else ""
    return LostProcessError(
        f"The process of {job.name} on the Dask worker {worker} was lost (exit code {code}){killed}.",
        f"Its log is {job.log}; the same command goes on from the last saved state. {KILLED_HINT}",
    )


def stop(attempts: Sequence[str]) -> None:
    """Ask attempts to save their state and end; one that has not begun here never begins."""
    with _lock:
        _asked.update(attempts)
        for attempt in attempts:
            if attempt in _processes:
                _processes[attempt].terminate()
