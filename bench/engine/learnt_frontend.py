"""What a front-end learnt from the rows that a run is trained on: learnt once, stored with the run, read by all.

Held-out and test rows have no part in it: only the training rows of the run reach the front-end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.core.errors import SpecError, StoreError
from bench.core.files import atomic_path
from bench.data.frontends import BatchFrontEnd, LearningFrontEnd
from bench.data.units import UnitWaves
from bench.engine.data import RunData, built_front_end
from bench.engine.normalisation import BatchExtremes
from bench.engine.random_states import random_states_kept
from bench.experiment.spec import RunSpec
from leaderboard.results.run_folder import RunFolder

UNITS_AT_ONCE = 64
"""Training rows of a batch that a front-end learns from."""


def with_learnt_frontend(data: RunData, spec: RunSpec, folder: RunFolder) -> RunData:
    """Have a run's front-end learn from its training rows, or read what it learnt when the run began.

    The processes of a group find what the one that started them has stored, so that all of them use the same.

    Args:
        data: The run's data; they are not changed, as other runs may share them.
        spec: The spec of the run.
        folder: The run's folder.

    Returns:
        The data with a front-end that uses what it learnt; ``data`` itself where the front-end does not learn.

    Raises:
        SpecError: If the front-end learns something that is no tensor by name.
        StoreError: If what it learnt cannot be stored or read.
    """
    if not isinstance(data.frontend, LearningFrontEnd):
        return data
    # One of its own: the one that came with the data may serve other runs with other training rows.
    frontend: Any = built_front_end(spec)
    if not folder.frontend.is_file():
        with random_states_kept():
            torch.manual_seed(spec.seed)
            _store(_checked(frontend.learn(_training_units(data)), spec), folder.frontend, spec)
    frontend.use(read_learnt(folder.frontend, spec))
    ready = dataclasses.replace(data, frontend=frontend)
    return dataclasses.replace(ready, extremes=_extremes(ready)) if isinstance(frontend, BatchFrontEnd) else ready


def _training_units(data: RunData) -> Iterator[UnitWaves]:
    for start in range(0, len(data.train), UNITS_AT_ONCE):
        yield data.units(data.train[start : start + UNITS_AT_ONCE])


def _extremes(data: RunData) -> BatchExtremes:
    """Extremes of every row of the bank, from pictures that are made for that and not kept."""
    frontend: Any = data.frontend
    rows = np.arange(len(data.bank.labels))
    pictures: Iterator[Any] = (data.inputs(rows[i : i + UNITS_AT_ONCE]) for i in range(0, len(rows), UNITS_AT_ONCE))
    return BatchExtremes.of(frontend, (picture.numpy() for batch in pictures for picture in batch))


def _checked(learnt: Any, spec: RunSpec) -> dict[str, Tensor]:
    """What a front-end learnt, each tensor in memory of its own."""
    is_sound = isinstance(learnt, Mapping) and all(isinstance(value, Tensor) for value in learnt.values())
    if not is_sound or not all(isinstance(name, str) for name in learnt):
        raise SpecError(
            f"The front-end {spec.frontend} learnt something that is no tensor by name.",
            "Its learn() must return a dictionary of tensors.",
        )
    return {name: value.detach().cpu().clone().contiguous() for name, value in learnt.items()}


def _store(learnt: dict[str, Tensor], target: Path, spec: RunSpec) -> None:
    with atomic_path(target) as path:
        try:
            save_file(learnt, path, metadata={"frontend": spec.frontend, "run_id": spec.run_id})
        except SafetensorError as error:
            # Its own error hides the system's: a full disk is to be told as one.
            raise OSError(str(error)) from error


def read_learnt(path: Path, spec: RunSpec) -> dict[str, Tensor]:
    """What the front-end of a run learnt, by name.

    Args:
        path: The file in the run's folder.
        spec: The spec of the run.

    Raises:
        StoreError: If it cannot be read, or is of another run.
    """
    try:
        found: dict[str, Tensor] = load_file(path)
        with safe_open(path, "pt") as file:
            learnt_for = (file.metadata() or {}).get("run_id")
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(
            f"What the front-end of the run learnt cannot be read from {path}: {error}.",
            "Start the run anew with --rerun.",
        ) from error
    if learnt_for != spec.run_id:
        raise StoreError(
            f"What the front-end learnt in {path} is of the run {learnt_for}, not of {spec.run_id}.",
            "Start the run anew with --rerun.",
        )
    return found
