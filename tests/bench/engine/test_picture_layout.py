"""Convolution nets with channels last are the same nets: losses, parameters and files (fp32 1e-5, bf16 0.03)."""

import pytest
import torch
from five_steps import spec_of
from torch import nn

import baselines
from bench.engine.graph import build_graph
from bench.engine.picture_layout import compute_channels_last, lay_out_pictures

NETS = {"cnn6": {}, "resnet18": {}, "efficientnet-b0": {"drop_path": 0.0}}


def net_of(name, laid_out):
    torch.manual_seed(0)
    net = baselines.create(name, num_classes=4, pretrain=None, cache=None, **NETS[name])
    if laid_out:
        compute_channels_last(net)
    return net.train()


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 1, 96, 64, generator=generator), torch.tensor([0, 1, 2, 3])


def two_steps(net, bf16=False):
    """Losses of two steps, by plain descent: Adam would make whole steps out of gradients that are all rounding."""
    x, labels = batch()
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=1e-4), []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(net(x).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def evaluated(net, bf16=False):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return net.eval()(batch()[0]).float()


@pytest.mark.parametrize("name", NETS)
def test_two_steps_and_an_evaluation_are_those_of_the_plain_net(name):
    plain, laid_out = net_of(name, False), net_of(name, True)
    assert two_steps(laid_out) == pytest.approx(two_steps(plain), abs=1e-5)
    torch.testing.assert_close(laid_out.state_dict(), plain.state_dict(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(evaluated(laid_out), evaluated(plain), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-b0"])
def test_bf16_is_as_near_to_fp32_as_without_it(name):
    exact = two_steps(net_of(name, False))
    assert two_steps(net_of(name, True), bf16=True) == pytest.approx(exact, abs=0.03)


def test_maps_lie_with_channels_last_and_what_is_saved_as_ever():
    net, seen = net_of("resnet18", True), []
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(lambda *called: seen.append(called[-1]))
    net(batch()[0])
    wide = [x for x in seen if x.shape[2] * x.shape[3] > 1]
    assert len(wide) > 10
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in wide)
    assert all(value.is_contiguous() for value in net.state_dict().values())


@pytest.mark.parametrize("laid_out", [False, True])
def test_weights_of_one_are_read_by_the_other(laid_out):
    source, target = net_of("cnn6", laid_out), net_of("cnn6", not laid_out)
    target.load_state_dict(source.state_dict())
    torch.testing.assert_close(evaluated(target), evaluated(source), atol=1e-4, rtol=1e-4)


def test_depthwise_convolutions_are_trained_in_single_precision_and_evaluated_in_half():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(8, 8, 3, groups=8, bias=False), torch.randn(2, 8, 9, 9)
    exact = conv(x)
    compute_channels_last(conv)
    with torch.autocast("cpu", torch.bfloat16):
        trained, judged = conv.train()(x), conv.eval()(x)
    torch.testing.assert_close(trained, exact.bfloat16(), atol=1e-6, rtol=1e-2)
    assert trained.dtype == judged.dtype == torch.bfloat16
    assert (judged.float() - exact).abs().mean() > (trained.float() - exact).abs().mean()
    # Outside autocast nothing is rounded.
    torch.testing.assert_close(conv.train()(x), exact, atol=1e-6, rtol=1e-6)


def test_inputs_that_are_no_pictures_and_inputs_with_names_stay():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.sound, self.picture = nn.Conv1d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, x):
            single = self.picture(x["picture"][0])
            named = self.picture(input=x["picture"])
            return self.sound(x["sound"]).sum() + self.picture(x["picture"]).sum() + single.sum() + named.sum()

    torch.manual_seed(0)
    net, x = Named(), {"sound": torch.randn(2, 1, 20), "picture": torch.randn(2, 1, 8, 6).transpose(2, 3)}
    before = net(x)
    compute_channels_last(net)
    torch.testing.assert_close(net(x), before, atol=1e-5, rtol=1e-5)


def hooks_of(net):
    return sum(len(part._forward_pre_hooks) for part in net.modules())


def test_it_is_for_nets_whose_cards_allow_it_on_a_cpu_alone():
    small = {"embed_dim": 16, "depth": 1, "heads": 2}
    spec = spec_of({"model": "ast", "model_options": small, "method": "ce", "method_options": {}})
    assert hooks_of(build_graph(spec).model) == 0
    wanted = [
        ("resnet18", "cpu", "bf16", True),
        ("resnet18", "cpu", "fp32", False),
        ("resnet18", "cuda", "bf16", False),
        ("efficientnet-b0", "cpu", "fp32", True),
    ]
    for name, device, precision, expected in wanted:
        net = net_of(name, False)
        lay_out_pictures(net, spec.changed(model=name, device=device, precision=precision))
        assert (hooks_of(net) > 0) == expected
