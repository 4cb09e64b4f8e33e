"""Carries out jobs on this machine: each is a process with a place of its own, and none outlives this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from bench.core.errors import BenchError, LostProcessError, MemoryRunError
from bench.launch.child import Child, Children
from bench.launch.executors.host_memory import kills_for_memory
from bench.launch.executors.places import CPU, Places
from bench.launch.jobs import Crowd, Ended, Job, JobState, LaunchOptions
from bench.launch.one_job import STOP_SECONDS, JobProcess


@dataclass
class _Running:
    """A job under way.

    Attributes:
        process: Its process.
        where: Its place, for people.
        kills: Processes that had been killed for memory when it started.
        beside: Whether other jobs ran at the same time, at any time.
        shares: Whether others had a part of its device, at any time.
    """

    process: JobProcess
    where: str
    kills: int
    beside: bool = False
    shares: bool = False


class LocalExecutor:
    """The engine of this machine, for a ``with`` block.

    Args:
        options: How many jobs at a time, and on which devices.
        places: The places of the machine; a test may have others.
        stop_seconds: What a job that ran out of time has to save its state, before it is killed.
        kills: Tells how many processes the system has killed for memory.
    """

    name = "this machine"
    outlives = False

    def __init__(
        self,
        options: LaunchOptions,
        places: Places | None = None,
        stop_seconds: float = STOP_SECONDS,
        kills: Callable[[], int] = kills_for_memory,
    ) -> None:
        self.places = places or Places(options)
        self._stop_seconds, self._kills = stop_seconds, kills
        self._children = Children()
        self._running: dict[Child, _Running] = {}
        self._not_started: list[Ended] = []

    def __enter__(self) -> Self:
        self._children.__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        self._children.__exit__()

    def room(self, jobs: Sequence[Job]) -> bool:
        """Whether there are places for all these jobs.

        Raises:
            SpecError: If there can never be one for the last of them.
        """
        return self.places.room(jobs)

    def start(self, jobs: Sequence[Job]) -> None:
        """Start a process for each job; one that cannot be started is heard of in :meth:`ended`."""
        for job in jobs:
            place = self.places.take(job)
            try:
                # Their words are in their logs: those of several at a time would say nothing to anybody.
                child = self._children.start(job.work(shown=False, environment=place.environment))
            except BenchError as error:
                self.places.leave(job.key)
                self._not_started.append(Ended(job.key, error))
            else:
                process = JobProcess(job, child, self._stop_seconds)
                self._running[child] = _Running(process, place.said, self._kills())
        self._note_neighbours()

    def _note_neighbours(self) -> None:
        for running in self._running.values():
            running.beside |= len(self._running) > 1
            running.shares |= bool(self.places.neighbours(running.process.job.key))

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait at most so long, and give the jobs that ended meanwhile."""
        found, self._not_started = self._not_started, []
        gone = self._children.look(0.0 if found else seconds)
        for running in self._running.values():
            running.process.keep_time()
        return [*found, *(self._ended(self._running.pop(child)) for child in gone)]

    def _ended(self, running: _Running) -> Ended:
        job = running.process.job
        self.places.leave(job.key)
        ended = running.process.ended(asked=self._children.asked)
        return Ended(job.key, ended.error, self._crowd(running, ended.error))

    def _crowd(self, running: _Running, error: BenchError | None) -> Crowd | None:
        """Whether memory ran out for a job that others had a part of."""
        if isinstance(error, MemoryRunError) and running.shares:
            return "device"
        on_machine = isinstance(error, MemoryRunError) and running.process.job.device == CPU
        killed = isinstance(error, LostProcessError) and self._kills() > running.kills
        return "machine" if running.beside and (on_machine or killed) else None

    def states(self) -> Mapping[str, tuple[JobState, str]]:
        """Where each job runs."""
        return {running.process.job.key: ("running", running.where) for running in self._running.values()}

    def ask_to_stop(self, keys: Sequence[str] | None = None) -> None:
        """Ask jobs, all by default, to save their state and end."""
        if keys is None:
            self._children.ask_to_stop()
            return
        for child, running in self._running.items():
            if running.process.job.key in keys:
                child.ask_to_stop()

    def end(self) -> None:
        """Kill all jobs that are under way."""
        self._children.end()
