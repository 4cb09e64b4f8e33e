"""Model and method of a spec as one module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import baselines
import methods
from baselines.downloads import LocatedWeights
from baselines.state_dicts import source_head
from baselines.weights import read_tensors, weights_of_run
from bench.core.datasets import DATASETS
from bench.core.errors import SpecError
from bench.engine.initial_weights import load_initial_weights
from bench.engine.losses import checked_losses, with_penalties
from bench.engine.micro_batches import MicroBatchedModel
from bench.engine.picture_layout import lay_out_pictures
from bench.experiment.spec import RunSpec
from methods.base import Batch, Draw, HeadMethod, SourceHeadMethod


class TrainingGraph(nn.Module):
    """Model and method as one module, so that whatever wraps it (precision, distribution) covers both.

    Args:
        model: The model.
        method: The method.
        micro_batch: Rows that the model computes at a time; 0 for all.
    """

    def __init__(self, model: nn.Module, method: nn.Module, micro_batch: int = 0) -> None:
        super().__init__()
        self.micro_batch = micro_batch
        self.model = model
        self.method = method

    def forward(self, batch: Batch, draw: Draw | None) -> dict[str, Tensor]:
        """Named losses of a global batch, with the penalties of a model that has some.

        Raises:
            SpecError: If the method gives no loss that can be trained for.
        """
        model = MicroBatchedModel(self.model, self.micro_batch) if self.micro_batch else self.model
        return with_penalties(checked_losses(self.method(model, batch, draw)), self.model)


def build_graph(spec: RunSpec, class_counts: Sequence[int] | None = None) -> TrainingGraph:
    """Build model and method from a spec, initialised from its seed.

    Args:
        spec: The spec, whose data set is registered.
        class_counts: Training rows of each class; None for one of each, where only layers are looked at.

    Raises:
        WeightsError: If the pretrained weights, or those of the run to start from, are not those of the spec, or do
            not fit.
    """
    names = DATASETS.card(spec.dataset).task(spec.task).classes
    counts = [1] * len(names) if class_counts is None else class_counts
    torch.manual_seed(spec.seed)
    pretrained = weights_of_run(spec.pretrain, spec.weights, spec.weights_sha256)
    model: Any = baselines.create(
        spec.model, num_classes=len(names), pretrain=pretrained, cache=Path(spec.cache), **spec.model_options
    )
    method: Any = methods.create(
        spec.method,
        feature_dim=model.feature_dim,
        class_counts=counts,
        class_names=names,
        patch_grid=getattr(model, "patch_grid", None),
        **spec.method_options,
    )
    if pretrained is not None and isinstance(method, SourceHeadMethod):
        _give_source_head(model, method, pretrained, spec)
    load_initial_weights(model, method, spec)
    if isinstance(method, HeadMethod):
        model.classifier = method.head()
    lay_out_pictures(model, spec)
    return TrainingGraph(model, method)


def give_own_head(model: Any, spec: RunSpec, classes: int) -> None:
    """Give a model, in which a run's weights are to be loaded, the classifier that the run's method brings, if any.

    Args:
        model: The model as its options build it.
        spec: The spec of the run.
        classes: Number of classes that it was trained on.
    """
    if methods.METHODS.card(spec.method).probe:
        made = methods.create(
            spec.method, feature_dim=model.feature_dim, class_counts=[1] * classes, **spec.method_options
        )
        if isinstance(made, HeadMethod):
            model.classifier = made.head()


def _give_source_head(model: nn.Module, method: SourceHeadMethod, pretrained: LocatedWeights, spec: RunSpec) -> None:
    """Give a method the classifier of the pretrained weights, which the model has no use for.

    Raises:
        SpecError: If they have none.
    """
    head = source_head(model, read_tensors(pretrained.path), pretrained.path)
    if head is None:
        raise SpecError(
            f"The method {spec.method} keeps the classifier of pretrained weights, but {pretrained.path} holds none.",
            "Use weights that come with their classifier, such as those of ImageNet, or --pretrain none.",
        )
    method.take_source_head(*head)
