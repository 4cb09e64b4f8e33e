"""Stops a matrix from another process: its driver is asked by a file, and what a queue holds is taken out of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.core.errors import StoreError
from bench.core.files import advice
from bench.launch.matrix.folder import MatrixFolder

WAIT_SECONDS = 90.0
"""What runs have to save their state: a driver that takes longer is told of, and goes on to stop."""

SLURM = "slurm"


@dataclass(frozen=True)
class Cancelled:
    """What a cancellation came to.

    Attributes:
        name: The matrix.
        driven: Whether a process was at it.
        stopped: Whether none is any more.
        jobs: Jobs that were taken out of a queue; None where the engine has none.
    """

    name: str
    driven: bool
    stopped: bool
    jobs: int | None = None


def cancel_matrix(folder: MatrixFolder, *, wait: float = WAIT_SECONDS) -> Cancelled:
    """Stop a matrix; its runs save their state, and the same command goes on with them.

    Args:
        folder: Its folder.
        wait: Seconds to wait for the process that is at it.

    Raises:
        StoreError: If the folder cannot be written.
        BenchError: If a queue cannot be asked to let go of jobs.
    """
    driven = folder.is_driven()
    if driven:
        try:
            folder.cancel.touch()
        except OSError as error:
            raise StoreError(f"Cannot write {folder.cancel}: {error.strerror or error}.", advice(error)) from error
    deadline = time.monotonic() + wait
    while folder.is_driven() and time.monotonic() < deadline:
        time.sleep(0.1)
    jobs = None
    if folder.read_record()["launcher"] == SLURM:
        # After the driver: it would take jobs that vanish for lost ones, and start them again.
        from bench.launch.executors.slurm import cancel_jobs

        jobs = len(cancel_jobs(folder.jobs))
    return Cancelled(folder.name, driven, not folder.is_driven(), jobs)
