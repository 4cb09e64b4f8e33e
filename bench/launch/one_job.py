"""Carries out one job in a process of its own, and says how it ended: what every engine does where the job runs.

On another machine the job comes from a file, and how it ended is written to a file beside it:
``python -m bench job FILE``.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from bench.core.error_wire import error_document, read_error
from bench.core.errors import BenchError, InterruptedRunError, LostProcessError, RunError, StoreError
from bench.core.files import write_json
from bench.core.text import capital
from bench.launch.child import Child, Children
from bench.launch.jobs import Ended, Job

STOP_SECONDS = 60.0
"""What a job that ran out of time has to save its state, before it is killed."""


class TimedOutError(RunError):
    """A job that took longer than it was allowed to; its last saved state is kept."""


def job_file(folder: Path, key: str) -> Path:
    """The file that says what a job is, in the folder of an engine's jobs."""
    return folder / f"{key}.json"


def ended_file(job: Path) -> Path:
    """The file that says how a job ended, beside the one that says what it is."""
    return job.with_name(f"{job.stem}.ended.json")


def write_job(job: Job, folder: Path) -> Path:
    """Write a job for another process to carry out; what is known of an earlier end is removed first.

    Raises:
        StoreError: If it cannot be written.
    """
    path = job_file(folder, job.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    ended_file(path).unlink(missing_ok=True)
    write_json(path, job.to_json())
    return path


def read_job(path: Path) -> Job:
    """Read what :func:`write_job` wrote.

    Raises:
        StoreError: If there is no such file here, or it holds no job.
    """
    try:
        return Job.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise StoreError(
            f"The job file {path} cannot be read on {socket.gethostname()}: {error.strerror}.",
            "Results and jobs must be on a disk that all machines share, under one path (--home or BENCH_HOME).",
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} is no file of a job ({type(error).__name__}).") from error


def write_end(path: Path, ended: Ended) -> None:
    """Write how the job of a file ended, in one step."""
    error = None if ended.error is None else error_document(ended.error)
    write_json(ended_file(path), {"key": ended.key, "error": error})


def read_end(path: Path) -> Ended | None:
    """How the job of a file ended; None while it has not."""
    with contextlib.suppress(FileNotFoundError):
        document = json.loads(ended_file(path).read_text(encoding="utf-8"))
        error = document["error"]
        return Ended(document["key"], None if error is None else read_error(error))
    return None


def end_of(job: Job, child: Child, *, asked: bool, timed_out: bool) -> Ended:
    """How a job ended whose process is gone.

    Args:
        job: The job.
        child: Its process.
        asked: Whether it was asked to stop.
        timed_out: Whether that was because its time was over.
    """
    try:
        child.raise_error()
    except BenchError as error:
        if timed_out and isinstance(error, InterruptedRunError | LostProcessError):
            return Ended(
                job.key,
                TimedOutError(
                    f"{capital(job.name)} took longer than the {job.timeout:g} seconds that it was allowed to.",
                    f"Give a longer --timeout; its log is {job.log}.",
                ),
            )
        if asked and child.error is None and isinstance(error, LostProcessError):
            return Ended(
                job.key,
                InterruptedRunError(f"{capital(job.name)} was stopped before it could save more of its state."),
            )
        return Ended(job.key, error)
    return Ended(job.key)


class JobProcess:
    """The process of a job, which is asked to stop when its time is over, and killed if it does not.

    Args:
        job: The job.
        child: Its process, just started.
        stop_seconds: What it has to save its state when its time is over.
    """

    def __init__(self, job: Job, child: Child, stop_seconds: float = STOP_SECONDS) -> None:
        self.job, self.child = job, child
        self._stop_seconds = stop_seconds
        self._started = time.monotonic()
        self._timed_out = False

    def keep_time(self) -> None:
        """Look at the clock; called several times a second."""
        if self.job.timeout is None:
            return
        over = time.monotonic() - self._started - self.job.timeout
        if over > 0 and not self._timed_out:
            self._timed_out = True
            self.child.ask_to_stop()
        if over > self._stop_seconds:
            self.child.end()

    def ended(self, *, asked: bool) -> Ended:
        """How the job ended, when the process is gone.

        Args:
            asked: Whether it was asked to stop for another reason than its time.
        """
        return end_of(self.job, self.child, asked=asked or self._timed_out, timed_out=self._timed_out)


def carry_out_job(job: Job, *, shown: bool, environment: Mapping[str, str | None] | None = None) -> Ended:
    """Carry out a job in a process of its own, and wait for it.

    Args:
        job: The job.
        shown: Whether what it writes on stderr is shown here too.
        environment: Variables that say which part of this machine is its own.
    """
    with Children() as children:
        process = JobProcess(job, children.start(job.work(shown=shown, environment=environment)))
        for _ in children.looks():
            process.keep_time()
        return process.ended(asked=children.asked)


def main(path: Path) -> Ended:
    """Carry out the job of a file, and write how it ended beside it."""
    job = read_job(path)
    # Slurm starts a job anew that it has stopped, or whose node was lost.
    ended_file(path).unlink(missing_ok=True)
    try:
        ended = carry_out_job(job, shown=True)
    except BenchError as error:
        ended = Ended(job.key, error)
    write_end(path, ended)
    return ended
