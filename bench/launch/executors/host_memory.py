"""Whether this machine ran out of memory: Linux counts the processes that it killed for that."""

from __future__ import annotations

import contextlib
from pathlib import Path

COUNTERS = Path("/proc/vmstat")


def kills_for_memory(counters: Path = COUNTERS) -> int:
    """Processes that the kernel has killed since it started because memory ran out; 0 where it does not count them."""
    with contextlib.suppress(OSError, ValueError):
        for line in counters.read_text().splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return 0
