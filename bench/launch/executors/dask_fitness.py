"""Which worker of a Dask cluster can carry out runs at all, and which one this or that job."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.text import counted_noun, echoed
from bench.core.version import __version__
from bench.launch.executors.dask_worker import Description
from bench.launch.jobs import Job


@dataclass(frozen=True)
class Worker:
    """A worker that can carry out runs: its address, and how it described itself."""

    address: str
    about: Description

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.about.name if self.about.name != self.address else self.address


def unfit(address: str, about: Description | BaseException, folder: Path) -> str | None:
    """Why a worker cannot carry out runs, as a sentence; None where it can.

    Args:
        address: The worker.
        about: How it described itself, or the error that kept it from that.
        folder: The folder of the jobs.
    """
    if isinstance(about, BaseException):
        said = echoed(f"{type(about).__name__}: {about}")
        return (
            f"The Dask worker {address} cannot carry out runs ({said}): "
            f"install lungbench {__version__} with all that it needs there."
        )
    if about.version != __version__:
        return (
            f"The Dask worker {about.name} on {about.host} has lungbench {about.version}, and here is {__version__}: "
            "install the same version on both."
        )
    if not about.has_folder:
        return (
            f"The Dask worker {about.name} on {about.host} does not see the folder {folder}, or may not write there: "
            "--home (or BENCH_HOME) has to be on a disk that this machine and all workers share under one path."
        )
    return None


def unfit_for(job: Job, worker: Worker, shared: Mapping[str, str]) -> str | None:
    """Why a worker cannot carry out a job, as the end of a sentence; None where it can.

    Args:
        job: The job.
        worker: The worker.
        shared: What :func:`shared_gpus` gave for all workers.
    """
    if job.device != "cuda":
        return None
    devices = worker.about.devices
    if devices is not None and len(devices) < job.processes:
        seen = counted_noun(len(devices), "GPU")
        return f"it needs {job.processes}, and the Dask worker {worker.name} sees {seen}"
    return shared.get(worker.address)


def shared_gpus(workers: Collection[Worker]) -> dict[str, str]:
    """Of workers that share a GPU with another one: what is wrong with that, by address."""
    found: dict[str, str] = {}
    hosts: defaultdict[str, list[Worker]] = defaultdict(list)
    for worker in workers:
        if worker.about.devices != ():
            hosts[worker.about.host].append(worker)
    for host, there in hosts.items():
        for one, other in itertools.combinations(there, 2):
            if _overlap(one.about.devices, other.about.devices):
                words = (
                    f"the Dask workers {one.name} and {other.name} on {host} share a GPU: give each a "
                    "CUDA_VISIBLE_DEVICES of its own"
                )
                found.setdefault(one.address, words)
                found.setdefault(other.address, words)
    return found


def _overlap(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    # A worker without the variable sees all GPUs of its machine.
    return one is None or other is None or bool(set(one) & set(other))
