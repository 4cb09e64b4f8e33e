"""Carries out tasks that stand in an order, on any engine: retries, time-outs, what failed and what waits for it.

The interface that the engines and the matrices build on; see :mod:`bench.launch.jobs` for the engines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.core.errors import BenchError
from bench.launch.jobs import Executor, Job

TaskStatus = Literal["done before", "finished", "failed", "not started"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something that is done once: a run, features that several runs read, or what is made of finished runs.

    Attributes:
        key: What it is called; that of its job, where it has one.
        said: The task in one line, for people.
        is_done: Whether its result is there already; raises ResultError for one that cannot be read.
        after: Keys of the tasks that must be done before.
        job: The process that does it; None where it is done in this one, by ``act``.
        act: Does it in this process, quickly.
        on_done: Called in this process when its result is there, also when it was there before: brings it to the board.
    """

    key: str
    said: str
    is_done: Callable[[], bool]
    after: tuple[str, ...] = ()
    job: Job | None = None
    act: Callable[[], None] | None = None
    on_done: Callable[[], None] | None = None


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended.

    Attributes:
        task: The task.
        status: ``not started`` where a task that it stands after has failed.
        error: What it failed with.
        attempts: How often its job was started.
    """

    task: Task
    status: TaskStatus
    error: BenchError | None = None
    attempts: int = 0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is done about jobs that do not end well.

    Attributes:
        retries: How often a job that was lost is started again; what failed by itself is not.
        backoff: Seconds before the first of these, twice as many before each further one.
    """

    retries: int = 2
    backoff: float = 5.0


class Watcher(Protocol):
    """Hears of tasks: the live table on a terminal, or plain lines in a log."""

    def on_queue(self, tasks: Sequence[Task]) -> None:
        """Hear of all tasks, before the first starts."""

    def on_start(self, task: Task, attempt: int) -> None:
        """Hear that the job of a task was given to the engine."""

    def on_retry(self, task: Task, error: BenchError, seconds: float) -> None:
        """Hear that the job was lost, and is started again after so long."""

    def on_end(self, end: TaskEnd) -> None:
        """Hear how a task ended."""

    def on_look(self, executor: Executor) -> None:
        """Hear that some time went by; called several times a second."""


def carry_out(
    tasks: Sequence[Task],
    executor: Executor,
    policy: Policy,
    watcher: Watcher,
    *,
    anew: Collection[str] = (),
) -> list[TaskEnd]:
    """Do the tasks that are not done, each when those before it are.

    Args:
        tasks: In the order in which they start where nothing else decides.
        executor: The engine, entered.
        policy: What is done about jobs that are lost.
        watcher: Hears of everything.
        anew: Keys of tasks that are done although their result is there.

    Returns:
        How each ended, in the order of ``tasks``.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped it, when the jobs have saved their state and gone.
    """
    raise NotImplementedError
