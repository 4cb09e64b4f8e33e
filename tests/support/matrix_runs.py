"""Stands in for the scheduler of a matrix: no process starts, and what a run comes to is made up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from bench.core.errors import BenchError
from bench.launch.tasks import Task, TaskEnd


def made_up_runs(monkeypatch: Any, outcome: Callable[[int, bool], BenchError | None]) -> None:
    """Let the runs of matrices come to what a function says of their seed and of whether they are run again.

    Args:
        monkeypatch: The fixture.
        outcome: Gives what a run fails with; what it raises ends the matrix.
    """

    def carry_out(
        tasks: Sequence[Task], executor: Any, policy: Any, watcher: Any, *, anew: Collection[str] = (), **options: Any
    ) -> list[TaskEnd]:
        watcher.on_queue(tasks)
        ends = []
        for task in tasks:
            assert task.job is not None
            spec = task.job.task["spec"]
            # Features that several runs read are no run.
            error = None if task.helps else outcome(spec["identity"]["seed"], task.key in anew)
            ends.append(TaskEnd(task, "failed" if error else "finished", error, 1))
            watcher.on_end(ends[-1])
        return ends

    monkeypatch.setattr("bench.launch.matrix.work.carry_out", carry_out)
