"""How the random draws of a stage's steps are divided among the processes of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.engine.batches import Batches, random_stream
from bench.engine.graph import TrainingGraph
from bench.engine.random_layers import GlobalDraws, learn_divisions
from bench.engine.stages import PlannedStage, set_training_mode

ROWS_TO_LEARN_FROM = 3
"""Rows of each process in the two passes that show how random draws are divided."""


def learn_draws(graph: TrainingGraph, batches: Batches, place: PlannedStage) -> GlobalDraws | None:
    """Learn from two small forward passes how draws are divided; ``bench.engine.random_layers`` says how.

    Args:
        graph: Model and method, not wrapped.
        batches: The batches of the run.
        place: The stage whose steps are meant.

    Returns:
        What makes the draws of a single process; None where there is one.

    Raises:
        SpecError: If a draw cannot be divided by rows.
    """
    processes, rng = batches.accelerator.num_processes, random_stream(batches.spec.seed)
    if processes == 1:
        return None
    rows = np.resize(batches.data.train, ROWS_TO_LEARN_FROM * processes)
    whole, part = batches.load_whole(rows, place, rng), batches.load(rows, place, rng)
    method: Any = graph.method
    draw = method.draw(len(rows), rng)
    set_training_mode(graph, place.stage.trains)
    # The passes train nothing: the running statistics that they move are put back.
    buffers = [(buffer, buffer.clone()) for buffer in graph.buffers()]
    try:
        divisions = learn_divisions(
            lambda: graph(whole, draw), lambda: graph(part, draw), ROWS_TO_LEARN_FROM, processes
        )
        return GlobalDraws(divisions)
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
