"""Speeds that are compared: calls timed in turn on one clock, medians, and how far to trust them.

On a machine that others use, wall time says little: two ways of doing the same are timed in turn (A B A B …), by the
time that the processor spent on this process, and their ratio is that of the medians over several passes.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Gives seconds; differences of two readings count."""

Body: TypeAlias = Callable[[], object]
"""What is timed; what it returns is dropped, unless it is :class:`OwnSeconds`."""

SHORTEST = 0.02
"""Seconds that a timed pass takes at least: a shorter call is repeated in it."""

TO_DEVIATION = 1.4826
"""Factor from the median absolute deviation of normal numbers to their standard deviation."""

OF_A_MEDIAN = 1.2533
"""The standard error of the median of normal numbers over that of their mean: the root of π / 2."""


def cpu_seconds() -> float:
    """Seconds that processors have spent on the threads of this process."""
    return time.process_time()


def cpu_seconds_with_children() -> float:
    """Seconds that processors have spent on this process and on those that it started and that have ended."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def wall_seconds() -> float:
    """Seconds by the clock on the wall."""
    return time.perf_counter()


def clock_of_gpu() -> float:
    """Seconds by the clock on the wall, when a GPU has done all that it was given."""
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


@dataclass(frozen=True)
class OwnSeconds:
    """Returned by a body of which a part alone counts, and which has timed that itself.

    Attributes:
        seconds: What it took.
    """

    seconds: float


@dataclass(frozen=True)
class Timing:
    """Seconds that one call took, in each of several passes.

    Attributes:
        seconds: One number for each pass, one or more.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the passes, seconds."""
        return statistics.median(self.seconds)

    @property
    def noise(self) -> float:
        """The standard error of the median, as a share of it; 0 for one pass, of which nothing is known."""
        return relative_noise(self.seconds)


def relative_noise(values: tuple[float, ...]) -> float:
    """The standard error of the median of some numbers, as a share of it, by their median absolute deviation."""
    middle = statistics.median(values)
    deviation = TO_DEVIATION * statistics.median(abs(value - middle) for value in values)
    return OF_A_MEDIAN * deviation / sqrt(len(values)) / abs(middle) if middle else 0.0


def paired_ratio(numerator: Timing, denominator: Timing) -> Timing:
    """The ratio of two timings, pass by pass: what slows a pass of both is no part of it.

    Returns:
        Ratios in place of seconds.

    Raises:
        ValueError: If they have different numbers of passes.
    """
    pairs = zip(numerator.seconds, denominator.seconds, strict=True)
    return Timing(tuple(above / max(below, 1e-12) for above, below in pairs))


def time_in_turn(
    sides: Mapping[str, Body], passes: int, clock: Clock = cpu_seconds, *, warm_ups: int = 1
) -> dict[str, Timing]:
    """Time several ways of doing the same, in turn.

    Args:
        sides: The ways by name.
        passes: Timed passes; in each of them every way is timed once.
        clock: What is read before and after.
        warm_ups: Passes before the first that is timed.

    Returns:
        Seconds of one call, by name.
    """
    repeats = dict.fromkeys(sides, 1)
    for _ in range(warm_ups):
        for name, body in sides.items():
            repeats[name] = _repeats_for(_seconds_of(body, 1, clock))
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(passes):
        for name, body in sides.items():
            found[name].append(_seconds_of(body, repeats[name], clock))
    return {name: Timing(tuple(seconds)) for name, seconds in found.items()}


def _seconds_of(body: Body, repeats: int, clock: Clock) -> float:
    began, own = clock(), 0.0
    for _ in range(repeats):
        found = body()
        own += found.seconds if isinstance(found, OwnSeconds) else 0.0
    return (own or clock() - began) / repeats


def _repeats_for(seconds: float) -> int:
    """How often a call of so many seconds is repeated in a pass."""
    return max(1, min(10_000, ceil(SHORTEST / max(seconds, 1e-9))))
