"""CutMix of spectrograms, for any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.core.inputs import by_name, joined
from methods.base import Batch, Task
from methods.mixing import both_labels_loss, partner_rows
from methods.mixup.card import SpectrogramMixOptions
from methods.mixup.spectrogram_mixing import CutMix, cut_mix, draw_cutmix

if TYPE_CHECKING:
    import numpy as np


class CutMixCE(nn.Module):
    """Unweighted label-mixing cross-entropy on spectrograms with a rectangle of another clip (Yun et al. 2019).

    There is no clean pass.

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.
    """

    def __init__(self, options: SpectrogramMixOptions, task: Task) -> None:
        super().__init__()
        self.options = options

    def draw(self, batch_size: int, rng: np.random.Generator) -> CutMix:
        """Draw lambda, permutation and centre for the global batch."""
        return draw_cutmix(batch_size, self.options.beta, rng)

    def forward(self, model: nn.Module, batch: Batch, draw: CutMix) -> dict[str, Tensor]:
        """Mix the spectrograms and return the scalar ``loss`` of the global batch."""
        cut = {
            name: cut_mix(x, partner_rows(x, batch, draw.permutation), draw)
            for name, x in by_name(batch.features).items()
        }
        # Several pictures of a clip have the rectangle at the same place, but rounded to cells of their own.
        lam = sum(share for _, share in cut.values()) / len(cut)
        mixed = joined({name: pictures for name, (pictures, _) in cut.items()})
        return {"loss": both_labels_loss(model(mixed), batch, draw.permutation, lam)}
