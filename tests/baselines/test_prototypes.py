"""CNN8, CNN8-Pt and the dilated networks: sizes, forms, heads, and what they add to a loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

import baselines
import methods
from baselines.prototypes.attention import AttentionClassifier
from baselines.prototypes.card import FORMS
from baselines.prototypes.model import official_name
from baselines.prototypes.similarity import (
    PrototypeLayer,
    all_cell_cosines,
    prototype_likeness,
    same_cell_cosines,
    vector_cosines,
)
from bench.core.errors import SpecError
from bench.engine.graph import TrainingGraph
from bench.engine.losses import with_penalties
from methods.base import Batch

SMALL = {"width": 2, "mels": 32}
PARAMETERS = {
    ("cnn8-dilated", "attention"): 4_691_656,
    ("cnn8-dilated", "maxpool"): 4_689_604,
    ("resnet-dilated", "attention"): 4_865_800,
    ("resnet-dilated", "maxpool"): 4_863_748,
}
"""The authors' 4,693,708 and 4,867,852 with attention hold a linear layer of 2,052 that no output depends on."""


def small(model_id, **options):
    torch.manual_seed(0)
    return baselines.create(model_id, **SMALL, **options)


def pictures(rows=3, frames=33):
    return torch.randn(rows, 3, frames, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("model_id", "head"), PARAMETERS)
def test_dilated_networks_have_the_published_sizes(model_id, head):
    with torch.device("meta"):
        model = baselines.create(model_id, head=head)
    assert sum(one.numel() for one in model.parameters()) == PARAMETERS[model_id, head]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_takes_any_classes_and_trains_all_it_has(form):
    model = small("cnn8-pt", prototypes=form, frames=33, num_classes=5).train()
    x = pictures()
    loss = functional.cross_entropy(model(x), torch.tensor([0, 4, 2])) + sum(model.penalties().values())
    loss.backward()
    assert model.features(x).shape == (3, 5)
    assert torch.equal(model.eval().classifier(model.features(x)), model(x))
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_a_prototype_is_most_like_itself(form):
    """Of three prototypes that have nothing in common, a map that is one of them is more like it than the others."""
    layer = PrototypeLayer(form, 3, 6, (2, 2)).eval()
    own = torch.eye(3).repeat_interleave(2, dim=1)
    with torch.no_grad():
        layer.prototypes.copy_(own.reshape(3, 6, *[1] * (layer.prototypes.ndim - 2)).expand_as(layer.prototypes))
        if hasattr(layer, "linear"):
            layer.linear.weight.fill_(1)
        found = layer(own[:, :, None, None].expand(3, 6, 2, 2))
    assert found.argmax(1).tolist() == [0, 1, 2]


def test_cosines_are_those_of_each_pair_of_cells():
    x, prototypes = torch.randn(2, 6, 4, dtype=torch.float64), torch.randn(3, 6, 4, dtype=torch.float64)
    each = all_cell_cosines(x, prototypes)
    assert each.shape == (2, 3, 4, 4)
    expected = functional.cosine_similarity(x[:, None, :, :, None], prototypes[None, :, :, None, :], dim=2)
    torch.testing.assert_close(each, expected)
    torch.testing.assert_close(same_cell_cosines(x, prototypes), each.diagonal(dim1=2, dim2=3))
    torch.testing.assert_close(vector_cosines(x[:, :, 1], prototypes[:, :, 2]), each[:, :, 1, 2])


def test_a_cell_of_zeros_is_like_nothing():
    x = torch.randn(1, 6, 2)
    x[:, :, 1] = 0
    assert (same_cell_cosines(x, torch.randn(3, 6, 2))[:, :, 1] == 0).all()


def test_likeness_is_the_mean_cosine_of_other_classes():
    prototypes = torch.randn(4, 5, 2, dtype=torch.float64)
    pairs = [
        functional.cosine_similarity(prototypes[i].flatten(), prototypes[j].flatten(), dim=0)
        for i in range(4)
        for j in range(4)
    ]
    cosines = torch.stack(pairs).view(4, 4)
    torch.testing.assert_close(prototype_likeness(prototypes, 4), (cosines.sum() - 4) / 12)
    between = (cosines.sum() - cosines[:2, :2].sum() - cosines[2:, 2:].sum()) / 8
    torch.testing.assert_close(prototype_likeness(prototypes, 2), between)
    within = (cosines[0, 1] + cosines[2, 3]) / 2
    torch.testing.assert_close(prototype_likeness(prototypes, 2, ratio=True), between / within)


def test_a_models_penalty_is_added_to_the_loss_of_any_method():
    model = small("cnn8-pt", frames=33, per_class=2, likeness=0.5)
    method = methods.create("ce", feature_dim=model.feature_dim, class_counts=[3, 2, 2, 1])
    batch = Batch(features=pictures(), labels=torch.tensor([0, 3, 1]), local=slice(0, 3))
    model.eval()
    plain, found = method(model, batch, None), TrainingGraph(model, method)(batch, None)
    likeness = 0.5 * prototype_likeness(model.prototype_layer.prototypes, 4)
    torch.testing.assert_close(found["likeness"], likeness)
    torch.testing.assert_close(found["loss"], plain["loss"] + likeness)
    assert with_penalties(plain, small("cnn8")) == plain


def test_attention_begins_as_the_mean_over_the_map():
    head = AttentionClassifier(6, 5)
    maps = torch.randn(2, 6, 4, 3)
    weights = head.weights(maps)
    assert weights.shape == (2, 5, 12)
    torch.testing.assert_close(weights, torch.full_like(weights, 0.6))
    torch.testing.assert_close(head(maps), head.cla(maps).log_softmax(1).mean((2, 3)))
    torch.testing.assert_close(head(maps).softmax(1), head(maps.mean((2, 3))).softmax(1))


def test_attention_is_held_between_its_bounds():
    head = AttentionClassifier(1, 2)
    torch.nn.init.ones_(head.att.weight)
    weights = head.weights(torch.tensor([[[[-50.0, 0.0, 50.0]]]]))
    np.testing.assert_allclose(weights[0, 0].detach(), [0.1, 0.6, 0.9], atol=1e-6)


@pytest.mark.parametrize("model_id", ["cnn8-dilated", "resnet-dilated"])
@pytest.mark.parametrize("head", ["attention", "maxpool"])
def test_dilated_networks_keep_the_size_of_the_picture(model_id, head):
    model = small(model_id, head=head).eval()
    x = pictures(frames=9)
    assert model.encoder(x).shape == (3, 16, 9, 32)
    torch.testing.assert_close(model.classifier(model.features(x)).softmax(1), model(x).softmax(1))


def test_dilations_reach_as_far_as_they_say():
    """A cell of a map depends on 2 (1 + 2 + 4 + 8) cells to either side, and on none beyond."""
    model = small("cnn8-dilated").eval()
    x = pictures(1, 80).requires_grad_()
    model.encoder(x)[0, :, 40].sum().backward()
    reached = x.grad.abs().amax((0, 1, 3)).nonzero().flatten()
    assert (reached.min().item(), reached.max().item()) == (10, 70)


def test_pictures_too_small_for_a_map_are_refused():
    with pytest.raises(SpecError, match="at least 16 frames and mels, but these are 15 by 128"):
        baselines.create("cnn8-pt", frames=15)


@pytest.mark.parametrize(
    ("model_id", "options"),
    [("cnn8", {}), ("resnet-dilated", {}), *(("cnn8-pt", {"prototypes": form}) for form in FORMS)],
)
def test_the_authors_files_are_read(model_id, options, tmp_path):
    frames = {"frames": 33} if model_id == "cnn8-pt" else {}
    model, vector = small(model_id, **options, **frames), options.get("prototypes") == "vector1d"
    tensors = {official_name(name, vector=vector): tensor for name, tensor in model.state_dict().items()}
    path = tmp_path / "theirs.safetensors"
    save_file({**tensors, "logmel_extractor.melW": torch.zeros(2), "prototypelayer.ones": torch.zeros(2)}, path)
    torch.manual_seed(7)
    again = baselines.create(model_id, pretrain=str(path), **SMALL, **options, **frames)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
