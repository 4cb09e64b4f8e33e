"""What is measured, one module for each area; a module's ``BENCHMARKS`` lists its own."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from importlib import import_module

from bench.core.errors import SpecError
from benchmarks.runner import Benchmark

AREAS = (
    "startup",
    "board",
    "search",
    "scheduling",
    "specaugment",
    "preparation",
    "frontends",
    "harness",
    "evaluation",
    "steps",
)
"""Modules of this package, in the order in which they are run: what is long comes last."""


def all_benchmarks() -> tuple[Benchmark, ...]:
    """Every benchmark, area by area."""
    found: list[Benchmark] = []
    for area in AREAS:
        found += import_module(f"{__name__}.{area}").BENCHMARKS
    return tuple(found)


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        SpecError: If there is none.
    """
    for benchmark in all_benchmarks():
        if benchmark.name == name:
            return benchmark
    raise SpecError(f"There is no benchmark '{name}'.", "See `python -m benchmarks --list`.")


def choose_benchmarks(patterns: Sequence[str], device: str) -> list[Benchmark]:
    """The benchmarks that run on a device and that any of the patterns names.

    Args:
        patterns: With ``*`` and ``?``; a pattern without either names whatever begins with it. Without
            any, those that are always run.
        device: ``cpu`` or ``cuda``.

    Raises:
        SpecError: If a pattern names none.
    """
    there = [benchmark for benchmark in all_benchmarks() if device in benchmark.devices]
    for pattern in patterns:
        if not any(_named(pattern, one) for one in there):
            raise SpecError(f"No benchmark on {device} is named by '{pattern}'.", "See `python -m benchmarks --list`.")
    return [one for one in there if (_named_by_any(patterns, one) if patterns else one.always)]


def _named_by_any(patterns: Iterable[str], benchmark: Benchmark) -> bool:
    return any(_named(pattern, benchmark) for pattern in patterns)


def _named(pattern: str, benchmark: Benchmark) -> bool:
    whole = pattern if set(pattern) & set("*?[") else f"{pattern}*"
    return fnmatch.fnmatchcase(benchmark.name, whole)
