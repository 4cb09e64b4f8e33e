"""The trackers that a run may have, each by Accelerate's class for it.

An object of each opens a run of the tracker's own as it is made, or goes on with one, and is used in the thread that
made it alone: MLflow knows the run of each thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from accelerate.tracking import MLflowTracker, TensorBoardTracker, TrackioTracker, WandBTracker
from matplotlib.figure import Figure

from bench.core.files import exclusive_lock
from bench.engine.trackers.figures import pixels
from bench.engine.tracking import PROJECT


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as its trackers know it.

    Attributes:
        name: Its id.
        config: The spec in plain values, by name.
        group: The study that the run belongs to; None for none.
        folder: Where trackers may keep files of this run.
        home: The results folder, where trackers may keep files of all runs.
    """

    name: str
    config: Mapping[str, bool | int | float | str]
    group: str | None
    folder: Path
    home: Path


class Service(Protocol):
    """A tracker that has a run of its own open.

    Attributes:
        run: The tracker's own name for the run, with which it goes on later.
    """

    run: str

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Tell numbers by name of a step, counted over all epochs."""

    def draw(self, figures: Mapping[str, Figure], step: int) -> None:
        """Show figures by name."""

    def finish(self) -> None:
        """End the tracker's run."""


Opening: TypeAlias = Callable[[TrackedRun, str | None], Service]
"""Opens a tracker's run: of which run, and the tracker's own name for it where it goes on with one."""


class TensorBoard:
    """Event files below the run's folder."""

    def __init__(self, run: TrackedRun, before: str | None) -> None:
        self.run = "tensorboard"
        self._tracker = TensorBoardTracker(self.run, str(run.folder))
        self._tracker.start()
        if before is None:
            self._tracker.store_init_configuration(dict(run.config))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        self._tracker.log(dict(values), step=step)

    def draw(self, figures: Mapping[str, Figure], step: int) -> None:
        """Write images."""
        images = {name: pixels(figure)[None] for name, figure in figures.items()}
        self._tracker.log_images(images, step=step, dataformats="NHWC")

    def finish(self) -> None:
        """Close the file."""
        self._tracker.finish()


class WeightsAndBiases:
    """A run of Weights & Biases; with ``WANDB_MODE=offline`` files that ``wandb sync`` uploads later."""

    def __init__(self, run: TrackedRun, before: str | None) -> None:
        import wandb

        # It says nothing but errors, and sends neither what the program prints nor its command line, which may hold a
        # password.
        settings = wandb.Settings(silent=True, console="off", save_code=False, disable_git=True, x_disable_meta=True)
        wandb.setup(settings)
        if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
            raise RuntimeError("no API key is configured: `wandb login` does it, and WANDB_MODE=offline needs none")
        self._tracker = WandBTracker(
            os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=before,
            resume=None if before is None else "allow",
            # One of the user's own in this process, a notebook's for instance, stays his.
            reinit="create_new",
            group=run.group,
            config=dict(run.config),
            dir=os.environ.get("WANDB_DIR", str(run.folder)),
            settings=settings,
        )
        self._tracker.start()
        self.run = self._tracker.tracker.id

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers."""
        self._tracker.log(dict(values), step=step)

    def draw(self, figures: Mapping[str, Figure], step: int) -> None:
        """Send images."""
        self._tracker.log_images({name: [pixels(figure)] for name, figure in figures.items()}, step=step)

    def finish(self) -> None:
        """Wait until all is sent, and end the run."""
        self._tracker.finish()


class MLflow:
    """A run of MLflow: of the server that ``MLFLOW_TRACKING_URI`` names, or in a file of the results folder."""

    def __init__(self, run: TrackedRun, before: str | None) -> None:
        import mlflow

        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self._mlflow, self._own = mlflow, not mlflow.is_tracking_uri_set()  # type: ignore[no-untyped-call]
        artifacts = None
        if self._own:
            mlflow.set_tracking_uri(f"sqlite:///{run.home.absolute() / 'mlflow.db'}")
            artifacts = (run.home.absolute() / "mlflow").as_uri()
        self._tracker = MLflowTracker(
            PROJECT,
            logging_dir=artifacts,
            run_id=before,
            run_name=run.name,
            tags=_tags(run) if before is None else None,
        )
        # Two runs that begin at once would both make the database, or the experiment.
        with exclusive_lock(run.home / "mlflow.lock"):
            self._tracker.start()
        self.run = self._tracker.tracker.info.run_id
        if before is None:
            self._tracker.store_init_configuration(dict(run.config))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers."""
        self._tracker.log(dict(values), step=step)

    def draw(self, figures: Mapping[str, Figure], step: int) -> None:
        """Send figures as artifacts."""
        for name, figure in figures.items():
            self._tracker.log_figure(figure, f"{name}.png")

    def finish(self) -> None:
        """End the run."""
        self._tracker.finish()
        if self._own:
            self._mlflow.set_tracking_uri(None)  # type: ignore[arg-type] # what forgets it, and its variable


def _tags(run: TrackedRun) -> dict[str, str]:
    return {} if run.group is None else {"study": run.group}


class Trackio:
    """A run of Trackio, in its own folder of this user, or where ``TRACKIO_SPACE_ID`` says."""

    def __init__(self, run: TrackedRun, before: str | None) -> None:
        self._tracker = TrackioTracker(
            PROJECT,
            name=before or run.name,
            # Of a run that is done again it makes one of a new name.
            resume="never" if before is None else "allow",
            group=run.group,
            config=dict(run.config),
        )
        with _printing_to_stderr():
            self._tracker.start()
        self.run = self._tracker.tracker.name

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers."""
        self._tracker.log(dict(values), step=step)

    def draw(self, figures: Mapping[str, Figure], step: int) -> None:
        """Send images."""
        import trackio

        self._tracker.log({name: trackio.Image(pixels(figure)) for name, figure in figures.items()}, step=step)

    def finish(self) -> None:
        """Wait until all is sent, and end the run."""
        with _printing_to_stderr():
            self._tracker.finish()


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """Keep the standard output, which is for results, free of what a library prints."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


SERVICES: Mapping[str, Opening] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
    "trackio": Trackio,
}
"""What opens a run of each tracker."""
