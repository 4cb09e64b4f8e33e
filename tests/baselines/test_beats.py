"""BEATs: its layers against those of WavLM, which has the same positions, and its checkpoints in Microsoft's layout."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from encoder_checkpoints import BEATS, save_beats
from torchaudio.compliance import kaldi

import baselines
from baselines import MODELS
from baselines.beats.encoder import BEATsConfig, BEATsEncoder
from bench.core.errors import RegistryError, SpecError, WeightsError
from bench.data.frontends.chosen import choose_front_end
from bench.data.units import UnitWaves

SMALL = BEATsConfig(**{name: BEATS[name] for name in BEATS if name in BEATsConfig.__dataclass_fields__})


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("beats") / "BEATs_small.pt"
    save_beats(path)
    return path


def wavlm_names(name):
    """The name that a tensor of the transformer has in WavLM."""
    exchanged = {
        "pos_conv.0.": "pos_conv_embed.conv.",
        "self_attn.grep_linear": "attention.gru_rel_pos_linear",
        "self_attn.grep_a": "attention.gru_rel_pos_const",
        "self_attn.relative_attention_bias": "attention.rel_attn_embed",
        "self_attn_layer_norm": "layer_norm",
        "self_attn.": "attention.",
        "fc1": "feed_forward.intermediate_dense",
        "fc2": "feed_forward.output_dense",
    }
    for ours, theirs in exchanged.items():
        name = name.replace(ours, theirs)
    return name


def test_layers_are_those_of_wavlm_where_the_two_agree():
    """They differ in two things: deep norms, and that BEATs gates by the queries and WavLM by what these come from."""
    from transformers import WavLMConfig
    from transformers.models.wavlm.modeling_wavlm import WavLMEncoder

    torch.manual_seed(0)
    ours = BEATsEncoder(dataclasses.replace(SMALL, deep_norm=False)).encoder.eval()
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
            if "q_proj" in name:
                parameter.copy_(torch.eye(16) if parameter.ndim == 2 else torch.zeros(16))
    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        num_buckets=320,
        max_bucket_distance=800,
    )
    theirs = WavLMEncoder(config).eval()
    theirs.load_state_dict({wavlm_names(name): tensor for name, tensor in ours.state_dict().items()})
    # More tokens than positions have buckets of their own.
    x = torch.randn(2, 200, 16)
    with torch.no_grad():
        found, expected = ours(x), theirs(x, output_hidden_states=True)
    torch.testing.assert_close(found[-1], expected.last_hidden_state, atol=2e-5, rtol=1e-4)
    assert len(found) == 3


def test_deep_norm_weighs_residuals_by_the_depth():
    torch.manual_seed(0)
    layer = BEATsEncoder(SMALL).encoder.layers[0].eval()
    assert layer.alpha == pytest.approx(4**0.25)
    with torch.no_grad():
        for linear in (layer.self_attn.out_proj, layer.fc2):
            linear.weight.zero_()
            linear.bias.zero_()
        x = torch.randn(1, 5, 16)
        expected = torch.nn.functional.layer_norm(x, (16,), eps=1e-5)
        found = layer(x, torch.zeros(2, 5, 5))
    # Of nothing but the residual, whatever its weight, the norms leave the standardised tokens.
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_checkpoint_of_microsofts_is_read(file, tmp_path):
    card = MODELS.card(f"hf:{file}")
    assert card.id == "hf:beats"
    assert card.default_pretrain == str(file)
    model = baselines.create(f"hf:{file}", pretrain=str(file)).eval()
    tensors = torch.load(file)["model"]
    trunk = model.trunk
    conv = tensors["encoder.pos_conv.0.weight_v"]
    expected = conv * tensors["encoder.pos_conv.0.weight_g"] / conv.norm(dim=(0, 1), keepdim=True)
    torch.testing.assert_close(trunk.encoder.pos_conv[0].weight, expected)
    assert torch.equal(trunk.state_dict()["encoder.layers.1.fc1.weight"], tensors["encoder.layers.1.fc1.weight"])
    assert torch.equal(trunk.patch_embedding.weight, tensors["patch_embedding.weight"])
    assert sum(each.numel() for each in model.parameters()) == card.parameters
    x = torch.randn(2, 1, 96, 128)
    with torch.no_grad():
        tokens = trunk(x[:, 0], output_hidden_states=True)
        torch.testing.assert_close(model.features(x), tokens.last_hidden_state.mean(1))
        first = baselines.create(f"hf:{file}", pretrain=str(file), layer=1).eval()
        torch.testing.assert_close(first.features(x), tokens.hidden_states[1].mean(1))
    assert tokens.last_hidden_state.shape == (2, 6 * 8, 16)


def test_the_front_end_is_the_authors(file):
    card = MODELS.card(f"hf:{file}")
    asked = {name.removeprefix("frontend."): value for name, value in card.recipes["paper"].items() if "." in name}
    frontend = choose_front_end(card.frontend, {**asked, "frames": 98}).build()
    wave = torch.from_numpy(0.3 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32))
    # The numbers of `preprocess` in microsoft/unilm at 9102ed9, beats/BEATs.py.
    fbank = kaldi.fbank(wave[None] * 2**15, num_mel_bins=128, sample_frequency=16_000, frame_length=25, frame_shift=10)
    expected = (fbank - 15.41663) / (2 * 6.55582)
    torch.testing.assert_close(frontend.picture(UnitWaves.of([wave]))[0], expected)


def test_a_file_that_is_no_checkpoint_of_beats_is_refused(file, tmp_path):
    document = torch.load(file)
    other = tmp_path / "other.pt"
    torch.save(document["model"], other)
    with pytest.raises(RegistryError, match="no checkpoint of BEATs: it holds no cfg and model"):
        MODELS.card(f"hf:{other}")
    other.write_bytes(b"nothing")
    with pytest.raises(RegistryError, match="no readable file of weights"):
        MODELS.card(f"hf:{other}")
    del document["model"]["encoder.layers.1.fc1.bias"]
    torch.save(document, tmp_path / "cut.pt")
    with pytest.raises(WeightsError, match=r"does not fit BEATs: it lacks 'encoder\.layers\.1\.fc1\.bias'"):
        baselines.create(f"hf:{file}", pretrain=str(tmp_path / "cut.pt"))


def test_a_form_that_no_published_checkpoint_has_is_refused(file, tmp_path):
    document = torch.load(file)
    document["cfg"] = {**document["cfg"], "layer_norm_first": True}
    torch.save(document, tmp_path / "first.pt")
    with pytest.raises(SpecError, match="layer_norm_first is True, but published checkpoints have False"):
        MODELS.card(f"hf:{tmp_path / 'first.pt'}")
