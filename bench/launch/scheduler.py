"""Carries out tasks that stand in an order, on any engine: retries, what failed, and what waited for that.

Whether a task is done is read from its result, whatever the engine said of its job. What an engine may lose, a process
that was killed or a node that vanished, is started again after a pause, and goes on from its saved state; what failed
by itself would fail again, and is told at the end. The interface of tasks is in :mod:`bench.launch.tasks`, that of the
engines in :mod:`bench.launch.jobs`.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Collection, Sequence

from bench.core.error_wire import error_document, read_error
from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, SpecError
from bench.core.lifetimes import StopRequest
from bench.core.streams import print_traceback
from bench.core.text import capital
from bench.launch.jobs import Ended, Executor, Job
from bench.launch.order import IN_THIS_PROCESS, TaskOrder
from bench.launch.tasks import Policy, Task, TaskEnd, TaskStatus, Watcher
from leaderboard.store.database import DamagedBoardError, SpoiltBoardError

__all__ = ["Policy", "Task", "TaskEnd", "TaskStatus", "Watcher", "carry_out"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Between two looks at jobs that have nothing to say."""

CANCEL_SECONDS = 300.0
"""What jobs have to save their state when somebody elsewhere asks for it: nobody is there for another Ctrl-C."""


def _never() -> bool:
    return False


def carry_out(
    tasks: Sequence[Task],
    executor: Executor,
    policy: Policy,
    watcher: Watcher,
    *,
    anew: Collection[str] = (),
    cancelled: Callable[[], bool] = _never,
    clock: Callable[[], float] = time.monotonic,
) -> list[TaskEnd]:
    """Do the tasks that are not done, each when those before it are.

    Args:
        tasks: In the order in which they start where nothing else decides.
        executor: The engine, entered.
        policy: What is done about jobs that are lost.
        watcher: Hears of everything.
        anew: Keys of tasks that are done although their result is there; their ``is_done`` tells of a newer one.
        cancelled: Says, several times a second, whether somebody has asked elsewhere that all jobs stop.
        clock: Tells the time in seconds.

    Returns:
        How each ended, in the order of ``tasks``.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM, SIGHUP or ``cancelled`` stopped it, when the jobs have saved their
            state and gone. Jobs of an engine that outlives this process are left alone by signals.
        DamagedBoardError, SpoiltBoardError: If a task met a board that would take no other task's result either; the
            jobs have gone by then, too, but for those of an engine that outlives this process.
    """
    return _Scheduler(tasks, executor, policy, watcher, frozenset(anew), cancelled, clock).carry_out()


class _Scheduler:
    """One call of :func:`carry_out`, which has the same arguments.

    Attributes:
        fatal: What ends all of it.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        executor: Executor,
        policy: Policy,
        watcher: Watcher,
        anew: frozenset[str],
        cancelled: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.tasks, self.executor, self.policy, self.watcher = tasks, executor, policy, watcher
        self.anew, self.cancelled, self.clock = anew, cancelled, clock
        self.fatal: BenchError | None = None
        self._stop = StopRequest(end=self._end_now)
        self._asked = self._end_wanted = self._is_cancelled = False
        self._ends: dict[str, TaskEnd] = {}
        self._jobs = {task.key: task.job for task in tasks if task.job is not None}
        self._attempts: dict[str, int] = {}
        self._fruitless: dict[str, int] = {}
        self._saved: dict[str, object] = {}
        self._running: dict[str, Task] = {}
        self._pauses: list[tuple[float, str, Task]] = []
        self._alone: set[str] = set()
        self._patience: float | None = None
        self._order = TaskOrder((), ())

    def carry_out(self) -> list[TaskEnd]:
        """Do it."""
        with self._stop:
            self.watcher.on_queue(self.tasks)
            self._pass_over_done()
            self._leave_out_not_needed()
            self._refuse_impossible()
            # What helps only those that were refused.
            self._leave_out_not_needed()
            while self._order.left or self._running:
                if self._stops() and self._has_stopped():
                    break
                if not self._stops():
                    self._start_ready()
                if self._order.left or self._running:
                    self._look()
        if self.fatal is not None:
            raise self.fatal
        if self._order.left:
            raise self._interruption()
        return [self._ends[task.key] for task in self.tasks]

    # --- before the first start ---------------------------------------------------------------------------------

    def _pass_over_done(self) -> None:
        """Tell the tasks whose result is there from those that are to be done."""
        failed = []
        for task in self.tasks:
            if self._stops():
                break
            try:
                if task.key not in self.anew and task.is_done():
                    self._finish(task, "done before")
            except BenchError as error:
                failed.append((task, error))
        self._order = TaskOrder(self.tasks, self._ends.keys())
        for task, unreadable in failed:
            if task.key not in self._ends:
                self._fail(task, unreadable)

    def _leave_out_not_needed(self) -> None:
        for task in self._order.not_needed():
            self._end(TaskEnd(task, "not needed"))

    def _refuse_impossible(self) -> None:
        """Refuse at once what could never be started, rather than when its turn comes."""
        for task in self.tasks:
            if task.job is not None and task.key not in self._ends:
                try:
                    self.executor.room([task.job])
                except SpecError as refusal:
                    self._fail(task, refusal)

    # --- starting -----------------------------------------------------------------------------------------------

    def _start_ready(self) -> None:
        """Start what is ready and has room; jobs of one moment in one call, of which an engine may make an array."""
        while self._pauses and self._pauses[0][0] <= self.clock():
            task = heapq.heappop(self._pauses)[2]
            # Nothing else starts before what has to run alone: it must not wait for its turn among the others.
            self._order.give_back(task, ahead=task.key in self._alone)
        batch: list[Job] = []
        full: set[str] = set()
        while devices := [device for device in self._order.devices() if device not in full]:
            if devices[0] == IN_THIS_PROCESS:
                self._act(self._order.take(devices[0]))
                continue
            first = self._order.first(devices[0])
            assert first is not None
            batch.append(self._jobs[first.key])
            if self._has_room(first, batch):
                self._order.take(devices[0])
            else:
                batch.pop()
                # Those behind it wait too: what needs much room would never have it otherwise.
                full.add(devices[0])
        if batch:
            self._start(batch)

    def _has_room(self, task: Task, batch: Sequence[Job]) -> bool:
        if self._alone and (task.key not in self._alone or self._running or len(batch) > 1):
            return False
        return self.executor.room(batch)

    def _start(self, batch: Sequence[Job]) -> None:
        tasks = [self._order.task(job.key) for job in batch]
        for task in tasks:
            self._attempts[task.key] = self._attempts.get(task.key, 0) + 1
            self._saved[task.key] = None if task.saved is None else task.saved()
        try:
            self.executor.start(batch)
        except BenchError as error:
            for task in tasks:
                self._hear_of_trouble(task, Ended(task.key, error))
            return
        for task in tasks:
            self._running[task.key] = task
            self.watcher.on_start(task, self._attempts[task.key])

    def _act(self, task: Task) -> None:
        """Do a task in this process."""
        assert task.act is not None
        try:
            task.act()
            if not task.is_done():
                raise RunError(f"{capital(task.name)} ended without a result.")
            self._finish(task, "finished")
        except BenchError as error:
            self._fail(task, error)
        except Exception as error:  # noqa: BLE001 - as that of a job: whatever it is, the others go on
            print_traceback(error)
            self._fail(task, read_error(error_document(error)))
        else:
            self._order.done(task)

    # --- hearing ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Hear of the jobs that have ended, for a moment."""
        for ended in self.executor.ended(LOOK_SECONDS):
            self._hear(self._running.pop(ended.key), ended)
        self.watcher.on_look(self.executor)

    def _hear(self, task: Task, ended: Ended) -> None:
        """Look whether a task is done whose job has ended, whatever the engine said of it."""
        try:
            done = task.is_done()
            if done:
                self._finish(task, "finished")
        except BenchError as error:
            self._fail(task, error)
            return
        self._alone.discard(task.key)
        if done:
            self._order.done(task)
        elif ended.error is None:
            lost = LostProcessError(
                f"{capital(task.name)} ended without a result.", f"Its log is {self._jobs[task.key].log}."
            )
            self._hear_of_trouble(task, Ended(task.key, lost))
        else:
            self._hear_of_trouble(task, ended)

    def _hear_of_trouble(self, task: Task, ended: Ended) -> None:
        """Start a job again that was lost, or had too little memory beside others; give up what failed by itself."""
        error = ended.error
        assert error is not None
        lost = isinstance(error, LostProcessError | InterruptedRunError)
        if lost and self._stops():
            return
        if (lost or ended.crowded is not None) and (fruitless := self._fruitless_starts(task)) <= self.policy.retries:
            self._give_more_room(task, ended)
            seconds = self.policy.pause(fruitless)
            self.watcher.on_retry(task, error, seconds)
            heapq.heappush(self._pauses, (self.clock() + seconds, task.key, task))
        else:
            self._fail(task, error)

    def _fruitless_starts(self, task: Task) -> int:
        """How often a job was started since it last saved a further state; at least once.

        A job that is preempted again and again comes to its end all the same, as long as it saves what it has done.
        """
        has_advanced = task.saved is not None and task.saved() != self._saved[task.key]
        self._fruitless[task.key] = 1 if has_advanced else self._fruitless.get(task.key, 0) + 1
        return self._fruitless[task.key]

    def _give_more_room(self, task: Task, ended: Ended) -> None:
        """Let a job that memory ran out for, which it shared with others, have it for itself."""
        if ended.crowded == "device":
            logger.info(f"{capital(task.name)} shared a device whose memory ran out: next time it has one of its own")
            self._jobs[task.key] = self._jobs[task.key].changed(memory=None)
        elif ended.crowded == "machine":
            logger.info(
                f"{capital(task.name)} ran beside others when the machine's memory ran out: next time it runs alone"
            )
            self._alone.add(task.key)

    # --- how tasks end ------------------------------------------------------------------------------------------

    def _finish(self, task: Task, status: TaskStatus) -> None:
        """Bring the result of a task to where it belongs.

        Raises:
            BenchError: If it cannot be brought there: then the task has failed.
        """
        if task.on_done is not None:
            task.on_done()
        self._end(TaskEnd(task, status, attempts=self._attempts.get(task.key, 0)))

    def _fail(self, task: Task, error: BenchError) -> None:
        """Give a task up, and with it all that stands after it."""
        if isinstance(error, DamagedBoardError | SpoiltBoardError):
            self.fatal = self.fatal or error
        self._alone.discard(task.key)
        self._end(TaskEnd(task, "failed", error, self._attempts.get(task.key, 0)))
        for other in self._order.failed(task):
            words = f"{capital(other.name)} was not started: {task.name}, which comes before it, failed."
            self._end(TaskEnd(other, "not started", RunError(words, error.message)))

    def _end(self, end: TaskEnd) -> None:
        self._ends[end.task.key] = end
        self.watcher.on_end(end)

    # --- stopping -----------------------------------------------------------------------------------------------

    def _end_now(self) -> None:
        self._end_wanted = True

    def _stops(self) -> bool:
        self._is_cancelled = self._is_cancelled or self.cancelled()
        return self._stop.wanted or self.fatal is not None or self._is_cancelled

    def _has_stopped(self) -> bool:
        """Ask the jobs to stop, if that was not done yet, and say whether there is none left to wait for."""
        if self.executor.outlives and (self._stop.wanted or not self._is_cancelled):
            return True
        if self._running and not self._asked:
            self._asked = True
            self._patience = self.clock() + CANCEL_SECONDS
            logger.info(f"stopping: {len(self._running)} save their state and end; another Ctrl-C ends them at once")
            self.executor.ask_to_stop()
        is_overdue = self._is_cancelled and self._patience is not None and self.clock() > self._patience
        if self._end_wanted or is_overdue:
            self.executor.end()
        return not self._running

    def _interruption(self) -> InterruptedRunError:
        done = sum(end.status in ("done before", "finished") for end in self._ends.values())
        said = f"Stopped: {done} of {len(self.tasks)} are done."
        if self._running:
            return InterruptedRunError(f"{said} {self.executor.name} goes on with {len(self._running)} of them.")
        return InterruptedRunError(said, "The same command goes on with what is missing, from the last saved states.")
