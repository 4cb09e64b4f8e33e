"""Supervised contrastive learning (Moummad & Farrugia 2023): a contrastive encoder first, then a linear probe on it.

Source: ilyassmoummad/scl_icbhi2017 @ 76c4c99, ``scl.py`` and ``main.py``. As there, the probe takes the encoder of the
last contrastive epoch, frozen and in evaluation mode, and its learning rate is constant.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.engine.optim import OptimOptions
from bench.engine.schedule import ScheduleOptions
from methods.base import Batch, Stage, Task
from methods.ce.card import CEOptions
from methods.ce.ce import CrossEntropy
from methods.losses import supervised_contrastive_loss
from methods.scl.card import SCLOptions
from methods.views import plain_projector, view_features

if TYPE_CHECKING:
    import numpy as np

ID = "scl"


class SCL(nn.Module):
    """Stage 0 trains encoder and projector with the supervised contrastive loss, stage 1 the classifier alone.

    Args:
        options: Options of the method.
        task: Widths, class counts and patch grid of the model and data that the method is built for.

    Raises:
        SpecError: If a class that is to be weighted has no training cycle.
    """

    def __init__(self, options: SCLOptions, task: Task) -> None:
        super().__init__()
        self.options = options
        self.projector = plain_projector(task.feature_dim, options.projector_dim)
        self.probe = CrossEntropy(CEOptions(weighted=options.weighted), task)

    def stages(self, first: Stage) -> tuple[Stage, ...]:
        """Plan two stages: the spec's without the classifier, then the probe with an optimiser of its own."""
        contrastive = replace(first, name="supervised contrastive", trains=("encoder", "method"), evaluated=False)
        probe = Stage(
            name="linear probe",
            optim=OptimOptions(
                lr=self.options.probe_lr, weight_decay=self.options.probe_weight_decay, step_average=0.0
            ),
            schedule=ScheduleOptions(law="constant", epochs=self.options.probe_epochs),
            augment=False,
            trains=("classifier",),
        )
        return contrastive, probe

    def draw(self, batch_size: int, rng: np.random.Generator) -> None:
        """Draw nothing: only the views are random, and the engine draws those."""

    def row_weights(self, labels: Tensor, stage: int) -> Tensor | None:
        """Weigh the rows (rows,) of the probe; the contrastive loss compares rows, and has no such weights."""
        return self.probe.row_weights(labels, stage) if stage > 0 else None

    def forward(self, model: nn.Module, batch: Batch, draw: None) -> dict[str, Tensor]:
        """Return the scalar ``loss`` of the global batch: the contrastive one, or in stage 1 the probe's."""
        if batch.stage > 0:
            probed: dict[str, Tensor] = self.probe(model, batch, draw)
            return probed
        first, second = (self.projector(features) for features in view_features(model, batch, ID))
        return {"loss": supervised_contrastive_loss(first, second, batch.labels, self.options.tau)}
