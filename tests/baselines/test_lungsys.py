"""The networks of LungBRN and LungRN+NL: non-local blocks, the product of branches, dropout, and the authors' files."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import baselines
from baselines.lungsys.blocks import NonLocalBlock, PreActivationBlock
from baselines.lungsys.model import OFFICIAL_NAMES, UNUSED_NAMES
from bench.core.errors import SpecError, WeightsError
from methods.losses import class_weights

SYSTEMS = ("bi-resnet", "resnet-nl")


def inputs(system, size=40, batch=2):
    torch.manual_seed(1)
    picture = torch.rand(batch, 1, size, size)
    return picture if system == "resnet-nl" else {"stft": picture, "wavelet": torch.rand(batch, 1, 24, 24)}


def block(**options):
    torch.manual_seed(0)
    return NonLocalBlock(6, 3, **options).double()


def weighted_means(layer, x, weigh):
    """What a block adds, place by place: ``weigh`` turns similarities (places, places) into weights."""
    theta, phi, g = ((conv(x)[0].flatten(1)) for conv in (layer.theta, layer.phi, layer.g))
    means = g @ weigh(phi.T @ theta).T
    return layer.final(means.unflatten(1, x.shape[2:])[None])


@pytest.mark.parametrize(
    ("softmax", "weigh"),
    [
        ("row", lambda similar: similar.exp() / similar.exp().sum(1, keepdim=True)),
        ("global", lambda similar: similar.exp() / similar.exp().sum()),
    ],
)
def test_a_non_local_block_adds_weighted_means(softmax, weigh):
    layer, x = block(softmax=softmax), torch.randn(1, 6, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), x + weighted_means(layer, x, weigh))


@pytest.mark.parametrize("softmax", ["row", "global"])
def test_transposing_exchanges_rows_and_columns_of_what_is_added(softmax):
    x = torch.randn(1, 6, 4, 4, dtype=torch.float64)
    added = block(softmax=softmax)(x) - x
    torch.testing.assert_close(block(softmax=softmax, transpose=True)(x) - x, added.mT)


def test_only_square_maps_are_transposed():
    with pytest.raises(SpecError, match="4 by 5, not square") as caught:
        block(transpose=True)(torch.randn(1, 6, 4, 5, dtype=torch.float64))
    assert "nl_transpose=false" in caught.value.hint


def test_attention_over_all_pairs_adds_almost_nothing():
    x = torch.randn(1, 6, 10, 10, dtype=torch.float64)
    row, everything = ((block(softmax=softmax)(x) - x).norm() for softmax in ("row", "global"))
    assert everything < row / 20


def test_a_block_halves_odd_maps_upwards():
    assert PreActivationBlock(64, 0.0, stride=2)(torch.zeros(1, 64, 63, 27)).shape == (1, 64, 32, 14)


def test_features_are_the_product_of_both_branches():
    model, x = baselines.create("bi-resnet").eval(), inputs("bi-resnet")
    torch.testing.assert_close(model.features(x), model.stft(x["stft"]) * model.wavelet(x["wavelet"]))


@pytest.mark.parametrize(("given", "words"), [(None, "one without a name"), ("stft", "given stft")])
def test_both_pictures_are_needed(given, words):
    picture = torch.rand(1, 1, 40, 40)
    with pytest.raises(SpecError, match=f"reads the inputs stft and wavelet.*{words}") as caught:
        baselines.create("bi-resnet")(picture if given is None else {given: picture})
    assert "--frontend lungbrn" in caught.value.hint


@pytest.mark.parametrize("system", SYSTEMS)
def test_dropout_reaches_the_logits_in_training_alone(system):
    torch.manual_seed(0)
    model, x = baselines.create(system, dropout=0.95), inputs(system, batch=8)
    assert (model.train()(x) == 0).any()
    assert not (model.eval()(x) == 0).any()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("system", SYSTEMS)
def test_files_of_the_authors_are_read(system, tmp_path):
    """Their state dict has modules that their forward pass does not reach; they are left alone."""
    model = baselines.create(system).eval()
    theirs = {f"{UNUSED_NAMES[system][0]}weight": torch.zeros(64, 64, 3, 3)}
    for name, tensor in model.state_dict().items():
        ours = next(prefix for prefix in OFFICIAL_NAMES[system] if name.startswith(prefix))
        theirs[OFFICIAL_NAMES[system][ours] + name.removeprefix(ours)] = tensor
    path = tmp_path / "theirs.safetensors"
    save_file(theirs, path)
    again = baselines.create(system, pretrain=str(path)).eval()
    assert torch.equal(again(inputs(system)), model(inputs(system)))
    save_file({**theirs, "head.weight": torch.zeros(4)}, path)
    with pytest.raises(WeightsError, match=r"'head\.weight' is extra"):
        baselines.create(system, pretrain=str(path))


def test_class_weights_of_the_official_training_part_are_the_authors():
    """They print normal cycles over cycles of each class, rounded; only ratios matter to the weighted mean."""
    weights = class_weights([2063, 1215, 501, 363])
    assert [round(weight / weights[0].item(), 1) for weight in weights.tolist()] == [1.0, 1.7, 4.1, 5.7]
