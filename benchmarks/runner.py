"""What a benchmark is, and how it is run: the project's ways and a plain reference, timed in turn.

A benchmark builds a :class:`Case`: one or more ways in which the project does a piece of work, and the plain reference
that does the same work. :func:`run_benchmark` times all of them in turn on one clock and gives a result for each way:
seconds, rate, ratio to the reference, noise.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from bench.core.timing import (
    Body,
    Clock,
    Timing,
    cpu_seconds,
    cpu_seconds_with_children,
    paired_ratio,
    time_in_turn,
    wall_seconds,
)
from benchmarks.results import Result

Build: TypeAlias = Callable[[], Body]
"""Makes what is timed: models, data and files are made here, outside the timed call, and only for sides that run."""

REFERENCE = "reference"
PASSES = 5
QUICK_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How benchmarks are run.

    Attributes:
        device: ``cpu`` or ``cuda``.
        passes: Timed passes; the median over them counts.
        quick: Whether sizes are small.
        threads: Threads of torch on the CPU.
        wall: Whether wall time counts on a CPU too, as is right on a machine that does nothing else.
        memory: Whether the peak memory of each side is measured, in a process of its own.
        batch: Clips of a training step in place of a benchmark's own number; 0 for that.
    """

    device: str = "cpu"
    passes: int = PASSES
    quick: bool = False
    threads: int = 1
    wall: bool = False
    memory: bool = True
    batch: int = 0

    def clock(self, *, children: bool = False) -> Clock:
        """What is read before and after a timed call.

        Args:
            children: Whether the work is done in processes that the call starts and waits for.
        """
        if self.device == "cuda" and not children:
            from bench.engine.matmul_peak import clock_of_gpu

            return clock_of_gpu
        if self.wall:
            return wall_seconds
        return cpu_seconds_with_children if children else cpu_seconds

    @property
    def clock_name(self) -> str:
        """What the clock counts, in words."""
        return "wall time" if self.wall or self.device == "cuda" else "process CPU time"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A benchmark's work, ready to be built.

    Attributes:
        ways: The project's ways by name; ``""`` where there is one.
        reference: The plain reference; None where there is nothing to compare with.
        work: Units of work (cycles, runs, …) that one call does.
        facts: More about a way, from its name and its timing: a share of the peak, say.
        close: Called at the end.
    """

    ways: Mapping[str, Build]
    reference: Build | None
    work: float = 1.0
    facts: Callable[[str, Timing], Mapping[str, Any]] = lambda _way, _timing: {}
    close: Callable[[], object] = lambda: None

    def build(self, side: str) -> Body:
        """Make what is timed of a way, or of :data:`REFERENCE`.

        Raises:
            KeyError: If there is no such side.
        """
        if side == REFERENCE and self.reference is not None:
            return self.reference()
        return self.ways[side]()

    @property
    def sides(self) -> tuple[str, ...]:
        """The reference first, then the ways."""
        return (*((REFERENCE,) if self.reference else ()), *self.ways)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One thing that is measured.

    Attributes:
        name: ``area/what``, by which it is asked for.
        unit: What is counted, e.g. ``cycles``.
        about: What is measured, one sentence.
        reference: What it is compared with, one sentence.
        case: Makes the work, given the setting and an empty folder.
        children: Whether the work is done in processes that the call starts.
        memory: Whether the peak memory of its sides is worth a process each.
        warm_ups: Passes before the first that is timed; 0 for steps so long that the first costs nothing more.
        reference_apart: Whether the reference is timed in a process of its own on a CPU: what the project sets for its
            process (memory that is kept) is then no part of the plain way.
        devices: The devices that it runs on.
        always: Whether it is run where no benchmark is named.
    """

    name: str
    unit: str
    about: str
    reference: str
    case: Callable[[Setting, Path], Case]
    children: bool = False
    memory: bool = False
    warm_ups: int = 1
    reference_apart: bool = False
    devices: tuple[str, ...] = ("cpu",)
    always: bool = True


@contextmanager
def case_of(benchmark: Benchmark, setting: Setting) -> Iterator[Case]:
    """A benchmark's case in a folder of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        case = benchmark.case(setting, Path(folder))
        try:
            yield case
        finally:
            case.close()
    gc.collect()


def run_benchmark(benchmark: Benchmark, setting: Setting) -> list[Result]:
    """Time a benchmark's ways and its reference in turn.

    Returns:
        A result for each way.
    """
    from benchmarks.apart import SideApart, peak_memory_apart, side_apart

    apart = {REFERENCE} if benchmark.reference_apart and setting.device == "cpu" else set[str]()
    with case_of(benchmark, setting) as case, ExitStack() as processes:
        bodies = {
            side: processes.enter_context(side_apart(benchmark.name, side, setting))
            if side in apart
            else case.build(side)
            for side in case.sides
        }
        clock = setting.clock(children=benchmark.children)
        timings = time_in_turn(bodies, setting.passes, clock, warm_ups=benchmark.warm_ups)
        peaks = {side: body.peak_memory_mib for side, body in bodies.items() if isinstance(body, SideApart)}
        del bodies
        results = [_result(benchmark, case, way, timings) for way in case.ways]
    if not (benchmark.memory and setting.memory):
        return results
    peaks.update({side: peak_memory_apart(benchmark.name, side, setting) for side in timings if side not in peaks})
    return [
        replace(result, peak_memory_mib=peaks[way], reference_peak_memory_mib=peaks.get(REFERENCE))
        for way, result in zip(case.ways, results, strict=True)
    ]


def _result(benchmark: Benchmark, case: Case, way: str, timings: Mapping[str, Timing]) -> Result:
    ours, reference = timings[way], timings.get(REFERENCE)
    return Result(
        name="/".join(part for part in (benchmark.name, way) if part),
        unit=benchmark.unit,
        work=case.work,
        ours=ours,
        reference=reference,
        ratio=None if reference is None else paired_ratio(reference, ours),
        reference_is=benchmark.reference,
        facts=dict(case.facts(way, ours)),
    )
