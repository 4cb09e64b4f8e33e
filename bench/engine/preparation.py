"""What a method learns of the training part before the first step of a run."""

from __future__ import annotations

import torch

from bench.engine.batches import Batches
from bench.engine.graph import TrainingGraph
from bench.engine.random_states import random_states_kept
from methods.base import PreparedMethod


def prepare_method(graph: TrainingGraph, batches: Batches) -> None:
    """Let a method prepare itself, where it wants to; every process of a run does the same, over all training rows.

    Args:
        graph: Model and method, not wrapped.
        batches: The batches of the run.
    """
    if not isinstance(graph.method, PreparedMethod):
        return
    with random_states_kept():
        torch.manual_seed(batches.spec.seed)
        graph.eval()
        graph.method.prepare(graph.model, batches.training_rows())
    # Gradients that it left behind would be added to those of the first step.
    graph.zero_grad(set_to_none=True)
