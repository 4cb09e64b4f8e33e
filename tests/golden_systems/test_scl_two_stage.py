"""SCL and hybrid against the authors' code: pictures, masks, network, losses, rates, steps of all stages, scores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_experts import assert_sampled, assert_trained, load_rule, tensor, unit_pictures
from golden_known import known_recording, real_file
from golden_recordings import pretend_recording, write_wav
from golden_rules import rng, weight
from torch import Tensor, nn

import baselines
import methods
from baselines.state_dicts import load_into
from bench.data.frontends.options import SCL_MEAN, SCL_STD, SCLFrontEndOptions
from bench.data.frontends.scl import BatchSCLFrontEnd
from bench.data.frontends.waveform import cycle_samples, fit_units, resample_recording
from bench.data.samples import read_samples
from bench.data.units import UnitWaves
from bench.engine.augment.spectrogram import Masks, apply_masks, torchaudio_spans
from bench.engine.normalisation import BatchExtremes
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.schedule import ScheduleOptions, learning_rate
from leaderboard.metrics import predicted_classes, score_cycles
from methods.base import Batch
from methods.losses import cross_entropy, hybrid_contrastive_loss, supervised_contrastive_loss

pytestmark = pytest.mark.golden

KINDS = [(torch.float32, "f32"), (torch.float64, "f64")]
LOSS = {"f32": 5e-6, "f64": 1e-9}
ENCODER = {"conv_block": "cnn6.conv_block", "classifier.": "fc."}
PROJECTOR = {"projector.": "projector."}
RECORDED = {"conv_block": "encoder.cnn6.conv_block", "classifier.": "classifier.fc."}
RECORDED_METHOD = {"projector.0.": "projector.linear1.", "projector.2.": "projector.linear2."}


@pytest.fixture(scope="module")
def scl(golden_system) -> Any:
    return golden_system("scl-two-stage")


class Fitted:
    """A batch of golden cycles on their way through the front-end, each step under the set's name for it."""

    def __init__(self, entries: list[dict[str, Any]], waves: dict[str, tuple[Tensor, int]]) -> None:
        self.frontend = BatchSCLFrontEnd(SCLFrontEndOptions(normalise="batch"))
        self.steps: dict[str, list[Tensor]] = {"rs": [], "faded": []}
        for entry in entries:
            wave, rate = waves[entry["recording"]]
            spans = [(entry["start"], entry["end"])]
            (place,) = cycle_samples(spans, wave.numel(), rate=rate)
            self.steps["rs"].append(resample_recording(wave[place], rate))
            self.steps["faded"] += self.frontend.fit(wave, rate, spans)
        units = UnitWaves.of(self.steps["faded"])
        self.steps["wav"] = list(fit_units(units, self.frontend.options.samples))
        self.decibels = self.frontend.picture(units)

    def standardised(self, rows: np.ndarray) -> Tensor:
        """Pictures of some cycles, evaluated together: (rows, frames, mels)."""
        features = self.decibels[rows].numpy()
        extremes = BatchExtremes.of(self.frontend, features)
        everything = np.arange(len(rows))
        return extremes.in_evaluation(torch.from_numpy(features)[:, None], everything, everything)[:, 0]


@pytest.fixture(scope="module", params=["real", "pretend"])
def fitted(request, scl, tmp_path_factory) -> tuple[str, list[dict[str, Any]], Fitted]:
    entries = [entry for entry in scl.facts["cycles"] if entry["key"].startswith(request.param)]
    names = list(dict.fromkeys(entry["recording"] for entry in entries))
    if request.param == "pretend":
        folder = tmp_path_factory.mktemp("wav")
        paths = {name: pretend_file(folder, scl.seed, name) for name in names}
    else:
        folder = request.getfixturevalue("icbhi_folder")
        paths = {name: real_file(folder, name) for name in names}
    waves = {name: (torch.from_numpy(wave), rate) for name, (wave, rate) in map_values(read_samples, paths)}
    return request.param, entries, Fitted(entries, waves)


def map_values(function: Any, items: dict[str, Path]) -> Iterator[tuple[str, Any]]:
    return ((name, function(path)) for name, path in items.items())


def pretend_file(folder: Path, seed: int, name: str) -> Path:
    known = known_recording(name)
    integers = pretend_recording(seed, name, known.rate, known.bits, known.count)
    return write_wav(folder / f"{name}.wav", integers, known.rate, known.bits)


def test_waveforms(scl, fitted):
    _, entries, steps = fitted
    for i, entry in enumerate(entries):
        assert steps.steps["rs"][i].numel() == entry["samples_16k"]
        for step, waves in steps.steps.items():
            assert_sampled(scl.arrays, f"{entry['key']}/{step}", waves[i], 3e-6)


def test_decibels_and_pictures(scl, fitted):
    kind, entries, steps = fitted
    lows_highs = scl.arrays[f"{kind}/db_min_max"][0]
    np.testing.assert_allclose([steps.decibels.min(), steps.decibels.max()], lows_highs, atol=2e-2)
    pictures = steps.standardised(np.arange(len(entries)))
    for i, entry in enumerate(entries):
        key = entry["key"]
        for precision in ("f32", "f64"):
            assert_sampled(scl.arrays, f"{key}/db", steps.decibels[i].T, 2e-2, precision)
            assert_sampled(scl.arrays, f"{key}/standardised", pictures[i].T, 1e-2, precision)
        np.testing.assert_allclose(pictures[i].mean(0), scl.arrays[f"{key}/rowmean"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(pictures[i].mean(1), scl.arrays[f"{key}/colmean"], rtol=0, atol=1e-2)


def test_a_picture_depends_on_its_batch(scl, fitted):
    kind, entries, steps = fitted
    if f"{kind}/0/standardised_if_alone_val" not in scl.arrays.files:
        assert kind == "pretend"
        return
    alone = steps.standardised(np.array([0]))[0].T
    assert_sampled(scl.arrays, f"{kind}/0/standardised_if_alone", alone, 1e-2)
    assert len(entries) > 1
    assert (alone - steps.standardised(np.arange(len(entries)))[0].T).abs().max() > 0.1


def test_masks_from_the_recorded_draws(scl):
    cases = scl.facts["specaugment"]["cases"]
    assert any(case["applied"] for case in cases)
    pictures = torch.from_numpy(unit_pictures(scl.seed, "sa:in", 4, 64, 251)).transpose(2, 3)
    for case in cases:
        assert case["applied"] == (case["gate_normal_draw"] < 1.0)
        masked = apply_masks(pictures, recorded_masks(case["uniform_draws"], 4), 0.0)
        for i in range(4):
            hidden = (masked[i, 0] == 0).numpy()
            assert np.flatnonzero(hidden.all(axis=0)).tolist() == case["zero_rows"][i]
            assert np.flatnonzero(hidden.all(axis=1)).tolist() == case["zero_cols"][i]
            assert hidden.mean() == pytest.approx(case["masked_share"][i], abs=1e-12)


def recorded_masks(draws: list[list[float]], batch: int) -> Masks:
    """Two masks in frequency, then two in time; of each, shares of the width and places are drawn for all samples."""
    if not draws:
        return Masks(*np.zeros((2, batch, 2, 2), dtype=np.int64))
    shares, places = np.array(draws, dtype=np.float32).reshape(4, 2, batch).transpose(1, 2, 0)
    freq = torchaudio_spans(shares[:, :2] * np.float32(20), places[:, :2], 64)
    return Masks(freq, torchaudio_spans(shares[:, 2:] * np.float32(40), places[:, 2:], 251))


def standardised(seed: int, name: str, batch: int, frames: int) -> Tensor:
    """Pictures as the networks get them, in the house's order of axes: (batch, 1, frames, 64) float32."""
    raw = unit_pictures(seed, name, batch, 64, frames).astype(np.float64)
    return torch.from_numpy(((raw - SCL_MEAN) / SCL_STD).astype(np.float32)).transpose(2, 3)


def network(seed: int, dtype: torch.dtype) -> nn.Module:
    model = baselines.create("cnn6", orientation="mel-time")
    load_rule(seed, model, ENCODER)
    return model.to(dtype)


def method_of(id_: str, scl: Any, dtype: torch.dtype) -> nn.Module:
    method = methods.create(id_, feature_dim=512, class_counts=[1] * 4)
    weights = torch.from_numpy(scl.arrays["class_weights"])
    probe = method.probe if id_ == "scl" else method
    probe.weights = weights
    load_rule(scl.seed, method, PROJECTOR) if id_ == "scl-hybrid" else load_rule(
        scl.seed, method.projector, {"": "projector."}
    )
    return method.to(dtype)


def test_parameters_and_names(scl):
    found = {
        official: list(each.shape)
        for name, each in network(scl.seed, torch.float32).state_dict().items()
        for official in [renamed(name, {"conv_block": "cnn6.conv_block", "classifier.": "cnn6.linear."})]
    }
    assert found == {name: shape for name, shape, _ in scl.facts["state_dict"]["encoder"]}
    assert sum(map(np.prod, found.values())) >= scl.facts["parameters"]["encoder"]["trainable"]
    projector = method_of("scl", scl, torch.float32).projector.state_dict()
    theirs = {name: shape for name, shape, _ in scl.facts["state_dict"]["projector"]}
    assert all(theirs[f"projector.{name}"] == list(each.shape) for name, each in projector.items())
    assert baselines.MODELS.card("cnn6").parameters == scl.facts["parameters"]["encoder"]["trainable"]


def renamed(name: str, names: dict[str, str]) -> str:
    (beginning,) = (each for each in names if name.startswith(each))
    return names[beginning] + name.removeprefix(beginning)


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("mode", ["eval", "train"])
@torch.no_grad()
def test_the_network(scl, mode, dtype, kind):
    model, projector = network(scl.seed, dtype).train(mode == "train"), method_of("scl", scl, dtype).projector
    x = standardised(scl.seed, "input:scl", 2, 251)
    assert_sampled(scl.arrays, "input", x.transpose(2, 3), 0)
    maps, found = x.to(dtype).transpose(2, 3), {}
    for i, block in enumerate(model.checkpoint_blocks(), start=1):
        maps = block(maps)
        found[f"block{i}"] = maps
    features = (pooled := maps.mean(dim=3)).amax(dim=2) + pooled.mean(dim=2)
    found |= {"features": features, "projection": projector(features), "logits": model.classifier(features)}
    for point, value in found.items():
        loose = {"eval": (1e-4, 1e-5), "train": (5e-4, 1e-4)}[mode][not point.startswith("block")]
        # Features reach hundreds here: tolerances of outputs near 1 grow with them.
        scale = max(1.0, float(np.abs(scl.arrays[f"{mode}/{point}_f64"]).max()))
        assert_sampled(scl.arrays, f"{mode}/{point}", value, loose * scale if kind == "f32" else 1e-9, kind)
    if mode == "eval":
        torch.testing.assert_close(model.features(x.to(dtype)), features)
        return
    for part in ("mean", "var"):
        running, key = getattr(model.conv_block4.bn1, f"running_{part}"), f"train/bn4_running_{part}"
        scale = max(1.0, float(np.abs(scl.arrays[f"{key}_f64"]).max()))
        assert_sampled(scl.arrays, key, running, 1e-4 * scale if kind == "f32" else 1e-9, kind)


@torch.no_grad()
def test_an_audioset_file(scl):
    facts = scl.facts["audioset"]
    model = baselines.create("cnn6", orientation="mel-time")
    ours = model.state_dict()
    taken = {
        name: torch.from_numpy(np.asarray(weight(scl.seed, f"panns.{name}", tuple(ours[name].shape))))
        for name in facts["taken"]
    }
    file = {**taken, **{name: torch.zeros(2) for name in facts["not_taken"]}}
    assert load_into(model, file, "model", Path("Cnn6.pth")).title == "PANNs"
    after = model.state_dict()
    assert all(torch.equal(after[name], taken[name]) for name in taken)
    assert {name for name in after if torch.equal(after[name], ours[name])} - set(taken) == {
        "classifier.weight",
        "classifier.bias",
    }
    x = standardised(scl.seed, "input:scl", 2, 251)
    wanted = scl.arrays["audioset/eval_features_val"]
    found = model.eval().features(x)
    assert_sampled(scl.arrays, "audioset/eval_features", found, 1e-5 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("case", ["supcon", "supcon_nolabel", "hybrid"])
def test_losses_and_gradients(scl, case, dtype, kind):
    labels, width = torch.tensor(scl.facts["loss"]["targets"]), {"p": 128, "l": 4}
    drawn = {
        f"{each}{view}": tensor(
            rng(scl.seed, f"loss:{each}{view}").standard_normal((len(labels), width[each])).astype(np.float32), dtype
        ).requires_grad_()
        for each in "pl"
        for view in (1, 2)
    }
    if case == "hybrid":
        weights = torch.from_numpy(scl.arrays["class_weights"])
        logits = (drawn["l1"], drawn["l2"])
        loss = hybrid_contrastive_loss(drawn["p1"], drawn["p2"], logits, labels, weights=weights)["loss"]
    else:
        loss = supervised_contrastive_loss(drawn["p1"], drawn["p2"], labels if case == "supcon" else None)
    loss.backward()
    assert_sampled(scl.arrays, f"loss/{case}/value", loss, LOSS[kind], kind)
    for name in drawn if case == "hybrid" else ("p1", "p2"):
        assert_sampled(scl.arrays, f"loss/{case}/grad_{name}", drawn[name].grad, LOSS[kind], kind)


@pytest.mark.parametrize(("key", "pretrain"), [("scratch_1e-3", "none"), ("audioset_1e-4", "audioset")])
def test_learning_rates_of_the_paper_profile(scl, key, pretrain):
    recipe = baselines.MODELS.card("cnn6").recipe("paper", pretrain)
    schedule = ScheduleOptions(
        law=recipe["schedule"], epochs=recipe["epochs"], lr_period=recipe["lr_period"], lr_floor=recipe["lr_floor"]
    )
    found = [learning_rate(recipe["lr"], schedule, epoch) for epoch in range(1, recipe["epochs"] + 1)]
    np.testing.assert_allclose(found, scl.arrays[f"lr/stage1_{key}"], rtol=0, atol=1e-15)


STAGES = {"stage1": ("scl", 0), "stage2": ("scl", 1), "hybrid": ("scl-hybrid", 0)}


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_three_steps(scl, stage, dtype, kind):
    facts, (id_, index) = scl.facts["train"][stage], STAGES[stage]
    model, method = network(scl.seed, dtype).train(), method_of(id_, scl, dtype)
    probing = stage == "stage2"
    trained = list(model.classifier.parameters()) if probing else [*model.parameters(), *method.parameters()]
    if probing:
        model.eval().requires_grad_(False).classifier.requires_grad_(True)
    before = recorded_names(model, method)
    before = {name: each.detach().clone() for name, each in before.items()}
    rate = method.options.probe_lr if probing else 1e-4
    optimiser = build_optimizer([(each, 1.0) for each in trained], OptimOptions(lr=rate, weight_decay=1e-4))
    losses = [step(model, method, optimiser, batch) for batch in batches(scl, stage, index, dtype)]
    wide, allowed = kind == "f64", 1e-9 if kind == "f64" else {"hybrid": 5e-6}.get(stage, 1e-6)
    # Losses in float32 grow with the features, and those of the probe are tens.
    np.testing.assert_allclose(losses, facts[f"loss_{kind}"], rtol=1e-9 if wide else 1e-4, atol=allowed)
    after = {name: each.detach() for name, each in recorded_names(model, method).items()}
    assert_trained(facts, before, after, kind, allowed)
    if not probing and wide:
        assert_statistics_moved(facts, model)
    if probing:
        assert_evaluated(scl, facts, model, method, dtype, kind)


def recorded_names(model: nn.Module, method: nn.Module) -> dict[str, Tensor]:
    """Parameters under the names of the set's training records."""
    ours = {renamed(name, RECORDED): each for name, each in model.named_parameters()}
    return ours | {renamed(name, RECORDED_METHOD): each for name, each in method.named_parameters()}


def batches(scl: Any, stage: str, index: int, dtype: torch.dtype) -> Iterator[Batch]:
    """Batches of a recorded stage: each call of the authors' augmentation gave another picture."""
    facts, views = scl.facts["train"][stage], 1 if stage == "stage2" else 2
    for number, labels in enumerate(facts["labels"]):
        pictures = [
            standardised(scl.seed, f"{stage}:view{views * number + i}", facts["batch"], 63).to(dtype)
            for i in range(views)
        ]
        yield Batch(
            features=pictures[0],
            second=pictures[1] if views == 2 else None,
            labels=torch.tensor(labels),
            local=slice(0, len(labels)),
            stage=index,
        )


def step(model: nn.Module, method: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    optimiser.zero_grad()
    loss = method(model, batch, None)["loss"]
    loss.backward()
    optimiser.step()
    return loss.item()


def assert_statistics_moved(facts: dict[str, Any], model: nn.Module) -> None:
    """Compare sum and sum of squares of the running statistics, where the set has them."""
    state = model.state_dict()
    for name, sums in facts["extra_f64"].get("bn", {}).items():
        ours = state[name.removeprefix("cnn6.")]
        np.testing.assert_allclose([ours.sum(), ours.square().sum()], sums, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def assert_evaluated(scl: Any, facts: dict, model: nn.Module, method: nn.Module, dtype: torch.dtype, kind: str) -> None:
    """Losses of the evaluation after the probe's steps: pictures of the first calls, the encoder as it was."""
    losses = [
        cross_entropy(model.eval()(batch.features), batch.labels, method.probe.weights).item()
        for batch in batches(scl, "stage2", 1, dtype)
    ]
    wanted = facts[f"extra_{kind}"]["eval_losses"]
    np.testing.assert_allclose(losses, wanted, rtol=1e-9 if kind == "f64" else 1e-5)


def test_scores(scl):
    facts = scl.facts["evaluation"]
    scores = rng(scl.seed, "eval:scores").standard_normal((len(facts["targets"]), 4)).astype(np.float32)
    scores[3] = [0.5, 0.5, 0.1, 0.5]
    probabilities = torch.from_numpy(scores).double().softmax(1).numpy()
    assert predicted_classes(probabilities).tolist() == facts["predictions"]
    found = score_cycles(facts["targets"], probabilities)["4class"]
    for name in ("sp", "se", "score"):
        assert found[name] == pytest.approx(100 * facts[name], abs=1e-12)


def test_groups_of_an_evaluation_are_in_the_order_of_the_data(scl):
    """The last batch of an evaluation is smaller, and has extremes of its own."""
    size = SCLFrontEndOptions().evaluation_batch
    assert size == 128
    features = np.arange(2 * size + 2, dtype=np.float32).reshape(-1, 1, 1)
    extremes = BatchExtremes.of(BatchSCLFrontEnd(SCLFrontEndOptions(normalise="batch")), features)
    rows = np.arange(len(features))
    found = extremes.in_evaluation(torch.from_numpy(features)[:, None], rows, rows).flatten().tolist()
    for _, group in groupby(zip(rows, found, strict=True), key=lambda pair: pair[0] // size):
        values = [value for _, value in group]
        assert min(values) == pytest.approx(-SCL_MEAN / SCL_STD)
        assert max(values) == pytest.approx((1 - SCL_MEAN) / SCL_STD, rel=1e-5)
