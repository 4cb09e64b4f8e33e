"""Co-Tuning (You et al. 2020): the head of the pretraining task is kept, and learns with the new one."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.errors import SpecError
from bench.engine.sampling import hold_out_patients
from methods.base import Batch, Task, TrainingRows
from methods.cotuning.card import CoTuningOptions
from methods.cotuning.relationship import Rows, direct_relationship, learn_relationship
from methods.views import Encoder

ROWS_AT_ONCE = 64
"""Training rows of a batch that the relationship is learnt from."""


def co_tuning_losses(
    target: Tensor, source: Tensor, labels: Tensor, relationship: Tensor, trade_off: float
) -> dict[str, Tensor]:
    """Compute the losses of Co-Tuning.

    Args:
        target: (rows, T) logits of the new head.
        source: (rows, S) logits of the source head.
        labels: (rows,) target classes.
        relationship: (T, S), p(source class | target class).
        trade_off: Weight of the source head's loss.

    Returns:
        Scalars: ``ce`` and ``source``, means over the rows, and ``loss``, their weighted sum.

    Source: thuml/CoTuning @ fc3eb54, ``train.py``.
    """
    ce = functional.cross_entropy(target, labels)
    wanted = relationship[labels].to(source.dtype)
    soft = -(wanted * source.log_softmax(1)).sum(1).mean()
    return {"loss": ce + trade_off * soft, "ce": ce, "source": soft}


class CoTuning(nn.Module):
    """Cross-entropy of the new head, and of the source head for the source classes of the row's class.

    Args:
        options: Options of the method.
        task: Widths and class counts of the model and data that the method is built for.

    Attributes:
        source_head: The head of the pretraining task.
        relationship: (target classes, source classes); each row alike until the method is prepared.
    """

    relationship: Tensor

    def __init__(self, options: CoTuningOptions, task: Task) -> None:
        super().__init__()
        self.options, self.classes = options, len(task.class_counts)
        self.source_head = nn.Linear(task.feature_dim, options.source_classes)
        alike = torch.full((self.classes, options.source_classes), 1 / options.source_classes)
        self.register_buffer("relationship", alike)

    def take_source_head(self, weight: Tensor, bias: Tensor) -> None:
        """Begin with the head of the pretrained weights.

        Args:
            weight: (source classes, features).
            bias: (source classes,).

        Raises:
            SpecError: If it has another number of classes than ``source_classes``, or of features than the model.
        """
        wanted, found = tuple(self.source_head.weight.shape), tuple(weight.shape)
        if found != wanted:
            raise SpecError(
                f"The head of the pretrained weights is {' by '.join(map(str, found))}, but one of "
                f"{wanted[0]} source classes by {wanted[1]} features is needed.",
                f"Use --set method.source_classes={found[0]}, or other weights.",
            )
        with torch.no_grad():
            self.source_head.weight.copy_(weight)
            self.source_head.bias.copy_(bias)

    @torch.no_grad()
    def prepare(self, model: nn.Module, rows: TrainingRows) -> None:
        """Learn the relationship from the training rows, of which the patients of some are held out for validation."""
        logits = [self.source_head(cast(Encoder, model).features(x)) for x, _ in rows.batches(ROWS_AT_ONCE)]
        chances = (self.options.temperature_factor * torch.cat(logits).float()).softmax(1).cpu().numpy()
        everything = Rows(chances.astype(np.float64), rows.labels.cpu().numpy())
        learnt = self._learn(everything, np.asarray(rows.patients))
        self.relationship.copy_(torch.from_numpy(learnt))

    def _learn(self, everything: Rows, patients: np.ndarray) -> np.ndarray:
        if self.options.relationship == "direct":
            return direct_relationship(everything, self.classes)
        held = hold_out_patients(patients.tolist(), everything.labels, self.options.calibration_fraction)
        is_held = np.isin(patients, sorted(held))
        train, validation = (Rows(everything.probabilities[of], everything.labels[of]) for of in (~is_held, is_held))
        return learn_relationship(train, validation, self.classes).source_given_target

    def draw(self, batch_size: int, rng: np.random.Generator) -> None:
        """Draw nothing: no part of the method is random."""

    def row_weights(self, labels: Tensor, stage: int) -> Tensor:
        """Weigh all rows (rows,) equally: both losses are means over rows."""
        return torch.ones(len(labels), device=labels.device)

    def forward(self, model: nn.Module, batch: Batch, draw: None) -> dict[str, Tensor]:
        """Return the scalars ``loss``, ``ce`` and ``source`` of the global batch."""
        encoder = cast(Encoder, model)
        features = batch.gather(encoder.features(batch.features))
        return co_tuning_losses(
            encoder.classifier(features),
            self.source_head(features),
            batch.labels,
            self.relationship,
            self.options.trade_off,
        )
