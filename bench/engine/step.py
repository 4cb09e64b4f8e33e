"""The steps of one stage: model, method and optimiser as the stage trains them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor

from bench.engine.accelerator import prepared
from bench.engine.batches import Batches
from bench.engine.gradients import Gradients
from bench.engine.graph import TrainingGraph
from bench.engine.learnt_draws import learn_draws
from bench.engine.optim import build_optimizer, set_learning_rate
from bench.engine.stages import PlannedStage, freeze_others, set_training_mode, trained_with_factors
from bench.engine.step_average import StepAverage
from methods.base import Batch, Draw


class StageSteps:
    """Prepares a stage (what it trains, and an optimiser of its own) and takes its steps.

    Args:
        model: The model of the run.
        method: Its method.
        place: The stage.
        batches: The batches of the run; their accelerator is the run's.
        trainable: From :func:`bench.engine.stages.trainable_parameters`.

    Attributes:
        place: The stage.
        bare: Model and method, not wrapped for precision or distribution.
        graph: The same, wrapped.
        optimizer: The stage's optimiser.

    Raises:
        SpecError: If a random draw of the stage cannot be divided among the processes.
    """

    def __init__(
        self, model: Any, method: Any, place: PlannedStage, batches: Batches, trainable: Collection[int]
    ) -> None:
        self.place, stage, self.accelerator = place, place.stage, batches.accelerator
        options = batches.spec.distribution
        # A fresh pair: the one of the stage before may be wrapped.
        self.bare = TrainingGraph(model, method, options.micro_batch)
        freeze_others(self.bare, stage.trains, trainable)
        self.average = StepAverage(self.bare, stage.optim.step_average)
        if place.index > 0:
            # Accelerate saves and loads all that it ever prepared: model and optimiser of the stage before must go
            # first. It looks for garbage besides, which takes a third of a second: not where there was none before.
            self.accelerator.free_memory()
        optimizer = build_optimizer(trained_with_factors(self.bare, stage.optim), stage.optim)
        self.graph, self.optimizer = prepared(self.accelerator, self.bare, optimizer)
        draws = learn_draws(self.bare, batches, place)
        self.gradients = Gradients(self.graph, self.bare, self.accelerator, draws, options.checkpointing)

    def begin_epoch(self) -> None:
        """Put the trained parts into training mode: an evaluation has left them in the other one."""
        set_training_mode(self.bare, self.place.stage.trains)

    def take(self, batch: Batch, draw: Draw | None, rate: float) -> dict[str, Tensor]:
        """Take one step of the optimiser.

        Args:
            batch: The global batch as this process sees it.
            draw: What the method has drawn for it.
            rate: Learning rate of the encoder.

        Returns:
            Named scalar losses of the global batch, detached and still on the device.
        """
        # The share of the step average is folded into the rate.
        set_learning_rate(self.optimizer, self.average.effective_lr(rate))
        # Before the forward pass, which moves the running statistics that are averaged with what they were.
        self.average.before_step()
        losses = self.gradients.compute(batch, draw)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # Parameters are averaged through the learning rate; buffers are, here, after each step as the authors do.
        self.average.after_step()
        return {name: value.detach() for name, value in losses.items() if isinstance(value, Tensor)}
