"""LungAttn's network computes what the authors' own computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_lungattn import made_up_network, rule_weight
from golden_systems import pictures, rng

import baselines
from baselines.lungattn.attention import AttentionAugmentedConv2d, AttentionShape
from baselines.lungattn.model import ATTENTION, official_name

pytestmark = pytest.mark.golden

DTYPES = {"f32": (torch.float32, 2e-5), "f64": (torch.float64, 1e-9)}

MODULES = {
    "conv1.0": "stem.0",
    "conv1": "stem",
    "ResNet_0_0": "layers.down1",
    "ResNet_0_1": "layers.down2",
    **{f"ResNet_{i}": f"layers.block{i + 1}" for i in range(7)},
    "ResNet_5.conv1": "layers.block6.conv1",
    "norm0": "norm",
    "linear1": "reduction",
}
"""The authors' modules whose outputs the set has, and ours."""


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("resnet-att")


def outputs_of(model: torch.nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Output of each of :data:`MODULES`, and of the network, for an input."""
    found: dict[str, np.ndarray] = {}
    hooks = [
        model.get_submodule(ours).register_forward_hook(
            lambda module, given, made, theirs=theirs: found.__setitem__(theirs, made.detach().numpy().copy())
        )
        for theirs, ours in MODULES.items()
    ]
    with torch.no_grad():
        logits = model(x).numpy()
    for hook in hooks:
        hook.remove()
    found["pool0"] = np.maximum(found["norm0"], 0).mean((2, 3))
    return {**found, "logits": logits}


def test_the_names_are_theirs(golden):
    state = baselines.create("resnet-att").state_dict()
    theirs = {official_name(name): list(tensor.shape) for name, tensor in state.items()}
    assert theirs == {name: shape for name, shape, _ in golden.facts["state_dict"]}
    assert sum(tensor.numel() for tensor in state.values()) == golden.facts["parameters"]


def test_the_input(golden):
    x = pictures(golden.seed, "input:resnet-att", 2, 3, 224, 224)
    np.testing.assert_array_equal(x.ravel()[:16], golden.arrays["input/head"])


@pytest.mark.parametrize("precision", DTYPES)
def test_the_evaluation(golden, precision):
    dtype, atol = DTYPES[precision]
    x = torch.from_numpy(pictures(golden.seed, "input:resnet-att", 2, 3, 224, 224)).to(dtype)
    found = outputs_of(made_up_network(golden.seed, dtype), x)
    np.testing.assert_allclose(found["logits"], golden.arrays[f"eval/logits_{precision}"], rtol=0, atol=atol)
    atol = 1e-4 if precision == "f32" else 1e-9
    for name in golden.facts["eval/blocks"]:
        if f"eval/{name}_pos" in golden.arrays:
            values, expected = found[name].ravel()[golden.arrays[f"eval/{name}_pos"]], f"eval/{name}_val_{precision}"
        elif (expected := f"eval/{name}_{precision}") in golden.arrays:
            values = found[name]
        else:
            continue
        np.testing.assert_allclose(values, golden.arrays[expected], rtol=0, atol=atol, err_msg=name)
    for law in ("mean", "std"):
        values = [getattr(found[name], law)() for name in golden.facts["eval/blocks"]]
        np.testing.assert_allclose(values, golden.arrays[f"eval/block_{law}_{precision}"], rtol=0, atol=atol)


@pytest.mark.parametrize("case", ["aa_a", "aa_b"])
def test_the_augmented_convolution(golden, case):
    facts, dtype = golden.facts[case], torch.float64
    side, shape = facts["size"], AttentionShape(facts["dk"], facts["dv"], facts["heads"])
    layer = AttentionAugmentedConv2d(facts["in"], facts["out"], (side, side), shape).to(dtype)
    prefix = "layers.block6.conv1."
    names = {name: official_name(prefix + name).removeprefix("ResNet_5.conv1.") for name in layer.state_dict()}
    assert sorted(names.values()) == sorted(name for name, *_ in facts["state_dict"])
    layer.load_state_dict(
        {
            name: rule_weight(golden.seed, f"{case}.{theirs}", tuple(layer.state_dict()[name].shape))
            for name, theirs in names.items()
        }
    )
    given = 2 * rng(golden.seed, f"input:{case}").standard_normal((facts["batch"], facts["in"], side, side))
    x = torch.from_numpy(given.astype(np.float32)).to(dtype).requires_grad_()
    out = layer(x)
    out_weights = rng(golden.seed, f"grad:{case}").standard_normal(tuple(out.shape)).astype(np.float32)
    (out * torch.from_numpy(out_weights)).sum().backward()
    found = {
        "out": out,
        "grad_input": x.grad,
        "grad_key_rel_h": layer.row_positions.grad,
        "grad_key_rel_w": layer.column_positions.grad,
        "weights": layer.attention(x)[0],
    }
    for name, value in found.items():
        expected = golden.arrays[f"{case}/{name}_f64"]
        np.testing.assert_allclose(value.detach().numpy(), expected, rtol=0, atol=1e-9, err_msg=name)


def test_parameters_of_the_augmented_convolution(golden):
    layer = AttentionAugmentedConv2d(64, 64, (14, 14), ATTENTION)
    assert sum(p.numel() for p in layer.parameters()) == golden.facts["aa_conv_parameters"]
