"""Plain lines about tasks in the log: what starts, what starts again, how each ended, and how far the others are."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from bench.core.errors import BenchError
from bench.core.progress import clock_words
from bench.core.text import capital
from bench.launch.jobs import Executor
from bench.launch.tasks import Task, TaskEnd
from leaderboard.results.run_progress import RunProgress, read_progress

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
"""Between two lines on how far a job is."""

EACH_DONE_BEFORE = 50
"""So many tasks that were done before have a line each; of more, only the number is said."""


class Tally:
    """Counts tasks.

    Attributes:
        tasks: How many there are.
        running: Those whose job was started and has not ended, with the number of the attempt, by key.
        ended: How many ended in which way.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = len(tasks)
        self.running: dict[str, tuple[Task, int]] = {}
        self.ended: Counter[str] = Counter()
        self._places = {task.key: place for place, task in enumerate(tasks, start=1)}

    def place(self, task: Task) -> str:
        """Which of how many a task is: ``[3/44]``."""
        return f"[{self._places[task.key]}/{self.tasks}]"

    @property
    def done(self) -> int:
        """How many are done, now or before."""
        return self.ended["finished"] + self.ended["done before"] + self.ended["not needed"]

    @property
    def failed(self) -> int:
        """How many failed, or were not started for that."""
        return self.ended["failed"] + self.ended["not started"]

    def said(self, waiting: int | None = None) -> str:
        """The numbers in a line.

        Args:
            waiting: How many of the started ones only stand in the engine's own queue.
        """
        running = len(self.running) - (waiting or 0)
        queued = self.tasks - self.done - self.failed - running
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} done, {running} running, {queued} queued{failed}"


def progress_words(progress: RunProgress) -> str:
    """How far a run is, in a line."""
    words = [f"epoch {progress.epoch}/{progress.epochs}"]
    if progress.loss is not None:
        words.append(f"loss {progress.loss:.4f}")
    if progress.score is not None:
        words.append(f"Score {progress.score:.2f}")
    left = progress.remaining()
    if left is not None:
        words.append(f"{clock_words(left)} left")
    return "  ".join(words)


class LogLines:
    """Says what happens to tasks in the log, for a ``with`` block.

    Args:
        brief: Whether a table shows what is under way, so that only ends and troubles are said.
        clock: Tells the time in seconds.
    """

    def __init__(self, *, brief: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.tally = Tally(())
        self._brief, self._clock = brief, clock
        self._said = clock()
        self._rest_said = False

    def __enter__(self) -> LogLines:
        return self

    def __exit__(self, *unused: object) -> None:
        self._say_rest_done_before()

    def on_queue(self, tasks: Sequence[Task]) -> None:
        """Count the tasks."""
        self.tally = Tally(tasks)

    def on_start(self, task: Task, attempt: int) -> None:
        """Say which task starts."""
        self._say_rest_done_before()
        self.tally.running[task.key] = (task, attempt)
        if not self._brief:
            again = f", attempt {attempt}" if attempt > 1 else ""
            logger.info(f"{self.tally.place(task)} {task.said}{again}")

    def on_retry(self, task: Task, error: BenchError, seconds: float) -> None:
        """Say what became of a job that is started again."""
        self.tally.running.pop(task.key, None)
        logger.warning(f"{error.message} {capital(task.name)} is started again in {seconds:.0f} seconds.")

    def on_end(self, end: TaskEnd) -> None:
        """Say how a task ended."""
        task, tally = end.task, self.tally
        tally.running.pop(task.key, None)
        tally.ended[end.status] += 1
        match end.status:
            case "done before":
                if tally.ended["done before"] <= EACH_DONE_BEFORE:
                    logger.info(f"{tally.place(task)} {task.said}: done before")
            case "finished":
                result = f": {task.summary()}" if task.summary is not None else ""
                logger.info(f"{tally.place(task)} {task.name} finished{result} ({tally.said()})")
            case "failed" if end.error is not None:
                logger.warning(f"{task.name} failed: {end.error.message} {end.error.hint or ''}".rstrip())
            case "not started" if end.error is not None:
                logger.warning(end.error.message)

    def on_look(self, executor: Executor) -> None:
        """Say from time to time how far the jobs are."""
        if self._brief or self._clock() - self._said < EVERY_SECONDS:
            return
        self._said = self._clock()
        for task, _ in self.tally.running.values():
            progress = read_progress(task.progress) if task.progress is not None else None
            if progress is not None:
                logger.info(f"{self.tally.place(task)} {task.name}: {progress_words(progress)}")

    def _say_rest_done_before(self) -> None:
        """Say how many more were done before, the first time that anything else happens."""
        more = self.tally.ended["done before"] - EACH_DONE_BEFORE
        if more > 0 and not self._rest_said:
            self._rest_said = True
            logger.info(f"and {more} more: done before")
