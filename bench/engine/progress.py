"""What a person sees of a training: a bar on a terminal or in a notebook, plain lines in a log; always on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench.core.log import is_quiet
from bench.core.terminal import PlainConsole, shows_bars

logger = logging.getLogger(__name__)

LINE_EVERY_SECONDS = 30.0


def epoch_line(entry: Mapping[str, Any], epochs: int) -> str:
    """One line that says how an epoch went."""
    pace = f"{entry['seconds']:.1f} s  {entry['cycles_per_second']:.0f} cycles/s"
    if entry["test"] is None:
        return f"epoch {entry['epoch']}/{epochs}  loss {entry['loss']:.4f}  not evaluated in this stage  {pace}"
    test = entry["test"]["4class"]
    held_out = f"  val {entry['val']['4class']['score']:.2f}" if entry["val"] else ""
    return (
        f"epoch {entry['epoch']}/{epochs}  loss {entry['loss']:.4f}  "
        f"Sp {test['sp']:.2f}  Se {test['se']:.2f}  Score {test['score']:.2f}{held_out}  "
        f"{pace}"
    )


class TrainingProgress:
    """Reports steps and epochs.

    Args:
        label: Words for the run: model, method and seed.
        epochs: Number of epochs.
        steps: Number of steps of an epoch.
        shown: False in every process but the main one.
    """

    def __init__(self, label: str, epochs: int, steps: int, shown: bool) -> None:
        self.label, self.epochs, self.steps, self.shown = label, epochs, steps, shown and not is_quiet()
        self.console = PlainConsole(sys.stderr, soft_wrap=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last_line = time.monotonic()

    def __enter__(self) -> TrainingProgress:
        if self.shown and shows_bars(self.console):
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]}", markup=False),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task(self.label, total=self.epochs * self.steps, loss="-")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Report that ``step`` steps of the 1-based ``epoch`` are done."""
        if self._bar is not None:
            description = f"{self.label}  epoch {epoch}/{self.epochs}"
            done = (epoch - 1) * self.steps + step
            self._bar.update(self._task, completed=done, description=description, loss=f"{loss:.4f}")
        elif self.shown and time.monotonic() - self._last_line > LINE_EVERY_SECONDS:
            self.say(f"epoch {epoch}/{self.epochs}  step {step}/{self.steps}")

    def epoch(self, entry: Mapping[str, Any]) -> None:
        """Report a finished epoch."""
        self.say(epoch_line(entry, self.epochs))

    def say(self, text: str) -> None:
        """Log one line; rich shows it above the bar where there is one, since the bar takes stderr over."""
        if self.shown:
            self._last_line = time.monotonic()
            logger.info(text)
