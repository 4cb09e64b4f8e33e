"""Losses against the authors' numbers, against their definition written out, and under half precision."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from golden_rules import rng

import methods
import methods.losses
from bench.core.errors import SpecError
from methods.losses import (
    binary_cross_entropy,
    class_weights,
    cross_entropy,
    hybrid_contrastive_loss,
    label_mixing_loss,
    patch_mix_contrastive_loss,
    supervised_contrastive_loss,
)

NEGATIVES = {"all": "all", "diff_label": "different-label"}
PRECISIONS = {"f64": (torch.float64, 1e-6, 1e-6), "f32": (torch.float32, 1e-5, 2e-5)}


def generated(seed: int, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.from_numpy(rng(seed, name).standard_normal(shape).astype(np.float32)).to(dtype).requires_grad_()


def optional(arrays, name: str):
    return arrays[name] if name in arrays.files else None


def close(ours: torch.Tensor, golden: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), golden, rtol=0, atol=tolerance)


@pytest.mark.golden
@pytest.mark.parametrize("precision", PRECISIONS)
def test_contrastive_loss_and_gradients(golden, precision):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    dtype, loss_tolerance, gradient_tolerance = PRECISIONS[precision]
    compared = 0
    for case in document["patchmix_con"]:
        key, shape = case["key"], (case["batch"], case["dim"])
        targets = generated(document["seed"], f"{key}:p1", shape, dtype)
        projected = generated(document["seed"], f"{key}:p2", shape, dtype)
        loss = patch_mix_contrastive_loss(
            projected,
            targets,
            torch.tensor(case["index"]),
            case["lam"],
            case["temperature"],
            torch.tensor(case["labels"]),
            NEGATIVES[case["negative_pair"]],
        )
        loss.backward()
        assert loss.dtype == dtype
        close(loss, arrays[f"{key}/loss_{precision}"], loss_tolerance)
        for ours, name in ((targets, "p1"), (projected, "p2")):
            # The official backward pass of diff_label raises; there, finite differences of its forward value stand in.
            for kind in (precision, "findiff"):
                expected = optional(arrays, f"{key}/grad_{name}_{kind}")
                if expected is not None:
                    close(ours.grad, expected, gradient_tolerance)
                    compared += 1
    assert compared >= 4 * sum(case["dim"] < 100 for case in document["patchmix_con"]) // 2


@pytest.mark.golden
@pytest.mark.parametrize("precision", PRECISIONS)
def test_label_mixing_loss_and_gradients(golden, precision):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    dtype = PRECISIONS[precision][0]
    weights = class_weights([int(n) for n in document["class_weights"][0]["counts"]])
    for case in document["patchmix_ce"]:
        key, labels, index = case["key"], torch.tensor(case["labels_a"]), torch.tensor(case["index"])
        assert labels[index].tolist() == case["labels_b"]
        logits = generated(document["seed"], f"{key}:logits", (case["batch"], 4), dtype)
        loss = label_mixing_loss(logits, labels, index, case["lam"], weights if case["weighted"] else None)
        loss.backward()
        close(loss, arrays[f"{key}/loss_{precision}"], 1e-6)
        close(logits.grad, arrays[f"{key}/grad_logits_{precision}"], 1e-6)


@pytest.mark.golden
@pytest.mark.parametrize("precision", PRECISIONS)
def test_supervised_contrastive_loss_and_gradients(golden, precision):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    dtype, loss_tolerance, gradient_tolerance = PRECISIONS[precision]
    for case in document["supcon"]:
        key, shape = case["key"], (case["batch"], case["dim"])
        first, second = (generated(document["seed"], f"{key}:{name}", shape, dtype) for name in ("p1", "p2"))
        labels = None if case["labels"] is None else torch.tensor(case["labels"])
        loss = supervised_contrastive_loss(first, second, labels, case["temperature"])
        loss.backward()
        close(loss, arrays[f"{key}/loss_{precision}"], loss_tolerance)
        if precision == "f64":
            close(first.grad, arrays[f"{key}/grad_p1_f64"], gradient_tolerance)
            close(second.grad, arrays[f"{key}/grad_p2_f64"], gradient_tolerance)


@pytest.mark.golden
@pytest.mark.parametrize("precision", PRECISIONS)
def test_hybrid_loss(golden, precision):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    dtype, tolerance, _ = PRECISIONS[precision]
    weights = class_weights([int(n) for n in document["class_weights"][0]["counts"]])
    for case in document["supcon_ce"]:
        key, seed, batch = case["key"], document["seed"], case["batch"]
        views = [generated(seed, f"{key}:{name}", (batch, case["dim"]), dtype) for name in ("p1", "p2")]
        logits = tuple(generated(seed, f"{key}:{name}", (batch, 4), dtype) for name in ("l1", "l2"))
        labels = torch.tensor(case["labels"])
        loss = hybrid_contrastive_loss(*views, logits, labels, case["alpha"], case["temperature"], weights)["loss"]
        close(loss, arrays[f"{key}/loss_{precision}"], tolerance)


@pytest.mark.golden
def test_class_weights_and_weighted_cross_entropy(golden):
    document, arrays = golden.json("losses.json"), golden.arrays("losses.npz")
    for case in document["class_weights"]:
        weights = class_weights([int(n) for n in case["counts"]])
        close(weights, arrays[f"{case['key']}/weights"], 1e-6)
        logits = generated(document["seed"], f"{case['key']}:logits", (12, len(weights)))
        labels = torch.tensor(case["labels"])
        assert cross_entropy(logits, labels, weights).item() == pytest.approx(case["weighted_ce_f64"], abs=1e-6)
        single = cross_entropy(logits.float(), labels, weights).item()
        assert single == pytest.approx(case["weighted_ce_f32"], abs=1e-6)


def example(dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "projected": torch.randn(6, 5, dtype=dtype, requires_grad=True),
        "targets": torch.randn(6, 5, dtype=dtype, requires_grad=True),
        "permutation": torch.tensor([2, 0, 1, 3, 5, 4]),
    }


def test_contrastive_loss_is_equation_2():
    case, lam, tau = example(), 0.3, 0.2
    cosine = torch.nn.functional.cosine_similarity(case["projected"][:, None], case["targets"][None], dim=2) / tau
    expected, cosine = 0.0, cosine.detach()
    for i, partner in enumerate(case["permutation"].tolist()):
        total = sum(float(cosine[i, j].exp()) for j in range(6))
        expected -= lam * np.log(float(cosine[i, i].exp()) / total)
        expected -= (1 - lam) * np.log(float(cosine[i, partner].exp()) / total)
    loss = patch_mix_contrastive_loss(**case, lam=lam, temperature=tau)
    assert loss.item() == pytest.approx(expected / 6, rel=1e-12)


LABELS = torch.tensor([0, 0, 1, 2, 1, 0])
PERMUTATION = torch.tensor([2, 0, 1, 3, 5, 4])
WEIGHTS = class_weights([30, 20, 10])
SHARES = torch.linspace(0, 1, 18, dtype=torch.float64).view(6, 3)

LOSSES = {
    "cross_entropy": lambda x: cross_entropy(x, LABELS),
    "cross_entropy, weighted": lambda x: cross_entropy(x, LABELS, WEIGHTS),
    "binary_cross_entropy": lambda x: binary_cross_entropy(x, SHARES),
    "label_mixing_loss": lambda x: label_mixing_loss(x, LABELS, PERMUTATION, 0.3),
    "label_mixing_loss, weighted": lambda x: label_mixing_loss(x, LABELS, PERMUTATION, 0.3, WEIGHTS),
    "patch_mix_contrastive_loss, all": lambda x, y: patch_mix_contrastive_loss(x, y, PERMUTATION, 0.3, 0.06),
    "patch_mix_contrastive_loss, different-label": lambda x, y: patch_mix_contrastive_loss(
        x, y, PERMUTATION, 0.3, 0.06, LABELS, "different-label"
    ),
    "supervised_contrastive_loss": lambda x, y: supervised_contrastive_loss(x, y, LABELS),
    "supervised_contrastive_loss, without labels": lambda x, y: supervised_contrastive_loss(x, y),
    "supervised_contrastive_loss, one class": lambda x, y: supervised_contrastive_loss(x, y, torch.zeros_like(LABELS)),
    "hybrid_contrastive_loss": lambda x, y, u, v: hybrid_contrastive_loss(x, y, (u, v), LABELS, 0.4)["loss"],
    "hybrid_contrastive_loss, weighted": lambda x, y, u, v: hybrid_contrastive_loss(
        x, y, (u, v), LABELS, 0.4, 0.06, WEIGHTS
    )["loss"],
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name):
    torch.manual_seed(0)
    loss = LOSSES[name]
    inputs = torch.randn(loss.__code__.co_argcount, 6, 3, dtype=torch.float64).unbind()
    assert torch.autograd.gradcheck(loss, [x.requires_grad_() for x in inputs])


def test_the_gradient_of_every_loss_is_checked():
    functions = inspect.getmembers(methods.losses, inspect.isfunction)
    losses = {name for name, _ in functions if name.endswith(("_loss", "cross_entropy"))}
    assert losses == {name.partition(",")[0] for name in LOSSES}


def test_supervised_contrastive_loss_is_its_definition():
    torch.manual_seed(0)
    first, second = torch.randn(2, 6, 5, dtype=torch.float64)
    views, labels = torch.cat([first, second]), [*LABELS.tolist()] * 2
    cosine = torch.nn.functional.cosine_similarity(views[:, None], views[None], dim=2) / 0.2
    expected = 0.0
    for i in range(12):
        others = [j for j in range(12) if j != i]
        total = sum(math.exp(cosine[i, j]) for j in others)
        positives = [j for j in others if labels[j] == labels[i]]
        expected -= sum(math.log(math.exp(cosine[i, j]) / total) for j in positives) / len(positives) / 12
    assert supervised_contrastive_loss(first, second, LABELS, 0.2).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_supervised_contrastive_loss_computes_half_precision_in_float32(dtype):
    torch.manual_seed(0)
    first, second = torch.randn(2, 6, 5).to(dtype)
    expected = supervised_contrastive_loss(first.double(), second.double(), LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = supervised_contrastive_loss(first, second, LABELS)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_different_label_with_all_labels_different_is_all():
    case = example()
    among_all = patch_mix_contrastive_loss(**case, lam=0.3, temperature=0.06)
    labels = torch.arange(6)
    different = patch_mix_contrastive_loss(
        **case, lam=0.3, temperature=0.06, labels=labels, negatives="different-label"
    )
    assert torch.equal(among_all, different)


def test_contrastive_loss_ignores_the_length_of_its_inputs():
    case = example()
    loss = patch_mix_contrastive_loss(**case, lam=0.3, temperature=0.06)
    case["projected"], case["targets"] = 7 * case["projected"], 0.1 * case["targets"]
    assert patch_mix_contrastive_loss(**case, lam=0.3, temperature=0.06).item() == pytest.approx(loss.item(), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_input_is_computed_in_float32(dtype):
    case = example(torch.float32)
    rounded = {name: value.to(dtype) if value.is_floating_point() else value for name, value in case.items()}
    exact = {name: value.double() if value.is_floating_point() else value for name, value in rounded.items()}
    expected = patch_mix_contrastive_loss(**exact, lam=0.3, temperature=0.06)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = patch_mix_contrastive_loss(**rounded, lam=0.3, temperature=0.06)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_autocast_does_not_reach_the_similarities():
    case = example(torch.float32)
    plain = patch_mix_contrastive_loss(**case, lam=0.3, temperature=0.06)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(plain, patch_mix_contrastive_loss(**case, lam=0.3, temperature=0.06))


def test_a_small_temperature_overflows_nothing():
    case = example(torch.float32)
    loss = patch_mix_contrastive_loss(**case, lam=0.3, temperature=1e-4)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(case["projected"].grad).all()


def test_different_label_needs_labels():
    with pytest.raises(SpecError, match="need labels"):
        patch_mix_contrastive_loss(**example(), lam=0.3, temperature=0.06, negatives="different-label")


def test_unknown_negatives_are_named():
    with pytest.raises(SpecError, match="'some', but must be one of all, different-label"):
        patch_mix_contrastive_loss(**example(), lam=0.3, temperature=0.06, negatives="some")


def test_a_class_without_cycles_has_no_weight():
    with pytest.raises(SpecError, match="Class 2 has 0 training cycles") as error:
        class_weights([5, 3, 0, 1])
    assert "method.weighted=false" in (error.value.hint or "")


def test_the_loss_is_exported_by_the_package():
    assert methods.patch_mix_contrastive_loss is patch_mix_contrastive_loss


def test_unknown_names_of_the_package_are_errors():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        methods.nothing  # noqa: B018
