"""Mixup with the Kullback-Leibler divergence: the law of its draws, its loss, and its switches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import methods
from methods.base import Batch
from methods.losses import complement_weights, target_divergence
from methods.mixup.spectrogram_mixing import draw_row_mixup

LABELS = torch.tensor([0, 1, 2, 3, 1, 0])


class Flat(nn.Module):
    """A linear model of a small picture."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(48, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.flatten(1))


def build(**options) -> nn.Module:
    return methods.create("mixup-kl", feature_dim=48, class_counts=[30, 20, 10, 5], **options)


def small_batch() -> Batch:
    x = torch.randn(6, 1, 8, 6, generator=torch.Generator().manual_seed(1))
    return Batch(features=x, labels=LABELS, local=slice(0, 6))


def written_out(model: nn.Module, batch: Batch, draw, weights: Tensor | None = None) -> Tensor:
    lam, partners = torch.from_numpy(draw.lam).float(), torch.from_numpy(draw.permutation)
    mixed = lam.view(-1, 1, 1, 1) * batch.features + (1 - lam).view(-1, 1, 1, 1) * batch.features[partners]
    log_p, total = model(mixed).log_softmax(1), torch.tensor(0.0)
    for i in range(6):
        shares: dict[int, float] = {}
        for label, share in ((int(LABELS[i]), float(lam[i])), (int(LABELS[partners[i]]), 1 - float(lam[i]))):
            shares[label] = shares.get(label, 0.0) + share
        for label, share in shares.items():
            if share > 0:
                weight = 1.0 if weights is None else float(weights[label])
                total = total + weight * share * (np.log(share) - log_p[i, label])
    return total / 6


@pytest.mark.parametrize("weights", ["none", "complement"])
def test_the_loss_is_the_divergence_from_the_mixed_labels(weights):
    torch.manual_seed(0)
    model, batch, method = Flat(), small_batch(), build(weights=weights, probability=0.7)
    draw = method.draw(6, np.random.default_rng(4))
    assert {0.0, 1.0} != set(draw.lam)
    expected = written_out(model, batch, draw, None if weights == "none" else complement_weights([30, 20, 10, 5]))
    torch.testing.assert_close(method(model, batch, draw)["loss"], expected)


def test_a_part_of_the_batch_gives_the_loss_of_the_whole():
    torch.manual_seed(0)
    model, batch, method = Flat(), small_batch(), build()
    draw = method.draw(6, np.random.default_rng(4))
    whole = method(model, batch, draw)["loss"]
    gathered: list[Tensor] = []

    def gather(rows: Tensor) -> Tensor:
        # What the process with the other rows would give: all features, then all logits.
        gathered.append(rows)
        if len(gathered) == 1:
            return batch.features
        lam = torch.from_numpy(draw.lam).float().view(-1, 1, 1, 1)
        return model(lam * batch.features + (1 - lam) * batch.features[torch.from_numpy(draw.permutation)])

    part = Batch(features=batch.features[2:5], labels=LABELS, local=slice(2, 5), gather=gather)
    torch.testing.assert_close(method(model, part, draw)["loss"], whole)
    assert gathered[1].shape == (3, 4)
    torch.testing.assert_close(gathered[1], gather(gathered[1])[2:5])


def test_nothing_is_mixed_at_probability_0_and_the_loss_is_cross_entropy():
    model, batch, method = Flat(), small_batch(), build(probability=0.0)
    loss = method(model, batch, method.draw(6, np.random.default_rng(0)))["loss"]
    torch.testing.assert_close(loss, nn.functional.cross_entropy(model(batch.features), LABELS))


def test_the_divergence_is_zero_where_the_prediction_is_the_target():
    targets = torch.tensor([[0.3, 0.7, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert target_divergence(targets.clamp_min(1e-30).log(), targets).item() == pytest.approx(0, abs=1e-6)


def test_rows_have_shares_of_their_own_unless_they_are_shared():
    own = draw_row_mixup(2000, 10.0, 0.5, False, np.random.default_rng(0))
    assert (own.lam == 1).mean() == pytest.approx(0.5, abs=0.05)
    mixed = own.lam[own.lam < 1]
    # Beta(b, b) has the variance 1 / (4 (2 b + 1)).
    assert mixed.var() == pytest.approx(1 / 84, rel=0.15)
    assert sorted(own.permutation) == list(range(2000))
    assert len(set(draw_row_mixup(50, 1.0, 1.0, True, np.random.default_rng(0)).lam)) == 1


def test_rare_classes_weigh_more():
    weights = complement_weights([60, 30, 10])
    torch.testing.assert_close(weights, torch.tensor([0.4, 0.7, 0.9]))
