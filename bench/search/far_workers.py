"""The workers of a search on an engine: jobs that take trials, watched through the study, started again when lost.

What the workers do is known from the study alone: an engine may lose sight of a process that goes on with its work. A
trial whose worker is gone is taken over by another one (:mod:`bench.search.claims`), some minutes later where the
worker was on another machine; as long as there may be such a trial, the search is not over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import (
    BenchError,
    CancelledJobError,
    InterruptedRunError,
    LostProcessError,
    MemoryRunError,
    RunError,
    SpecError,
    UnexpectedError,
)
from bench.core.lifetimes import StopRequest
from bench.core.text import counted_noun
from bench.launch.executors import make_executor
from bench.launch.jobs import Ended, Executor, Job, LaunchOptions
from bench.search.failures import GIVE_UP_AFTER, CircuitBreaker
from bench.search.study import Search
from bench.search.study_watch import StudyWatch, claimable, running, trial_line
from bench.search.trial_results import TrialResults
from bench.search.workers import MOST_STILLBORN, worker_log, worker_task

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Between two looks at the study."""

PAUSE_SECONDS = 60.0
"""After a worker that found no trial, before another one looks: machines whose clocks differ may not agree on which
trials are abandoned."""


LOSSES = (LostProcessError, InterruptedRunError, UnexpectedError, MemoryRunError)
"""What loses one worker and says nothing of the others; a trial that each worker dies of fails by itself."""


def jobs_folder(home: Path, study: str) -> Path:
    """Where the jobs of a search's workers and final runs are kept, on a disk that the machines share."""
    return home.absolute() / "studies" / f"{study}.jobs"


def worker_job(study: str, home: Path, execution: Mapping[str, Any], number: int, task: Mapping[str, Any]) -> Job:
    """The job of a worker: what it needs of a machine, and what it does there.

    Args:
        study: The study's name.
        home: The results folder.
        execution: Execution fields of the runs.
        number: The worker's, from one on.
        task: What its process is given; what a machine needs for it does not depend on that.
    """
    return Job(
        key=f"worker-{number}",
        module="bench.search.worker",
        task=task,
        name=f"worker {number} of {study}",
        label=f"worker {number}",
        log=worker_log(home.absolute(), study, number),
        device=execution["device"],
        processes=int(execution["processes"]),
    )


def cancel_jobs_of(home: Path, study: str) -> int:
    """Cancel what Slurm still has of a search; gives the number of jobs.

    Args:
        home: The results folder.
        study: The study's name.

    Raises:
        SpecError: If the search never had jobs on other machines.
        BenchError: If there is no Slurm here, or it does not answer.
    """
    from bench.launch.executors.slurm import cancel_jobs

    folder = jobs_folder(home, study)
    if not folder.is_dir():
        raise SpecError(
            f"The study '{study}' has no workers on other machines: there is no {folder}.",
            "Local workers end with Ctrl-C.",
        )
    return len(cancel_jobs(folder))


class FarCrew:
    """Runs a search with several workers on an engine.

    Args:
        search: The study, in a storage that all machines see.
        home: The results folder, on a disk that they share.
        execution: Execution fields of the runs.
        workers: How many at a time.
        options: The engine.
        give_up_after: Trials that fail one after the other with the same cause before the search stops; 0 for never.
    """

    def __init__(
        self,
        search: Search,
        home: Path,
        execution: Mapping[str, Any],
        workers: int,
        options: LaunchOptions,
        give_up_after: int = GIVE_UP_AFTER,
    ) -> None:
        self.search, self.home, self.execution, self.options = search, home, execution, options
        self._breaker = CircuitBreaker(give_up_after, time.time())
        self._jobs = {job.key: job for job in (self._job(number) for number in range(1, workers + 1))}
        self._alive: dict[str, None] = {}
        self._stillborn = self._unanswered = 0
        self._pause_until = 0.0
        self._error: BenchError | None = None
        self._stop = StopRequest()
        self._asked = False

    def run(self) -> None:
        """Work until there is no trial left to take, and none in anybody's hands.

        Raises:
            InterruptedRunError: After Ctrl-C, SIGTERM or SIGHUP: when every worker has saved its run's state and gone;
                workers of an engine that outlives this process are left to it.
            BenchError: What ended a worker and would end the others, or the engine.
            RunError: If workers are lost again and again before they begin, or trials fail one after the other with the
                same cause.
        """
        self._watch, self._results = StudyWatch(self.search), TrialResults(self.home)
        self._results.catch_up(self.search.trials)
        with self._stop, make_executor(self.options, jobs_folder(self.home, self.search.name)) as executor:
            while not self._is_over():
                if self._stop.wanted and executor.outlives and self._error is None:
                    raise self._left(executor)
                self._start_missing(executor)
                for ended in executor.ended(LOOK_SECONDS):
                    self._hear(ended)
                self._look()
        if self._error is not None:
            raise self._error
        if self._stop.wanted:
            raise InterruptedRunError("The search was stopped; runs under way have saved their state.")
        self._results.settle()

    def _job(self, number: int) -> Job:
        """The job of a worker; one that takes its place has the same key."""
        task = worker_task(self.search, self.home, self.execution, self._breaker, stored=False)
        return worker_job(self.search.name, self.home, self.execution, number, task)

    def _is_over(self) -> bool:
        """Whether nobody is at work, and nothing is left to do."""
        if self._alive:
            return False
        return self._ends() or not (claimable(self.search) or running(self.search))

    def _ends(self) -> bool:
        return self._stop.wanted or self._error is not None

    def _start_missing(self, executor: Executor) -> None:
        """Start as many workers as find a trial, or ask them all to stop where the search ends."""
        if self._ends():
            if self._alive and not self._asked:
                self._asked = True
                executor.ask_to_stop()
            return
        if time.monotonic() < self._pause_until:
            return
        idle = [job for key, job in self._jobs.items() if key not in self._alive]
        # Those at work that have no trial yet take one of these.
        hungry = max(0, len(self._alive) - running(self.search))
        batch: list[Job] = []
        for job in idle[: max(0, claimable(self.search) - hungry)]:
            if not executor.room([*batch, job]):
                break
            batch.append(job)
        if batch:
            self._start(executor, batch)

    def _start(self, executor: Executor, batch: Sequence[Job]) -> None:
        try:
            executor.start(batch)
        except LostProcessError as error:
            # Nothing is wrong with these workers, and those at work go on.
            self._unanswered += 1
            if self._unanswered > MOST_STILLBORN:
                raise
            logger.warning(f"{error.message} The search tries again in {PAUSE_SECONDS:g} seconds")
            self._pause_until = time.monotonic() + PAUSE_SECONDS
        else:
            self._unanswered = 0
            self._alive.update(dict.fromkeys(job.key for job in batch))

    def _hear(self, ended: Ended) -> None:
        """Note that a worker has gone; an error that the others would meet too ends the search."""
        del self._alive[ended.key]
        error = ended.error
        if error is None:
            self._pause_until = time.monotonic() + PAUSE_SECONDS
        if error is None or self._ends():
            return
        if isinstance(error, CancelledJobError):
            self._do_without(ended.key, error)
        elif isinstance(error, LOSSES):
            self._replace(self._jobs[ended.key], error)
        else:
            self._error = error

    def _do_without(self, key: str, error: BenchError) -> None:
        """Go on without a worker that somebody cancelled; one that took its place would be against their will."""
        job = self._jobs.pop(key)
        if self._jobs:
            logger.warning(f"{error.message} The search goes on with {len(self._jobs)} of its workers, not {job.label}")
        elif claimable(self.search) or running(self.search):
            self._error = error

    def _replace(self, job: Job, error: BenchError) -> None:
        """Have another worker take the place of one that was lost, unless too many were before they began."""
        self._stillborn += 1
        if self._stillborn > MOST_STILLBORN:
            self._error = RunError(f"Workers are lost before they begin: {error.message}", f"Look at {job.log}.")
        else:
            logger.warning(f"{job.name} was lost: {error.message} Another one takes its place where a trial is left")

    def _look(self) -> None:
        """Say what has happened in the study, and bring results to the board."""
        changed = self._watch.changed()
        if changed:
            self._pause_until = 0.0
        for trial in changed:
            logger.info(trial_line(trial))
            if not trial.state.is_finished():
                self._stillborn = 0
        self._results.expect([trial for trial in changed if trial.state.is_finished()])
        self._results.bring()

    def _left(self, executor: Executor) -> InterruptedRunError:
        return InterruptedRunError(
            f"{executor.name} goes on with {counted_noun(len(self._alive), 'worker')} of the search; `bench "
            "search show "
            f"{self.search.name}` tells how far they are, and `bench search cancel {self.search.name}` stops them."
        )
