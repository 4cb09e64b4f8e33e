"""What a method learns of the training part before the first step of a run."""

from __future__ import annotations

import torch

from bench.core.errors import SpecError
from bench.core.text import echoed
from bench.engine.batches import Batches
from bench.engine.graph import TrainingGraph
from bench.engine.random_states import random_states_kept
from methods.base import PreparedMethod


def prepare_method(graph: TrainingGraph, batches: Batches) -> None:
    """Let a method prepare itself, where it wants to; every process of a run does the same, over all training rows.

    Args:
        graph: Model and method, not wrapped.
        batches: The batches of the run.

    Raises:
        SpecError: If the method has replaced or made a parameter, or a buffer by one of another shape.
    """
    if not isinstance(graph.method, PreparedMethod):
        return
    parameters, shapes = dict(graph.named_parameters()), _shapes(graph)
    trained = [(parameter, parameter.requires_grad) for parameter in parameters.values()]
    with random_states_kept():
        torch.manual_seed(batches.spec.seed)
        graph.eval()
        graph.method.prepare(graph.model, batches.training_rows())
    # Gradients that it left behind would be added to those of the first step.
    graph.zero_grad(set_to_none=True)
    # What is trained, the stage has said: a method may stop gradients for what it computes here.
    for parameter, was_trained in trained:
        parameter.requires_grad_(was_trained)
    now, made = dict(graph.named_parameters()), _shapes(graph)
    names = [*shapes, *(made.keys() - shapes.keys())]
    others = [name for name in names if now.get(name) is not parameters.get(name) or made.get(name) != shapes.get(name)]
    if others:
        raise SpecError(
            f"The method {batches.spec.method} has replaced or made {echoed(others[0])} in `prepare`.",
            "Fill what is there with `copy_`: the optimiser has the parameters, and saved states these shapes.",
        )


def _shapes(graph: TrainingGraph) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in graph.state_dict().items()}
