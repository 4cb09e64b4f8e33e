"""Supervised contrastive learning and cross-entropy in one stage (Moummad & Farrugia 2023, hybrid)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from methods.base import Batch, Task
from methods.losses import class_weights, hybrid_contrastive_loss
from methods.scl.card import SCLHybridOptions
from methods.views import Encoder, plain_projector, view_features

if TYPE_CHECKING:
    import numpy as np

ID = "scl-hybrid"


class SCLHybrid(nn.Module):
    """Supervised contrastive loss and cross-entropy of both views (scl_icbhi2017 @ 76c4c99, ``hybrid.py``).

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.

    Raises:
        SpecError: If a class that is to be weighted has no training cycle.
    """

    weights: Tensor | None

    def __init__(self, options: SCLHybridOptions, task: Task) -> None:
        super().__init__()
        self.options = options
        self.projector = plain_projector(task.feature_dim, options.projector_dim)
        self.register_buffer(
            "weights", class_weights(task.class_counts) if options.weighted else None, persistent=False
        )

    def draw(self, batch_size: int, rng: np.random.Generator) -> None:
        """Draw nothing: only the views are random, and the engine draws those."""

    def forward(self, model: nn.Module, batch: Batch, draw: None) -> dict[str, Tensor]:
        """Encode both views and return the scalars ``loss``, ``contrastive`` and ``ce`` of the global batch."""
        first, second = view_features(model, batch, ID)
        classifier = cast(Encoder, model).classifier
        return hybrid_contrastive_loss(
            self.projector(first),
            self.projector(second),
            (classifier(first), classifier(second)),
            batch.labels,
            self.options.alpha,
            self.options.tau,
            self.weights,
        )
