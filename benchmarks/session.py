"""A session of benchmarks: one after the other, failures kept apart, and a report of it all."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from bench.core.errors import BenchError
from benchmarks.machine import busy_note, machine_facts, prepare_torch, setting_facts
from benchmarks.results import Report, Result
from benchmarks.runner import Benchmark, Setting, run_benchmark


def run_all(chosen: Sequence[Benchmark], setting: Setting, note: str = "") -> Report:
    """Run benchmarks one after the other; one that fails does not stop the others.

    Args:
        chosen: What to run.
        setting: How.
        note: What a reader of the report must know.
    """
    prepare_torch(setting)
    results: list[Result] = []
    failed: dict[str, str] = {}
    busy = busy_note()
    for number, benchmark in enumerate(chosen, start=1):
        sys.stderr.write(f"{benchmark.name} ({number} of {len(chosen)})\n")
        try:
            results += run_benchmark(benchmark, setting)
        except BenchError as error:
            failed[benchmark.name] = error.message
        except Exception as error:  # noqa: BLE001 - one that fails must not take the results of the others with it
            traceback.print_exc()
            failed[benchmark.name] = f"{type(error).__name__}: {error}"
    return Report(
        setting=setting_facts(setting),
        machine=machine_facts(),
        results=tuple(results),
        failed=failed,
        note=" ".join(one for one in (note, busy) if one),
    )
