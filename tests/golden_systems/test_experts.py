"""C-DNN and CNN-MoE against numbers of two re-implementations by third parties."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_experts import assert_sampled, assert_trained, load_rule, tensor, unit_pictures
from golden_recordings import pretend_samples
from golden_rules import rng, weight

import baselines
from baselines.experts.model import OFFICIAL_NAMES
from baselines.state_dicts import load_into
from bench.data.frontends.sadaco.card import SadacoOptions
from bench.data.frontends.sadaco.frontend import SadacoFrontEnd
from bench.data.units import UnitWaves
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.schedule import ScheduleOptions, learning_rate
from leaderboard.metrics import predicted_classes, score_cycles
from methods.losses import complement_weights, mixed_targets, target_divergence

pytestmark = pytest.mark.golden

SADACO, ZFFUN = (dict(OFFICIAL_NAMES[blocks]) for blocks in ("sadaco", "zffun"))
ALONE = {ours: theirs.replace("cnn.", "") for ours, theirs in SADACO.items() if ours.startswith("trunk.")}
CODES = {"sadaco": ("sadaco", SADACO), "zff": ("zffun", ZFFUN)}
KINDS = [(torch.float32, "f32"), (torch.float64, "f64")]


def tolerance(kind: str, mode: str, inner: bool) -> float:
    """README C, section 4: nets."""
    if kind == "f64":
        return 1e-9
    return {("eval", True): 1e-4, ("eval", False): 1e-5, ("train", True): 5e-4, ("train", False): 1e-4}[mode, inner]


def cnn_moe(seed: int, code: str, dtype: torch.dtype) -> torch.nn.Module:
    blocks, names = CODES[code]
    model = baselines.create("cnn-moe", blocks=blocks)
    load_rule(seed, model, names)
    return without_dropout(model.to(dtype))


def without_dropout(model: torch.nn.Module) -> torch.nn.Module:
    for module in model.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return model


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("mode", ["eval", "train"])
@torch.no_grad()
def test_the_backbone_of_c_dnn(golden_system, mode, dtype, kind):
    golden = golden_system("c-dnn")
    trunk = baselines.create("c-dnn").trunk
    for key, name, size in (("", "input:c-dnn", (3, 64, 64)), ("wide/", "input:c-dnn:wide", (2, 32, 160))):
        load_rule(golden.seed, trunk, {ours.removeprefix("trunk."): name for ours, name in ALONE.items()})
        x = tensor(unit_pictures(golden.seed, name, *size), dtype)
        without_dropout(trunk.to(dtype)).train(mode == "train")
        found = {f"block{i}": y for i, y in enumerate(passed(trunk, x), start=1)} if not key else {}
        found["output"] = (found["block6"] if not key else trunk(x)).mean(dim=(2, 3))
        for point, value in found.items():
            allowed = tolerance(kind, mode, point.startswith("block"))
            assert_sampled(golden.arrays, f"{key}{mode}/{point}", value, allowed, kind)
        if mode == "train":
            for part in ("mean", "var"):
                running = getattr(trunk[-1].norm_out, f"running_{part}")
                assert_sampled(golden.arrays, f"{key}train/last_bn_running_{part}", running, allowed, kind)


def passed(trunk: torch.nn.Sequential, x: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for block in trunk:
        x = block(x)
        found.append(x)
    return found


@torch.no_grad()
def test_the_inputs_and_the_first_layers_of_c_dnn(golden_system):
    golden = golden_system("c-dnn")
    trunk = baselines.create("c-dnn").trunk.double()
    load_rule(golden.seed, trunk, {ours.removeprefix("trunk."): name for ours, name in ALONE.items()})
    x = unit_pictures(golden.seed, "input:c-dnn", 3, 64, 64)
    assert_sampled(golden.arrays, "input", x, 0)
    for mode in ("eval", "train"):
        first = trunk[0].train(mode == "train")
        normed = first.norm_in(tensor(x, torch.float64))
        assert_sampled(golden.arrays, f"{mode}/bn_in1", normed, 1e-9, "f64")
        assert_sampled(golden.arrays, f"{mode}/conv1_relu", first.conv(normed).relu(), 1e-9, "f64")


def test_names_and_numbers_of_parameters(golden_system):
    golden, alone = golden_system("cnn-moe"), golden_system("c-dnn")
    for code, (blocks, names) in CODES.items():
        model = baselines.create("cnn-moe", blocks=blocks)
        ours = {official(name, names): list(each.shape) for name, each in model.state_dict().items()}
        assert ours == {name: shape for name, shape, _ in golden.facts["state_dict"][code]}
        assert sum(each.numel() for each in model.parameters()) == golden.facts["parameters"][code]["trainable"]
    trunk = baselines.create("c-dnn").trunk
    found = {official(f"trunk.{name}", ALONE): list(each.shape) for name, each in trunk.state_dict().items()}
    assert found == {name: shape for name, shape, _ in alone.facts["state_dict"]}
    assert sum(each.numel() for each in trunk.parameters()) == alone.facts["parameters"]["trainable"]


def official(name: str, names: dict[str, str]) -> str:
    (beginning,) = (each for each in names if name.startswith(each))
    return names[beginning] + name.removeprefix(beginning)


@pytest.mark.parametrize("code", CODES)
def test_files_of_either_code_are_read(golden_system, code):
    golden = golden_system("cnn-moe")
    model = baselines.create("cnn-moe", blocks=CODES[code][0])
    state = {
        name: torch.from_numpy(np.asarray(weight(golden.seed, name, tuple(shape))))
        for name, shape, _ in golden.facts["state_dict"][code]
    }
    assert load_into(model, state, "model", Path("theirs.pth")).title.lower().startswith(code)
    with torch.no_grad():
        x = tensor(unit_pictures(golden.seed, "input:cnn-moe", 3, 64, 64))
        assert_sampled(golden.arrays, f"{code}/eval/output", model.eval()(x), 1e-5, "f32")


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("code", CODES)
@torch.no_grad()
def test_cnn_moe(golden_system, code, mode, dtype, kind):
    golden = golden_system("cnn-moe")
    model = cnn_moe(golden.seed, code, dtype).train(mode == "train")
    x = unit_pictures(golden.seed, "input:cnn-moe", 3, 64, 64)
    assert_sampled(golden.arrays, "input", x, 0)
    blocks = passed(model.trunk, tensor(x, dtype))
    features = blocks[-1].mean(dim=(2, 3))
    found = {"features": features, "gate_logits": model.classifier.gate(features), "output": model.classifier(features)}
    found |= {f"block{i}": y for i, y in enumerate(blocks, start=1) if code == "zff"}
    for point, value in found.items():
        allowed = tolerance(kind, mode, point.startswith("block"))
        assert_sampled(golden.arrays, f"{code}/{mode}/{point}", value, allowed, kind)
    if mode == "train":
        last = model.trunk[-1].norm_out if code == "sadaco" else model.trunk[-1].norm_in
        for part in ("mean", "var"):
            running = getattr(last, f"running_{part}")
            key = f"{code}/train/last_bn_running_{part}"
            assert_sampled(golden.arrays, key, running, tolerance(kind, mode, False), kind)


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("code", CODES)
def test_the_head_and_its_gradients(golden_system, code, dtype, kind):
    golden = golden_system("cnn-moe")
    head = cnn_moe(golden.seed, code, dtype).classifier
    drawn = np.maximum(rng(golden.seed, "moe:feat").standard_normal((5, 512)), 0).astype(np.float32)
    features = tensor(drawn, dtype).requires_grad_()
    output = head(features)
    (output * tensor(rng(golden.seed, "moe:G").standard_normal((5, 4)).astype(np.float32), dtype)).sum().backward()
    found = {
        "output": output,
        "softmax_of_output": output.softmax(1),
        "grad_feat": features.grad,
        "grad_gate_weight": head.gate.weight.grad,
        "grad_gate_bias": head.gate.bias.grad,
        "grad_expert3_weight": head.experts[3][0].weight.grad,
        "grad_expert3_bias": head.experts[3][0].bias.grad,
    }
    for point, value in found.items():
        assert_sampled(golden.arrays, f"head/{code}/{point}", value, {"f32": 5e-6, "f64": 1e-9}[kind], kind)


def test_class_weights(golden_system):
    facts = golden_system("cnn-moe").facts["class_weights"]
    np.testing.assert_array_equal(complement_weights(facts["counts"]).numpy(), np.float32(facts["weights"]))


def test_pictures_of_sadaco(golden_system):
    """Of generated signals at 16 kHz; their resampling of recordings is another library's."""
    golden, front_end = golden_system("cnn-moe"), SadacoFrontEnd(SadacoOptions())
    lengths = json.loads(golden.facts["mix"]["signals"].partition("n = ")[2])
    for i, length in enumerate(lengths):
        samples = pretend_samples(rng(golden.seed, f"mix:wav:{i}"), 16000, 16, length) / 32768
        (picture,) = front_end.picture(UnitWaves.of([tensor(samples)]))
        assert_sampled(golden.arrays, f"spec/{i}/eval", picture.T[None], 1e-4)
        np.testing.assert_allclose(picture.mean(0), golden.arrays[f"spec/{i}/rowmean"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(picture.mean(1), golden.arrays[f"spec/{i}/colmean"], rtol=0, atol=1e-5)


def test_rates_of_sadaco(golden_system):
    wanted = golden_system("cnn-moe").arrays["lr/sadaco"]
    schedule = ScheduleOptions(law="restarts", lr_period=20, lr_floor=6e-6, epochs=len(wanted))
    found = [learning_rate(3e-5, schedule, epoch) for epoch in range(1, len(wanted) + 1)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-15)


def test_scores(golden_system):
    golden = golden_system("cnn-moe")
    facts = golden.facts["evaluation"]
    scores = rng(golden.seed, "eval:scores").standard_normal((len(facts["targets"]), 4)).astype(np.float32)
    probabilities = tensor(scores, torch.float64).softmax(1).numpy()
    assert predicted_classes(probabilities).tolist() == facts["predictions"]
    found = score_cycles(facts["targets"], probabilities)["4class"]
    for name, theirs in (("sp", "Specificity"), ("se", "Sensitivity"), ("score", "Score")):
        assert found[name] == pytest.approx(100 * facts[theirs], abs=1e-5)
    assert np.array(found["confusion"]).T.tolist() == facts["confusion_pred_by_true"]


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
def test_the_loss_of_mixed_labels(golden_system, dtype, kind):
    golden = golden_system("cnn-moe")
    facts = golden.facts["mixloss"]
    logits = tensor(rng(golden.seed, "mix:logits").standard_normal((6, 4)), dtype).requires_grad_()
    targets, weights = targets_of(facts, dtype), tensor(np.float32(facts["weights"]))
    loss = target_divergence(logits, targets, weights)
    loss.backward()
    allowed = {"f32": 5e-6, "f64": 1e-9}[kind]
    assert_sampled(golden.arrays, "mixloss/loss", loss + least_loss(targets, weights), allowed, kind)
    assert_sampled(golden.arrays, "mixloss/grad", logits.grad, allowed, kind)


def targets_of(facts: dict, dtype: torch.dtype, rows: slice = slice(None)) -> torch.Tensor:
    """The mixed labels of a case, by the rule of the house: second labels stand after the first."""
    first, second = (torch.tensor(facts[name])[rows] for name in ("y_a", "y_b"))
    own = tensor(facts["lam"], dtype)[rows]
    lam, partners = torch.cat([own, torch.ones_like(own)]), torch.arange(2 * len(own)).roll(len(own))
    return mixed_targets(torch.cat([first, second]), partners, lam, 4)[: len(own)]


def least_loss(targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """What a divergence leaves out of the cross-entropy with shares of classes: the shares' own entropy."""
    terms = -torch.special.xlogy(targets, targets)
    return (terms if weights is None else terms * weights).sum(1).mean()


RATES = {
    "sadaco": OptimOptions(lr=3e-5, weight_decay=0.0),
    "zff": OptimOptions(optimiser="adamw", lr=1e-4, weight_decay=0.01),
}


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("code", CODES)
def test_three_steps(golden_system, code, dtype, kind):
    golden = golden_system("cnn-moe")
    facts, names = golden.facts["train"][code], CODES[code][1]
    model = cnn_moe(golden.seed, code, dtype).train()
    before = {official(name, names): each.detach().clone() for name, each in model.named_parameters()}
    losses = three_steps(model, golden, code, dtype)
    after = {official(name, names): each.detach() for name, each in model.named_parameters()}
    wide = kind == "f64"
    allowed = 1e-9 if wide else {"zff": 1e-6, "sadaco": 1e-5}[code]
    np.testing.assert_allclose(losses, facts[f"loss_{kind}"], rtol=0, atol=allowed)
    assert_trained(facts, before, after, kind, allowed)


def three_steps(model: torch.nn.Module, golden: Any, code: str, dtype: torch.dtype) -> list[float]:
    """Losses of the steps that either code makes: SADACO with mixed labels and class weights, ZFFun with the first."""
    facts = golden.facts["train"][code]
    name, count, height, width = re.fullmatch(r'pic\("(.+)", (\d+), (\d+), (\d+)\)', facts["input"]).groups()
    x = tensor(unit_pictures(golden.seed, name, int(count), int(height), int(width)), dtype)
    weights = tensor(np.float32(golden.facts["class_weights"]["weights"])) if code == "sadaco" else None
    optimiser, losses = build_optimizer([(each, 1.0) for each in model.parameters()], RATES[code]), []
    for start in range(0, len(x), facts["batch"]):
        rows = slice(start, start + facts["batch"])
        targets = targets_of(facts if code == "sadaco" else {**facts, "y_b": facts["y_a"]}, dtype, rows)
        optimiser.zero_grad()
        loss = target_divergence(model(x[rows]), targets, weights)
        loss.backward()
        optimiser.step()
        losses.append((loss + least_loss(targets, weights)).item())
    return losses
