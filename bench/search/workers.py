"""The workers of a search on this machine: started, watched, started again when one is lost, stopped together."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, InterruptedRunError, RunError, UnexpectedError
from bench.core.machine import usable_cores
from bench.experiment.devices import VISIBLE, device_shares_for
from bench.launch.child import Child, Children, Work
from bench.search.failures import GIVE_UP_AFTER, CircuitBreaker
from bench.search.study import Search
from bench.search.study_watch import params_text

logger = logging.getLogger(__name__)

MOST_STILLBORN = 3
"""Workers that may be lost one after the other before one of them has begun a trial."""


@dataclasses.dataclass
class _Worker:
    """What is known of a worker.

    Attributes:
        number: From one on.
        log: Where its log is.
        trial: The trial that it is at.
        anew: Whether it lost an attempt at a trial, so that another one shall take its place.
    """

    number: int
    log: Path
    trial: int | None = None
    anew: bool = False


def worker_log(home: Path, study: str, number: int) -> Path:
    """The log of a worker, beside the study."""
    return home / "studies" / f"{study}.worker-{number}.log"


def worker_task(
    search: Search, home: Path, execution: Mapping[str, Any], breaker: CircuitBreaker, *, stored: bool
) -> dict[str, Any]:
    """What the process of a worker is given, as :func:`bench.search.worker.main` reads it.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of the runs.
        breaker: What stops a search whose trials all fail alike.
        stored: Whether the worker brings its results to the board; otherwise the process that started it does.
    """
    return {
        "place": search.place.to_json(),
        "study": search.name,
        "home": str(home.absolute()),
        "execution": dict(execution),
        "breaker": dataclasses.asdict(breaker),
        "stored": stored,
    }


class Crew:
    """Runs a search with several workers.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of the runs.
        workers: How many.
        give_up_after: Trials that fail one after the other with the same cause before the search stops; 0 for never.
        devices: The GPUs or MIG instances that they share; None for all that are visible.

    Raises:
        SpecError: If there are not GPUs enough.
    """

    def __init__(
        self,
        search: Search,
        home: Path,
        execution: Mapping[str, Any],
        workers: int,
        give_up_after: int = GIVE_UP_AFTER,
        devices: Sequence[str] | None = None,
    ) -> None:
        self.search, self.home, self.execution, self.workers = search, home, execution, workers
        self._devices = device_shares_for(execution, workers, devices)
        self._breaker = CircuitBreaker(give_up_after, time.time())
        self._stillborn = 0
        self._children = Children(self._hear)
        self._workers: dict[Child, _Worker] = {}

    def run(self) -> None:
        """Work until there is no trial left to take.

        Raises:
            InterruptedRunError: After Ctrl-C, SIGTERM or SIGHUP, when every worker has saved its run's state and gone.
            BenchError: What ended a worker and would end the others (data missing, a storage that cannot be used).
            RunError: If workers are lost again and again before they begin, or trials fail one after the other with the
                same cause.
        """
        errors: list[BenchError] = []
        with self._children:
            for number in range(1, self.workers + 1):
                self._start(number)
            for child in self._children.ended():
                error = self._ended(child, self._workers.pop(child))
                if error is not None:
                    # The others would meet it too.
                    self._children.ask_to_stop()
                    errors.append(error)
        if errors:
            raise errors[0]
        if self._children.asked:
            raise InterruptedRunError("The search was stopped; runs under way have saved their state.")

    def _start(self, number: int) -> None:
        log = worker_log(self.home, self.search.name, number)
        task = worker_task(self.search, self.home, self.execution, self._breaker, stored=True)
        work = Work(
            module="bench.search.worker",
            task=task,
            name=f"worker {number}",
            log=log,
            shown=False,
            environment=self._share(number),
        )
        # After a signal none is started any more; those at work save their state.
        with contextlib.suppress(InterruptedRunError):
            self._workers[self._children.start(work)] = _Worker(number, log)

    def _share(self, number: int) -> dict[str, str]:
        """A worker's part of the machine: its cores, and the devices of its own."""
        share = {"OMP_NUM_THREADS": str(max(1, usable_cores() // self.workers))}
        if self._devices is not None:
            share[VISIBLE] = ",".join(self._devices[number - 1])
        return share

    def _hear(self, child: Child, event: Mapping[str, Any]) -> None:
        worker = self._workers[child]
        match event:
            case {"event": "begins"}:
                self._stillborn, worker.trial = 0, event["trial"]
                logger.info(f"trial {event['trial']} (worker {worker.number}): {params_text(event['params'])}")
            case {"event": "ended"}:
                worker.trial = None
                logger.info(f"trial {event['trial']}: {_outcome(event)}")
            case {"event": "lost"}:
                worker.trial, worker.anew = None, True
                told = "failed" if event["failed"] else "an attempt was lost"
                logger.info(f"trial {event['trial']}: {told}: {event['failed'] or event['reason']}")

    def _ended(self, child: Child, worker: _Worker) -> BenchError | None:
        """What to do when a worker has gone: nothing, start another one, or give the error that stops them all."""
        unexpected = isinstance(child.error, UnexpectedError)
        if self._children.asked:
            return None
        if worker.anew:
            logger.info(f"worker {worker.number} starts anew")
            self._start(worker.number)
            return None
        if child.said_last and not unexpected:
            return child.error
        self._stillborn += 1
        if self._stillborn > MOST_STILLBORN:
            return RunError(f"Workers are lost before they begin (exit code {child.code}).", f"Look at {worker.log}.")
        at = "" if worker.trial is None else f" at trial {worker.trial}"
        logger.warning(f"worker {worker.number} was lost{at} (exit code {child.code}); another one takes its place")
        self._start(worker.number)
        return None


def _outcome(event: Mapping[str, Any]) -> str:
    if event["state"] == "COMPLETE":
        return f"Score {event['value']:.2f}"
    return f"{'pruned' if event['state'] == 'PRUNED' else 'failed'}: {event['reason']}"
