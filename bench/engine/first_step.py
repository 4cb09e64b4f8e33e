"""A run's first training step, taken as the trainer takes it, again and again: what measurements time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.engine.accelerator import build_accelerator
from bench.engine.activation_checkpoints import checkpoint_activations
from bench.engine.batches import Batches, random_stream
from bench.engine.graph import build_graph
from bench.engine.preparation import prepare_method
from bench.engine.stages import StagePlan, stages_of, trainable_parameters
from bench.engine.step import StageSteps

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.experiment.spec import RunSpec
    from methods.base import Batch, Draw


def forget_accelerator() -> None:
    """Let the next accelerator of this process have another precision than the one before.

    Accelerate keeps the precision of the first in a place of its own and refuses another. A training process has one
    run; a measurement compares several precisions. Accelerators that are there already keep their own arithmetic.
    """
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=False)  # type: ignore[no-untyped-call]


class FirstStep:
    """The first step of a run, ready to be taken.

    Args:
        spec: The spec of the run.
        data: Its rows.
        processes: Processes that share the run; this one has joined their group.

    Attributes:
        batches: The batches of the run.
        steps: The stage's steps; ``steps.bare`` is model and method.
    """

    def __init__(self, spec: RunSpec, data: RunData, processes: int = 1) -> None:
        self.spec = spec
        forget_accelerator()
        accelerator = build_accelerator(spec, processes)
        graph = build_graph(spec, data.class_counts())
        if spec.distribution.checkpointing:
            checkpoint_activations(graph.model, spec.model)
        trainable = trainable_parameters(graph)
        self.method = graph.method
        self.batches = Batches(spec, data, accelerator)
        place = StagePlan(stages_of(spec, graph.method), self.batches.steps).at(0)
        self.steps = StageSteps(graph.model, graph.method, place, self.batches, trainable)
        prepare_method(self.steps.bare, self.batches)
        self.steps.begin_epoch()
        self.order = self.batches.order(1)

    @property
    def rate(self) -> float:
        """Learning rate of the first step."""
        return self.steps.place.rate(1, 0)

    def load(self) -> tuple[Batch, Draw | None]:
        """The batch of the first step, and what the method draws for it, as the trainer has them."""
        rng = random_stream(self.spec.seed, 1, 0)
        torch.manual_seed(int(rng.integers(2**63)))
        rows = self.batches.rows_of_step(self.order, 0)
        batch = self.batches.load(rows, self.steps.place, rng)
        return batch, self.method.draw(len(rows), rng)  # type: ignore[operator]

    def take(self) -> dict[str, Tensor]:
        """Take the first step; taken again, it is the same batch and draw.

        Returns:
            The named losses.
        """
        return self.steps.take(*self.load(), self.rate)
