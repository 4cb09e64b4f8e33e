"""Tells trackers of a run: losses and rates of steps, Scores of epochs, load of the machine, figures in the end.

Nothing here waits for a tracker but the end of the run, and that not for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.datasets import DATASETS
from bench.engine.listeners import Listener, Start, Wish
from bench.engine.position import Position
from bench.engine.trackers.background import END_SECONDS, BackgroundTracker, Report
from bench.engine.trackers.device_load import DeviceLoad
from bench.engine.trackers.figures import figures_of
from bench.engine.trackers.memory import TrackerMemory, read_memory
from bench.engine.trackers.reports import configuration, epoch_values, rule_values, step_values
from bench.engine.trackers.services import Opening, Service, TrackedRun
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder

LOAD_SECONDS = 5.0
"""At least so long between two looks at the load of the machine within an epoch."""


class RunTracking(Listener):
    """Tells the trackers of a run; lives in its main process.

    Args:
        spec: The spec of the run.
        folder: Its folder, in which it is remembered what each tracker has heard.
        services: What opens a run of each tracker, by its name.
        end_seconds: How long the end of the run waits for all of them.
    """

    def __init__(
        self, spec: RunSpec, folder: RunFolder, services: Mapping[str, Opening], end_seconds: float = END_SECONDS
    ) -> None:
        self.spec, self.end_seconds = spec, end_seconds
        run = TrackedRun(
            name=spec.run_id,
            config=configuration(spec),
            group=spec.study.get("name"),
            folder=folder.tracking,
            home=folder.path.parent.parent,
        )
        self._trackers = [Tracker(name, opening, run) for name, opening in services.items()]
        self._load, self._measured = DeviceLoad(spec.distribution.device), 0.0
        self._run = Start(label="", epochs=0, steps=0)

    def on_start(self, start: Start) -> None:
        """Open a run of each tracker, beside the training."""
        self._run = start
        for tracker in self._trackers:
            tracker.start()

    def on_losses(self, epoch: int, step: int, losses: Sequence[Mapping[str, float]]) -> Wish:
        """Tell of every so manieth step."""
        before = (epoch - 1) * self._run.steps
        for number, named in enumerate(losses, start=step - len(losses) + 1):
            if (before + number) % self.spec.tracking.tracker_every == 0:
                rate = None if self._run.rate is None else self._run.rate(epoch, number - 1)
                self._tell_step({**step_values(named, rate), **self._load_by_time()}, before + number)
        return Wish.GO_ON

    def on_epoch_end(self, position: Position) -> None:
        """Tell of the epoch and of what the selection rules hold, and show figures after the last one."""
        if not position.epochs:
            return
        values = {
            **epoch_values(position.epochs[-1]),
            **rule_values(position.epochs, self.spec.task, self.spec.best_min_se),
            **self._load.measured(),
        }
        for tracker in self._trackers:
            tracker.tell_epoch(values, position.epoch, position.epoch * self._run.steps)
        if position.epoch == self._run.epochs:
            self._show(list(position.epochs))

    def on_end(self) -> None:
        """Wait until the trackers have sent what they have, but not for long."""
        for tracker in self._trackers:
            tracker.finish()
        deadline = time.monotonic() + self.end_seconds
        for tracker in self._trackers:
            tracker.wait(deadline)

    def _tell_step(self, values: Mapping[str, float], step: int) -> None:
        for tracker in self._trackers:
            tracker.tell_step(values, step)

    def _load_by_time(self) -> dict[str, float]:
        now = time.monotonic()
        if now - self._measured < LOAD_SECONDS:
            return {}
        self._measured = now
        return self._load.measured()

    def _show(self, entries: list[dict[str, Any]]) -> None:
        classes = DATASETS.card(self.spec.dataset).task(self.spec.task).classes
        for tracker in self._trackers:
            tracker.tell_figures(entries, classes, len(entries) * self._run.steps)


class Tracker:
    """One tracker of a run: what it is told is carried out in its thread, and nothing twice.

    Args:
        name: Its name.
        opening: Opens a run of it.
        run: The run.
    """

    def __init__(self, name: str, opening: Opening, run: TrackedRun) -> None:
        self._opening, self._run = opening, run
        self._path: Path = run.folder / f"{name}.json"
        self._memory = TrackerMemory()
        self._service: Service | None = None
        self._background = BackgroundTracker(name)

    def start(self) -> None:
        """Begin to open a run of the tracker."""
        self._background.start()
        self._background.tell(self._open)

    def tell_step(self, values: Mapping[str, float], step: int) -> None:
        """Tell of a step, counted over all epochs."""
        self._tell(lambda service: self._log_step(service, values, step))

    def tell_epoch(self, values: Mapping[str, float], epoch: int, step: int) -> None:
        """Tell of an epoch, and of its last step."""
        self._tell(lambda service: self._log_epoch(service, values, epoch, step))

    def tell_figures(self, entries: Sequence[Mapping[str, Any]], classes: Sequence[str], step: int) -> None:
        """Draw the figures of a run's end."""
        self._tell(lambda service: service.draw(figures_of(entries, classes), step))

    def finish(self) -> None:
        """Have the tracker's run end after what it was told."""
        self._background.tell_last(self._for_service(lambda service: service.finish()))

    def wait(self, deadline: float) -> None:
        """Wait until that is done, but no longer than to some time of the monotonic clock."""
        self._background.wait(deadline)

    def _tell(self, report: Callable[[Service], None]) -> None:
        self._background.tell(self._for_service(report))

    def _for_service(self, report: Callable[[Service], None]) -> Report:
        def carried_out() -> None:
            if self._service is not None:
                report(self._service)

        return carried_out

    # In the tracker's thread from here on.

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._memory = read_memory(self._path)
        self._service = self._opening(self._run, self._memory.run)
        self._memory.run = self._service.run
        self._memory.write(self._path)

    # Noted before it is told: of what a killed process was about to tell, a point is missing and none is there twice.

    def _log_step(self, service: Service, values: Mapping[str, float], step: int) -> None:
        if step > self._memory.step:
            self._memory.step = step
            self._memory.write(self._path)
            service.log(values, step)

    def _log_epoch(self, service: Service, values: Mapping[str, float], epoch: int, step: int) -> None:
        if epoch > self._memory.epoch:
            self._memory.epoch = epoch
            self._memory.write(self._path)
            service.log(values, step)
