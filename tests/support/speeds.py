"""Bounds of time that hold beside other tests: what is asked of a machine that does nothing else, and some room."""

from __future__ import annotations

import os

SHARED = 1.0 if os.environ.get("BENCH_TEST_IDLE") == "1" else 3.0
"""How many times as long a machine may take that other tests share.

They keep caches and sister threads of the cores busy: twice the time was seen, of the processor's too. What the bounds
are for, work that grows with the square of a board or a module that is imported without need, costs more than that.
"""


def limit(seconds: float) -> float:
    """What may be taken here, in seconds.

    Args:
        seconds: What is asked of a machine that does nothing else; that is the bound where ``BENCH_TEST_IDLE=1``.
    """
    return seconds * SHARED
