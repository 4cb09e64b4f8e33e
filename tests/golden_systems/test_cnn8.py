"""CNN8 and the front-end, schedule and loss of its whole family against the authors' own numbers."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from golden_prototypes import (
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
from golden_recordings import pretend_recording

import baselines
from bench.data.frontends.l3s import recordings
from bench.data.frontends.l3s.card import RATE, L3SOptions
from bench.data.frontends.l3s.frontend import L3SFrontEnd, fitted, mel_matrix
from bench.data.units import UnitWaves
from bench.engine.augment.placement import crop
from bench.engine.augment.waves import Waves
from bench.engine.sampling import SamplingOptions, epoch_order
from bench.engine.schedule import ScheduleOptions, learning_rate
from leaderboard.metrics import predicted_classes, score_cycles
from methods.losses import class_weights, cross_entropy

pytestmark = pytest.mark.golden

RESAMPY_0_4 = {"ZERO_CROSSINGS": 50, "ROLL_OFF": 0.9173470, "BETA": 12.984585247040012, "ENTRIES": 8192}
"""The filter of the resampy that made the set's numbers; the authors' was the one before it."""


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("cnn8")


def samples_of(golden, entry, request):
    """Samples of a recording of the set, float64; None where it is a real one that is not here as it was there."""
    if not entry["real"]:
        bits = int(entry["subtype"].removeprefix("PCM_"))
        integers = pretend_recording(golden.seed, entry["recording"], entry["rate"], bits, entry["native_samples"])
        samples = integers / 2.0 ** (bits - 1)
    else:
        found = sorted(Path(request.getfixturevalue("icbhi_folder")).rglob(f"{entry['recording']}.wav"))
        if not found:
            return None
        samples = soundfile.read(found[0], dtype="float64")[0]
    digest = hashlib.sha256(samples.astype("<f8").tobytes()).hexdigest()
    return samples if digest == entry["sha256_samples_f64"] else None


@pytest.fixture(scope="module", params=[f"r{number}" for number in range(12)])
def case(request, golden):
    """A recording of the set: its key, its entry and its samples."""
    key = request.param
    if key not in golden.facts["frontend"]:
        pytest.skip(f"the set has no recording {key}")
    entry = golden.facts["frontend"][key]
    samples = samples_of(golden, entry, request)
    if samples is None:
        pytest.skip(f"the recording {entry['recording']} is not here as the set had it")
    return key, entry, samples


def test_filters_are_the_authors(golden):
    assert distance(golden, "fe/melW", mel_matrix()) == 0
    assert golden.arrays["fe/mel_empty"].size == 0
    assert (mel_matrix().sum(0) > 0).all()
    numerator, denominator = recordings.band_pass()
    np.testing.assert_allclose(numerator, golden.arrays["fe/butter_b"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(denominator, golden.arrays["fe/butter_a"], rtol=0, atol=1e-12)


def test_a_recording_is_resampled_and_filtered_as_by_the_authors(golden, case):
    key, entry, samples = case
    whole = recordings.resampled(samples, entry["rate"], "soxr-hq")
    assert len(whole) == entry["samples_4k"]
    for name, found in (("rs", whole), ("bp", recordings.filtered(whole))):
        if f"{key}/{name}_pos" in golden.arrays:
            assert distance(golden, f"{key}/{name}", torch.from_numpy(found)) <= 1e-9
            edge = np.concatenate([found[:24], found[-24:]])
            np.testing.assert_allclose(edge, golden.arrays[f"{key}/{name}_edge"], rtol=0, atol=1e-9)


def test_librosas_former_resampler_is_its_own_filter(golden, case, monkeypatch):
    key, entry, samples = case
    if f"{key}/rs_kaiser_val" not in golden.arrays:
        pytest.skip("the recording is at 4 kHz already")
    for name, value in RESAMPY_0_4.items():
        monkeypatch.setattr(recordings, name, value)
    recordings._kaiser_sinc.cache_clear()
    try:
        found = recordings.resampled(samples, entry["rate"], "kaiser-best")
    finally:
        recordings._kaiser_sinc.cache_clear()
    assert len(found) == entry["kaiser_samples"]
    away = np.abs(found[golden.arrays[f"{key}/rs_pos"]] - golden.arrays[f"{key}/rs_kaiser_val"])
    # Resampy takes the end of a recording for silence a sample earlier.
    assert np.median(away) <= 1e-5
    assert away.max() <= 1e-3


def test_cycles_and_pictures_are_the_authors(golden, case):
    key, entry, samples = case
    frontend, cycles = L3SFrontEnd(L3SOptions()), entry["cycles"]
    spans = [(cycle["start"], cycle["end"]) for cycle in cycles.values()]
    units = frontend.fit(torch.from_numpy(samples.astype(np.float32)), entry["rate"], spans)
    for (name, cycle), unit in zip(cycles.items(), units, strict=True):
        stored = (unit.numpy() * 2**15).astype("<i2")
        assert hashlib.sha256(stored.tobytes()).hexdigest() == cycle["pcm_sha256"]
        place, batch = f"{key}/{name}", UnitWaves.of([unit])
        assert distance(golden, f"{place}/wav", fitted(batch, 4 * RATE)) == 0
        assert distance(golden, f"{place}/img", frontend.picture(batch), "f32") <= 5e-2
        exact = frontend.picture(UnitWaves.of([unit.double()]))
        assert distance(golden, f"{place}/img", exact, "f64") <= 1e-6
        np.testing.assert_allclose(exact[0].mean(2), golden.arrays[f"{place}/img_rowmean"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(exact[0].mean(1), golden.arrays[f"{place}/img_colmean"], rtol=0, atol=1e-4)
        if cycle["train_crop"] is not None:
            assert_cropped_as_drawn(golden, place, unit, cycle["train_crop"]["randint"])


def assert_cropped_as_drawn(golden, place, unit, drawn):
    """The augmentation `crop` gives what the authors cut, for the draw that falls on their place."""
    low, high, start = drawn
    waves = Waves(unit[None], torch.tensor([len(unit)]))
    assert (low, high) == (0, len(unit) - 4 * RATE)
    found = crop(waves, torch.tensor([(start + 0.5) / (high + 1)], dtype=torch.float64), 4 * RATE)
    assert distance(golden, f"{place}/wav_train", found.samples) == 0


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("precision", "blocks", "outputs"), [("f32", 1e-4, 1e-5), ("f64", 1e-9, 1e-9)])
def test_the_network_is_the_authors(golden, mode, precision, blocks, outputs):
    model = network(golden.seed, "cnn8", precision).train(mode == "train")
    waves = wave(golden.seed, "input:cnn8", 3)
    assert distance(golden, "input", torch.from_numpy(waves)) == 0
    x = pictures(waves, precision)
    assert distance(golden, f"{mode}/logmel3", x, precision) <= {"f32": 5e-2, "f64": 1e-6}[precision]
    factor = 5 if mode == "train" and precision == "f32" else 1
    with torch.no_grad():
        found = points(model, x)
    found["pooled"] = found["block4"].amax((2, 3))
    for name, value in found.items():
        tolerance = outputs * 2 * factor if name in ("logits", "log_probs") else blocks * factor
        assert distance(golden, f"{mode}/{name}", value, precision) <= tolerance, name
    if mode == "train":
        norms = {"bn0": model.encoder.bn0, "bn4": model.encoder.conv4.bn2}
        for (name, norm), part in itertools.product(norms.items(), ("running_mean", "running_var")):
            limit = {"f32": 1e-3, "f64": 1e-9}[precision]
            assert distance(golden, f"train/{name}_{part}", getattr(norm, part), precision) <= limit


def test_parameters_are_the_authors(golden):
    assert golden.facts["parameters"]["trainable"] == baselines.MODELS.card("cnn8").parameters
    model = baselines.create("cnn8")
    assert sum(one.numel() for one in model.parameters()) == golden.facts["parameters"]["trainable"]


def test_the_learning_rate_is_the_authors(golden):
    recipe = baselines.MODELS.card("cnn8").recipe("paper", "none")
    schedule = ScheduleOptions(
        law=recipe["schedule"],
        unit=recipe["schedule_unit"],
        lr_decay=recipe["lr_decay"],
        decay_every=recipe["decay_every"],
        iterations=recipe["iterations"],
    )
    steps = golden.facts["sampling_full"]["batches_per_epoch"]
    starts, rates = golden.arrays["lr/change_at"], golden.arrays["lr/value"]
    for iteration in range(recipe["iterations"]):
        epoch, step = divmod(iteration, steps)
        expected = rates[np.searchsorted(starts, iteration, side="right") - 1]
        assert abs(learning_rate(recipe["lr"], schedule, epoch + 1, step, steps) - expected) <= 1e-15


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 5e-6), ("f64", 1e-9)])
def test_the_loss_is_the_authors(golden, precision, tolerance):
    dtype = {"f32": torch.float32, "f64": torch.float64}[precision]
    logits = normal(golden.seed, "nll:logits", (12, 4), dtype).requires_grad_()
    facts = golden.facts["nll"]
    loss = cross_entropy(logits, torch.tensor(facts["targets"]), torch.tensor(facts["weights"]))
    loss.backward()
    assert abs(float(loss.detach()) - float(golden.arrays[f"nll/loss_{precision}"])) <= tolerance
    assert distance(golden, "nll/grad", logits.grad, precision) <= tolerance


def test_class_weights_are_in_the_authors_ratios(golden):
    for part in golden.facts["split"].values():
        theirs = np.array(part["class_weight"])
        np.testing.assert_allclose(class_weights(part["per_class"]).numpy(), theirs / theirs.sum(), rtol=0, atol=1e-7)


def test_an_epoch_has_the_authors_batches(golden):
    recipe = baselines.MODELS.card("cnn8").recipe("paper", "none")
    sampling = SamplingOptions(batch=recipe["batch"], drop_last=recipe["drop_last"])
    assert sampling.steps_of_epoch(4142) == golden.facts["sampling_full"]["batches_per_epoch"]
    facts = golden.facts["sampling_generated"]
    rows, steps = np.arange(facts["n"]), sampling.steps_of_epoch(facts["n"])
    order = epoch_order(rows, np.array(facts["labels"]), sampling.sampler, np.random.default_rng(1))
    ours = [len(order[place : place + sampling.batch]) for place in range(0, facts["n"], sampling.batch)]
    for first in range(0, len(facts["batches"]), steps):
        epoch = facts["batches"][first : first + steps]
        assert [len(batch) for batch in epoch] == ours
        assert sorted(itertools.chain(*epoch)) == sorted(order.tolist())


def test_cycles_are_judged_as_by_the_authors(golden):
    facts = golden.facts["evaluation"]
    scores = normal(golden.seed, "eval:scores", (len(facts["targets"]), 4), torch.float64).numpy()
    # Ties, in which the first class wins.
    scores[3], scores[7] = [0.5, 0.5, 0.1, 0.5], [0.1, 0.4, 0.4, 0.2]
    assert predicted_classes(scores).tolist() == facts["predictions"]
    judged = score_cycles(facts["targets"], scores)["4class"]
    assert judged["confusion"] == facts["confusion"]
    found = [judged[name] / 100 for name in ("sp", "se", "score")]
    np.testing.assert_allclose(found, [facts[name] for name in ("sp", "se", "as")], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_three_steps_are_the_authors(golden):
    record = golden.facts["train"]
    model = network(golden.seed, "cnn8", "f64")
    size, steps = record["batch"], record["steps"]
    waves = wave(golden.seed, "cnn8:train", size * steps, record["samples"])
    inputs = [pictures(waves[step * size : (step + 1) * size], "f64") for step in range(steps)]
    losses = train(training_graph(model, record["class_weights"]), inputs, record["labels"])
    np.testing.assert_allclose([one["loss"] for one in losses], [row[0] for row in record["loss_f64"]], atol=1e-8)
    values, changes = trained_distances(model, golden.seed, record)
    assert values <= 1e-8
    assert changes <= 1e-7
