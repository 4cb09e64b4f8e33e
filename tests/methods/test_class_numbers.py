"""Every method trains with any number of classes; class weights and class samplers go by the classes there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stage_plans import make_stage
from torch import nn

import baselines
import methods
from bench.core.errors import SpecError
from bench.engine.sampling import epoch_order
from methods import METHODS
from methods.base import Batch, StagedMethod, Task

GRID, ROWS = (3, 4), 14


def small_model(classes: int) -> nn.Module:
    torch.manual_seed(0)
    size = {"embed_dim": 64, "depth": 1, "heads": 2, "stride": 16, "frames": 64, "mels": 48}
    return baselines.create("ast-tiny", num_classes=classes, **size)


def built(id_: str, classes: int, **options) -> nn.Module:
    torch.manual_seed(1)
    names = [f"class {number}" for number in range(classes)]
    counts = list(range(5, 5 + classes))
    return methods.create(id_, feature_dim=64, class_counts=counts, patch_grid=GRID, class_names=names, **options)


def batch_of(classes: int, stage: int) -> Batch:
    x, second = torch.randn(2, ROWS, 1, 64, 48, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(ROWS) % classes
    return Batch(features=x, second=second, labels=labels, local=slice(0, ROWS), stage=stage)


@pytest.mark.parametrize("classes", [2, 3, 5, 7])
@pytest.mark.parametrize("id_", [entry.id for entry in METHODS])
def test_every_method_takes_a_step_with_any_number_of_classes(id_, classes):
    model, method = small_model(classes), built(id_, classes)
    assert model(batch_of(classes, 0).features).shape == (ROWS, classes)
    first = make_stage(epochs=1, lr=1e-3)
    stages = method.stages(first) if isinstance(method, StagedMethod) else (first,)
    optimizer = torch.optim.SGD([*model.parameters(), *method.parameters()], lr=0.1)
    before = model.classifier[-1].weight.detach().clone()
    for stage in range(len(stages)):
        draw = method.draw(ROWS, np.random.default_rng(stage))
        loss = method(model, batch_of(classes, stage), draw)["loss"]
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    moved = (model.classifier[-1].weight.detach() - before).abs().amax(dim=1)
    assert moved.shape == (classes,)
    assert (moved > 0).all()


@pytest.mark.parametrize("classes", [2, 3, 5, 7])
def test_the_normal_class_may_weigh_the_same_whatever_the_data(classes):
    method = built("ce", classes, normal_weight=1 / 3)
    weights = torch.tensor([1 / 3] + [1.0] * (classes - 1))
    torch.testing.assert_close(method.weights, weights / weights.sum())
    assert torch.equal(method.row_weights(torch.tensor([0, 1]), 0), method.weights[:2])


@pytest.mark.parametrize("classes", [2, 3, 5, 7])
def test_weighted_cross_entropy_is_the_mean_of_rows_by_the_rarity_of_their_class(classes):
    model, method = small_model(classes).eval(), built("ce", classes, weighted=True)
    batch = batch_of(classes, 0)
    with torch.no_grad():
        loss = method(model, batch, None)["loss"].item()
        logits = model(batch.features).double().numpy()
    labels = batch.labels.numpy()
    rarity = (1 / np.arange(5, 5 + classes))[labels]
    surprise = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(ROWS), labels]
    assert loss == pytest.approx((rarity * surprise).sum() / rarity.sum(), rel=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 5, 7])
def test_balanced_samples_hold_all_classes_in_equal_numbers(classes):
    labels = np.repeat(range(classes), range(1, classes + 1))
    order = epoch_order(np.arange(len(labels)), labels, "balanced", np.random.default_rng(0))
    found = np.bincount(labels[order], minlength=classes)
    assert found.max() - found.min() <= 1


def test_names_that_are_not_of_the_classes_are_refused():
    assert Task(feature_dim=1, class_counts=(1, 2), class_names=("normal", "wheeze")).class_names[0] == "normal"
    with pytest.raises(SpecError, match="3 numbers of training cycles, but the classes are normal, wheeze"):
        Task(feature_dim=1, class_counts=(1, 2, 3), class_names=("normal", "wheeze"))
