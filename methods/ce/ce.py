"""Cross-entropy, weighted by inverse class counts or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from methods.base import Batch, Task
from methods.ce.card import CEOptions
from methods.losses import class_weights, cross_entropy

if TYPE_CHECKING:
    import numpy as np


class CrossEntropy(nn.Module):
    """Fine-tuning with cross-entropy (Bae et al. 2023, section 3.3).

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.

    Raises:
        SpecError: If a class that is to be weighted has no training cycle.
    """

    weights: Tensor | None

    def __init__(self, options: CEOptions, task: Task) -> None:
        super().__init__()
        # On the model's device with it, but not in its state: the weights follow from options and training data.
        self.register_buffer("weights", _weights(options, task), persistent=False)

    def draw(self, batch_size: int, rng: np.random.Generator) -> None:
        """Draw nothing: no part of the method is random."""

    def row_weights(self, labels: Tensor, stage: int) -> Tensor:
        """Weigh each row (rows,) by its class; equally, without class weights."""
        return torch.ones(len(labels), device=labels.device) if self.weights is None else self.weights[labels]

    def forward(self, model: nn.Module, batch: Batch, draw: None) -> dict[str, Tensor]:
        """Return the scalar ``loss`` of the global batch."""
        return {"loss": cross_entropy(batch.gather(model(batch.features)), batch.labels, self.weights)}


def _weights(options: CEOptions, task: Task) -> Tensor | None:
    """(classes,) float32 weights that sum to 1; None where all classes weigh the same."""
    if options.normal_weight > 0:
        weights = torch.ones(len(task.class_counts))
        weights[0] = options.normal_weight
        return weights / weights.sum()
    return class_weights(task.class_counts) if options.weighted else None
