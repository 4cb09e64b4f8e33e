"""A run's first training step, taken as the trainer takes it, again and again: what measurements time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.engine.batches import random_stream
from bench.engine.preparation import prepare_method
from bench.engine.step import StageSteps
from bench.engine.trainer import Trainer

if TYPE_CHECKING:
    from bench.engine.data import RunData
    from bench.experiment.spec import RunSpec
    from methods.base import Batch, Draw


NOWHERE = Path("no-run-folder")
"""A trainer writes nothing before it trains: the folder is never made."""


def forget_accelerator() -> None:
    """Let the next accelerator of this process have another precision than the one before.

    Accelerate keeps the precision of the first in a place of its own and refuses another. A training process has one
    run; a measurement compares several precisions. Accelerators that are there already keep their own arithmetic.
    """
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=False)


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
        # Whatever a trainer does with model and data before its first step (devices, compilation) is done here too.
        trainer = Trainer(spec, data, NOWHERE, processes)
        self.method, self.batches = trainer.method, trainer.batches
        place = trainer.stage_plan.at(0)
        self.steps = StageSteps(trainer.model, self.method, place, self.batches, trainer.trainable)
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
        return batch, self.method.draw(len(rows), rng)

    def take(self) -> dict[str, Tensor]:
        """Take the first step; taken again, it is the same batch and draw.

        Returns:
            The named losses.
        """
        return self.steps.take(*self.load(), self.rate)
