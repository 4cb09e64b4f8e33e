"""Supervised contrastive learning: its stages, its losses written out, and the authors' numbers through the methods."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from golden_rules import rng
from stage_plans import make_stage
from torch import Tensor, nn

import methods
from methods.base import Batch
from methods.losses import class_weights, supervised_contrastive_loss

COUNTS = [30, 20, 10, 5]
FIRST = make_stage(epochs=400, lr=1e-3, weight_decay=1e-4, schedule="wave", lr_period=40, lr_floor=1e-6, augment=True)


class Columns(nn.Module):
    """Takes some columns of its input: a head that adds no arithmetic."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.chosen = slice(first, last)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.chosen]


class Mirror(nn.Module):
    """A model whose features are its input, and whose logits are the last four of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classifier = Columns(width - 4, width)

    def features(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class Normed(nn.Module):
    """A model with batch statistics that notes how many rows each pass has."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(12)
        self.classifier = nn.Linear(12, 4)
        self.sizes: list[int] = []

    def features(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.norm(x)


def build(id_: str, width: int = 12, **options) -> nn.Module:
    torch.manual_seed(0)
    return methods.create(id_, **{"feature_dim": width, "class_counts": COUNTS, **options})


def views(rows: int = 6, width: int = 12) -> Batch:
    first, second = torch.randn(2, rows, width, generator=torch.Generator().manual_seed(3))
    return Batch(features=first, second=second, labels=torch.tensor([0, 1, 2, 3, 1, 0]), local=slice(0, rows))


def test_the_first_stage_is_the_spec_without_the_classifier():
    stage = build("scl").stages(FIRST)[0]
    assert stage == replace(FIRST, name="supervised contrastive", trains=("encoder", "method"), evaluated=False)


def test_the_second_stage_is_a_linear_probe():
    assert build("scl").stages(FIRST)[1] == make_stage(
        "linear probe",
        epochs=50,
        lr=0.1,
        weight_decay=1e-4,
        schedule="constant",
        step_average=0.0,
        warmup_epochs=0,
        augment=False,
        trains=("classifier",),
        evaluated=True,
    )


def test_options_set_the_probe():
    first, probe = build("scl", probe_epochs=3, probe_lr=0.2, probe_weight_decay=0).stages(FIRST)
    assert (probe.schedule.epochs, probe.optim.lr, probe.optim.weight_decay) == (3, 0.2, 0)
    assert (first.schedule.epochs, first.optim.lr, first.optim.weight_decay) == (400, 1e-3, 1e-4)


def test_the_hybrid_has_the_stage_of_the_spec():
    assert not hasattr(build("scl-hybrid"), "stages")


@pytest.mark.parametrize("id_", ["scl", "scl-hybrid"])
def test_the_projector_is_two_layers_without_batch_norm(id_):
    kinds = [(type(layer), getattr(layer, "out_features", None)) for layer in build(id_).projector]
    assert kinds == [(nn.Linear, 12), (nn.ReLU, None), (nn.Linear, 128)]
    assert build(id_, projector_dim=7).projector[2].out_features == 7


def test_the_contrastive_stage_compares_projected_views():
    method, batch = build("scl", tau=0.2), views()
    expected = supervised_contrastive_loss(
        method.projector(batch.features), method.projector(batch.second), batch.labels, 0.2
    )
    assert method(Mirror(12), batch, None)["loss"].item() == expected.item()


def test_the_probe_is_weighted_cross_entropy_on_the_first_view():
    method, batch = build("scl"), replace(views(), stage=1, second=None)
    expected = nn.functional.cross_entropy(batch.features[:, -4:], batch.labels, class_weights(COUNTS))
    assert method(Mirror(12), batch, None)["loss"].item() == expected.item()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_hybrid_is_its_parts(alpha):
    method, batch = build("scl-hybrid", alpha=alpha, tau=0.2), views()
    both = torch.cat([batch.features, batch.second])
    labels = torch.cat([batch.labels, batch.labels])
    ce = nn.functional.cross_entropy(both[:, -4:], labels, class_weights(COUNTS))
    first, second = method.projector(both).chunk(2)
    contrastive = supervised_contrastive_loss(first, second, batch.labels, 0.2)
    expected = alpha * contrastive + (1 - alpha) * ce
    torch.testing.assert_close(method(Mirror(12), batch, None)["loss"], expected)


@pytest.mark.parametrize("id_", ["scl", "scl-hybrid"])
def test_exchanging_the_views_changes_nothing(id_):
    method, batch = build(id_), views()
    exchanged = replace(batch, features=batch.second, second=batch.features)
    torch.testing.assert_close(method(Mirror(12), batch, None)["loss"], method(Mirror(12), exchanged, None)["loss"])


@pytest.mark.parametrize("id_", ["scl", "scl-hybrid"])
def test_a_model_with_batch_statistics_sees_the_views_one_after_the_other(id_):
    model, batch = Normed(), views()
    build(id_)(model, batch, None)
    assert model.sizes == [6, 6]
    other = nn.BatchNorm1d(12)
    other(batch.features)
    other(batch.second)
    assert torch.equal(model.norm.running_mean, other.running_mean)
    assert torch.equal(model.norm.running_var, other.running_var)


@pytest.mark.golden
def test_the_authors_contrastive_losses_through_the_method(golden):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    cases = [case for case in document["supcon"] if case["labels"] is not None]
    assert cases
    for case in cases:
        method = build("scl", case["dim"], tau=case["temperature"])
        method.projector = nn.Identity()
        batch = generated(document["seed"], case)
        loss = method(Mirror(case["dim"]), batch, None)["loss"]
        assert loss.item() == pytest.approx(float(arrays[f"{case['key']}/loss_f64"]), abs=1e-6)
        loss.backward()
        for view, name in ((batch.features, "p1"), (batch.second, "p2")):
            golden_gradient = torch.from_numpy(arrays[f"{case['key']}/grad_{name}_f64"])
            torch.testing.assert_close(view.grad, golden_gradient, rtol=0, atol=1e-6)


@pytest.mark.golden
def test_the_authors_hybrid_losses_through_the_method(golden):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    counts = [int(n) for n in document["class_weights"][0]["counts"]]
    assert document["supcon_ce"]
    for case in document["supcon_ce"]:
        width = case["dim"] + 4
        method = build("scl-hybrid", width, alpha=case["alpha"], tau=case["temperature"], class_counts=counts)
        method.projector = Columns(0, case["dim"])
        loss = method(Mirror(width), generated(document["seed"], case, logits=True), None)["loss"]
        assert loss.item() == pytest.approx(float(arrays[f"{case['key']}/loss_f64"]), abs=1e-6)


def generated(seed: int, case: dict, logits: bool = False) -> Batch:
    """A golden case as a batch in float64: each view holds projected features and, where asked for, logits."""

    def drawn(name: str, width: int) -> Tensor:
        values = rng(seed, f"{case['key']}:{name}").standard_normal((case["batch"], width))
        return torch.from_numpy(values.astype("float32")).double()

    def view(number: int) -> Tensor:
        columns = [drawn(f"p{number}", case["dim"]), *([drawn(f"l{number}", 4)] if logits else [])]
        return torch.cat(columns, dim=1).requires_grad_()

    labels = torch.tensor(case["labels"])
    return Batch(features=view(1), second=view(2), labels=labels, local=slice(0, case["batch"]))
