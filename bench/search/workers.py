"""The workers of a search on this machine: started, watched, started again when one is lost, stopped together."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any

import bench.core.errors
from bench.core.errors import BenchError, InterruptedRunError, RunError
from bench.core.lifetimes import stop_signals
from bench.core.machine import usable_cores
from bench.experiment.devices import VISIBLE, device_shares_for
from bench.search.failures import GIVE_UP_AFTER, Breaker
from bench.search.study import Search

logger = logging.getLogger(__name__)

STOP_AGAIN_SECONDS = 2.0
MOST_STILLBORN = 3
"""Workers that may be lost one after the other before one of them has begun a trial."""


@dataclass
class _Worker:
    """A worker's process, and what it said last."""

    number: int
    process: subprocess.Popen[str]
    log: IO[str]
    said: bytes = b""
    trial: int | None = None
    error: BenchError | None = None
    anew: bool = False


class Crew:
    """Runs a search with several workers.

    Args:
        search: The study.
        home: The results folder.
        execution: Execution fields of the runs.
        workers: How many.
        give_up_after: Trials that fail one after the other with the same cause before the search stops; 0 for never.

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
    ) -> None:
        self.search, self.home, self.execution, self.workers = search, home, execution, workers
        self._devices = device_shares_for(execution, workers)
        self._breaker = Breaker(give_up_after, time.time())
        self._at_work: list[_Worker] = []
        self._stopping = False
        self._stillborn = 0
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Work until there is no trial left to take.

        Raises:
            InterruptedRunError: After Ctrl-C, SIGTERM or SIGHUP, when every worker has saved its run's state and gone.
            BenchError: What ended a worker and would end the others (data missing, a storage that cannot be used).
            RunError: If workers are lost again and again before they begin, or trials fail one after the other with the
                same cause.
        """
        before = {number: signal.signal(number, self._stop) for number in stop_signals()}
        try:
            for number in range(1, self.workers + 1):
                self._start(number)
            errors = self._watch()
        finally:
            for worker in self._at_work:
                worker.process.kill()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._stopping and not errors:
            raise InterruptedRunError("The search was stopped; runs under way have saved their state.")
        if errors:
            raise errors[0]

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        again = self._stopping and number == signal.SIGINT
        self._stopping = True
        self._tell_all(signal.SIGKILL if again else signal.SIGTERM)

    def _tell_all(self, number: int) -> None:
        for worker in self._at_work:
            worker.process.send_signal(number)

    def _start(self, number: int) -> None:
        logs = self.home / "studies"
        logs.mkdir(parents=True, exist_ok=True)
        log = (logs / f"{self.search.name}.worker-{number}.log").open("a", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.search.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **self._share(number)},
            # Of its own session, so that a Ctrl-C of the terminal reaches it once, through this process.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        task = {
            "place": self.search.place.to_json(),
            "study": self.search.name,
            "home": str(self.home.absolute()),
            "execution": self.execution,
            "breaker": dataclasses.asdict(self._breaker),
        }
        # A process that ended before it read its task is heard of by its exit code.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(task))
        worker = _Worker(number, process, log)
        self._at_work.append(worker)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        if self._stopping:
            process.send_signal(signal.SIGTERM)

    def _share(self, number: int) -> dict[str, str]:
        """A worker's part of the machine: its cores, and the devices of its own."""
        share = {"OMP_NUM_THREADS": str(max(1, usable_cores() // self.workers))}
        if self._devices is not None:
            share[VISIBLE] = ",".join(self._devices[number - 1])
        return share

    def _watch(self) -> list[BenchError]:
        """Until every worker has gone; what ended those that could not go on."""
        errors: list[BenchError] = []
        said = time.monotonic()
        while self._at_work:
            if self._stopping and time.monotonic() - said > STOP_AGAIN_SECONDS:
                # A signal that comes as a run ends is spent on it, and the worker would go on with the next one.
                said = time.monotonic()
                self._tell_all(signal.SIGTERM)
            for key, _ in self._selector.select(timeout=0.5):
                worker: _Worker = key.data
                part = os.read(key.fd, 1 << 16)
                *lines, worker.said = (worker.said + part).split(b"\n")
                for line in lines:
                    self._hear(worker, line)
                if not part:
                    self._selector.unregister(key.fileobj)
                    errors += self._ended(worker)
        return errors

    def _hear(self, worker: _Worker, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        match event:
            case {"event": "begins"}:
                self._stillborn, worker.trial = 0, event["trial"]
                params = ", ".join(f"{name} {_short(value)}" for name, value in event["params"].items())
                logger.info(f"trial {event['trial']} (worker {worker.number}): {params}")
            case {"event": "ended"}:
                worker.trial = None
                logger.info(f"trial {event['trial']}: {_outcome(event)}")
            case {"event": "lost"}:
                worker.trial, worker.anew = None, True
                told = "failed" if event["failed"] else "an attempt was lost"
                logger.info(f"trial {event['trial']}: {told}: {event['failed'] or event['reason']}")
            case {"event": "error"}:
                kind = getattr(bench.core.errors, event["type"], RunError)
                worker.error = kind(event["message"], event["hint"])

    def _ended(self, worker: _Worker) -> list[BenchError]:
        """What to do when a worker has gone: nothing, start another one, or stop them all."""
        code = worker.process.wait()
        worker.log.close()
        self._at_work.remove(worker)
        if self._stopping or code == 0:
            return []
        if worker.error is not None:
            self._stop(signal.SIGTERM, None)
            return [worker.error]
        if worker.anew:
            logger.info(f"worker {worker.number} starts anew")
            self._start(worker.number)
            return []
        at = "" if worker.trial is None else f" at trial {worker.trial}"
        self._stillborn += 1
        if self._stillborn > MOST_STILLBORN:
            self._stop(signal.SIGTERM, None)
            return [RunError(f"Workers are lost before they begin (exit code {code}).", f"Look at {worker.log.name}.")]
        logger.warning(f"worker {worker.number} was lost{at} (exit code {code}); another one takes its place")
        self._start(worker.number)
        return []


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _outcome(event: Mapping[str, Any]) -> str:
    if event["state"] == "COMPLETE":
        return f"Score {event['value']:.2f}"
    return f"{'pruned' if event['state'] == 'PRUNED' else 'failed'}: {event['reason']}"
