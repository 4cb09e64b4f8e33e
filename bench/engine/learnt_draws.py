"""How the random draws of a stage's steps are divided among the processes and micro-batches of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SpecError
from bench.engine.batches import Batches, random_stream
from bench.engine.data import RunData
from bench.engine.distributed import gather_rows, own_rows
from bench.engine.global_draws import GlobalDraws
from bench.engine.graph import TrainingGraph
from bench.engine.micro_batches import LearningModel, row_weights, rows_alone
from bench.engine.random_layers import learn_divisions
from bench.engine.stages import PlannedStage, set_training_mode
from methods.base import Batch

ROWS_TO_LEARN_FROM = 3
"""Least number of rows of each process in the two passes that show how random draws are divided."""


def learn_draws(graph: TrainingGraph, batches: Batches, place: PlannedStage) -> GlobalDraws | None:
    """Learn from two small forward passes how draws are divided; ``bench.engine.random_layers`` says how.

    Args:
        graph: Model and method, not wrapped.
        batches: The batches of the run.
        place: The stage whose steps are meant.

    Returns:
        What makes the draws of a single pass over the whole batch; None where every step is one.

    Raises:
        SpecError: If a draw cannot be divided by rows, or if the model changes in each pass and is to be computed in
            micro-batches.
    """
    processes = batches.accelerator.num_processes
    if processes == 1 and not graph.micro_batch:
        return None
    # A micro-batch has its rows of a draw as a process has: a process alone is taken for one of two.
    parts, rng = max(processes, 2), random_stream(batches.spec.seed)
    # Of every class one at least: a method may draw for the rows of some classes only.
    rows = max(ROWS_TO_LEARN_FROM, math.ceil(len(batches.data.class_counts()) / parts))
    whole = batches.load_whole(_varied_rows(batches.data, rows * parts), place, rng)
    own = own_rows(len(whole.labels), batches.accelerator.process_index, parts)
    part = _part(graph, whole, own, several=processes > 1)
    draw = graph.method.draw(len(whole.labels), rng)  # type: ignore[operator]
    set_training_mode(graph, place.stage.trains)

    def forward(batch: Batch, rows: int) -> None:
        model = LearningModel(graph.model, rows) if graph.micro_batch else graph.model
        graph.method(model, batch, draw)

    # The passes train nothing: the running statistics that they move are put back.
    buffers = [(name, buffer, buffer.clone()) for name, buffer in graph.named_buffers()]
    try:
        plan = learn_divisions(lambda: forward(whole, rows * parts), lambda: forward(part, rows), rows, parts)
        moved = [name for name, buffer, before in buffers if not torch.equal(buffer, before)]
    finally:
        for _, buffer, before in buffers:
            buffer.copy_(before)
    if graph.micro_batch:
        _check_unmoved(moved)
    return GlobalDraws(plan)


def _varied_rows(data: RunData, count: int) -> np.ndarray:
    """Training rows of all classes in turn: a method may draw for rows of some classes alone."""
    labels = data.bank.labels[data.train]
    among_equals = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        among_equals[labels == label] = np.arange((labels == label).sum())
    return np.resize(data.train[np.lexsort((labels, among_equals))], count)


def _part(graph: TrainingGraph, whole: Batch, own: slice, *, several: bool) -> Batch:
    """The rows of a process, or of a micro-batch, in a batch of which all rows are here."""
    alone = rows_alone(whole, own)
    if graph.micro_batch and row_weights(graph.method, whole) is not None:
        return alone
    gather = partial(gather_rows, batch=len(whole.labels)) if several else _twice
    return replace(whole, features=alone.features, second=alone.second, local=own, gather=gather)


def _twice(rows: Tensor) -> Tensor:
    """Rows that stand for those of two processes; their values are not looked at."""
    return torch.cat([rows, rows])


def _check_unmoved(moved: list[str]) -> None:
    """Refuse a model that remembers something of each pass, which several passes in place of one would change."""
    for name in moved:
        part, _, buffer = name.partition(".")
        if part == "model":
            raise SpecError(
                f"micro_batch cannot be used: the model changes its {buffer} in each forward pass.",
                "Leave micro_batch at 0; --set checkpointing=true saves memory too.",
            )
