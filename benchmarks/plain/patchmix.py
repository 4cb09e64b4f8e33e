"""Patch-Mix contrastive learning in two forward passes, the clean clip's and the mixed clip's, as the authors train it.

Source of the formulas: Bae et al. 2023, Eq. 2 and 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.plain.ast import PlainAST

TEMPERATURE = 0.06


class PlainProjector(nn.Module):
    """Linear, batch norm, ReLU, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.linear2 = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        projected: Tensor = self.linear2(torch.relu(self.norm(self.linear1(features))))
        return projected


class PlainPatchMixCL(nn.Module):
    """Net, classifier and projector with the loss of a step.

    Args:
        options: Geometry of the net.
        num_classes: Outputs of the classifier.
    """

    def __init__(self, options: Any, num_classes: int = 4) -> None:
        super().__init__()
        self.model = PlainAST(options, num_classes)
        self.method = nn.ModuleDict({"projector": PlainProjector(options.embed_dim)})

    def forward(self, x: Tensor, labels: Tensor, draw: Any) -> Tensor:
        """The loss of a batch.

        Args:
            x: (B, 1, T, F).
            labels: (B,).
            draw: ``lam``, ``permutation`` and ``mask``, as the project's method draws them.
        """
        permutation = torch.as_tensor(draw.permutation, device=x.device)
        clean = self.model.encode(self.model.embed_patches(x))
        mixed = self.model.encode(self._mixed_tokens(x, permutation, torch.as_tensor(draw.mask, device=x.device)))
        loss = nn.functional.cross_entropy(self.model.classifier(clean), labels)
        return loss + self._contrastive(self.method["projector"](mixed), clean.detach(), permutation, draw.lam)

    def _mixed_tokens(self, x: Tensor, permutation: Tensor, mask: Tensor) -> Tensor:
        """Patches of each clip, some of them overwritten by those of its partner."""
        tokens = self.model.embed_patches(x)
        mixed = tokens.clone()
        mixed[:, mask] = tokens[permutation][:, mask]
        return mixed

    def _contrastive(self, projected: Tensor, targets: Tensor, permutation: Tensor, lam: float) -> Tensor:
        a, b = nn.functional.normalize(projected, dim=1), nn.functional.normalize(targets, dim=1)
        logs = (a @ b.T / TEMPERATURE).log_softmax(dim=1)
        rows = torch.arange(len(a), device=a.device)
        return -(lam * logs[rows, rows] + (1 - lam) * logs[rows, permutation]).mean()
