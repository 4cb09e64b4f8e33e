"""LungBRN: its pictures, network, loss, schedule, steps and evaluation are those of the authors' own code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_cycles import cycle_names
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

import baselines
from bench.data.frontends.drawn_pictures import GREYS, network_picture
from bench.data.frontends.lungbrn.card import LungBRNOptions
from bench.data.frontends.lungbrn.pictures import (
    LungBRNFrontEnd,
    cycle_decibels,
    cycle_wave,
    stft_drawing,
    wavelet_drawing,
    wavelet_square,
    wavelet_vector,
)
from bench.data.frontends.native_rate import scaled_to_unit
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.schedule import ScheduleOptions, learning_rate
from methods.losses import cross_entropy

pytestmark = pytest.mark.golden

SYSTEM = "bi-resnet"


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system(SYSTEM)


@pytest.fixture(scope="module", params=cycle_names(SYSTEM))
def cycle(request, golden):
    return CycleOfSet(golden, request.param, request)


def test_the_cut(cycle):
    assert len(cycle.samples) == cycle.facts["samples"]
    assert np.array_equal(cycle.samples[cycle.array("wav_pos")], cycle.array("pcm_val"))
    assert np.array_equal(np.concatenate([cycle.samples[:8], cycle.samples[-8:]]), cycle.array("pcm_edge"))


def test_the_waveform(cycle):
    places = cycle.array("wav_pos")
    near(scaled_to_unit(cycle.samples)[places], cycle.array("norm_val"), 1e-12)
    wave = cycle_wave(cycle.samples, cycle.rate)
    if cycle.has("filt_val"):
        near(wave[places], cycle.array("filt_val"), 1e-6)
        near(np.concatenate([wave[:8], wave[-8:]]), cycle.array("filt_edge"), 1e-6)
    else:
        assert np.array_equal(wave, scaled_to_unit(cycle.samples))


def test_the_decibels(cycle):
    cycle.check_decibels(cycle_decibels(cycle_wave(cycle.samples, cycle.rate), cycle.rate))


def test_the_wavelet_coefficients(cycle):
    vector = wavelet_vector(cycle_wave(cycle.samples, cycle.rate))
    square = wavelet_square(vector)
    assert (len(vector), len(square)) == (cycle.facts["wave_length"], cycle.facts["wave_side"])
    assert cycle.differences("wave_vec", vector).max() <= 1e-3
    assert cycle.differences("wave_sq", square).max() <= 1e-3
    cycle.check_means("wave_sq", square, 1e-3)


def test_the_drawings(cycle):
    wave = cycle_wave(cycle.samples, cycle.rate)
    cycle.check_drawing("stft_png", stft_drawing(wave, cycle.rate))
    cycle.check_drawing("wave_png", wavelet_drawing(wave))


def test_the_front_end(cycle):
    made = LungBRNFrontEnd(LungBRNOptions()).features(torch.from_numpy(cycle.wave), cycle.rate, [cycle.span])
    cycle.check_network_picture("stft_net_u8", made["stft"][0, 0].numpy())
    cycle.check_network_picture("wave_net_u8", made["wavelet"][0, 0].numpy())


def test_the_greys(golden):
    assert np.array_equal(GREYS, golden.arrays["picture/magma_luminance"])


@pytest.mark.parametrize(("number", "name", "size"), [(0, "stft", 128), (1, "wave", 56)])
def test_the_small_pictures(golden, number, name, size):
    made = network_picture(grey_picture(golden.seed, f"picL:{number}"), size)
    near(made * 255, golden.arrays[f"resize/{name}_u8"], 1e-4)


def inputs(seed, name, batch, dtype):
    """Pretend pictures of both kinds."""
    sizes = {"stft": ("stft", 128), "wavelet": ("wave", 56)}
    return {
        ours: torch.from_numpy(pictures(seed, f"{name}:{theirs}", batch, 1, size, size)).to(dtype)
        for ours, (theirs, size) in sizes.items()
    }


def test_the_inputs(golden):
    x = inputs(golden.seed, "input:bi-resnet", 2, torch.float32)
    near(x["stft"].flatten()[:16], golden.arrays["input/stft_head"], 0)
    near(x["wavelet"].flatten()[:16], golden.arrays["input/wave_head"], 0)


def test_the_parameters_are_those_in_use(golden):
    check_parameters_in_use(golden, official_parameters(SYSTEM, baselines.create(SYSTEM)))


@pytest.mark.parametrize("precision", DTYPES)
def test_the_network(golden, precision):
    dtype = DTYPES[precision][0]
    model = rule_model(SYSTEM, golden.seed, dtype)
    x = inputs(golden.seed, "input:bi-resnet", 2, dtype)
    modules = {**official_modules(SYSTEM, model), "pool0": model.stft, "pool1": model.wavelet}
    found = outputs_of(modules, model, x)
    found["flat"] = model.features(x).detach().numpy()
    check_outputs(golden, found, precision)


def class_weights(golden, dtype):
    """The authors' weights, which are float32 in every precision."""
    return torch.tensor(golden.facts["loss"]["class_weights"]).to(dtype)


@pytest.mark.parametrize("precision", DTYPES)
def test_the_loss(golden, precision):
    dtype = DTYPES[precision][0]
    facts = golden.facts["loss"]
    logits = 2 * rng(golden.seed, "loss:logits").standard_normal((len(facts["labels"]), 4))
    x = torch.from_numpy(logits).to(dtype).requires_grad_()
    labels, weights = torch.tensor(facts["labels"]), class_weights(golden, dtype)
    tolerance = {"f32": 1e-6, "f64": 1e-9}[precision]
    near(cross_entropy(x, labels), golden.facts["numbers"][f"loss/plain_{precision}"], tolerance)
    loss = cross_entropy(x, labels, weights)
    near(loss, golden.facts["numbers"][f"loss/weighted_{precision}"], tolerance)
    loss.backward()
    near(x.grad, golden.arrays[f"loss/weighted_grad_{precision}"], tolerance)


@pytest.mark.parametrize("name", ["run_sh", "batch128"])
def test_the_schedule(golden, name):
    facts, recipe = golden.facts[f"schedule/{name}"], baselines.MODELS.card(SYSTEM).recipe("paper", "none")
    schedule = ScheduleOptions(law=recipe["schedule"], milestones=recipe["milestones"], epochs=recipe["epochs"])
    rate = facts["lr"] * facts["batch"] / 128
    rates = [learning_rate(rate, schedule, epoch + 1) for epoch in range(len(golden.arrays[f"schedule/{name}"]))]
    np.testing.assert_allclose(rates, golden.arrays[f"schedule/{name}"], rtol=1e-9)
    for iteration, expected in facts["at_iterations"].items():
        assert rates[int(iteration) // facts["batches_per_epoch"]] == pytest.approx(expected, rel=1e-9)
    if facts["batch"] == recipe["batch"]:
        assert rate == pytest.approx(recipe["lr"])


def test_three_steps(golden):
    facts, dtype = golden.facts["train"], torch.float64
    model = rule_model(SYSTEM, golden.seed, dtype).train()
    weights = class_weights(golden, dtype)
    x, labels = inputs(golden.seed, "train", len(facts["labels"]), dtype), torch.tensor(facts["labels"])
    optim = OptimOptions(lr=facts["lr_per_step"][0], weight_decay=0.0)
    optimizer = build_optimizer([(one, 1.0) for one in model.parameters()], optim)

    def steps():
        for step, rows in enumerate(torch.arange(len(labels)).split(facts["batch"])):
            optimizer.zero_grad()
            logits = model({name: pictures[rows] for name, pictures in x.items()})
            loss = cross_entropy(logits, labels[rows], weights)
            near(logits, golden.arrays[f"train/logits_step{step + 1}_f64"], 1e-9)
            loss.backward()
            yield loss
            optimizer.step()

    check_training(golden, steps(), official_parameters(SYSTEM, model))


def test_the_evaluation(golden):
    """The authors divide by all rows, but judge none of the last, smaller batch."""
    facts = golden.facts["evaluation"]
    scores, labels = torch.from_numpy(golden.arrays["evaluation/scores"]), torch.tensor(facts["labels"])
    kept = slice(0, facts["n"] // facts["batch"] * facts["batch"])
    assert kept.stop == facts["kept"]
    hits = (scores.argmax(1) == labels)[kept].sum().item()
    assert hits / facts["n"] == facts["accuracy"]
    losses = [
        cross_entropy(scores[rows], labels[rows]).item() for rows in torch.arange(kept.stop).split(facts["batch"])
    ]
    assert sum(losses) / (facts["n"] / facts["batch"]) == pytest.approx(facts["loss"], abs=1e-6)
