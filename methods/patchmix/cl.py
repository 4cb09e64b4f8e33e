"""Patch-Mix contrastive learning, the paper's method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.core.errors import SpecError
from methods.base import Batch, Task, no_patches, patch_access
from methods.losses import cross_entropy, patch_mix_contrastive_loss
from methods.mixing import PatchMix, draw_patch_mix, index_on, mix_batch
from methods.patchmix.card import PatchMixCLOptions
from methods.views import encode_both, gather_both

if TYPE_CHECKING:
    import numpy as np

ID = "patchmix-cl"


class Projector(nn.Module):
    """Projector h: linear, batch norm, ReLU, linear (official code @ 836b09f, ``models/projector.py``).

    Args:
        feature_dim: Width of its input and of its hidden layer.
        out_dim: Width of its output.
    """

    def __init__(self, feature_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(feature_dim, feature_dim)
        self.norm = nn.BatchNorm1d(feature_dim)
        self.linear2 = nn.Linear(feature_dim, out_dim)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, feature_dim) -> (batch, out_dim)."""
        hidden: Tensor = self.norm(self.linear1(features)).relu()
        projected: Tensor = self.linear2(hidden)
        return projected


class PatchMixCL(nn.Module):
    """Cross-entropy on the clean clip and the Patch-Mix contrastive loss (Bae et al. 2023, Eq. 2 and 3).

    The projector sees the global batch: its batch statistics do not depend on the number of processes.

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.

    Raises:
        SpecError: If the model has no patch grid, or if features and projected features would be compared although
            their widths differ.
    """

    def __init__(self, options: PatchMixCLOptions, task: Task) -> None:
        super().__init__()
        if task.patch_grid is None:
            raise no_patches(ID, "the model")
        width = options.projector_dim or task.feature_dim
        if options.target in ("z", "stop-z") and width != task.feature_dim:
            raise SpecError(
                f"The projector's width is {width}, but target {options.target} has width {task.feature_dim}.",
                "Leave projector_dim at 0, or choose target hz or stop-hz.",
            )
        self.options, self.grid = options, task.patch_grid
        self.projector = Projector(task.feature_dim, width)

    def draw(self, batch_size: int, rng: np.random.Generator) -> PatchMix:
        """Draw lambda, permutation and mask for the global batch."""
        return draw_patch_mix(batch_size, self.grid, self.options.beta, self.options.mix, rng)

    def targets(self, clean: Tensor) -> Tensor:
        """Give the vectors that mixed clips are drawn to, by the option ``target``.

        Args:
            clean: (B, dim), features of the clean clips.

        Returns:
            (B, dim), projected or not, detached or not.
        """
        targets = self.projector(clean) if self.options.target.endswith("hz") else clean
        return targets.detach() if self.options.target.startswith("stop-") else targets

    def forward(self, model: nn.Module, batch: Batch, draw: PatchMix) -> dict[str, Tensor]:
        """Encode clean and mixed clips; return the scalars ``loss``, ``ce`` and ``contrastive`` of the global batch."""
        patches = patch_access(model, ID)
        tokens = patches.embed_patches(batch.features)
        pair = encode_both(model, patches.encode, tokens, mix_batch(tokens, batch, draw))
        clean, mixed = gather_both(batch, pair)
        ce = cross_entropy(patches.classifier(clean), batch.labels)
        # Clean before mixed: the projector's running statistics depend on the order.
        targets, projected = self.targets(clean), self.projector(mixed)
        contrastive = patch_mix_contrastive_loss(
            projected,
            targets,
            index_on(draw.permutation, clean.device),
            draw.lam,
            self.options.tau,
            batch.labels,
            self.options.negatives,
        )
        return {"loss": ce + self.options.alpha * contrastive, "ce": ce, "contrastive": contrastive}
