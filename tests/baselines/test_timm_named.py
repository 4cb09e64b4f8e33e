"""Backbones of timm by name: cards, sizes, timm's own files, refusals."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

import baselines
from baselines import MODELS
from baselines.timm.named_card import TimmOptions
from bench.core.errors import RegistryError, SpecError, WeightsError

SHORT = {"frames": 98, "mels": 64}


def timms_file(name, path, **options):
    """A file as timm publishes them: three channels, its own head, batch statistics other than 0 and 1."""
    torch.manual_seed(3)
    model = timm.create_model(name, **options)
    state = {
        key: torch.rand_like(tensor) * 0.1 + 0.5 if "running_" in key else tensor
        for key, tensor in model.state_dict().items()
    }
    model.load_state_dict(state)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return model.eval()


def test_a_card_is_made():
    card = MODELS.card("timm:resnet18")
    assert card.id == "timm:resnet18"
    assert card.parameters == MODELS.card("resnet18").parameters
    assert card.fidelity == "original"
    assert card.weights["imagenet"].location == "hf:timm/resnet18.a1_in1k/model.safetensors"
    assert card.weights["imagenet"].licence == "apache-2.0"
    assert not card.patches
    assert MODELS.card("timm:resnet18.tv_in1k").weights["imagenet"].licence == "bsd-3-clause"
    assert MODELS.card("timm:resnet18") is card
    assert "timm:resnet18" not in [entry.id for entry in MODELS]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet19", "timm has no architecture 'resnet19': did you mean 'resnet18'"),
        ("timm:resnet50.a9_in1k", r"timm has no weights 'resnet50\.a9_in1k': did you mean 'resnet50\.\w+_in1k'"),
        ("timm:", "timm has no architecture ''"),
        ("tim:resnet18", "Unknown model 'tim:resnet18'"),
    ],
)
def test_an_unknown_name_is_refused_with_a_close_one(name, message):
    with pytest.raises(RegistryError, match=message):
        MODELS.card(name)


@pytest.mark.parametrize(
    ("name", "reason"), [("nest_tiny", "square"), ("gcvit_xxtiny", "invalid"), ("dla46_c", "dimension")]
)
def test_an_architecture_that_takes_no_spectrogram_is_refused(name, reason):
    with pytest.raises(SpecError, match=f"timm's {name} does not take .* 798 frames by 128 mels: .*{reason}"):
        MODELS.card(f"timm:{name}")


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050", "convnext_atto"])
def test_a_backbone_trains_is_saved_and_loaded(name, tmp_path):
    torch.manual_seed(0)
    model = baselines.create(f"timm:{name}", num_classes=3, **SHORT).train()
    x = torch.randn(2, 1, 98, 64)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), torch.tensor([0, 2])).backward()
        optimizer.step()
    save_file(model.eval().state_dict(), tmp_path / "last.safetensors")
    pretrain = str(tmp_path / "last.safetensors")
    again = baselines.create(f"timm:{name}", num_classes=3, pretrain=pretrain, **SHORT).eval()
    with torch.no_grad():
        assert model.features(x).shape == (2, model.feature_dim)
        assert torch.equal(again(x), model(x))
    assert again(x).shape == (2, 3)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
@torch.no_grad()
def test_timms_file_gives_timms_features_of_a_grey_picture(name, tmp_path):
    path = tmp_path / "model.safetensors"
    theirs = timms_file(name, path)
    theirs.reset_classifier(0)
    ours = baselines.create(f"timm:{name}", pretrain=str(path), **SHORT).eval()
    x = torch.randn(2, 1, 98, 64)
    torch.testing.assert_close(ours.features(x), theirs(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_another_head_and_a_fresh_stem(tmp_path):
    path = tmp_path / "tuned.safetensors"
    theirs = timms_file("resnet10t", path, num_classes=7)
    torch.manual_seed(5)
    scratch = baselines.create("timm:resnet10t").state_dict()
    torch.manual_seed(5)
    ours = baselines.create("timm:resnet10t", pretrain=str(path), stem="reinit").state_dict()
    stem = "trunk.conv1.0.weight"
    assert torch.equal(ours[stem], scratch[stem])
    assert torch.equal(ours["trunk.layer1.0.conv1.weight"], theirs.state_dict()["layer1.0.conv1.weight"])


@torch.no_grad()
def test_a_position_table_is_laid_on_the_spectrogram(tmp_path):
    path = tmp_path / "vit.safetensors"
    theirs = timms_file("vit_tiny_patch16_224", path)
    ours = baselines.create("timm:vit_tiny_patch16_224", pretrain=str(path), **SHORT)
    table = theirs.state_dict()["pos_embed"]
    assert ours.trunk.pos_embed.shape == (1, 1 + 6 * 4, 192)
    assert torch.equal(ours.trunk.pos_embed[:, :1], table[:, :1])
    assert ours.trunk.pos_embed[:, 1:].mean() == pytest.approx(table[:, 1:].mean().item(), abs=1e-3)
    assert torch.equal(ours.trunk.blocks[3].mlp.fc1.weight, theirs.state_dict()["blocks.3.mlp.fc1.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), r"Missing key.*layer1\.0\.conv1\.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "Unexpected key.*extra"),
        (lambda state: state.update({"layer1.0.bn1.bias": torch.zeros(3)}), r"size mismatch for layer1\.0\.bn1\.bias"),
        (
            lambda state: state.update({"layer1.0.bn1.bias": torch.full((64,), torch.nan)}),
            r"'layer1\.0\.bn1\.bias' holds values that are not finite",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change, message, tmp_path):
    path = tmp_path / "model.safetensors"
    state = timms_file("resnet10t", path).state_dict()
    change(state)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    with pytest.raises(WeightsError, match=message):
        baselines.create("timm:resnet10t", pretrain=str(path))


def test_a_file_of_another_architecture_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    timms_file("mobilenetv3_small_050", path)
    with pytest.raises(WeightsError, match=r"model\.safetensors does not fit timm's resnet10t"):
        baselines.create("timm:resnet10t", pretrain=str(path))


def test_options_are_those_of_the_family():
    assert MODELS.card("timm:resnet10t").options is TimmOptions
    with pytest.raises(SpecError, match="must be one of reinit, sum"):
        baselines.create("timm:resnet10t", stem="mean")
