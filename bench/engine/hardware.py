"""The machine as torch sees it, and the memory that a run takes of it."""

from __future__ import annotations

import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.machine import cpu_name, usable_cores
from bench.engine.freed_memory import give_back_freed_memory


def hardware() -> dict[str, Any]:
    """CPU, usable cores, memory in GiB and the GPUs that torch sees."""
    import psutil
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": gpus,
    }


@dataclass
class _HostPeak:
    """Whose the largest resident memory is that the system tells of this process.

    Attributes:
        begun: Whether a run has begun in this process.
        shared: Whether an earlier run's may be in it.
    """

    begun: bool = False
    shared: bool = False


_host_peak = _HostPeak()


def reset_peak_memory() -> None:
    """Begin to count :func:`peak_memory_mib` anew, for a run that begins in this process.

    Linux lets a process do so. Elsewhere the largest resident memory is that of the process's life, so that it is known
    for the first of its runs alone.
    """
    import torch

    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        # Of every GPU: the current one may be another than the one that the run is about to choose.
        for gpu in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(gpu)
    give_back_freed_memory()
    try:
        # "5" resets the peak ("high water mark") of the resident memory; see Linux's proc_pid_clear_refs(5).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        _host_peak.shared = False
    except OSError:
        _host_peak.shared = _host_peak.begun
    _host_peak.begun = True


def peak_memory_mib() -> dict[str, float | None]:
    """The largest resident memory of this process and the largest GPU allocation since the last reset, in MiB.

    Returns:
        ``host``, None where it may be that of an earlier run of this process; ``gpu``, None without a GPU.
    """
    import torch

    on_gpu = _peak_of_gpus() / 2**20 if torch.cuda.is_available() else None
    on_host = None if _host_peak.shared else round(_peak_resident_mib(), 1)
    return {"host": on_host, "gpu": None if on_gpu is None else round(on_gpu, 1)}


def _peak_of_gpus() -> int:
    """Bytes of this process's peak, which lies on one GPU: a process of a run uses no other."""
    import torch

    return max((torch.cuda.max_memory_allocated(gpu) for gpu in range(torch.cuda.device_count())), default=0)


def _peak_resident_mib() -> float:
    """Linux's own count of this program; what ``getrusage`` gives includes the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
