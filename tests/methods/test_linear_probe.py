"""The logistic regression of the linear probe: its optimum, its weights, and how its C is chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench.core.errors import SpecError
from methods import METHODS
from methods.base import Task, TrainingRows
from methods.linear_probe.card import LinearProbeOptions
from methods.linear_probe.linear_probe import LinearProbe
from methods.linear_probe.logistic import STRENGTHS, choose_strength, fit_logistic

ROWS, WIDTH, CLASSES = 60, 5, 3


@pytest.fixture
def made():
    """Features of classes that overlap, two patients in five of each kind."""
    rng = np.random.default_rng(0)
    labels = np.arange(ROWS) % CLASSES
    features = rng.standard_normal((ROWS, WIDTH)) + 0.7 * np.eye(CLASSES, WIDTH)[labels]
    patients = tuple(f"patient {number // 6}" for number in range(ROWS))
    return features, labels, patients


def objective(features, labels, weights, c, matrix, bias):
    """C sum w (-log p) + ||W||^2 / 2, by torch."""
    logits = torch.from_numpy(features) @ matrix.T + bias
    each = nn.functional.cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    return c * (torch.from_numpy(weights)[labels] * each).sum() + matrix.square().sum() / 2


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_the_objective_of_scikit_learn_is_at_its_minimum(c, made):
    features, labels, _ = made
    weights = np.array([0.5, 1.0, 2.0])
    found = [torch.from_numpy(each).requires_grad_() for each in fit_logistic(features, labels, weights, c)]
    loss = objective(features, labels, weights, c, *found)
    loss.backward()
    assert max(each.grad.abs().max().item() for each in found) < 1e-4 * max(1.0, c)
    rng = np.random.default_rng(1)
    for _ in range(5):
        moved = [each.detach() + 0.01 * torch.from_numpy(rng.standard_normal(each.shape)) for each in found]
        assert objective(features, labels, weights, c, *moved) > loss


def test_c_is_the_one_that_held_out_patients_like_best(made):
    features, labels, patients = made
    found = choose_strength(features, labels, patients, np.ones(CLASSES), 0.3)
    assert found in STRENGTHS
    # Features that say nothing are best left alone.
    noise = np.random.default_rng(2).standard_normal((ROWS, 200))
    assert choose_strength(noise, labels, patients, np.ones(CLASSES), 0.3) == STRENGTHS[0]


def test_one_patient_cannot_be_held_out(made):
    features, labels, _ = made
    with pytest.raises(SpecError, match="1 patient"):
        choose_strength(features, labels, ["one"] * ROWS, np.ones(CLASSES), 0.2)


class Identity(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.classifier = head

    def features(self, x):
        return x


def prepared(made, **options):
    features, labels, patients = made
    task = Task(feature_dim=WIDTH, class_counts=tuple(np.bincount(labels).tolist()))
    method = LinearProbe(LinearProbeOptions(**options), task)
    model = Identity(method.head())
    x, y = torch.from_numpy(features).float(), torch.from_numpy(labels)
    rows = TrainingRows(
        labels=y,
        class_counts=task.class_counts,
        devices=("",) * ROWS,
        patients=patients,
        load=lambda start, end: x[start:end],
    )
    method.prepare(model, rows)
    return method, model.classifier, x


def test_features_are_standardised_by_the_training_rows(made):
    _, head, x = prepared(made, c=1.0)
    scaled = (x - head.mean) / head.deviation
    torch.testing.assert_close(scaled.mean(0), torch.zeros(WIDTH), atol=1e-6, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(WIDTH), atol=1e-5, rtol=0)
    matrix, bias = fit_logistic(scaled.double().numpy(), made[1], np.ones(CLASSES), 1.0)
    torch.testing.assert_close(head.linear.weight.double(), torch.from_numpy(matrix), atol=1e-4, rtol=0)
    torch.testing.assert_close(head.linear.bias.double(), torch.from_numpy(bias), atol=1e-4, rtol=0)
    _, plain, _ = prepared(made, c=1.0, standardise=False)
    assert plain.mean.abs().max() == 0
    assert (plain.deviation == 1).all()


def test_a_chosen_c_is_kept_with_the_method(made):
    method, _, _ = prepared(made)
    assert method.state_dict()["c"].item() == pytest.approx(
        next(value for value in STRENGTHS if abs(value - method.c.item()) < 1e-9 + 1e-6 * value)
    )
    assert method.chosen()["c"] in STRENGTHS
    assert prepared(made, c=1.0)[0].chosen() == {}
    assert prepared(made, solver="adam")[0].chosen() == {}


def test_a_feature_that_is_not_finite_is_told(made):
    features, labels, patients = made
    features = features.copy()
    features[0, 0] = np.inf
    with pytest.raises(SpecError, match="features are not finite"):
        prepared((features, labels, patients), c=1.0)


def test_by_steps_the_classifier_is_left_to_the_optimiser(made):
    method, head, _ = prepared(made, solver="adam")
    assert method.c == 0
    assert METHODS.card("linear-probe").probe
    assert head.mean.abs().max() > 0
