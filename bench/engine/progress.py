"""What a person sees of a training: a bar on a terminal or in a notebook, plain lines in a log; always on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench.core.log import is_quiet
from bench.core.terminal import PlainConsole, shows_bars
from bench.engine.listeners import Listener, Start, Wish

logger = logging.getLogger(__name__)

LINE_EVERY_SECONDS = 30.0


def epoch_line(entry: Mapping[str, Any], epochs: int) -> str:
    """One line that says how an epoch went."""
    pace = f"{entry['seconds']:.1f} s  {entry['cycles_per_second']:.0f} cycles/s"
    if entry["test"] is None:
        return f"epoch {entry['epoch']}/{epochs}  loss {entry['loss']:.4f}  not evaluated in this stage  {pace}"
    # The exact class comes first in the metrics of every task.
    strict = next(iter(entry["test"]))
    test = entry["test"][strict]
    both = f"  AS {test['as']:.2f}  HS {test['hs']:.2f}" if "as" in test else ""
    held_out = f"  val {entry['val'][strict]['score']:.2f}" if entry["val"] else ""
    return (
        f"epoch {entry['epoch']}/{epochs}  loss {entry['loss']:.4f}  "
        f"Sp {test['sp']:.2f}  Se {test['se']:.2f}{both}  Score {test['score']:.2f}{held_out}  "
        f"{pace}"
    )


class TrainingProgress(Listener):
    """Shows steps and epochs.

    Args:
        shown: False in every process but the main one.
    """

    def __init__(self, shown: bool) -> None:
        self.shown = shown and not is_quiet()
        self.console = PlainConsole(sys.stderr, soft_wrap=True)
        self._run = Start(label="", epochs=0, steps=0)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last_line = time.monotonic()

    def on_start(self, start: Start) -> None:
        """Draw the bar where there can be one, and say what is to be said of the state that the run goes on from."""
        self._run = start
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
            self._task = self._bar.add_task(start.label, total=start.epochs * start.steps, loss="-")
            self._bar.start()
        for remark in start.remarks:
            self._say(remark)

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Move the bar, or say from time to time how far the epoch is."""
        run = self._run
        if self._bar is not None:
            description = f"{run.label}  epoch {epoch}/{run.epochs}"
            done = (epoch - 1) * run.steps + step
            self._bar.update(self._task, completed=done, description=description, loss=f"{losses[-1]['loss']:.4f}")
        elif self.shown and time.monotonic() - self._last_line > LINE_EVERY_SECONDS:
            self._say(f"epoch {epoch}/{run.epochs}  step {step}/{run.steps}")
        return Wish.GO_ON

    def on_epoch(self, entry: Mapping[str, Any]) -> None:
        """Say how the epoch went."""
        self._say(epoch_line(entry, self._run.epochs))

    def on_stage(self, number: int, stages: int, name: str) -> None:
        """Say which stage begins."""
        self._say(f"stage {number} of {stages}: {name}")

    def on_end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, text: str) -> None:
        """Log one line; rich shows it above the bar where there is one, since the bar takes stderr over."""
        if self.shown:
            self._last_line = time.monotonic()
            logger.info(text)
