"""Mixup and CutMix of spectrograms: the law of their draws, what they mix, and their losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from golden_rules import rng
from torch import Tensor, nn

import methods
from methods.base import Batch
from methods.mixing import partner_rows
from methods.mixup.spectrogram_mixing import CutMix, Mixup, cut_interval, cut_mix, draw_cutmix, draw_mixup, mix_up

BOTH = ["mixup", "cutmix"]
FRAMES, MELS = 798, 128


class Flat(nn.Module):
    """A linear model of a small spectrogram."""

    def __init__(self, frames: int = 8, mels: int = 6) -> None:
        super().__init__()
        self.classifier = nn.Linear(frames * mels, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.flatten(1))


def build(id_: str, **options) -> nn.Module:
    return methods.create(id_, feature_dim=48, class_counts=[30, 20, 10, 5], **options)


def small_batch(rows: int = 6) -> Batch:
    x = torch.randn(rows, 1, 8, 6, generator=torch.Generator().manual_seed(1))
    return Batch(features=x, labels=torch.tensor([0, 1, 2, 3, 1, 0])[:rows], local=slice(0, rows))


@pytest.mark.parametrize("id_", BOTH)
def test_beta_0_mixes_nothing_and_gives_unweighted_cross_entropy_exactly(id_):
    model, batch = Flat(), small_batch()
    method = build(id_, beta=0)
    loss = method(model, batch, method.draw(6, np.random.default_rng(0)))["loss"]
    assert torch.equal(loss, nn.functional.cross_entropy(model(batch.features), batch.labels))
    assert torch.equal(loss, build("ce", weighted=False)(model, batch, None)["loss"])


@pytest.mark.parametrize("id_", BOTH)
def test_a_loss_is_linear_in_the_labels_of_both_sources(id_):
    """The loss written out: -sum over classes of the mixed one-hot labels times the log-probabilities."""
    model, batch, method = Flat(), small_batch(), build(id_)
    draw = method.draw(6, np.random.default_rng(4))
    partners = batch.features[torch.from_numpy(draw.permutation)]
    if isinstance(draw, Mixup):
        mixed, lam = draw.lam * batch.features + (1 - draw.lam) * partners, draw.lam
    else:
        mixed, lam = cut_mix(batch.features, partners, draw)
    assert 0 < lam < 1
    one_hot = nn.functional.one_hot(batch.labels, 4).float()
    target = lam * one_hot + (1 - lam) * one_hot[torch.from_numpy(draw.permutation)]
    expected = -(target * model(mixed).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(method(model, batch, draw)["loss"], expected)


@pytest.mark.golden
def test_the_label_mixing_loss_of_the_authors_through_the_method(golden):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    cases = [case for case in document["patchmix_ce"] if not case["weighted"]]
    assert cases
    for case in cases:
        logits = rng(document["seed"], f"{case['key']}:logits").standard_normal((case["batch"], 4))
        logits = torch.from_numpy(logits.astype(np.float32)).double().requires_grad_()
        batch = Batch(features=logits, labels=torch.tensor(case["labels_a"]), local=slice(0, case["batch"]))
        draw = Mixup(case["lam"], np.array(case["index"]))
        loss = build("mixup")(lambda _, logits=logits: logits, batch, draw)["loss"]
        assert loss.item() == pytest.approx(float(arrays[f"{case['key']}/loss_f64"]), abs=1e-6)
        loss.backward()
        np.testing.assert_allclose(logits.grad, arrays[f"{case['key']}/grad_logits_f64"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("draw", [draw_mixup, draw_cutmix])
def test_the_same_generator_draws_the_same(draw):
    first, second = (draw(8, 1.0, np.random.default_rng(5)) for _ in range(2))
    assert (first.permutation == second.permutation).all()
    assert sorted(first.permutation) == list(range(8))
    assert [value for value in vars(first).values() if not isinstance(value, np.ndarray)] == [
        value for value in vars(second).values() if not isinstance(value, np.ndarray)
    ]


def test_lambda_is_distributed_as_beta():
    generator = np.random.default_rng(0)
    lams = np.array([draw_mixup(2, 0.2, generator).lam for _ in range(4000)])
    # Beta(b, b) has the variance 1 / (4 (2 b + 1)).
    assert lams.mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.1786 / 4000))
    assert lams.var() == pytest.approx(1 / (4 * 1.4), abs=0.01)


def test_centres_are_uniform_and_independent_of_each_other():
    generator = np.random.default_rng(0)
    centres = np.array([draw_cutmix(2, 1.0, generator).centre for _ in range(4000)])
    assert centres.min() >= 0
    assert centres.max() < 1
    error = np.sqrt(1 / 12 / 4000)
    np.testing.assert_allclose(centres.mean(0), 0.5, atol=4 * error)
    np.testing.assert_allclose(centres.var(0), 1 / 12, atol=0.005)
    assert abs(np.corrcoef(centres.T)[0, 1]) < 4 / np.sqrt(4000)


def test_blending_is_linear_and_leaves_its_input():
    torch.manual_seed(0)
    x, partners, other = torch.randn(3, 4, 1, 8, 6, dtype=torch.float64)
    kept = x.clone()
    torch.testing.assert_close(mix_up(x, partners, 0.3), 0.3 * x + 0.7 * partners)
    torch.testing.assert_close(mix_up(x, partners, 0.3), mix_up(partners, x, 0.7))
    both = mix_up(2 * x - 3 * other, 2 * partners - 3 * x, 0.3)
    torch.testing.assert_close(both, 2 * mix_up(x, partners, 0.3) - 3 * mix_up(other, x, 0.3))
    assert torch.equal(mix_up(x, partners, 1.0), x)
    assert torch.equal(mix_up(x, partners, 0.0), partners)
    assert torch.equal(x, kept)


def test_a_linear_model_blends_as_its_input_does():
    model, batch = Flat().double(), small_batch()
    x, partners = batch.features.double(), batch.features.double().flip(0)
    mixed = model(mix_up(x, partners, 0.3))
    torch.testing.assert_close(mixed, 0.3 * model(x) + 0.7 * model(partners))


@pytest.mark.parametrize("seed", range(20))
def test_lambda_is_the_area_that_is_left(seed):
    cut = draw_cutmix(2, 1.0, np.random.default_rng(seed))
    mixed, lam = cut_mix(torch.zeros(2, 1, FRAMES, MELS), torch.ones(2, 1, FRAMES, MELS), cut)
    for row in mixed:
        assert row.sum().item() / (FRAMES * MELS) == pytest.approx(1 - lam, abs=1e-12)
    assert lam >= cut.drawn - 1e-12


@pytest.mark.parametrize("drawn", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_a_rectangle_that_no_edge_clips_has_the_area_drawn(drawn):
    cut = CutMix(drawn, np.array([1, 0]), (0.5, 0.5))
    lam = cut_mix(torch.zeros(2, 1, FRAMES, MELS), torch.ones(2, 1, FRAMES, MELS), cut)[1]
    # Each side may lose less than one cell.
    assert drawn <= lam <= drawn + 1 / FRAMES + 1 / MELS


def test_the_rectangle_lies_around_its_centre():
    x, partners = torch.zeros(3, 1, 10, 8), torch.ones(3, 1, 10, 8)
    mixed, lam = cut_mix(x, partners, CutMix(0.75, np.array([1, 2, 0]), (0.65, 0.25)))
    expected = torch.zeros(10, 8)
    # Sides of half the picture, 5 frames and 4 mels, around frame 6 and mel 2.
    expected[4:9, 0:4] = 1
    assert all(torch.equal(row[0], expected) for row in mixed)
    assert lam == pytest.approx(0.75)
    assert x.sum() == 0


@pytest.mark.parametrize(
    ("centre", "share", "interval"),
    [
        (0.0, 0.5, slice(0, 3)),
        (0.95, 0.5, slice(7, 10)),
        (0.5, 1.0, slice(0, 10)),
        (0.999, 0.0, slice(9, 9)),
        (0.5, 0.19, slice(5, 6)),
    ],
)
def test_intervals_are_clipped_at_both_ends(centre, share, interval):
    assert cut_interval(centre, share, 10) == interval


def test_the_sides_are_equal_shares_of_the_picture():
    cut = CutMix(0.36, np.array([0]), (0.5, 0.5))
    mixed = cut_mix(torch.zeros(1, 1, 100, 50), torch.ones(1, 1, 100, 50), cut)[0][0, 0]
    assert mixed.any(1).sum().item() == int(100 * math.sqrt(0.64))
    assert mixed.any(0).sum().item() == int(50 * math.sqrt(0.64))


def test_partners_are_found_in_the_global_batch():
    whole = torch.randn(6, 1, 8, 6)
    permutation = np.array([5, 4, 3, 0, 1, 2])
    for local in (slice(0, 2), slice(2, 6)):
        batch = Batch(features=whole[local], labels=torch.zeros(6), local=local, gather=lambda _: whole)
        assert torch.equal(partner_rows(whole[local], batch, permutation), whole[permutation[local]])
