"""Work shared among forks of this process.

They talk over pipes alone. A pool of the standard library needs semaphores, and those need ``/dev/shm``, which
containers and hardened machines do not always have.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any, TypeVar

from bench.core.error_wire import error_document, read_error
from bench.core.errors import LostProcessError, RunError
from bench.core.lifetimes import STOP_SIGNALS, die_with_parent, leave_to_parent, signal_name, signals_held

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class _Fork:
    """A helper process and the pipe to it."""

    process: ForkProcess
    pipe: Connection


@dataclass(frozen=True)
class _Answer:
    """Answer of a fork to a job: its place, and the result, or the error with its traceback in words."""

    place: int
    result: Any = None
    error: Exception | None = None
    trace: str = ""


def share_jobs(
    work: Callable[[JobT], ResultT], jobs: Sequence[JobT], forks: int, prepare: Callable[[], None]
) -> Generator[tuple[int, ResultT]]:
    """Do jobs in forks of this process, each taking the next job when it has done one.

    Args:
        work: Function that does a job; it sees this process's memory as it is now.
        jobs: The jobs, of which only places travel through the pipes: the forks have them in memory.
        forks: Number of processes; no more are started than there are jobs.
        prepare: Called once in each fork, before its first job.

    Yields:
        Place of a job and what ``work`` returned for it, as jobs are done.

    Raises:
        LostProcessError: If a fork was killed.
        RunError: If none can be started.
        Exception: What ``work`` raised.
    """
    helpers: dict[Connection, _Fork] = {}
    places = iter(range(len(jobs)))
    try:
        with signals_held():
            for _ in range(min(forks, len(jobs))):
                fork = _start_fork(work, jobs, prepare, list(helpers))
                helpers[fork.pipe] = fork
        busy = {pipe for pipe in helpers if _hand_out(places, pipe)}
        while busy:
            for pipe in _ready_pipes(busy):
                answer = _receive_answer(helpers[pipe])
                if answer.error is not None:
                    answer.error.add_note(answer.trace)
                    raise answer.error
                # The next job first, so that the fork is at work while the caller looks at the result.
                if not _hand_out(places, pipe):
                    busy.remove(pipe)
                yield answer.place, answer.result
    finally:
        # A fork ends when its pipe does; the job that it is at is finished first.
        for pipe in helpers:
            pipe.close()
        for fork in helpers.values():
            fork.process.join()


def _hand_out(places: Iterator[int], pipe: Connection) -> bool:
    """Give a fork the next job; False where none is left."""
    place = next(places, None)
    if place is None:
        return False
    # A fork that was killed meanwhile is noticed when its answer is waited for.
    with contextlib.suppress(ConnectionError):
        pipe.send(place)
    return True


def _ready_pipes(pipes: Iterable[Connection]) -> list[Connection]:
    """The pipes that hold an answer, or whose fork has ended; waits for the first."""
    return [pipe for pipe in wait(list(pipes)) if isinstance(pipe, Connection)]


def _start_fork(
    work: Callable[[Any], Any], jobs: Sequence[Any], prepare: Callable[[], None], others: list[Connection]
) -> _Fork:
    try:
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=_serve_jobs, args=(work, jobs, prepare, there, [here, *others]), daemon=True
        )
        process.start()
    except OSError as error:
        raise RunError(
            f"No helper process can be started: {error.strerror or error}.",
            "Raise the limit of processes or open files (`ulimit -a`), or use fewer --workers.",
        ) from error
    # The fork alone must hold its end: otherwise the pipe of a killed fork would never end.
    there.close()
    return _Fork(process, here)


def _receive_answer(fork: _Fork) -> _Answer:
    try:
        answer: _Answer = fork.pipe.recv()
    except (EOFError, ConnectionError):
        # A killed fork ends its pipe without an answer; by what it was killed is known once it is waited for.
        fork.process.join()
        ended = _how_it_ended(fork.process.exitcode)
        raise LostProcessError(
            f"A process that computed features was killed ({ended}), perhaps for want of memory.",
            "Run the command again.",
        ) from None
    return answer


def _how_it_ended(code: int | None) -> str:
    """How a process ended: by which signal, or with which code."""
    return signal_name(-code) if code is not None and code < 0 else f"exit code {code}"


def _serve_jobs(
    work: Callable[[Any], Any],
    jobs: Sequence[Any],
    prepare: Callable[[], None],
    pipe: Connection,
    inherited: list[Connection],
) -> None:
    """In a fork: do the jobs whose places come through the pipe, until it ends."""
    # A pipe ends when its last holder closes it: not before this copy is gone.
    for other in inherited:
        other.close()
    die_with_parent()
    # A terminal's Ctrl-C and SIGHUP and a scheduler's SIGTERM reach the forks too: it is the parent that answers them.
    leave_to_parent(*STOP_SIGNALS)
    prepare()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            place = pipe.recv()
            pipe.send(_do_job(work, jobs, place))


def _do_job(work: Callable[[Any], Any], jobs: Sequence[Any], place: int) -> _Answer:
    try:
        return _Answer(place, work(jobs[place]))
    except Exception as error:  # noqa: BLE001 - a process border: the parent must hear of it
        return _Answer(place, None, _portable(error), "".join(traceback.format_exception(error)))


def _portable(error: Exception) -> Exception:
    """An error that crosses the pipe; one that cannot be pickled is told in words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - code of others: whatever the error's own class raises
        return read_error(error_document(error))
    return error
