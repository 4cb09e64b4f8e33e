"""A batch of one clip: refused before anything starts where a batch normalisation would see one value per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.core.errors import SpecError
from bench.data.frontends.chosen import choose_front_end
from bench.data.frontends.shapes import made_up_inputs
from bench.engine.graph import TrainingGraph, build_graph
from bench.engine.random_states import random_states_kept
from bench.engine.stages import set_training_mode, stages_of
from bench.experiment.spec import RunSpec
from methods import METHODS
from methods.base import Batch

ONE_VALUE = "more than 1 value per channel"
"""What torch says where it would normalise a single value."""


def check_batch_of_one(spec: RunSpec, what: str, hint: str) -> None:
    """Train model and method on one clip, in memory, and see whether they can.

    Args:
        spec: The spec of the run; its file of weights is not needed.
        what: Words for what has one clip, which begin the message.
        hint: Sentence on what to do about it.

    Raises:
        SpecError: If a batch normalisation would see one value per channel.
    """
    try:
        # The check must not move the random numbers of the run that follows it.
        with random_states_kept():
            _train_on_one_clip(spec)
    except ValueError as error:
        if ONE_VALUE not in str(error):
            raise
        raise SpecError(
            f"{what} has one clip, but {spec.model} with {spec.method} normalises over the batch: "
            "a single value per channel has no deviation.",
            hint,
        ) from error


def _train_on_one_clip(spec: RunSpec) -> None:
    # Fresh weights will do, as only shapes are asked for.
    graph = build_graph(spec.changed(weights=None, init_from=None))
    for index, stage in enumerate(stages_of(spec, graph.method)):
        set_training_mode(graph, stage.trains)
        _forward_one_clip(graph, spec, index, stage.augment)


@torch.no_grad()
def _forward_one_clip(graph: TrainingGraph, spec: RunSpec, stage: int, augment: bool) -> None:
    chosen = choose_front_end(spec.frontend, spec.frontend_options)
    clip: Any = made_up_inputs(chosen.options, 1, torch.randn)
    second = clip if augment and METHODS.card(spec.method).views == 2 else None
    batch = Batch(
        features=clip, second=second, labels=torch.zeros(1, dtype=torch.int64), local=slice(0, 1), stage=stage
    )
    graph(batch, graph.method.draw(1, np.random.default_rng(0)))  # type: ignore[operator]
