"""Mixup beside the clean batch, with binary cross-entropy on soft labels, for any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from bench.core.inputs import map_inputs
from methods.base import Batch, Task
from methods.losses import binary_cross_entropy
from methods.mixing import index_on, partner_rows
from methods.mixup.card import MixupBCEOptions
from methods.mixup.spectrogram_mixing import Mixup, draw_mixup, mix_up
from methods.views import encode_both, gather_both

if TYPE_CHECKING:
    import numpy as np


class MixupBCE(nn.Module):
    """Binary cross-entropy of the clean batch and of the blended one, which is as large (Ma et al. 2020).

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.
    """

    def __init__(self, options: MixupBCEOptions, task: Task) -> None:
        super().__init__()
        self.options = options
        self.classes = len(task.class_counts)

    def draw(self, batch_size: int, rng: np.random.Generator) -> Mixup:
        """Draw lambda and permutation for the global batch."""
        return draw_mixup(batch_size, self.options.beta, rng)

    def scores(self, logits: Tensor) -> Tensor:
        """Scores of classes: each by itself, the sigmoid of its logit."""
        return logits.sigmoid()

    def forward(self, model: nn.Module, batch: Batch, draw: Mixup) -> dict[str, Tensor]:
        """Return the scalar ``loss`` of the global batch, clean rows followed by mixed ones."""
        mixed = map_inputs(lambda x: mix_up(x, partner_rows(x, batch, draw.permutation), draw.lam), batch.features)
        logits = torch.cat(gather_both(batch, encode_both(model, model, batch.features, mixed)))
        clean = one_hot(batch.labels, self.classes).to(logits.dtype)
        partners = clean[index_on(draw.permutation, clean.device)]
        return {"loss": binary_cross_entropy(logits, torch.cat([clean, mix_up(clean, partners, draw.lam)]))}
