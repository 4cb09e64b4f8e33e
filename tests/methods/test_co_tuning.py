"""Co-Tuning: the relationship by what it must be, the head that is kept, and what the method learns beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import baselines
import methods
from baselines.state_dicts import source_head
from bench.core.errors import SpecError
from methods.base import TrainingRows
from methods.cotuning.cotuning import co_tuning_losses
from methods.cotuning.relationship import (
    LARGEST_SCALE,
    STRENGTHS,
    Rows,
    calibrate,
    direct_relationship,
    fit_regressions,
    learn_relationship,
)


def rows(count: int, seed: int, classes: int = 4, sources: int = 8, noise: float = 1.0) -> Rows:
    """Rows whose source classes 2 k and 2 k + 1 are likely where the target class is k."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    logits = noise * rng.standard_normal((count, sources))
    logits[np.arange(count), 2 * labels] += 3
    logits[np.arange(count), 2 * labels + 1] += 3
    chances = np.exp(logits)
    return Rows(chances / chances.sum(1, keepdims=True), labels)


def test_the_relationship_finds_the_source_classes_of_a_target_class():
    found = learn_relationship(rows(200, 0), rows(80, 1), 4)
    np.testing.assert_allclose(found.source_given_target.sum(1), 1)
    np.testing.assert_allclose(found.target_given_source.sum(1), 1)
    for label, likely in enumerate(found.source_given_target):
        assert set(np.argsort(likely)[-2:]) == {2 * label, 2 * label + 1}
        assert likely[2 * label : 2 * label + 2].sum() > 0.8
    assert found.strength == STRENGTHS[int(np.argmax(found.accuracies))]


@pytest.mark.parametrize("classes", [2, 3])
def test_regressions_are_solved_to_their_minimum(classes):
    given = rows(60, 2, classes)
    wanted = np.eye(classes)[given.labels]
    for strength, weights in zip(STRENGTHS, fit_regressions(given, classes), strict=True):
        chances = torch.from_numpy(given.probabilities @ weights.T).softmax(1).numpy()
        gradient = strength * (chances - wanted).T @ given.probabilities + weights
        assert np.abs(gradient).max() < 1e-6
    assert (STRENGTHS[0], STRENGTHS[-1], len(STRENGTHS)) == (1e4, pytest.approx(1e-4), 17)


def test_classes_without_a_row_are_given_no_source_class_alone():
    given, other = rows(60, 3), rows(40, 4)
    kept, held = given.labels != 2, other.labels != 2
    train = Rows(given.probabilities[kept], given.labels[kept])
    found = learn_relationship(train, Rows(other.probabilities[held], other.labels[held]), 4)
    assert np.isfinite(found.source_given_target).all()
    direct = direct_relationship(train, 4)
    np.testing.assert_allclose(direct[2], train.probabilities.mean(0))
    np.testing.assert_allclose(direct[0], train.probabilities[train.labels == 0].mean(0))


def test_calibration_finds_the_factor_that_was_taken_away():
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((4000, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > rng.random((4000, 1))).argmax(1)
    assert calibrate(logits / 5, labels) == pytest.approx(5, rel=0.1)
    assert calibrate(-logits, labels) == pytest.approx(-1, rel=0.1)
    assert calibrate(np.eye(3)[labels], labels) == LARGEST_SCALE


def test_the_loss_by_its_formula():
    target, source = torch.randn(5, 4), torch.randn(5, 7)
    labels, relationship = torch.tensor([0, 3, 1, 1, 2]), torch.rand(4, 7).softmax(1)
    found = co_tuning_losses(target, source, labels, relationship, 2.3)
    soft = torch.stack([-(relationship[y] * s.log_softmax(0)).sum() for y, s in zip(labels, source, strict=True)])
    ce = nn.functional.cross_entropy(target, labels)
    torch.testing.assert_close(found["source"], soft.mean())
    torch.testing.assert_close(found["loss"], ce + 2.3 * soft.mean())


class Encoder(nn.Module):
    """What it is given are its features."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(8, 4)

    def features(self, x):
        return x


def training_rows(patients: list[str]) -> TrainingRows:
    given = rows(len(patients), 5)
    inputs = torch.from_numpy(np.log(given.probabilities)).float()
    return TrainingRows(
        labels=torch.from_numpy(given.labels),
        class_counts=tuple(np.bincount(given.labels).tolist()),
        devices=("Meditron",) * len(patients),
        patients=tuple(patients),
        load=lambda start, end: inputs[start:end],
    )


def co_tuning(**options):
    method = methods.create("co-tuning", feature_dim=8, class_counts=[3] * 4, source_classes=8, **options)
    method.take_source_head(torch.eye(8), torch.zeros(8))
    return method


@pytest.mark.parametrize("relationship", ["calibrated", "direct"])
def test_the_method_learns_the_relationship_of_the_training_rows(relationship):
    method = co_tuning(relationship=relationship)
    assert torch.equal(method.relationship, torch.full((4, 8), 1 / 8))
    given = training_rows([str(101 + k // 8) for k in range(96)])
    method.prepare(Encoder(), given)
    torch.testing.assert_close(method.relationship.sum(1), torch.ones(4))
    for label, likely in enumerate(method.relationship):
        assert set(likely.topk(2).indices.tolist()) == {2 * label, 2 * label + 1}
    if relationship == "direct":
        chances = (0.8840456604957581 * given.load(0, 96)).softmax(1)
        torch.testing.assert_close(method.relationship[1], chances[given.labels == 1].mean(0))


def test_patients_of_the_validation_are_not_fitted_to():
    with pytest.raises(SpecError, match="has 1 patient"):
        co_tuning().prepare(Encoder(), training_rows(["101"] * 16))


def test_a_head_of_another_size_is_refused_with_both():
    with pytest.raises(SpecError, match="21 by 8, but one of 8 source classes by 8 features") as caught:
        co_tuning().take_source_head(torch.zeros(21, 8), torch.zeros(21))
    assert "method.source_classes=21" in caught.value.hint


def test_the_head_of_pretrained_weights_is_found(tmp_path):
    with torch.device("meta"):
        model = baselines.create("resnet18", channels=3)
    file = {name.removeprefix("trunk."): torch.zeros(value.shape) for name, value in model.state_dict().items()}
    file = {name: value for name, value in file.items() if not name.startswith("classifier.")}
    assert source_head(model, file, tmp_path) is None
    file |= {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    weight, bias = source_head(model, file, tmp_path)
    assert (weight.shape, bias.shape) == ((1000, 512), (1000,))
