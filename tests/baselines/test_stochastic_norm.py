"""Stochastic normalisation by its formulas, at the ends of its chance, and in the networks that have it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import baselines
from baselines.timm.cnn import OFFICIAL_NAMES
from baselines.timm.stochastic_norm import StochNorm
from bench.engine.distributed import global_statistics, share_batch_statistics
from bench.engine.random_layers import learn_divisions

X = torch.randn(4, 6, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 + 1
UPSTREAM = torch.randn(4, 6, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def plain(seed: int = 3) -> nn.BatchNorm2d:
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(6).double()
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        value.data.copy_(torch.rand(6, generator=generator) + 0.5)
    return norm


def passed(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Output, and gradient with respect to the input."""
    x = X.clone().requires_grad_()
    out = norm(x)
    (out * UPSTREAM).sum().backward()
    return out.detach(), x.grad


def test_with_the_chance_1_it_is_batch_normalisation():
    norm = plain()
    stochastic = StochNorm.like(norm, p=1.0)
    for one, other in zip(passed(norm), passed(stochastic), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(stochastic.state_dict()[name], value, rtol=0, atol=1e-12)
    torch.testing.assert_close(stochastic.weight.grad, norm.weight.grad, rtol=0, atol=1e-12)
    torch.testing.assert_close(stochastic.eval()(X), norm.eval()(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gradient", ["own", "moved"])
def test_with_the_chance_0_it_takes_the_statistics_from_before_the_step(gradient):
    norm = StochNorm.like(plain(), p=0.0, gradient=gradient)
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    out, slope = passed(norm)
    wide = [value.view(1, 6, 1, 1) for value in (mean, variance, norm.weight.detach(), norm.bias.detach())]
    wanted = (X - wide[0]) / (wide[1] + norm.eps).sqrt() * wide[2] + wide[3]
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-12)
    # They moved all the same, by the unbiased variance; the authors' gradient sees them as they are then.
    moved = 0.9 * variance + 0.1 * X.transpose(0, 1).flatten(1).var(1)
    torch.testing.assert_close(norm.running_var, moved, rtol=0, atol=1e-12)
    used = (variance if gradient == "own" else moved).view(1, 6, 1, 1)
    torch.testing.assert_close(slope, UPSTREAM * wide[2] / (used + norm.eps).sqrt(), rtol=0, atol=1e-12)


def test_channels_are_drawn_with_the_chance():
    norm = StochNorm(10_000, p=0.3)
    torch.manual_seed(0)
    share = norm.select(torch.device("cpu")).double().mean().item()
    assert share == pytest.approx(0.3, abs=0.02)


def test_processes_draw_the_same_channels_and_share_the_statistics():
    norm = StochNorm.like(plain())
    plan = learn_divisions(lambda: norm(X), lambda: norm(X[:2]), 2, 2)
    assert [(division.name, division.axis) for division in plan] == [("rand", None)]
    whole, shared = (share_batch_statistics(nn.Sequential(StochNorm.like(plain())), "cpu") for _ in range(2))
    # What the processes gather: here each half is given the statistics of the whole batch.
    shared[0].statistics = lambda _rows: global_statistics(X)
    torch.manual_seed(5)
    wanted = whole(X)
    for half in (slice(0, 2), slice(2, 4)):
        torch.manual_seed(5)
        shared[0].load_state_dict(plain().state_dict())
        torch.testing.assert_close(shared(X[half]), wanted[half], rtol=0, atol=1e-12)
        torch.testing.assert_close(shared[0].running_var, whole[0].running_var, rtol=0, atol=1e-12)


def test_a_single_value_has_no_deviation():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        StochNorm(3)(torch.randn(1, 3, 1, 1))


def test_every_normalisation_of_a_network_is_replaced_and_names_stay():
    torch.manual_seed(0)
    norm, stochastic = (baselines.create("resnet18", norm=each) for each in ("batch", "stochastic"))
    assert norm.state_dict().keys() == stochastic.state_dict().keys()
    assert not any(type(part) is nn.BatchNorm2d for part in stochastic.modules())
    stochastic.load_state_dict(norm.state_dict())
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(stochastic.eval()(x), norm.eval()(x), rtol=0, atol=1e-6)


# SYSTEMS 3.9 and 3.10: 4 classes, three channels.
@pytest.mark.parametrize(("model", "count"), [("resnet50", 23_516_228), ("resnest50", 25_442_436)])
def test_parameters_on_pictures_in_colour(model, count):
    with torch.device("meta"):
        built = baselines.create(model, channels=3)
    assert sum(p.numel() for p in built.parameters()) == count


def test_a_stem_in_colour_is_kept_and_shared_among_other_channels():
    stem = torch.randn(64, 3, 7, 7)
    with torch.device("meta"):
        models = {channels: baselines.create("resnet34", channels=channels) for channels in (1, 2, 3)}
    adapted = {k: model.adapt("trunk.conv1.weight", stem, model.layouts[1]) for k, model in models.items()}
    assert torch.equal(adapted[3], stem)
    assert torch.equal(adapted[1], stem.sum(1, keepdim=True))
    assert adapted[2].shape == (64, 2, 7, 7)
    torch.testing.assert_close(adapted[2].sum(1), stem.sum(1))


@pytest.mark.parametrize("title", OFFICIAL_NAMES)
def test_files_with_the_authors_names_fit(title, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = baselines.create("resnet18", channels=3)
    names = OFFICIAL_NAMES[title]
    renamed = {}
    for name, value in model.state_dict().items():
        ours = next(each for each in names if name.startswith(each))
        if not name.endswith("num_batches_tracked"):
            renamed[names[ours] + name.removeprefix(ours)] = value.contiguous()
    if "source_head." in names:
        renamed["c_net_1.fc.weight"], renamed["c_net_1.fc.bias"] = torch.ones(9, 512), torch.ones(9)
    save_file(renamed, tmp_path / "official.safetensors")
    torch.manual_seed(1)
    again = baselines.create("resnet18", channels=3, pretrain=str(tmp_path / "official.safetensors"))
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
