"""Where a result comes from: the code as it is on disk, the packages, the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.core.version import __version__

PACKAGES = ("torch", "torchaudio", "torchvision", "timm", "accelerate", "numpy", "soundfile", "sqlalchemy", "optuna")
OWN_PACKAGES = ("bench", "baselines", "methods", "leaderboard")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _source_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for package in OWN_PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """The package's version, its own checkout's commit, whether that is modified, and a hash of its sources.

    ``commit`` and ``dirty`` are ``None`` where the package does not stand in its own git checkout; ``source_sha256``
    tells modified files apart everywhere.
    """
    root = Path(__file__).resolve().parent.parent
    commit, dirty = None, None
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is not None and Path(top).resolve() == root:
        commit = _git(root, "rev-parse", "HEAD")
        status = _git(root, "status", "--porcelain", "--", *OWN_PACKAGES)
        dirty = None if status is None else bool(status)
    return {"version": __version__, "commit": commit, "dirty": dirty, "source_sha256": _source_hash(root)}


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def package_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that numbers depend on."""
    return {"python": platform.python_version(), **{name: _version_of(name) for name in PACKAGES}}


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware() -> dict[str, Any]:
    """CPU, usable cores, memory in GiB and the GPUs that torch sees."""
    import psutil
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
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
        torch.cuda.reset_peak_memory_stats()
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

    on_gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    on_host = None if _host_peak.shared else round(_peak_resident_mib(), 1)
    return {"host": on_host, "gpu": None if on_gpu is None else round(on_gpu, 1)}


def _peak_resident_mib() -> float:
    """Linux's own count of this program; what ``getrusage`` gives includes the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
