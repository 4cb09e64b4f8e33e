"""CNN8-dilated and ResNet-dilated, with both heads, against the authors' own numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_prototypes import (
    PRECISIONS,
    distance,
    network,
    normal,
    pictures,
    points,
    train,
    trained_distances,
    training_graph,
    wave,
)
from golden_systems import rng

import baselines
from baselines.prototypes.attention import AttentionClassifier

pytestmark = pytest.mark.golden

LINEAR = 512 * 4 + 4
"""Parameters of the linear layer that the authors count with attention too, where no output depends on it."""

TOLERANCES = {
    ("cnn8-dilated", "eval"): (1e-4, 1e-5),
    ("cnn8-dilated", "train"): (5e-4, 1e-4),
    ("resnet-dilated", "eval"): (5e-4, 5e-4),
    ("resnet-dilated", "train"): (1e-3, 1e-3),
}
"""Of blocks and of outputs in single precision."""


@pytest.fixture(scope="module", params=["cnn8-dilated", "resnet-dilated"])
def golden(request, golden_system):
    return golden_system(request.param)


@pytest.mark.parametrize("head", ["attention", "maxpool"])
def test_parameters_are_the_authors(golden, head):
    model = baselines.create(golden.facts["system"], head=head)
    unused = LINEAR if head == "attention" else 0
    ours = sum(one.numel() for one in model.parameters())
    assert ours + unused == golden.facts["parameters"][head]["trainable"]


def both_heads(model, encoded, maximum):
    """What the heads make of a map, by the sets' names."""
    classifier = model.classifier
    found = {"att_logits": classifier.att(encoded), "cla_logits": classifier.cla(encoded)}
    found |= {"attention/att": classifier.weights(encoded), "attention/log_probs": classifier(encoded).log_softmax(1)}
    pooled = encoded.amax((2, 3))
    found |= {"maxpool/pooled": pooled, "maxpool/log_probs": maximum(pooled).log_softmax(1)}
    for layer in (classifier.att.weight, classifier.att.bias):
        layer.zero_()
    # All weights are then equal, so that the mean over the map, which `features` gives, says the same.
    plain = classifier(encoded)
    torch.testing.assert_close(classifier(encoded.mean((2, 3))).softmax(1), plain.softmax(1), rtol=0, atol=1e-5)
    return found | {"attention/pooled_if_att_is_zero": plain}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("precision", ["f32", pytest.param("f64", marks=pytest.mark.slow)])
def test_the_network_is_the_authors(golden, mode, precision):
    name = golden.facts["system"]
    blocks, outputs = TOLERANCES[name, mode] if precision == "f32" else (1e-9, 1e-9)
    model = network(golden.seed, name, precision).train(mode == "train")
    maximum = network(golden.seed, name, precision, head="maxpool").classifier
    waves = wave(golden.seed, f"input:{name}", 2, 1408)
    assert distance(golden, "input", torch.from_numpy(waves)) == 0
    x = pictures(waves, precision)
    assert distance(golden, f"{mode}/logmel3", x, precision) <= {"f32": 5e-2, "f64": 1e-6}[precision]
    with torch.no_grad():
        found = points(model, x)
        assert distance(golden, f"{mode}/attention/log_probs", found["log_probs"], precision) <= outputs
        found = {
            place: value for place, value in found.items() if place in ("bn0", "block1", "block2", "block3", "block4")
        }
        found |= both_heads(model, found["block4"], maximum)
    for place, value in found.items():
        tolerance = outputs if place.endswith("log_probs") else blocks
        assert distance(golden, f"{mode}/{place}", value, precision) <= tolerance, place
    if mode == "train":
        norm = model.encoder.conv4.bn2
        for part in ("running_mean", "running_var"):
            assert distance(golden, f"train/bn4_{part}", getattr(norm, part), precision) <= blocks


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_a_whole_cycle_is_the_authors(golden, precision):
    name = golden.facts["system"]
    blocks, outputs = TOLERANCES[name, "eval"] if precision == "f32" else (1e-9, 1e-9)
    model = network(golden.seed, name, precision).eval()
    maximum = network(golden.seed, name, precision, head="maxpool").classifier
    x = pictures(wave(golden.seed, f"input:{name}:full", 1), precision)
    with torch.no_grad():
        encoded = model.encoder(x)
        found = both_heads(model, encoded, maximum)
    assert distance(golden, "full/block4", encoded, precision) <= blocks
    assert distance(golden, "full/att", found["attention/att"], precision) <= blocks
    assert distance(golden, "full/maxpool/pooled", found["maxpool/pooled"], precision) <= blocks
    for head in ("attention", "maxpool"):
        assert distance(golden, f"full/{head}/log_probs", found[f"{head}/log_probs"], precision) <= outputs


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("f64", 1e-9)])
def test_attention_is_the_authors(golden, precision, tolerance):
    head, dtype = AttentionClassifier(512, 4), PRECISIONS[precision]
    for name, tensor in head.named_parameters():
        drawn = rng(golden.seed, name).standard_normal(tuple(tensor.shape))
        scales = {"att.weight": 2 / np.sqrt(512), "cla.weight": 1 / np.sqrt(512)}
        tensor.data.copy_(torch.from_numpy(np.float32(drawn * scales.get(name, 0.02))))
    head.to(dtype)
    maps = np.maximum(rng(golden.seed, "att:feat").standard_normal((3, 512, 6, 8)), 0).astype(np.float32)
    x = torch.from_numpy(maps).to(dtype).requires_grad_()
    weights, pooled = head.weights(x), head(x)
    found = {"att": weights, "pooled": pooled, "log_probs": pooled.log_softmax(1)}
    (found["log_probs"] * normal(golden.seed, "att:G", (3, 4), torch.float32)).sum().backward()
    found |= {"grad_feat": x.grad, "grad_att_weight": head.att.weight.grad, "grad_att_bias": head.att.bias.grad}
    found["grad_cla_weight"] = head.cla.weight.grad
    found["clamped_share"] = (weights >= 0.9).to(dtype).mean()
    for name, value in found.items():
        assert distance(golden, f"att_head/{name}", value, precision) <= tolerance, name


@pytest.mark.slow
@pytest.mark.parametrize("head", ["attention", "maxpool"])
def test_three_steps_are_the_authors(golden, head):
    name, record = golden.facts["system"], golden.facts["train"][head]
    model, size, steps = network(golden.seed, name, "f64", head=head), record["batch"], record["steps"]
    waves = wave(golden.seed, f"{name}:{head[:3]}:train", size * steps, record["samples"])
    given = [pictures(waves[step * size : (step + 1) * size], "f64") for step in range(steps)]
    losses = train(training_graph(model, record["class_weights"]), given, record["labels"])
    expected = [row[0] for row in record["loss_f64"]]
    np.testing.assert_allclose([one["loss"] for one in losses], expected, rtol=0, atol=1e-8)
    values, changes = trained_distances(model, golden.seed, record)
    assert values <= 1e-8
    assert changes <= 1e-7
