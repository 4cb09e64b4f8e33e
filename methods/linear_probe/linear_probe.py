"""Linear probe: the encoder is frozen, and a linear classifier is found for its features."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import SpecError
from bench.engine.optim import OptimOptions
from bench.engine.schedule import ScheduleOptions
from methods.base import Batch, Stage, Task, TrainingRows
from methods.linear_probe.card import LinearProbeOptions
from methods.linear_probe.logistic import choose_strength, fit_logistic
from methods.losses import class_weights, cross_entropy
from methods.views import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 256

NO_RATE = 1e-12
"""Learning rate of the one step after the classifier was found: it moves what is smaller than rounding alone."""

LEAST_DEVIATION = 1e-6
"""Deviation at least of a feature, so that one that never changes is not blown up."""


class LinearHead(nn.Module):
    """A linear layer on features that are shifted and scaled; as it is built, neither.

    Args:
        features: Number of features.
        classes: Number of outputs.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.linear = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (batch, features) to logits (batch, classes)."""
        logits: Tensor = self.linear((x - self.mean) / self.deviation)
        return logits


class LinearProbe(nn.Module):
    """A linear classifier on the features of a frozen encoder.

    Args:
        options: Options of the method.
        task: Widths and class counts of the model and data that the method is built for.

    Attributes:
        c: The inverse strength of the penalty that the classifier was found with; 0 before, and without one.

    Raises:
        SpecError: If a class that is to be weighted has no training cycle.
    """

    weights: Tensor
    c: Tensor

    def __init__(self, options: LinearProbeOptions, task: Task) -> None:
        super().__init__()
        self.options, self.task = options, task
        self.register_buffer("weights", _weights(options, task), persistent=False)
        self.register_buffer("c", torch.zeros(()))

    def head(self) -> LinearHead:
        """The classifier that takes the place of the model's own."""
        return LinearHead(self.task.feature_dim, len(self.task.class_counts))

    def stages(self, first: Stage) -> tuple[Stage, ...]:
        """The spec's stage, for the classifier alone; where that is found before, a step that leaves it as it is."""
        probe = replace(first, name="linear probe", augment=False, trains=("classifier",))
        if self.options.solver == "adam":
            return (probe,)
        optim = OptimOptions(optimiser="sgd", lr=NO_RATE, momentum=0.0, weight_decay=0.0, step_average=0.0)
        schedule = ScheduleOptions(law="constant", epochs=1, iterations=1)
        return (replace(probe, optim=optim, schedule=schedule),)

    def prepare(self, model: Encoder, rows: TrainingRows) -> None:
        """Standardise the features of the training rows, and find the classifier where no steps do.

        Args:
            model: The model, with the classifier of :meth:`head`.
            rows: The training part.

        Raises:
            SpecError: If a feature is not finite, or C cannot be chosen on held-out patients.
        """
        features, labels = _features_of(model, rows)
        head = model.classifier
        assert isinstance(head, LinearHead)
        if self.options.standardise:
            head.mean.copy_(torch.from_numpy(features.mean(0)))
            head.deviation.copy_(torch.from_numpy(np.maximum(features.std(0), LEAST_DEVIATION)))
        if self.options.solver == "adam":
            return
        # By the numbers that the head holds, which are rounded to single precision.
        mean, deviation = (tensor.double().cpu().numpy() for tensor in (head.mean, head.deviation))
        scaled = (features - mean) / deviation
        # A mean of 1 over the rows, as scikit-learn's balanced weights have it.
        counts = np.bincount(labels, minlength=len(self.task.class_counts))
        weights = self.weights.double().cpu().numpy()
        weights = weights * (len(labels) / (counts * weights).sum())
        c = self.options.c or choose_strength(scaled, labels, rows.patients, weights, self.options.held_out)
        matrix, bias = fit_logistic(scaled, labels, weights, c)
        logger.info(f"linear probe: C = {c:g}{'' if self.options.c else ', chosen on held-out training patients'}")
        with torch.no_grad():
            head.linear.weight.copy_(torch.from_numpy(matrix))
            head.linear.bias.copy_(torch.from_numpy(bias))
            self.c.fill_(c)

    def chosen(self) -> dict[str, float]:
        """C, where it was chosen on held-out patients."""
        is_chosen = self.options.solver == "lbfgs" and self.options.c == 0
        # As it stands among those that were tried: it is kept in single precision.
        return {"c": float(f"{self.c.item():.6g}")} if is_chosen else {}

    def draw(self, batch_size: int, rng: np.random.Generator) -> None:
        """Draw nothing: no part of the method is random."""

    def row_weights(self, labels: Tensor, stage: int) -> Tensor:
        """Weigh each row (rows,) by its class."""
        return self.weights[labels]

    def forward(self, model: nn.Module, batch: Batch, draw: None) -> Mapping[str, Tensor]:
        """Return the scalar ``loss`` of the global batch."""
        return {"loss": cross_entropy(batch.gather(model(batch.features)), batch.labels, self.weights)}


def _weights(options: LinearProbeOptions, task: Task) -> Tensor:
    """(classes,) float32 weights that sum to 1."""
    if options.weighted:
        return class_weights(task.class_counts)
    classes = len(task.class_counts)
    return torch.full((classes,), 1 / classes)


@torch.no_grad()
def _features_of(model: Encoder, rows: TrainingRows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(rows, features) and (rows,) classes of the training part."""
    found = [(model.features(x).double().cpu(), labels.cpu()) for x, labels in rows.batches(ROWS_AT_ONCE)]
    features, labels = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    if not np.isfinite(features).all():
        raise SpecError("The encoder's features are not finite.", "Use --precision fp32, or other weights.")
    return features, labels
