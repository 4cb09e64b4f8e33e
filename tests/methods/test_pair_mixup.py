"""Mixup of pairs of classes: how many there are, what they are made of, and what their labels say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import methods
from bench.core.errors import SpecError
from methods.base import Batch, Task
from methods.pair_mixup.pair_mixup import mix_pairs, mixed_targets
from methods.pair_mixup.pairs import ABSENT, Roles, draw_pair_mixes

ICBHI = Roles(0, 1, 2, 3)


def task(*names: str) -> Task:
    return Task(feature_dim=4, class_counts=(5,) * len(names), class_names=names)


@pytest.mark.parametrize("counts", [(16, 9, 4, 3), (2, 8, 8, 0), (0, 4, 3, 2), (5, 0, 0, 4), (1, 1, 1, 1)])
def test_numbers_shares_and_labels(counts):
    labels = np.random.default_rng(0).permutation(np.repeat(range(4), counts))
    mixes = draw_pair_mixes(labels, ICBHI, 0.5, np.random.default_rng(1))
    normal, crackle, wheeze = counts[:3]
    some, twice, pairs = int(2 * min(normal, crackle) / 3), min(normal, wheeze), min(crackle, wheeze)
    assert len(mixes) == some + 2 * twice + 2 * pairs
    kinds = list(zip(labels[mixes.first], labels[mixes.second], strict=True))
    assert kinds == [(1, 0)] * some + [(2, 0)] * (2 * twice) + [(1, 2)] * (2 * pairs)
    assert (mixes.shares[: some + 2 * twice] >= 0.5).all()
    targets = torch.nn.functional.one_hot(torch.from_numpy(labels), 4).double()
    mixed, before = mixed_targets(targets, mixes), some + 2 * twice
    np.testing.assert_allclose(mixed.sum(1), 1)
    assert (mixed[before:, 3] == 1).all()
    for row, share, (first, second) in zip(mixed[:before], mixes.shares, kinds, strict=False):
        np.testing.assert_allclose(row[[first, second]], [share, 1 - share])


def test_rows_are_blended_by_their_shares():
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    mixes, x = draw_pair_mixes(labels, ICBHI, 0.5, np.random.default_rng(0)), torch.randn(7, 3, 2, 2).double()
    for i, row in enumerate(mix_pairs(x, mixes)):
        share = mixes.shares[i]
        torch.testing.assert_close(row, share * x[mixes.first[i]] + (1 - share) * x[mixes.second[i]])


def test_classes_are_found_by_their_names():
    assert Roles.of(task("normal", "crackle", "wheeze", "both")) == ICBHI
    assert Roles.of(Task(feature_dim=4, class_counts=(1, 2, 3, 4))) == ICBHI
    assert Roles.of(task("normal", "rhonchi", "wheeze", "crackle")) == Roles(0, 3, 2, ABSENT)
    assert Roles.of(Task(feature_dim=4, class_counts=(1, 2))) == Roles(ABSENT, ABSENT, ABSENT, ABSENT)
    labels = np.array([0, 0, 2, 3, 3])
    mixes = draw_pair_mixes(labels, Roles(0, 3, 2, ABSENT), 0.5, np.random.default_rng(0))
    assert set(labels[mixes.first]) | set(labels[mixes.second]) == {0, 2, 3}
    assert len(mixes) == mixes.labelled[1]


class Linear(nn.Module):
    """Counts the rows that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier, self.rows = nn.Linear(3, 4), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows += len(x)
        return self.classifier(x)


def loss_of(labels: list[int], **options) -> tuple[float, int]:
    torch.manual_seed(0)
    model, x = Linear(), torch.randn(len(labels), 3)
    method = methods.create("pair-mixup", feature_dim=3, class_counts=(8, 4, 2, 2), **options)
    batch = Batch(features=x, labels=torch.tensor(labels), local=slice(0, len(labels)))
    draw = method.draw(len(labels), np.random.default_rng(0))
    return method(model, batch, draw)["loss"].item(), model.rows


def test_a_step_counts_mixes_and_clips_alike():
    labels = [0, 0, 0, 1, 1, 2]
    assert loss_of(labels)[1] == 6 + 1 + 2 + 2
    assert loss_of([0, 0, 1, 1])[1] == 4 + 2
    assert loss_of(labels) == loss_of(labels)
    assert loss_of([0, 0, 3, 3]) == loss_of([0, 0, 3, 3], mixup=False, positive_weights="none")


def test_a_single_mix_can_be_normalised_over_the_batch():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    method = methods.create("pair-mixup", feature_dim=3, class_counts=(8, 4, 2, 2))
    batch = Batch(features=torch.randn(4, 3), labels=torch.tensor([0, 0, 1, 1]), local=slice(0, 4))
    assert method(model, batch, 0)["loss"].isfinite()


def test_weights_without_mixup():
    labels = [0, 1, 2, 3]
    torch.manual_seed(0)
    model, x = Linear(), torch.randn(4, 3)
    targets, logits = torch.eye(4), model(x)
    for word, weights in (("authors", [2.0, 3, 9, 10]), ("counts", [2.0, 4, 8, 8]), ("none", [1.0, 1, 1, 1])):
        bce = -(
            targets * torch.tensor(weights) * nn.functional.logsigmoid(logits)
            + (1 - targets) * nn.functional.logsigmoid(-logits)
        )
        assert loss_of(labels, mixup=False, positive_weights=word)[0] == pytest.approx(bce.mean().item(), rel=1e-5)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(SpecError, match="four weights, but there are 2 classes"):
        methods.create("pair-mixup", feature_dim=3, class_counts=(1, 1), mixup=False)
    with pytest.raises(SpecError, match="Class 1 has no training cycle"):
        methods.create("pair-mixup", feature_dim=3, class_counts=(1, 0), mixup=False, positive_weights="counts")
