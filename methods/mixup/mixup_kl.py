"""Mixup whose rows have shares of their own, with the divergence from the mixed labels, for any model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.inputs import map_inputs
from bench.engine.host_arrays import array_on
from methods.base import Batch, Task
from methods.losses import complement_weights, mixed_targets, target_divergence
from methods.mixing import index_on, partner_rows
from methods.mixup.card import MixupKLOptions
from methods.mixup.spectrogram_mixing import RowMixup, draw_row_mixup, mix_up


class MixupKL(nn.Module):
    """Kullback-Leibler divergence from the mixed labels of blended pictures (Pham et al. 2021, section V).

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.
    """

    weights: Tensor | None

    def __init__(self, options: MixupKLOptions, task: Task) -> None:
        super().__init__()
        self.options = options
        weighted = options.weights == "complement"
        self.register_buffer("weights", complement_weights(task.class_counts) if weighted else None, persistent=False)

    def draw(self, batch_size: int, rng: np.random.Generator) -> RowMixup:
        """Draw shares and permutation for the global batch."""
        options = self.options
        return draw_row_mixup(batch_size, options.beta, options.probability, options.shared, rng)

    def forward(self, model: nn.Module, batch: Batch, draw: RowMixup) -> dict[str, Tensor]:
        """Blend the pictures and return the scalar ``loss`` of the global batch."""
        shares = array_on(batch.labels.device, np.asarray(draw.lam, dtype=np.float64))

        def blended(x: Tensor) -> Tensor:
            own = shares[batch.local].to(x.dtype).view(-1, *[1] * (x.ndim - 1))
            return mix_up(x, partner_rows(x, batch, draw.permutation), own)

        logits = batch.gather(model(map_inputs(blended, batch.features)))
        lam = shares.to(torch.promote_types(logits.dtype, torch.float32))
        partners = index_on(draw.permutation, batch.labels.device)
        targets = mixed_targets(batch.labels, partners, lam, logits.shape[1])
        return {"loss": target_divergence(logits, targets, self.weights)}
