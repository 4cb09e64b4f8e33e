"""What a matrix adds to its jobs: trivial ones through the scheduler, against processes started by hand."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import BenchError
from bench.core.timing import Body
from benchmarks.runner import Benchmark, Case, Setting

if TYPE_CHECKING:
    from bench.launch.jobs import Executor
    from bench.launch.tasks import Task, TaskEnd

JOBS, QUICK_JOBS = 8, 3
ROOT = Path(__file__).resolve().parents[2]


class _Silent:
    """A watcher that says nothing."""

    def on_queue(self, tasks: Sequence[Task]) -> None:
        """Hear of all tasks."""

    def on_start(self, task: Task, attempt: int) -> None:
        """Hear of a start."""

    def on_retry(self, task: Task, error: BenchError, seconds: float) -> None:
        """Hear of a loss."""

    def on_end(self, end: TaskEnd) -> None:
        """Hear of an end."""

    def on_look(self, executor: Executor) -> None:
        """Hear that time went by."""


def scheduling_case(setting: Setting, folder: Path) -> Case:
    """Jobs that write a file each, one at a time."""
    jobs = QUICK_JOBS if setting.quick else JOBS
    numbers = itertools.count()

    def scheduler() -> Body:
        return lambda: _carry_out(folder / f"jobs-{next(numbers)}", jobs)

    def by_hand() -> Body:
        return lambda: _start_by_hand(folder / f"hand-{next(numbers)}", jobs)

    return Case(ways={"": scheduler}, reference=by_hand, work=jobs)


def _carry_out(folder: Path, jobs: int) -> None:
    from bench.launch.executors.local import LocalExecutor
    from bench.launch.jobs import Job, LaunchOptions
    from bench.launch.scheduler import carry_out
    from bench.launch.tasks import Policy, Task

    folder.mkdir()
    tasks = []
    for key in map(str, range(jobs)):
        job = Job(
            key=key,
            module="benchmarks.trivial_job",
            task={"out": str(folder / key)},
            name=f"job {key}",
            log=folder / f"{key}.log",
            environment={"PYTHONPATH": str(ROOT)},
        )
        tasks.append(Task(key=key, said=f"task {key}", is_done=(folder / key).exists, job=job))
    with LocalExecutor(LaunchOptions(jobs=1, devices=("cpu",))) as engine:
        ends = carry_out(tasks, engine, Policy(retries=0), _Silent())
    for end in ends:
        if end.error is not None:
            raise end.error


def _start_by_hand(folder: Path, jobs: int) -> None:
    folder.mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for number in range(jobs):
        words = [sys.executable, "-m", "benchmarks.trivial_job", str(folder / str(number))]
        subprocess.run(words, env=env, check=True, capture_output=True)


BENCHMARKS = [
    Benchmark(
        name="scheduling/trivial-jobs",
        unit="jobs",
        about=f"{JOBS} jobs that write a file ({QUICK_JOBS} with --quick), through the scheduler of matrices, one at "
        "a time on this machine.",
        reference="The same module started by hand, one process after the other, without logs, order or retries.",
        case=scheduling_case,
        children=True,
        warm_ups=0,
    )
]
