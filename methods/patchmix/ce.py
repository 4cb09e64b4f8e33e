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
        id: Its id, for messages.
        mode: ``patch`` or ``t-patch``.
        options: The method's options.
        task: What it is built for.

    Raises:
        SpecError: If the model has no patch grid.
    """

    def __init__(self, id: str, mode: str, options: PatchMixCEOptions, task: Task) -> None:  # noqa: A002
        super().__init__()
        if task.patch_grid is None:
            raise no_patches(id, "the model")
        self.id, self.mode, self.options, self.grid = id, mode, options, task.patch_grid

    def draw(self, batch_size: int, rng: np.random.Generator) -> PatchMix:
        """Lambda, permutation and mask for the global batch."""
        return draw_patch_mix(batch_size, self.grid, self.options.beta, self.mode, rng)

    def forward(self, model: nn.Module, batch: Batch, draw: PatchMix) -> dict[str, Tensor]:
        """Return ``loss``; see :meth:`methods.base.Method.__call__`."""
        patches = patch_access(model, self.id)
        mixed = mix_batch(patches.embed_patches(batch.features), batch, draw)
        logits = patches.classifier(patches.encode(mixed))
        return {"loss": both_labels_loss(logits, batch, draw.permutation, draw.lam)}


def patch_mix_ce(options: PatchMixCEOptions, task: Task) -> PatchMixCE:
    """Patch-Mix CE: any patches are mixed."""
    return PatchMixCE("patchmix-ce", "patch", options, task)


def time_patch_mix_ce(options: PatchMixCEOptions, task: Task) -> PatchMixCE:
    """T-Patch-Mix CE: whole time columns of patches are mixed."""
    return PatchMixCE("tpatchmix-ce", "t-patch", options, task)
