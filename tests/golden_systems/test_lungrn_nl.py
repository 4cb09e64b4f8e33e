"""LungRN+NL: its picture, network, mixing, loss, schedule, steps and evaluation are those of the authors' own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cycles import cycle_names
from golden_rules import weight
from golden_systems import grey_picture, pictures, rng
from lungsys_goldens import (
    DTYPES,
    CycleOfSet,
    check_outputs,
    check_parameters_in_use,
    check_training,
    near,
    official_modules,
    official_parameters,
    outputs_of,
    rule_model,
)
from torch.nn.functional import one_hot

import baselines
import methods
from baselines.lungsys.blocks import NonLocalBlock
from bench.data.frontends.drawn_pictures import network_picture
from bench.data.frontends.lungbrn.card import LungRNOptions
from bench.data.frontends.lungbrn.pictures import LungRNFrontEnd, cycle_decibels, cycle_wave, stft_drawing
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.schedule import ScheduleOptions, learning_rate
from leaderboard.audit.metric_variants import rates_of
from methods.base import Batch
from methods.losses import binary_cross_entropy
from methods.mixup.spectrogram_mixing import Mixup, mix_up

pytestmark = pytest.mark.golden

SYSTEM = "resnet-nl"
QUIRKS = {"nl_softmax": "global", "nl_transpose": True}


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system(SYSTEM)


@pytest.fixture(scope="module", params=cycle_names(SYSTEM))
def cycle(request, golden):
    return CycleOfSet(golden, request.param, request)


def test_the_picture_step_by_step(cycle):
    assert len(cycle.samples) == cycle.facts["samples"]
    wave = cycle_wave(cycle.samples, cycle.rate)
    cycle.check_decibels(cycle_decibels(wave, cycle.rate))
    cycle.check_drawing("stft_png", stft_drawing(wave, cycle.rate))


def test_the_front_end(cycle):
    made = LungRNFrontEnd(LungRNOptions()).features(torch.from_numpy(cycle.wave), cycle.rate, [cycle.span])
    cycle.check_network_picture("stft_net_u8", made[0].numpy())


def test_the_small_picture(golden):
    near(network_picture(grey_picture(golden.seed, "picL:0"), 128) * 255, golden.arrays["resize/stft_u8"], 1e-4)


def picture(seed, name, batch, dtype):
    return torch.from_numpy(pictures(seed, name, batch, 1, 128, 128)).to(dtype)


def test_the_input(golden):
    x = pictures(golden.seed, "input:resnet-nl", 2, 1, 128, 128)
    near(x.ravel()[:16], golden.arrays["input/head"], 0)


def test_the_parameters_are_those_in_use(golden):
    check_parameters_in_use(golden, official_parameters(SYSTEM, baselines.create(SYSTEM)))


@pytest.mark.parametrize("precision", DTYPES)
def test_the_network(golden, precision):
    dtype = DTYPES[precision][0]
    model = rule_model(SYSTEM, golden.seed, dtype, **QUIRKS)
    modules = {**official_modules(SYSTEM, model), "pool0": model.stft}
    x = picture(golden.seed, "input:resnet-nl", 2, dtype)
    found = outputs_of(modules, model, x)
    check_outputs(golden, found, precision)
    if precision == "f64":
        # The first non-local block follows the first block after those that halve the map.
        added = (found["nonLocal1"] - found["ResNet_0"]).ravel()
        near(added[golden.arrays["eval/nonLocal1_added_pos"]], golden.arrays["eval/nonLocal1_added_val_f64"], 1e-9)


def test_the_network_without_non_local_blocks(golden):
    model = rule_model(SYSTEM, golden.seed, torch.float64, non_local=False)
    found = outputs_of({}, model, picture(golden.seed, "input:resnet-nl", 2, torch.float64))
    near(found["logits"], golden.arrays["eval/logits_without_nonlocal_f64"], 1e-9)


def as_input(values, dtype):
    return torch.from_numpy(values.astype(np.float32)).to(dtype)


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("case", ["nl_a", "nl_b"])
def test_the_non_local_block(golden, case, precision):
    facts, dtype = golden.facts[case], DTYPES[precision][0]
    block = NonLocalBlock(facts["inplanes"], facts["planes"], "global", transpose=True)
    shape = (facts["batch"], facts["inplanes"], facts["size"], facts["size"])
    names = {
        name: torch.from_numpy(weight(golden.seed, f"{case}.{name}", size)) for name, size, _ in facts["state_dict"]
    }
    block.load_state_dict(names)
    x = as_input(2 * rng(golden.seed, f"input:{case}").standard_normal(shape), dtype).requires_grad_()
    out = block.to(dtype)(x)
    (out * as_input(rng(golden.seed, f"grad:{case}").standard_normal(shape), dtype)).sum().backward()
    tolerance = DTYPES[precision][2]
    for name, found in (("out", out), ("grad_input", x.grad), ("grad_theta", block.theta.weight.grad)):
        near(found, golden.arrays[f"{case}/{name}_{precision}"], tolerance, name)


def test_the_mixing(golden):
    for case in golden.facts["mixup"]:
        key, labels = f"mixup/{case['case']}", torch.tensor(case["labels"])
        x = torch.from_numpy(pictures(golden.seed, f"mixup:{case['case']}", len(labels), *case["shape"][1:]))
        both = torch.cat([x, mix_up(x, x[case["index"]], case["lam"])])
        near(both[:, 0, :4, :4], golden.arrays[f"{key}/x"], 1e-6)
        near(both.double().mean((1, 2, 3)), golden.arrays[f"{key}/x_mean"], 1e-6)
        y = one_hot(labels, 4).float()
        near(torch.cat([y, mix_up(y, y[case["index"]], case["lam"])]), golden.arrays[f"{key}/y"], 1e-6)


@pytest.mark.parametrize("precision", DTYPES)
def test_the_loss(golden, precision):
    dtype, tolerance = DTYPES[precision][0], {"f32": 1e-6, "f64": 1e-9}[precision]
    targets = torch.from_numpy(golden.arrays["loss/soft"])
    near(rng(golden.seed, "loss:soft").dirichlet(np.ones(4), 12), targets, 1e-12)
    x = torch.from_numpy(2 * rng(golden.seed, "loss:logits").standard_normal((12, 4))).to(dtype).requires_grad_()
    loss = binary_cross_entropy(x, targets)
    near(loss, golden.facts["numbers"][f"loss/bce_{precision}"], tolerance)
    loss.backward()
    near(x.grad, golden.arrays[f"loss/bce_grad_{precision}"], tolerance)


def test_the_schedule(golden):
    recipe = baselines.MODELS.card(SYSTEM).recipe("paper", "none")
    fields = {name: recipe[name] for name in ("lr_decay", "decay_every", "epochs")}
    schedule = ScheduleOptions(law=recipe["schedule"], **fields)
    expected = golden.arrays["schedule/lr"]
    rates = [learning_rate(recipe["lr"], schedule, epoch + 1) for epoch in range(len(expected))]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def test_three_steps(golden):
    facts, dtype = golden.facts["train"], torch.float64
    model = rule_model(SYSTEM, golden.seed, dtype, **QUIRKS).train()
    method = methods.create("mixup-bce", feature_dim=model.feature_dim, class_counts=[1] * 4)
    labels = torch.tensor(facts["labels"])
    x = picture(golden.seed, "train:x", len(labels), dtype)
    optim = OptimOptions(lr=facts["lr_per_step"][0], weight_decay=0.0)
    optimizer = build_optimizer([(one, 1.0) for one in model.parameters()], optim)
    logits = []
    model.register_forward_hook(lambda module, given, made: logits.append(made.detach()))

    def steps():
        for step, rows in enumerate(torch.arange(len(labels)).split(facts["batch"])):
            optimizer.zero_grad()
            batch = Batch(features=x[rows], labels=labels[rows], local=slice(0, len(rows)))
            drawn = Mixup(facts["mixup"][step]["lam"], np.array(facts["mixup"][step]["index"]))
            loss = method(model, batch, drawn)["loss"]
            near(logits[step], golden.arrays[f"train/logits_step{step + 1}_f64"], 1e-9)
            loss.backward()
            yield loss
            optimizer.step()

    check_training(golden, steps(), official_parameters(SYSTEM, model))


def test_the_evaluation(golden):
    """The authors judge none of the last, smaller batch, and call the specificity Se."""
    facts = golden.facts["evaluation"]
    scores, labels = torch.from_numpy(golden.arrays["evaluation/scores"]), torch.tensor(facts["labels"])
    kept = facts["n"] // facts["batch"] * facts["batch"]
    assert kept == facts["kept"]
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (labels[:kept].numpy(), scores[:kept].argmax(1).numpy()), 1)
    assert confusion.tolist() == facts["confusion_of_kept"]
    rates = rates_of(confusion, "4class")
    assert rates["sp"] == pytest.approx(100 * facts["named_Se_but_specificity"])
    assert rates["se"] == pytest.approx(100 * facts["named_Sq_but_sensitivity"])
    assert rates["score"] == pytest.approx(100 * facts["score"])
    assert np.trace(confusion) / facts["n"] == facts["accuracy"]
    targets = one_hot(labels, 4)
    parts = torch.arange(kept).split(facts["batch"])
    assert np.mean([binary_cross_entropy(scores[rows], targets[rows]).item() for rows in parts]) == pytest.approx(
        facts["loss"], abs=1e-6
    )
