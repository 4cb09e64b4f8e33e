"""Patch-Mix with cross-entropy on both labels: the two mixing rows of the paper's Table 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from methods.base import Batch, Task, no_patches, patch_access
from methods.mixing import PatchMix, both_labels_loss, draw_patch_mix, mix_batch
from methods.patchmix.card import PatchMixCEOptions

if TYPE_CHECKING:
    import numpy as np


class PatchMixCE(nn.Module):
    """Label-mixing cross-entropy on mixed patches; there is no clean pass (Bae et al. 2023, Table 2).

    Args:
        id: Id of the method, for messages.
        mode: ``patch`` or ``t-patch``.
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.

    Raises:
        SpecError: If the model has no patch grid.
    """

    def __init__(self, id: str, mode: str, options: PatchMixCEOptions, task: Task) -> None:  # noqa: A002
        super().__init__()
        if task.patch_grid is None:
            raise no_patches(id, "the model")
        self.id, self.mode, self.options, self.grid = id, mode, options, task.patch_grid

    def draw(self, batch_size: int, rng: np.random.Generator) -> PatchMix:
        """Draw lambda, permutation and mask for the global batch."""
        return draw_patch_mix(batch_size, self.grid, self.options.beta, self.mode, rng)

    def forward(self, model: nn.Module, batch: Batch, draw: PatchMix) -> dict[str, Tensor]:
        """Mix the patch tokens and return the scalar ``loss`` of the global batch."""
        patches = patch_access(model, self.id)
        mixed = mix_batch(patches.embed_patches(batch.features), batch, draw)
        logits = patches.classifier(patches.encode(mixed))
        return {"loss": both_labels_loss(logits, batch, draw.permutation, draw.lam)}


def patch_mix_ce(options: PatchMixCEOptions, task: Task) -> PatchMixCE:
    """Build Patch-Mix CE, which mixes any patches."""
    return PatchMixCE("patchmix-ce", "patch", options, task)


def time_patch_mix_ce(options: PatchMixCEOptions, task: Task) -> PatchMixCE:
    """Build T-Patch-Mix CE, which mixes whole time columns of patches."""
    return PatchMixCE("tpatchmix-ce", "t-patch", options, task)
