"""Losses and gradients of one global batch: at once, or in micro-batches, as the memory of the device allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from bench.core.errors import MemoryRunError
from bench.engine import memory
from bench.engine.activation_checkpoints import BlockModel
from bench.engine.arithmetic import is_not_deterministic, no_deterministic_form
from bench.engine.global_draws import GlobalDraws, drawing
from bench.engine.graph import TrainingGraph
from bench.engine.losses import loss_to_train
from bench.engine.micro_batches import accumulate_gradients, batch_statistics, row_weights
from methods.base import Batch, Draw

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass
class Gradients:
    """Computes the gradients of steps, for as long as one stage lasts.

    Attributes:
        graph: Model and method, wrapped for precision and distribution.
        bare: The same without a wrapper.
        accelerator: Runs the backward passes.
        draws: Draws for the global batch; None where the layers of a process alone draw as they are.
        checkpointing: Whether the model's activations are computed again, for advice.
    """

    graph: Any
    bare: TrainingGraph
    accelerator: Accelerator
    draws: GlobalDraws | None = None
    checkpointing: bool = False

    def compute(self, batch: Batch, draw: Draw | None) -> dict[str, Tensor]:
        """Compute the losses of a global batch, and leave their gradients with the parameters.

        Args:
            batch: The global batch as this process sees it.
            draw: What the method drew for it.

        Returns:
            Named scalars.

        Raises:
            MemoryRunError: If memory runs out; a size of micro-batches that fits is named where one is found.
            RunError: If the run is to be deterministic and an operation has no such form.
        """
        try:
            return self._compute(batch, draw)
        except (RuntimeError, MemoryError) as error:
            if is_not_deterministic(error):
                raise no_deterministic_form(error) from error
            if not memory.is_out_of_memory(error):
                raise
            words = memory.words_of_exhaustion(error, f" in a step of {len(batch.labels[batch.local])} cycles")
            memory.forget_frames(error)
        # Only here: what filled the memory is let go of at the end of the handler.
        self._drop_gradients()
        raise MemoryRunError(words, self._advice(batch, draw))

    def _compute(self, batch: Batch, draw: Draw | None) -> dict[str, Tensor]:
        size = self.bare.micro_batch
        weights = row_weights(self.bare.method, batch) if size else None
        if weights is not None:
            return accumulate_gradients(self.graph, batch, draw, weights, size, self.accelerator, self.draws)
        if self.draws is not None:
            self.draws.begin(batch.local, len(batch.labels))
        with drawing(self.draws):
            losses: dict[str, Tensor] = self.graph(batch, draw)
        self.accelerator.backward(loss_to_train(losses))
        return losses

    def _advice(self, batch: Batch, draw: Draw | None) -> str:
        """What to do about memory that ran out in a step."""
        if batch_statistics(self.bare.model):
            possible = isinstance(self.bare.model, BlockModel)
            return memory.hint_of_checkpointing(checkpointing=self.checkpointing, possible=possible)
        rows = len(batch.labels[batch.local])
        rows = min(self.bare.micro_batch or rows, rows)
        # Processes wait for one another: one of them cannot try by itself.
        tried = self.accelerator.num_processes == 1
        size = self._fitting(batch, draw, rows) if tried else rows // 2 or None
        return memory.hint_of_micro_batch(size, tried=tried, checkpointing=self.checkpointing)

    def _fitting(self, batch: Batch, draw: Draw | None, rows: int) -> int | None:
        """A micro-batch that fits; buffers, gradients and size are afterwards what they were."""
        before = self.bare.micro_batch
        buffers = [(buffer, buffer.clone()) for buffer in self.bare.buffers()]

        def attempt(size: int) -> None:
            self.bare.micro_batch = size
            try:
                self._compute(batch, draw)
            finally:
                self._drop_gradients()

        try:
            return memory.fitting_micro_batch(attempt, rows)
        finally:
            self.bare.micro_batch = before
            for buffer, value in buffers:
                buffer.copy_(value)

    def _drop_gradients(self) -> None:
        self.bare.zero_grad(set_to_none=True)
