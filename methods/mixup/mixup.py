"""Mixup of spectrograms, for any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.core.inputs import map_inputs
from methods.base import Batch, Task
from methods.mixing import both_labels_loss, partner_rows
from methods.mixup.card import SpectrogramMixOptions
from methods.mixup.spectrogram_mixing import Mixup, draw_mixup, mix_up

if TYPE_CHECKING:
    import numpy as np


class MixupCE(nn.Module):
    """Unweighted label-mixing cross-entropy on blended spectrograms; there is no clean pass (Zhang et al. 2018).

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.
    """

    def __init__(self, options: SpectrogramMixOptions, task: Task) -> None:
        super().__init__()
        self.options = options

    def draw(self, batch_size: int, rng: np.random.Generator) -> Mixup:
        """Draw lambda and permutation for the global batch."""
        return draw_mixup(batch_size, self.options.beta, rng)

    def forward(self, model: nn.Module, batch: Batch, draw: Mixup) -> dict[str, Tensor]:
        """Blend the spectrograms and return the scalar ``loss`` of the global batch."""
        mixed = map_inputs(lambda x: mix_up(x, partner_rows(x, batch, draw.permutation), draw.lam), batch.features)
        return {"loss": both_labels_loss(model(mixed), batch, draw.permutation, draw.lam)}
