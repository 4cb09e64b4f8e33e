"""The processor of this machine, and how much of it this process may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CORES_VARIABLE = "BENCH_CORES"
"""The environment's variable for the cores that are a process's share, where several runs are done side by side."""


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """What the processor can do, by the names that Linux gives it (``avx512_bf16``); nothing on other systems."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
    return frozenset()


def usable_cores() -> int:
    """Cores that this process may use: those that the system leaves it, or its share of them."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get(CORES_VARIABLE, "")
    return min(there, int(share)) if share.isdigit() and int(share) else there


def let_threads_sleep() -> None:
    """Let OpenMP's threads fall asleep sooner while they wait for one another; what the user has set stands.

    By default they stay awake for 300,000 turns of a loop. Beside another program on the same cores, that keeps the
    threads that they wait for from running: an epoch of 1.9 s took 21 to 52 s, and takes 5.5 s like this. On an idle
    machine it is as quick as before. Libraries read the variable as they are imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
