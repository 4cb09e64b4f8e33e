"""Tasks and how they end: what the scheduler is given, what it gives back, and who hears of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bench.core.errors import BenchError
from bench.launch.jobs import Executor, Job

TaskStatus = Literal["done before", "not needed", "finished", "failed", "not started"]


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
        helps: Whether it is there for the tasks after it alone, so that it is left out where all of these are done.
        progress: The file in which its job tells how far it is, for the live table; None for a job that does not.
        summary: Its result in a few words (``Score 57.31``), asked for when it is done.
        saved: Tells which state its job has saved last, as anything that changes with it: a job that comes further with
            each start is started for as long as it does. None for a job that saves none.
    """

    key: str
    said: str
    is_done: Callable[[], bool]
    after: tuple[str, ...] = ()
    job: Job | None = None
    act: Callable[[], None] | None = None
    on_done: Callable[[], None] | None = None
    helps: bool = False
    progress: Path | None = None
    summary: Callable[[], str] | None = None
    saved: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        """What it is called in messages: ``run 3f2a…``."""
        return self.job.name if self.job is not None else self.said


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended.

    Attributes:
        task: The task.
        status: ``not started`` where a task that it stands after has failed, ``not needed`` where it helps nobody.
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
        retries: How often a job is started again that was lost, and had saved no further state; what failed by itself
            is not.
        backoff: Seconds before the first of these, twice as many before each further one.
        longest: Seconds that a pause grows to at most.
    """

    retries: int = 2
    backoff: float = 5.0
    longest: float = 600.0

    def pause(self, attempts: int) -> float:
        """Seconds before the next start of a job that was started so often, and saved no further state."""
        return min(self.backoff * 2.0 ** (attempts - 1), self.longest)


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
