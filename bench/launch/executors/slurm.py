"""Carries out jobs on a Slurm cluster, as arrays of ``python -m bench job FILE`` on a disk that all nodes share.

How a job ended is read from the file that it writes; what Slurm says of it decides only for one that wrote none, or
that saved its state and left. The jobs go on when the process that submitted them ends; another one takes them over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.core.errors import (
    BenchError,
    CancelledJobError,
    InterruptedRunError,
    LostProcessError,
    MemoryRunError,
    RunError,
)
from bench.core.text import capital, counted_noun
from bench.launch.executors.slurm_options import slurm_options
from bench.launch.executors.slurm_queue import (
    Queue,
    QueuedJob,
    cancel,
    check_slurm,
    known_queue,
    queue,
    stop_gently,
    submit,
)
from bench.launch.executors.slurm_script import ArrayFolder, Shape, array_script, arrays_of, shape_of
from bench.launch.jobs import Ended, Job, JobState, LaunchOptions
from bench.launch.one_job import job_file, read_end, write_job

logger = logging.getLogger(__name__)


@dataclass
class Submitted:
    """A job that was submitted and has not ended.

    Attributes:
        job: The job.
        place: The name of its array, and its place in it.
        seen: What Slurm said of it last; None before it was asked.
        asked: Whether it was asked to stop from here.
        gone_since: When Slurm was first heard to have it no more, or as ended.
    """

    job: Job
    place: tuple[str, int]
    seen: QueuedJob | None = None
    asked: bool = False
    gone_since: float | None = None


class SlurmExecutor:
    """Slurm as an engine.

    Args:
        options: Where and how jobs are carried out.
        folder: Where its jobs are and tell how they ended, on a disk that all nodes share.

    Raises:
        SpecError: For options that do not exist.
    """

    name = "slurm"

    outlives = True
    """Its jobs go on when this process ends."""

    end_seconds = 1.0
    """Between two looks at the files that jobs write when they end."""

    queue_seconds = 10.0
    """Between two questions to Slurm's controller, which all users share."""

    grace_seconds = 60.0
    """What a file that was written on another machine may take until it is seen here."""

    def __init__(self, options: LaunchOptions, folder: Path) -> None:
        self._options = slurm_options(options.slurm)
        self._at_a_time = options.jobs
        self._folder = folder.absolute()
        self._active: dict[str, Submitted] = {}
        self._refused: list[Ended] = []
        self._next_look = self._next_queue = 0.0

    def __enter__(self) -> Self:
        """Make sure that there is a Slurm; raises SpecError where there is none."""
        check_slurm()
        return self

    def __exit__(self, *unused: object) -> None:
        """Leave the jobs to Slurm."""

    def room(self, jobs: Sequence[Job]) -> bool:
        """Whether the engine takes these jobs now: always, since Slurm has a queue of its own.

        Raises:
            SpecError: If the processes of the last of them cannot be spread over its nodes.
        """
        shape_of(jobs[-1], self._options)
        return True

    def start(self, jobs: Sequence[Job]) -> None:
        """Submit jobs, in one array for all that need the same; what is in the queue already is taken over.

        Raises:
            BenchError: If sbatch refuses them, or the controller does not answer.
        """
        left = self._take_over(jobs)
        accepted = len(left) < len(jobs)
        for shape, alike in arrays_of(left, self._options):
            try:
                self._submit(shape, alike)
                accepted = True
            except BenchError as error:
                self._refused += [Ended(job.key, error) for job in alike]
        if self._refused and not accepted:
            refusal, self._refused = self._refused[0].error, []
            assert refusal is not None
            raise refusal

    def _submit(self, shape: Shape, jobs: Sequence[Job]) -> None:
        array = ArrayFolder.new(self._folder)
        files = [write_job(job, self._folder) for job in jobs]
        array.path.mkdir(parents=True)
        # Before sbatch, so that a process which dies in between leaves no job that nobody knows.
        array.jobs.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        array.script.write_text(array_script(self._options, shape, len(jobs), array, self._at_a_time), "utf-8")
        number = submit(array.script)
        array.id.write_text(f"{number}\n", encoding="utf-8")
        logger.info(f"Slurm has {counted_noun(len(jobs), 'job')} as array {number} ({array.name})")
        for index, job in enumerate(jobs):
            self._active[job.key] = Submitted(job, (array.name, index))

    def _take_over(self, jobs: Sequence[Job]) -> list[Job]:
        """Take over those that an earlier process has submitted and that are in the queue; gives the others."""
        places = submitted_places(self._folder)
        known = known_queue([job for job in jobs if job.key in places])
        left = []
        for job in jobs:
            live = [place for place in places.get(job.key, ()) if place in known and known[place].alive]
            if live and not _is_final(read_end(job_file(self._folder, job.key))):
                self._active[job.key] = Submitted(job, live[-1], seen=known[live[-1]])
                logger.info(f"{job.name} is in Slurm's queue already, as job {known[live[-1]].id}")
            else:
                left.append(job)
        return left

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait at most so long, and give the jobs that ended meanwhile, each once."""
        end = time.monotonic() + seconds
        while True:
            found = [*self._refused, *self._ended_by_file(), *self._ended_by_queue()]
            self._refused = []
            left = end - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(left, self.end_seconds))

    def _ended_by_file(self) -> Iterator[Ended]:
        """Jobs that wrote how they ended; one that only saved its state may be in the queue again."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + self.end_seconds
        for key in self._written_ends():
            # Read once: a job that is started again removes it.
            written = read_end(job_file(self._folder, key))
            if _is_final(written) or (written is not None and self._active[key].asked):
                yield self._end(key, written)

    def _written_ends(self) -> list[str]:
        # One look at the folder instead of one at each of many files.
        there = {path.name for path in self._folder.glob("*.ended.json")} if self._active else set()
        return [key for key in self._active if f"{key}.ended.json" in there]

    def _ended_by_queue(self) -> Iterator[Ended]:
        """Jobs that Slurm has no more, or as ended, since some time."""
        known = self._fresh_queue()
        if known is None:
            return
        self._tell_asked(known)
        for key, submitted in list(self._active.items()):
            submitted.seen = known.get(submitted.place, submitted.seen)
            if submitted.place in known and known[submitted.place].alive:
                submitted.gone_since = None
                continue
            now = time.monotonic()
            submitted.gone_since = submitted.gone_since or now
            # What is read here is newer than what Slurm said: it is what the job wrote last.
            ended = read_end(job_file(self._folder, key))
            if ended is not None or self._is_cancelled(submitted) or now - submitted.gone_since >= self.grace_seconds:
                yield self._end(key, ended)

    def _is_cancelled(self, submitted: Submitted) -> bool:
        """Whether a job was taken out of the queue before it ran: it writes nothing."""
        return submitted.seen is not None and submitted.seen.state == "CANCELLED" and not submitted.seen.nodes

    def _fresh_queue(self) -> Queue | None:
        if not self._active or time.monotonic() < self._next_queue:
            return None
        known = queue()
        self._next_queue = time.monotonic() + self.queue_seconds
        if known is None:
            logger.warning("Slurm's controller does not answer; its jobs go on meanwhile")
        return known

    def _end(self, key: str, written: Ended | None) -> Ended:
        submitted = self._active.pop(key)
        if written is not None and _is_final(written):
            return written
        return Ended(key, _error_of(submitted, written is not None))

    def states(self) -> Mapping[str, tuple[JobState, str]]:
        """Of every job that has not ended: whether it runs, and on which node; why it waits."""
        return {key: ("queued", "Slurm") if it.seen is None else it.seen.said for key, it in self._active.items()}

    def ask_to_stop(self, keys: Sequence[str] | None = None) -> None:
        """Ask jobs, all by default, to save their state and end; those that wait are taken out of the queue."""
        for key in self._active if keys is None else keys:
            if key in self._active:
                self._active[key].asked = True
        self._next_queue = 0.0
        self._tell_asked(self._fresh_queue() or {})
        self._next_queue = 0.0

    def _tell_asked(self, known: Queue) -> None:
        """Tell those that were asked to stop and are in the queue.

        They are told at each look at the queue: a controller may not have answered, and a job that is just being
        started hears nothing.
        """
        places = [it.place for it in self._active.values() if it.asked]
        ids = [known[place].id for place in places if _is_alive(known, place)]
        try:
            stop_gently(ids)
        except RunError as error:
            logger.warning(error.message)

    def end(self) -> None:
        """End what is on this machine: nothing is."""


def _is_final(ended: Ended | None) -> bool:
    """Whether a job has ended for good; one that saved its state may be in the queue again."""
    return ended is not None and not isinstance(ended.error, InterruptedRunError)


def submitted_places(folder: Path) -> dict[str, list[tuple[str, int]]]:
    """Where jobs of an engine's folder stand in arrays that were submitted, by key; the newest last."""
    places: dict[str, list[tuple[str, int]]] = {}
    lists = sorted((folder.absolute() / "slurm").glob("*/jobs.txt"), key=lambda path: path.stat().st_mtime_ns)
    for path in lists:
        for index, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            places.setdefault(Path(line).stem, []).append((path.parent.name, index))
    return places


def cancel_jobs(folder: Path) -> list[str]:
    """Cancel the jobs of an engine's folder that are in Slurm's queue; no process need wait for them.

    Args:
        folder: The engine's folder.

    Returns:
        Their keys. Those that run save their state, as far as Slurm gives them the time.

    Raises:
        BenchError: If there is no Slurm here, or its controller does not answer.
    """
    check_slurm()
    places = submitted_places(folder)
    known = known_queue(places)
    # Of one key there may be several: two processes may have submitted it at once.
    live = [(key, known[place].id) for key, of_key in places.items() for place in of_key if _is_alive(known, place)]
    cancel([number for _, number in live])
    return list(dict.fromkeys(key for key, _ in live))


def _is_alive(known: Queue, place: tuple[str, int]) -> bool:
    return place in known and known[place].alive


ENDS = {
    "TIMEOUT": "ran out of its time in Slurm",
    "PREEMPTED": "had to make room for another job in Slurm",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "got a node that did not start",
}


def _error_of(submitted: Submitted, saved: bool) -> BenchError:
    """What a job ended with that did not say so by itself.

    Args:
        submitted: The job.
        saved: Whether it told that it had saved its state.
    """
    name = capital(submitted.job.name)
    job = f"job {submitted.seen.id}" if submitted.seen is not None else "its job"
    state = submitted.seen.state if submitted.seen is not None and not submitted.seen.alive else ""
    look = f"Its log is {submitted.job.log}."
    if submitted.asked:
        return InterruptedRunError(f"{name} was stopped in Slurm ({job}).")
    if state == "CANCELLED":
        return CancelledJobError(f"{name} was cancelled in Slurm ({job}).", "The same command submits it again.")
    if state == "OUT_OF_MEMORY":
        return MemoryRunError(f"{name} took more memory than Slurm gave it ({job}).", f"Give it more: memory=…. {look}")
    if saved:
        return LostProcessError(f"{name} saved its state when Slurm told it to end ({job}).", "It goes on from there.")
    return LostProcessError(f"{name} {ENDS.get(state, 'was lost in Slurm')} ({job} {state or 'is gone'}).", look)
