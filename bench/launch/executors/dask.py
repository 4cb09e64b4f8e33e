"""The engine ``dask``: jobs on the workers of a running Dask cluster, one at a time on each.

Which worker carries out which job is decided here, not by Dask's scheduler: so nothing waits behind a long run while
another worker is idle, and a job whose worker is lost is never started again behind our back.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, SpecError
from bench.core.text import echoed
from bench.launch.executors.dask_client import connected
from bench.launch.executors.dask_cluster import LOOK_SECONDS, Cluster
from bench.launch.executors.dask_fitness import Worker
from bench.launch.jobs import Ended, Job, JobState, LaunchOptions
from bench.launch.one_job import read_end, write_job


@dataclass
class Started:
    """A job that a worker was given.

    Attributes:
        job: The job.
        path: Its file.
        worker: Who has it.
        future: Dask's word for it.
        asked: Whether it was asked to stop from here.
    """

    job: Job
    path: Path
    worker: Worker
    future: Any
    asked: bool = False


class DaskExecutor:
    """Carries out jobs on the workers of a running Dask cluster.

    Args:
        options: The address of the scheduler, and how many jobs at a time.
        folder: Where jobs and their ends are kept, on a disk that this machine shares with the workers.
    """

    name = "dask"
    outlives = False

    def __init__(self, options: LaunchOptions, folder: Path) -> None:
        self._options, self._folder = options, folder.absolute()
        self._blocks = contextlib.ExitStack()
        self._started: dict[str, Started] = {}
        self._waiting: list[Job] = []
        self._gone: list[Ended] = []
        self._done: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as blocks:
            self._cluster = blocks.enter_context(Cluster(connected(self._options.scheduler), self._folder))
            self._cluster.check()
            self._blocks = blocks.pop_all()
        return self

    def __exit__(self, *unused: object) -> None:
        with self._blocks:
            # A scheduler that is gone has taken its workers, and their jobs, with it.
            with contextlib.suppress(BenchError):
                self.ask_to_stop()
                self._cluster.cancel([it.future for it in self._started.values()])
            self._started.clear()

    def room(self, jobs: Sequence[Job]) -> bool:
        """Whether there are idle workers for these jobs.

        Raises:
            SpecError: If one can never be carried out here.
            RunError: If the scheduler does not answer any more.
        """
        self._cluster.look()
        for job in jobs:
            self._refuse(job)
        return not self._waiting and len(self._places(jobs)) == len(jobs)

    def start(self, jobs: Sequence[Job]) -> None:
        """Give jobs to idle workers, or to the next ones that are.

        Raises:
            BenchError: If the files of the jobs cannot be written, or the scheduler does not answer any more.
        """
        self._waiting += jobs
        self._give_out()

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait at most so long, and give the jobs that ended meanwhile.

        Raises:
            RunError: If the scheduler does not answer any more.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._cluster.look()
            self._take_done()
            self._take_lost()
            self._give_out()
            left = deadline - time.monotonic()
            if self._gone or left <= 0:
                gone, self._gone = self._gone, []
                return gone
            with contextlib.suppress(queue.Empty):
                self._take(self._done.get(timeout=min(left, LOOK_SECONDS)))

    def states(self) -> Mapping[str, tuple[JobState, str]]:
        """Of every job that was started and has not ended: whether it runs, and on which worker."""
        waiting: dict[str, tuple[JobState, str]] = {job.key: ("queued", "") for job in self._waiting}
        return waiting | {key: ("running", f"worker {it.worker.name}") for key, it in self._started.items()}

    def ask_to_stop(self, keys: Sequence[str] | None = None) -> None:
        """Ask jobs, all by default, to save their state and end.

        Raises:
            RunError: If the scheduler does not answer any more.
        """
        for job in [job for job in self._waiting if keys is None or job.key in keys]:
            self._waiting.remove(job)
            self._gone.append(Ended(job.key, InterruptedRunError(f"Stopped before {job.name} began.")))
        attempts: defaultdict[str, list[str]] = defaultdict(list)
        for key, started in self._started.items():
            if keys is None or key in keys:
                started.asked = True
                attempts[started.worker.address].append(started.future.key)
        self._cluster.stop(attempts)

    def end(self) -> None:
        """Wait for no job any more: those that were asked to stop end on their workers by themselves."""
        for key, started in self._started.items():
            words = f"The Dask worker {started.worker.name} was asked to stop {started.job.name}, and left with it."
            self._gone.append(Ended(key, InterruptedRunError(words)))
        self._started.clear()

    def _refuse(self, job: Job) -> None:
        """Refuse a job that no worker of this cluster can ever carry out.

        Raises:
            SpecError: If it needs several machines, or GPUs that no worker has to itself.
        """
        if job.nodes > 1:
            raise SpecError(
                f"--launcher dask cannot carry out {job.name} on {job.nodes} machines: a run is on one worker.",
                "Use --launcher slurm --nodes, or torchrun on the machines.",
            )
        reason = self._cluster.refusal(job)
        if reason is not None:
            raise SpecError(
                f"No Dask worker can carry out {job.name}: {reason}.",
                "Start one worker per device, each with its own CUDA_VISIBLE_DEVICES (docs/dask.md).",
            )

    def _places(self, jobs: Sequence[Job]) -> list[tuple[Job, Worker]]:
        """The jobs that can start now, each with a worker of its own."""
        room = len(jobs) if self._options.jobs is None else max(0, self._options.jobs - len(self._started))
        idle = self._cluster.idle({it.worker.address for it in self._started.values()})
        places = []
        for job in jobs[:room]:
            worker = next((it for it in idle if self._cluster.unfit_for(job, it) is None), None)
            if worker is None:
                self._cluster.wait_for_other(job)
                continue
            idle.remove(worker)
            places.append((job, worker))
        return places

    def _give_out(self) -> None:
        for job, worker in self._places(self._waiting):
            path = write_job(job, self._folder)
            self._waiting.remove(job)
            key = job.key
            future = self._cluster.submit(job, path, worker, lambda future: self._done.put(future.key))
            self._started[key] = Started(job, path, worker, future)

    def _take_done(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._done.get_nowait())

    def _take(self, attempt: str) -> None:
        """Take the end of an attempt; of those that were given up before nobody wants to hear."""
        for started in self._started.values():
            if started.future.key == attempt:
                self._end(started, self._end_of(started))
                return

    def _take_lost(self) -> None:
        """Take the jobs whose workers are gone: nobody else may carry them out, so that Dask would wait for ever."""
        lost = [it for it in self._started.values() if self._is_lost(it)]
        if lost:
            self._cluster.cancel([it.future for it in lost])
        for started in lost:
            self._end(started, read_end(started.path) or _lost(started))

    def _is_lost(self, started: Started) -> bool:
        there = self._cluster.workers.get(started.worker.address)
        return not started.future.done() and (there is None or there.about.identity != started.worker.about.identity)

    def _end_of(self, started: Started) -> Ended:
        future = started.future
        if future.status == "finished":
            try:
                return self._cluster.result(future)
            except OSError:
                return read_end(started.path) or _lost(started)
        if future.status == "error":
            error = future.exception()
            return _lost(started) if type(error).__name__ == "KilledWorker" else _failed(started, error)
        return read_end(started.path) or _lost(started)

    def _end(self, started: Started, ended: Ended) -> None:
        del self._started[started.job.key]
        if isinstance(ended.error, LostProcessError):
            self._cluster.forget(started.worker)
        self._gone.append(Ended(ended.key, None if ended.error is None else _as_meant(started, ended.error)))


def _as_meant(started: Started, error: BenchError) -> BenchError:
    """What the error of a job means here: a stop that was asked for from here is no loss, and any other stop is one."""
    if started.asked and isinstance(error, LostProcessError):
        return InterruptedRunError(
            f"The process of {started.job.name} was stopped before it could save more of its state."
        )
    if not started.asked and isinstance(error, InterruptedRunError):
        # Whoever ends the worker has asked the job to stop too: its time there is over, not its work.
        words = f"{error.message} Nobody asked for that here: the Dask worker {started.worker.name} is ending."
        return LostProcessError(words, error.hint)
    return error


def _lost(started: Started) -> Ended:
    error = LostProcessError(
        f"The Dask worker {started.worker.name} on {started.worker.about.host} was lost with {started.job.name}.",
        f"Its log is {started.job.log}; the same command goes on from the last saved state.",
    )
    return Ended(started.job.key, error)


def _failed(started: Started, error: BaseException) -> Ended:
    said = echoed(f"{type(error).__name__}: {error}")
    return Ended(started.job.key, RunError(f"Dask cannot carry out {started.job.name}: {said}"))
