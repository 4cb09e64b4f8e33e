"""The listeners that every run has: signals, saved states by time, the pruner of a search, and what people see."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from accelerate import Accelerator

from bench.core.errors import PrunedRunError
from bench.core.lifetimes import StopRequest
from bench.engine.distributed import any_process
from bench.engine.hooks import Hooks, Watch
from bench.engine.listeners import Listener, Start, Wish
from bench.engine.position import Position
from bench.engine.progress import TrainingProgress
from bench.engine.progress_file import ProgressFile
from bench.engine.tracking import tracker_names
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder


def listeners_of_run(spec: RunSpec, hooks: Hooks, accelerator: Accelerator, folder: RunFolder) -> list[Listener]:
    """The listeners of a run in this process.

    Args:
        spec: The spec of the run.
        hooks: What a search adds to it.
        accelerator: Says which process this is.
        folder: The folder of the run.
    """
    found: list[Listener] = [SignalListener(), TrainingProgress(shown=accelerator.is_main_process)]
    if accelerator.is_main_process:
        found.append(ProgressFile(folder.progress, batch=spec.sampling.batch))
        found += _tracking(spec, folder)
    if spec.distribution.checkpoint_minutes > 0:
        found.append(TimedCheckpoints(60 * spec.distribution.checkpoint_minutes))
    if hooks.watch is not None:
        found.append(Pruner(hooks.watch, accelerator))
    return found


def _tracking(spec: RunSpec, folder: RunFolder) -> list[Listener]:
    """The listener that tells the trackers of a run; none where it has no tracker."""
    names = tracker_names(spec.tracking.tracker)
    if not names:
        return []
    # It draws figures: a run without a tracker does not wait for matplotlib.
    from bench.engine.trackers.listener import RunTracking
    from bench.engine.trackers.services import SERVICES

    return [RunTracking(spec, folder, {name: SERVICES[name] for name in names})]


class SignalListener(Listener):
    """Asks for a stop after Ctrl-C, SIGTERM or SIGHUP."""

    def __init__(self) -> None:
        self._request = StopRequest()

    def on_start(self, start: Start) -> None:
        """Catch signals from here on."""
        self._request.__enter__()

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Ask for a stop where a signal has come."""
        return Wish.STOP if self._request.wanted else Wish.GO_ON

    def on_end(self) -> None:
        """Give the signals back to who had them."""
        self._request.__exit__()


class TimedCheckpoints(Listener):
    """Asks for a saved state where the last one is older than some time.

    Args:
        seconds: That time.
        clock: Tells the time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self._saved = clock()

    def on_start(self, start: Start) -> None:
        """Count from here."""
        self._saved = self.clock()

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Ask for a state where the time is over."""
        return Wish.SAVE if self.clock() - self._saved >= self.seconds else Wish.GO_ON

    def on_checkpoint(self, position: Position) -> None:
        """Count anew: states at the ends of stages count too."""
        self._saved = self.clock()


class Pruner(Listener):
    """Asks a search after each epoch but the last whether the run shall go on.

    Args:
        watch: Is asked in the main process; the others hear of its answer.
        accelerator: Says which process this is.
    """

    def __init__(self, watch: Watch, accelerator: Accelerator) -> None:
        self.watch, self.accelerator = watch, accelerator
        self._epochs = 0

    def on_start(self, start: Start) -> None:
        """Learn how many epochs there are."""
        self._epochs = start.epochs

    def on_epoch_end(self, position: Position) -> None:
        """Stop every process where the watcher says so; the result of a pruned run has its epochs until now.

        Raises:
            PrunedRunError: If the watcher said to stop.
        """
        if position.epoch == self._epochs:
            return
        reason = None
        if self.accelerator.is_main_process:
            judged = {entry["epoch"]: entry["test"] for entry in position.epochs if entry["test"] is not None}
            reason = self.watch({epoch: next(iter(metrics.values()))["score"] for epoch, metrics in judged.items()})
        # The main process alone knows the answer; the others hear of it here, so that all end together.
        if any_process(reason is not None, self.accelerator.device):
            raise PrunedRunError(f"Pruned after epoch {position.epoch} of {self._epochs}: {reason or 'see rank 0'}.")
