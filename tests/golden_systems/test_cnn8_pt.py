"""CNN8-Pt against the authors' own numbers: its six forms, its loss, and steps of its training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_prototypes import (
    HEAD,
    PRECISIONS,
    distance,
    maps,
    network,
    normal,
    pictures,
    train,
    trained_distances,
    training_graph,
    wave,
)
from torch import nn

import baselines
from baselines.prototypes.card import FORMS
from baselines.prototypes.similarity import COSINES, prototype_likeness, vector_cosines

pytestmark = pytest.mark.golden

NORMS = 3 * 2 * 4
"""Parameters of the three norms that the authors make in every form, of which each uses one or none."""


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("cnn8-pt")


class AfterEncoder(nn.Module):
    """A prototype network that takes maps in place of pictures, with the encoder left out."""

    def __init__(self, whole):
        super().__init__()
        self.options, self.penalties = whole.options, whole.penalties
        self.prototype_layer, self.classifier = whole.prototype_layer, whole.classifier

    def forward(self, x):
        return self.classifier(self.prototype_layer(x))


@pytest.mark.parametrize("form", FORMS)
def test_parameters_are_the_authors(golden, form):
    model = baselines.create("cnn8-pt", prototypes=form)
    ours = sum(one.numel() for one in model.parameters())
    used = sum(one.numel() for one in getattr(model.prototype_layer, "norm", nn.Identity()).parameters())
    assert ours - used + NORMS == golden.facts["parameters"][form]["trainable"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_a_head_is_the_authors(golden, form, mode, precision):
    exact = precision == "f64"
    whole = network(golden.seed, "cnn8-pt", precision, HEAD, prototypes=form).train(mode == "train")
    layer, place = whole.prototype_layer, f"head/{form}/{mode}"
    x = torch.from_numpy(maps(golden.seed, "proto:feat", 3)).to(PRECISIONS[precision]).requires_grad_()
    similarity = layer(x)
    logits = whole.classifier(similarity)
    found = {"similarity": similarity, "logits": logits, "log_probs": logits.log_softmax(1)}
    (found["log_probs"] * normal(golden.seed, "proto:G", (3, 4), torch.float32)).sum().backward()
    if mode == "train":
        found["distance"], found["diverse"] = torch.exp(-similarity), prototype_likeness(layer.prototypes, 4)
    found |= {"grad_proto": layer.prototypes.grad, "grad_fc_final": whole.classifier.weight.grad}
    if f"{place}/cosine_{precision}" in golden.arrays:
        found["cosine"] = cosines_of(layer, x)
    for name, value in found.items():
        assert distance(golden, f"{place}/{name}", value, precision) <= (1e-10 if exact else 1e-4), name
    if exact:
        assert_map_gradient(golden, place, x.grad)


def cosines_of(layer, x):
    """What the norm of a prototype layer is given."""
    if layer.form == "vector1d":
        return vector_cosines(x.amax((2, 3)), layer.prototypes)
    return COSINES[layer.form](x.flatten(2), layer.prototypes.flatten(2))


def assert_map_gradient(golden, place, gradient):
    """The gradient of the maps, but for the cell that is all zero: there it is about 1e8 times a prototype."""
    at = np.unravel_index(golden.arrays[f"{place}/grad_feat_pos"], golden.arrays[f"{place}/grad_feat_shape"])
    kept = ~((at[0] == 0) & (at[2] == 2) & (at[3] == 3))
    expected = golden.arrays[f"{place}/grad_feat_f64"][kept]
    found = gradient.numpy()[at][kept]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
def test_three_steps_of_a_head_are_the_authors(golden, form):
    record = golden.facts["train_head"][form]
    size = record["batch"]
    given = [
        torch.from_numpy(maps(golden.seed, f"proto:{form}:train:{step}", size)).double()
        for step in range(record["steps"])
    ]
    head = AfterEncoder(network(golden.seed, "cnn8-pt", "f64", HEAD, prototypes=form))
    losses = train(training_graph(head, record["class_weights"]), given, record["labels"])
    assert_trained(golden, head, losses, record)


def assert_trained(golden, model, losses, record):
    likeness = [one["likeness"] / model.options.likeness for one in losses]
    np.testing.assert_allclose(
        [one["loss"] for one in losses], [row[0] for row in record["loss_f64"]], rtol=0, atol=1e-8
    )
    np.testing.assert_allclose(likeness, [row[2] for row in record["loss_f64"]], rtol=0, atol=1e-8)
    values, changes = trained_distances(model, golden.seed, record)
    assert values <= 1e-8
    assert changes <= 1e-7


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(
    ("precision", "blocks", "outputs"), [("f32", 5e-4, 1e-4), pytest.param("f64", 1e-9, 1e-9, marks=pytest.mark.slow)]
)
def test_the_network_is_the_authors(golden, mode, precision, blocks, outputs):
    model = network(golden.seed, "cnn8-pt", precision).train(mode == "train")
    waves, place = wave(golden.seed, "input:cnn8-pt", 2), f"net/vector2d/{mode}"
    assert distance(golden, "input", torch.from_numpy(waves)) == 0
    with torch.no_grad():
        encoded = model.encoder(pictures(waves, precision))
        cosine = cosines_of(model.prototype_layer, encoded)
        similarity = model.prototype_layer(encoded)
        logits = model.classifier(similarity)
    assert distance(golden, f"{place}/encoder", encoded, precision) <= blocks
    for name, value in {"cosine": cosine, "similarity": similarity, "logits": logits}.items():
        assert distance(golden, f"{place}/{name}", value, precision) <= outputs, name
    assert distance(golden, f"{place}/log_probs", logits.log_softmax(1), precision) <= outputs


@pytest.mark.parametrize("shape", ["1d", "2d", "att", "two_per_class"])
@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 5e-6), ("f64", 1e-9)])
def test_the_likeness_of_prototypes_is_the_authors(golden, shape, precision, tolerance):
    place = f"diverse/{shape}"
    sizes = tuple(golden.arrays[f"{place}/grad_shape"].tolist())
    drawn = (0.3 + normal(golden.seed, f"diverse:{shape}", sizes, torch.float64)).float()
    prototypes = drawn.to(PRECISIONS[precision]).requires_grad_()
    found = prototype_likeness(prototypes, 4, ratio=True)
    found.backward()
    assert distance(golden, f"{place}/loss", found, precision) <= tolerance
    assert distance(golden, f"{place}/grad", prototypes.grad, precision) <= tolerance


@pytest.mark.slow
def test_three_steps_of_the_network_are_the_authors(golden):
    record = golden.facts["train"]
    model, size, steps = network(golden.seed, "cnn8-pt", "f64"), record["batch"], record["steps"]
    waves = wave(golden.seed, "cnn8-pt:net:train", size * steps, record["samples"])
    given = [pictures(waves[step * size : (step + 1) * size], "f64") for step in range(steps)]
    assert_trained(
        golden, model, train(training_graph(model, record["class_weights"]), given, record["labels"]), record
    )
