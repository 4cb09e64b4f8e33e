"""What the models cost on this machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines import MODELS
from bench.core.datasets import DATASETS
from bench.core.errors import ResultError, StoreError
from bench.core.files import write_json
from bench.core.paths import home_folder
from bench.engine.hardware import hardware
from bench.experiment.devices import choose_device
from bench.launch.matrix.estimate import joined_measurements, measurements_file, read_measurements
from bench.launch.measurement import MeasurementRequest, measure_apart

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurements:
    """What models cost.

    Attributes:
        hardware: What they were measured on.
        rows: By model: parameters, operations, time and memory of training and evaluation, or ``error``, the reason why
            it could not be measured.
    """

    hardware: Mapping[str, Any]
    rows: Sequence[dict[str, Any]]

    @property
    def complete(self) -> bool:
        """Whether every model could be measured."""
        return not any(row["error"] for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench models bench --format json`` prints."""
        return {"hardware": self.hardware, "rows": self.rows}


def measure_models(
    ids: Sequence[str] = (),
    *,
    batch: int = 8,
    frames: int | None = None,
    device: str = "auto",
    repeats: int = 3,
    dataset: str | None = None,
    task: str | None = None,
    home: Path | None = None,
) -> Measurements:
    """Measure parameters, operations, time and peak memory, each model in its own process.

    What was measured is kept in the results folder, where estimates of runs of which nothing else is known read it.

    Args:
        ids: Models; all that are listed by default.
        batch: Clips of a training step.
        frames: Frames of a spectrogram (default: the front-end's).
        device: ``auto``, ``cpu`` or ``cuda``.
        repeats: Timed steps; their median counts.
        dataset: Data set whose classes the models tell apart (default: the one that is meant where none is named).
        task: Task of the data set (default: its first).
        home: Results folder (default: ``BENCH_HOME`` or ./results).

    Raises:
        RegistryError: If there is no such model or data set.
        SpecError: If a number is out of its range, or there is no such device or task.
    """
    kept = measurements_file(home_folder(home))
    chosen = ids or [entry.id for entry in MODELS]
    for model in chosen:
        MODELS.get(model)
    found = choose_device(device)
    card = DATASETS.card(dataset) if dataset else DATASETS.primary().card
    classes = len(card.task(task).classes)
    requests = [
        MeasurementRequest(model=model, batch=batch, frames=frames, device=found, repeats=repeats, classes=classes)
        for model in chosen
    ]
    rows = []
    for number, request in enumerate(requests, start=1):
        logger.info(f"{request.model} ({number} of {len(requests)})")
        rows.append(measure_apart(request))
    _keep(rows, kept)
    return Measurements(hardware(), rows)


def _keep(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Keep what was measured beside what was measured before."""
    if all(row["error"] for row in rows):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"hardware": hardware(), "rows": joined_measurements(read_measurements(path.parent), rows)})
    except (OSError, StoreError, ResultError) as error:
        # What was asked for is there all the same.
        logger.warning(f"what was measured is not kept for estimates: {getattr(error, 'message', error)}")
