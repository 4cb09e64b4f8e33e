"""Tells how far a run is, in a file of its folder that tables of running runs read; a write takes 0.1 ms."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.lifetimes import process_age_mark
from bench.engine.listeners import Listener, Start, Wish
from leaderboard.results.run_progress import RunProgress

logger = logging.getLogger(__name__)

SECONDS = 2.0
"""At least so long between two writes within an epoch."""


def _finite(loss: float | None) -> float | None:
    """A loss as JSON can hold it; None for that of a run that diverges."""
    return loss if loss is not None and math.isfinite(loss) else None


class ProgressFile(Listener):
    """Keeps the file up to date while the run is under way, and takes it away when it ends.

    Args:
        path: The file.
        clock: Tells the time in seconds since 1970.
        batch: Training rows of a step; 0 where nobody asks for the pace.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, batch: int = 0) -> None:
        self.path, self.clock, self.batch = path, clock, batch
        self._pace: float | None = None
        self._run = Start(label="", epochs=0, steps=0)
        self._epoch = self._step = 0
        self._loss: float | None = None
        self._score: float | None = None
        self._began = self._written = 0.0
        process = os.getpid()
        self._place: dict[str, Any] = {
            "host": socket.gethostname(),
            "process": process,
            "mark": process_age_mark(process),
        }
        self._first: tuple[float, int] | None = None

    def on_start(self, start: Start) -> None:
        """Say that the run has begun."""
        self._run, self._began = start, self.clock()
        self._write()

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Note where the run is, and say so from time to time."""
        self._epoch, self._step, self._loss = epoch, step, _finite(losses[-1]["loss"])
        if self._first is None:
            # A run that goes on began its work here: its pace is counted from this step.
            self._first = (self.clock(), self._steps_done)
        if self.clock() - self._written >= SECONDS:
            self._write()
        return Wish.GO_ON

    def on_epoch(self, entry: Mapping[str, Any]) -> None:
        """Say how the epoch went."""
        self._epoch, self._loss = entry["epoch"], _finite(entry["loss"])
        self._pace = entry["cycles_per_second"]
        if entry["test"] is not None:
            # The exact class comes first in the metrics of every task.
            self._score = next(iter(entry["test"].values()))["score"]
        self._write()

    def on_end(self) -> None:
        """Take the file away: what a run has done is in its result or its state."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            logger.debug("cannot remove %s: %s", self.path, error)

    @property
    def _steps_done(self) -> int:
        return (self._epoch - 1) * self._run.steps + self._step

    def _cycles_per_second(self, now: float) -> float | None:
        """The pace of the last epoch; before there is one, that of the steps so far."""
        if self._pace is not None or self._first is None or not self.batch:
            return self._pace
        since, before = self._first
        return (self._steps_done - before) * self.batch / (now - since) if now > since else None

    def _seconds_left(self, now: float) -> float | None:
        if self._first is None:
            return None
        since, before = self._first
        done = self._steps_done - before
        return (self._run.epochs * self._run.steps - self._steps_done) * (now - since) / done if done > 0 else None

    def _write(self) -> None:
        now = self._written = self.clock()
        progress = RunProgress(
            epoch=self._epoch,
            epochs=self._run.epochs,
            step=self._step,
            steps=self._run.steps,
            loss=self._loss,
            score=self._score,
            started=self._began,
            time=now,
            seconds_left=self._seconds_left(now),
            cycles_per_second=self._cycles_per_second(now),
            **self._place,
        )
        try:
            progress.write(self.path)
        except OSError as error:
            # Whoever looks sees an old file or none; the run itself loses nothing.
            logger.debug("cannot write %s: %s", self.path, error)
