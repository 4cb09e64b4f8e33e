"""Networks with attention, and the small inception network: gates, shapes, numbers of parameters, any classes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import baselines
from baselines.attention import CBAM, ChannelAttention, PointAttention, SpatialAttention, SqueezeExcitation
from baselines.inception.model import InceptionLayer
from baselines.se_sa.model import ParallelAttention, SerialAttention
from bench.core.errors import SpecError
from bench.data.frontends import FRONTENDS
from bench.data.frontends.shapes import made_up_inputs

IDS = ("bi-resnet-att", "resnet18-se-sa", "inception-small")


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def with_all_weights(module, value):
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    return module


# --- gates ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_squeeze_and_excitation_sees_the_mean_of_each_channel():
    gate = with_all_weights(SqueezeExcitation(4, 2), 1.0)
    x = torch.arange(4.0).view(1, 4, 1, 1) + torch.tensor([[-1.0, 1.0], [3.0, -3.0]])
    # Two inner units of 0 + 1 + 2 + 3 and a bias of 1 each, then their sum and a bias of 1.
    torch.testing.assert_close(gate(x), torch.full((1, 4, 1, 1), 15.0).sigmoid())


@torch.no_grad()
def test_channel_attention_adds_what_mean_and_maximum_say():
    gate = with_all_weights(ChannelAttention(4, 2), 0.1)
    x = torch.rand(3, 4, 5, 6)
    mean, maximum = x.mean((2, 3)), x.amax((2, 3))
    expected = 2 * 0.1 * 0.1 * (mean.sum(1) + maximum.sum(1))
    torch.testing.assert_close(gate(x), expected.sigmoid()[:, None, None, None].expand(3, 4, 1, 1))
    assert parameters(gate) == 4 * 2 * 2


@torch.no_grad()
def test_spatial_attention_sees_mean_and_maximum_over_channels():
    gate = SpatialAttention(7)
    assert parameters(gate) == 98
    nn.init.zeros_(gate.conv.weight)
    gate.conv.weight[0, :, 3, 3] = torch.tensor([2.0, -1.0])
    x = torch.randn(2, 8, 9, 5)
    torch.testing.assert_close(gate(x), (2 * x.mean(1, keepdim=True) - x.amax(1, keepdim=True)).sigmoid())


@torch.no_grad()
def test_cbam_weighs_channels_first_and_places_then():
    attention = CBAM(8, 2, 7)
    x = torch.randn(2, 8, 9, 5)
    weighted = x * attention.channel(x)
    torch.testing.assert_close(attention(x), weighted * attention.spatial(weighted))
    assert not torch.allclose(attention(x), x * attention.spatial(x) * attention.channel(x * attention.spatial(x)))


@pytest.mark.parametrize("model_id", ["bi-resnet-att", "resnet18-se-sa"])
@torch.no_grad()
def test_gates_are_neither_open_nor_shut_at_the_start(model_id):
    torch.manual_seed(0)
    model = baselines.create(model_id).train()
    seen = []
    for gate in model.modules():
        if isinstance(gate, SqueezeExcitation | ChannelAttention | SpatialAttention | PointAttention):
            gate.register_forward_hook(lambda module, given, made: seen.append(made))
    model(made_up_inputs(FRONTENDS.card(baselines.MODELS.card(model_id).frontend).options(seconds=0.8), 2, torch.randn))
    assert seen
    assert all(made.min() > 0.005 and made.max() < 0.995 for made in seen)


# --- ResNet18 with SE and SA ----------------------------------------------------------------------------------------

RESNET18 = 11_172_292
SE, SERIAL_SA, PARALLEL_SA = 89_080, 784, 2 * (64 + 128 + 256 + 512)


@pytest.mark.parametrize(("attention", "spatial"), [("parallel", PARALLEL_SA), ("serial", SERIAL_SA)])
def test_attention_adds_the_published_numbers_of_parameters(attention, spatial):
    with torch.device("meta"):
        model = baselines.create("resnet18-se-sa", attention=attention)
    gates = [module for module in model.modules() if isinstance(module, SqueezeExcitation)]
    assert sum(map(parameters, gates)) == SE
    assert parameters(model) == RESNET18 + SE + spatial


@pytest.mark.parametrize("attention", ["parallel", "serial"])
@torch.no_grad()
def test_attention_stands_before_the_shortcut(attention):
    """With gates that are open, and added ones half open, the network is a plain ResNet18."""
    model = baselines.create("resnet18-se-sa", attention=attention).eval()
    plain = baselines.create("resnet18").eval()
    state = model.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    kind, bias = (ParallelAttention, 0.0) if attention == "parallel" else (SerialAttention, 50.0)
    for block in model.checkpoint_blocks():
        assert isinstance(block.se, kind)
        open_gate(block.se, bias)
    x = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(model.features(x), plain.features(x), rtol=1e-4, atol=1e-4)


def open_gate(attention, bias):
    """Both gates of the parallel form at 1/2, so that their sum is 1; those of the serial form at 1 and 1/2 twice."""
    nn.init.zeros_(attention.channel.expand.weight)
    nn.init.constant_(attention.channel.expand.bias, bias)
    if isinstance(attention, ParallelAttention):
        nn.init.zeros_(attention.spatial.conv.weight)
    else:
        attention.spatial = nn.Identity()
        attention.register_forward_hook(lambda module, given, made: given[0] * module.channel(given[0]))


# --- ARSC-Net -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_both_paths_end_on_one_grid_of_50_by_8():
    model = baselines.create("bi-resnet-att").eval()
    for name, columns in (("mfcc", 120), ("mel", 128)):
        assert model.paths[name](torch.randn(1, 1, 798, columns)).shape == (1, 256, 50, 8)


@torch.no_grad()
def test_both_inputs_of_arsc_net_count():
    model = baselines.create("bi-resnet-att").eval()
    x = {"mfcc": torch.randn(2, 1, 98, 120), "mel": torch.randn(2, 1, 98, 128)}
    whole = model.features(x)
    for name in x:
        assert not torch.allclose(model.features({**x, name: torch.zeros_like(x[name])}), whole)


@torch.no_grad()
def test_joined_maps_go_through_channel_and_then_spatial_attention():
    model = baselines.create("bi-resnet-att").eval()
    x = {"mfcc": torch.randn(1, 1, 98, 120), "mel": torch.randn(1, 1, 98, 128)}
    maps = torch.cat([model.paths[name](x[name]) for name in ("mfcc", "mel")], dim=1)
    maps = maps * model.fusion.channel(maps)
    torch.testing.assert_close(model.features(x), (maps * model.fusion.spatial(maps)).mean((2, 3)))


# --- the inception network ------------------------------------------------------------------------------------------


@torch.no_grad()
def test_an_inception_layer_joins_four_equal_paths():
    layer = InceptionLayer(3, 16).eval()
    x = torch.randn(2, 3, 11, 9)
    made = layer(x)
    assert made.shape == (2, 16, 11, 9)
    scale = 1 / (1 + layer.norm.eps) ** 0.5
    torch.testing.assert_close(made[:, 4:8], (layer.point(x) * scale).relu())
    below = layer.tall(x)[:, :, :, 1:7]  # places whose four bins are all inside: from one below to two above
    kernel = layer.tall[1].weight[:, :, 0]
    by_hand = torch.stack([torch.einsum("bctk,ock->bot", x[..., f - 1 : f + 3], kernel) for f in range(1, 7)], dim=3)
    torch.testing.assert_close(below, by_hand)


# --- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_id", IDS)
@pytest.mark.parametrize("classes", [2, 3, 5, 7])
@torch.no_grad()
def test_any_number_of_classes(model_id, classes):
    front_end = FRONTENDS.card(baselines.MODELS.card(model_id).frontend).options(seconds=0.8)
    model = baselines.create(model_id, num_classes=classes).eval()
    assert model(made_up_inputs(front_end, 2, torch.randn)).shape == (2, classes)


@torch.no_grad()
def test_panns_normalise_each_mel_where_they_are_asked_to():
    model = baselines.create("cnn6", mel_norm=True).eval()
    plain = baselines.create("cnn6").eval()
    state = model.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    model.bn0.running_mean.copy_(torch.arange(64.0))
    model.bn0.running_var.copy_(torch.arange(1.0, 65.0))
    x = torch.randn(2, 1, 96, 64)
    normalised = (x - torch.arange(64.0)) / (torch.arange(1.0, 65.0) + model.bn0.eps).sqrt()
    torch.testing.assert_close(model(x), plain(normalised), rtol=1e-4, atol=1e-4)
    with pytest.raises(SpecError, match="mel_norm normalises 64 mels, but the spectrogram has 128"):
        model(torch.randn(1, 1, 96, 128))


@pytest.mark.parametrize("model_id", ["cnn6", pytest.param("cnn14", marks=pytest.mark.slow)])
@torch.no_grad()
def test_a_file_of_panns_at_16_khz_fills_its_network(model_id, tmp_path):
    """Names and shapes of Cnn14_16k_mAP=0.438.pth: a dictionary with `model`, and parts that have no use here."""
    ours = {name: torch.rand(t.shape).to(t.dtype) for name, t in panns_state(model_id).items()}
    extra = {
        "spectrogram_extractor.stft.conv_real.weight": torch.zeros(257, 1, 512),
        "spectrogram_extractor.stft.conv_imag.weight": torch.zeros(257, 1, 512),
        "logmel_extractor.melW": torch.zeros(257, 64),
        "fc1.weight": torch.zeros(2048, 2048),
        "fc1.bias": torch.zeros(2048),
        "fc_audioset.weight": torch.zeros(527, 2048),
        "fc_audioset.bias": torch.zeros(527),
    }
    path = tmp_path / "Cnn14_16k_mAP=0.438.pth"
    torch.save({"sampling_rate": 16000, "model": {**extra, **ours}}, path)
    model = baselines.create(model_id, pretrain=str(path), mel_norm=True)
    found = model.state_dict()
    assert {name for name in found if name not in ours} == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(found[name], tensor) for name, tensor in ours.items())


def panns_state(model_id):
    """Tensors without numbers, of all that a file of PANNs shares with our network."""
    with torch.device("meta"):
        state = baselines.create(model_id, mel_norm=True).state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}


def test_the_weights_at_16_khz_are_named_on_the_card():
    card = baselines.MODELS.card("cnn14").weights["audioset-16k"]
    assert card.location.startswith("https://zenodo.org/records/3987831/files/Cnn14_16k_mAP%3D0.438.pth")
    assert card.licence == "CC-BY-4.0"
    assert len(card.md5) == 32
