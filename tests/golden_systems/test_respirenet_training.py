"""RespireNet's augmentation, sampling, network, training and vote against numbers of the authors' own code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from golden_models import load_rule
from golden_recordings import pretend_recording
from golden_respirenet import (
    PRETEND_SPANS,
    check_picture,
    front_end,
    pictures,
    pieces_by_row,
    pretend_wave,
    row_of,
    stats,
)
from golden_rules import rng

import baselines
from baselines.respirenet.card import NOISE_DEVIATION, RECIPES
from baselines.respirenet.model import OFFICIAL_NAMES
from baselines.systems import SYSTEMS
from bench.data.units import UnitWaves
from bench.engine.augment.concatenation import RESPIRENET_PAIRS, rare_shares
from bench.engine.augment.loudness import mirrored_noise
from bench.engine.augment.options import AugmentOptions
from bench.engine.augment.placement import gap, roll
from bench.engine.augment.waveform import Change, WaveformDraw, apply_sounds, step_values
from bench.engine.augment.waves import Waves, joined
from bench.engine.optim import OptimOptions, build_optimizer
from bench.engine.votes import scores_by_cycle
from methods.base import Batch, Task
from methods.ce.card import CEOptions
from methods.ce.ce import CrossEntropy

pytestmark = pytest.mark.golden

PAPER = RECIPES["paper"]
FIELDS = set(AugmentOptions.__dataclass_fields__)
SOUND = AugmentOptions(**{name: value for name, value in PAPER.items() if name in FIELDS})
PIECE = 32000


@pytest.fixture(scope="module")
def golden(golden_system):
    return golden_system("respirenet")


@pytest.fixture(scope="module")
def base(golden):
    integers = pretend_recording(golden.seed, "aug_base", 4000, 16, PIECE)
    wave = (integers / 2**15).astype(np.float32)
    assert np.array_equal(wave[golden.arrays["aug/base_pos"]], golden.arrays["aug/base_val"])
    return wave


# --- augmentation ---------------------------------------------------------------------------------------------------


def waves_of(wave):
    return Waves(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))


def changed(wave, name, amount):
    draw = WaveformDraw(**{name: Change(np.array([True]), np.array([amount], np.float64))})
    return apply_sounds(waves_of(wave), draw, SOUND).samples[0].numpy()


def augmented(wave, name, numpy_seed, draws):
    """The wave after one of the five changes, by what the authors drew."""
    last = draws[-1][-1]
    if name == "noise":
        places = len(wave) * 6 // 10
        noise = mirrored_noise(np.random.RandomState(numpy_seed).randn(places // 2 + 1), places) * NOISE_DEVIATION
        return wave + np.pad(noise, (int(last), len(wave) - places - int(last)))
    if name == "speed":
        tempos = step_values(SOUND.stretch_low, SOUND.stretch_high, SOUND.stretch_step, without=1.0)
        assert len(tempos) == draws[0][1]
        return changed(wave, "stretch", tempos[int(last)])
    if name == "loudness":
        return changed(wave, "gain", last)
    if name == "pitch":
        assert (SOUND.pitch_low, SOUND.pitch_high + 1) == tuple(draws[0][1:3])
        return changed(wave, "pitch", last)
    place = (draws[0][-1] + 0.5) / (len(wave) - len(wave) // 10)
    assert draws[0][2] == len(wave) - len(wave) // 10
    return gap(waves_of(wave), torch.tensor([place], dtype=torch.float64), SOUND.vocoder_window // 4).samples[0].numpy()


def test_changes_of_sound(golden, base):
    arrays = golden.arrays
    for entry in golden.facts["aug"]:
        name = entry["key"].removeprefix("aug/").rstrip("0123456789")
        if name == "roll":
            shift = entry["draws"][0][-1]
            found = roll(waves_of(base), torch.tensor([(shift + 0.5) / PIECE], dtype=torch.float64)).samples[0].numpy()
            assert np.array_equal(found[arrays["aug/base_pos"]], arrays[f"{entry['key']}_val"])
            continue
        found, at = augmented(base, name, entry["numpy_seed"], entry["draws"]), row_of(golden, "aug", entry["key"])
        close = 1e-6 if name in ("noise", "loudness", "vtlp") else 1e-3
        assert len(found) == entry["length"]
        np.testing.assert_allclose(found[arrays["aug/pos"][at]], arrays["aug/val"][at], atol=close, rtol=0)
        for side in ("after", "before"):
            units = UnitWaves.of([torch.from_numpy(found.astype(np.float32))])
            again = front_end(pad_side=side).at_length(units, first=True).samples[0].numpy()
            edge = np.concatenate([again[:4], again[-4:]])
            np.testing.assert_allclose(edge, arrays[f"aug/repad_{side}_edge"][at], atol=close, rtol=0)
            np.testing.assert_allclose(stats(again)[:2], arrays[f"aug/repad_{side}_stats"][at][:2], atol=close, rtol=0)


def test_a_whole_access(golden, base):
    names = ("noise", "speed", "loudness", "vtlp", "pitch")
    for case in golden.facts["access"]:
        wave, answers = base, list(case["random_draws"])
        draws = [draw for draw in case["draws"] if draw[:2] != ["randint", float(PIECE)]]
        if answers.pop(0) > 0.5:
            wave = augmented(wave, names[case["op"]], case["numpy_seed"], draws).astype(np.float32)
            if len(wave) < PIECE:
                side = "before" if answers.pop(0) < 0.5 else "after"
                wave = front_end(pad_side=side).at_length(UnitWaves.of([torch.from_numpy(wave)])).samples[0].numpy()
            else:
                # The authors draw a side for the shorter second piece, which nobody hears.
                wave = wave[:PIECE]
        if answers[-1] > 0.5:
            wave = np.roll(wave, int(case["draws"][-1][-1]))
        check_picture(golden, f"access/{case['case']}", wave, close=(12, 0.6))


def cycle(golden, label, index):
    made = rng(golden.seed, f"cba:{label}:{index}").standard_normal(20 + 7 * index + 3 * label) * 0.1
    return Waves(torch.from_numpy(made.astype(np.float32))[None], torch.tensor([len(made)]))


def test_joined_cycles(golden):
    for case in golden.facts["cba"]:
        rows = golden.arrays[f"cba/{case['case']}/rows"]
        ends = golden.arrays[f"cba/{case['case']}/first_last"]
        counts, scale = np.array(case["counts"]), case["scale"]
        added = np.bincount(rows[:, 0].astype(int), minlength=4)
        assert added.sum() == case["added"]
        if counts.argmax() == 0:
            np.testing.assert_allclose(rare_shares(counts, scale), added / (added + counts))
        for row, end in zip(rows, ends, strict=True):
            label, first, i, second, j, length = (int(row[at]) for at in (0, 2, 3, 4, 5, 8))
            pairs = RESPIRENET_PAIRS[label]
            bounds = np.cumsum([share for share, _, _ in pairs])
            drawn = 0 if row[1] < 0 else int(np.searchsorted(bounds, row[1], side="right"))
            assert pairs[drawn][1:] == (first, second)
            whole = joined(cycle(golden, first, i), cycle(golden, second, j))
            assert int(whole.lengths[0]) == length
            assert np.array_equal(whole.samples[0, [0, -1]].numpy(), end)


# --- what is drawn, weighed and counted -----------------------------------------------------------------------------


def test_weights_of_samples_and_classes(golden):
    facts = golden.facts["trainer"]
    labels = np.array(facts["train_labels"])
    shares = np.bincount(labels, minlength=4) / len(labels)
    np.testing.assert_allclose(shares, facts["class_probs"])
    np.testing.assert_allclose(golden.arrays["trainer/sampler_weights"], 1 / shares[labels])
    assert (PAPER["sampler"], PAPER["drop_last"]) == ("weighted", False)
    task = Task(feature_dim=128, class_counts=(9, 1, 1, 1), patch_grid=None)
    settings = SYSTEMS.card("respirenet").settings
    method = CrossEntropy(CEOptions(normal_weight=settings["method.normal_weight"]), task)
    np.testing.assert_allclose(method.weights.numpy(), facts["loss_weights"], atol=1e-7)
    optimizer = facts["optimizer"]
    assert [PAPER[name] for name in ("lr", "momentum", "weight_decay")] == [
        optimizer[name] for name in ("lr", "momentum", "weight_decay")
    ]


def test_mean_and_deviation_of_the_colours(golden):
    """The authors' law over the pictures of the last made-up recording, copies after every cycle."""
    entry = [entry for entry in golden.facts["recordings"] if entry["synthetic"]][-1]
    pieces = pieces_by_row(entry, pretend_wave(golden.seed, entry), PRETEND_SPANS, "after")
    units = UnitWaves.of([torch.from_numpy(piece) for piece in pieces.values()])
    assert len(units) == len(golden.arrays["trainer/per_picture_mean"])
    learnt = front_end(normalise="training", blank_region_clipping=True).learn([units])
    np.testing.assert_allclose(learnt["mean"], golden.arrays["trainer/mean"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(learnt["deviation"], golden.arrays["trainer/std"], atol=2e-5, rtol=0)


def test_votes_of_pieces(golden):
    for case in golden.facts["vote"]:
        scores = torch.from_numpy(golden.arrays[f"vote/{case['case']}/scores"]).double().softmax(1).numpy()
        cycle_of = np.repeat(np.arange(len(case["pieces"])), case["pieces"])
        found = scores_by_cycle("majority-first", scores, cycle_of).argmax(1)
        assert found.tolist() == case["y_pred"]
        assert (found == np.array(case["y_true"])).mean() == pytest.approx(case["accuracy"])
    assert PAPER["vote"] == "majority-first"


def test_second_stage(golden):
    facts = golden.facts["device_stage"]["settings"]
    parts = SYSTEMS.card("respirenet-cba-brc-ft").composite.parts
    recipe = {**PAPER, **parts["expert"].settings, **parts["expert"].recipes["paper"]}
    for ours, theirs in (("lr", "lr"), ("momentum", "momentum"), ("weight_decay", "weight_decay"), ("batch", "batch")):
        assert recipe[ours] == facts[theirs]
    assert (recipe["epochs"], recipe["schedule"]) == (facts["epochs_readme"], "constant")
    for stage, rate in (("stage1", PAPER["lr"]), ("stage2_readme", recipe["lr"])):
        assert set(golden.arrays[f"schedule/{stage}"].tolist()) == {rate}
    assert len(golden.arrays["schedule/stage1"]) == PAPER["epochs"]


# --- the network ----------------------------------------------------------------------------------------------------


def network(golden, dropout=0.5):
    model = baselines.create("resnet34-respirenet", dropout=dropout)
    load_rule(golden.seed, model, OFFICIAL_NAMES)
    return model


def official(name):
    ours = next(prefix for prefix in OFFICIAL_NAMES if name.startswith(prefix))
    return OFFICIAL_NAMES[ours] + name.removeprefix(ours)


def test_names_and_shapes_are_the_authors(golden):
    model = baselines.create("resnet34-respirenet")
    state = {official(name): list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert state == {name: shape for name, shape, _ in golden.facts["state_dict"]}
    assert sum(each.numel() for each in model.parameters()) == golden.facts["parameters"]


def points(model, x):
    """What stands at the authors' points of the network."""
    trunk, found = model.trunk, {}
    found["bn1"] = trunk.bn1(trunk.conv1(x))
    found["maxpool"] = trunk.maxpool(torch.relu(found["bn1"]))
    before = found["maxpool"]
    for name in ("layer1", "layer2", "layer3", "layer4"):
        before = found[name] = getattr(trunk, name)(before)
    found["avgpool"] = trunk.global_pool(before)
    found["fc"] = model.head(found["avgpool"])
    found["logits"] = model.classifier(found["fc"])
    return found


@pytest.mark.parametrize("part", ["eval_full", "eval_small", "train_small"])
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_network(golden, part, kind):
    arrays, facts = golden.arrays, golden.facts["feature_shapes"]
    model = network(golden, dropout=0.0).train(part.startswith("train"))
    shape = facts[f"{part}/bn1"]
    name = "input:rn" if part == "eval_full" else "input:rn_small"
    size = (192, 753) if part == "eval_full" else (64, 96)
    x = torch.from_numpy(pictures(golden.seed, name, shape[0], *size))
    model, x = (model.double(), x.double()) if kind == "f64" else (model, x)
    atol = 1e-9 if kind == "f64" else 5e-4
    with torch.no_grad():
        whole = None if part.startswith("train") else model(x)
        found = points(model, x)
    assert whole is None or torch.equal(whole, found["logits"])
    for point, value in found.items():
        got = value.numpy()
        key = f"{part}/{point}"
        assert got.size == math.prod(facts[key])
        if f"{key}_pos" in arrays.files:
            at = got.reshape(-1)[arrays[f"{key}_pos"]]
            np.testing.assert_allclose(at, _flat(arrays, key, kind), atol=atol, rtol=0)
        else:
            np.testing.assert_allclose(got.reshape(-1), arrays[f"{key}_{kind}"].reshape(-1), atol=atol, rtol=0)
    if part.startswith("train") and kind == "f64":
        _check_running(model, arrays)


def _flat(arrays, key, kind):
    """Values at the stored positions; a small point is stored whole."""
    values = arrays[f"{key}_{kind}"].reshape(-1)
    places = arrays[f"{key}_pos"]
    return values if values.size == places.size else values[places]


def _check_running(model, arrays):
    state = {official(name): tensor for name, tensor in model.state_dict().items()}
    keys = [key for key in arrays.files if key.startswith("train_small/model_ft.")]
    assert keys
    for key in keys:
        name = key.removeprefix("train_small/").removesuffix("_f64")
        # Of a wide layer the set holds the first channels.
        np.testing.assert_allclose(state[name].numpy()[: len(arrays[key])], arrays[key], atol=1e-9, rtol=0)


# --- three steps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["train_stage1", "train_stage2"])
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_three_steps(golden, stage, kind):
    arrays, facts = golden.arrays, golden.facts[stage]
    model = network(golden, dropout=0.0)
    method = CrossEntropy(CEOptions(normal_weight=1 / 3), Task(feature_dim=128, class_counts=(1,) * 4, patch_grid=None))
    x = torch.from_numpy(pictures(golden.seed, "train:input", 12, 64, 96))
    labels = torch.from_numpy(rng(golden.seed, "train:labels").integers(0, 4, 12))
    assert labels.tolist() == facts["labels"]
    if kind == "f64":
        model, method, x = model.double(), method.double(), x.double()
    before = {official(name): each.detach().clone() for name, each in model.state_dict().items()}
    options = OptimOptions(**{name: PAPER[name] for name in ("optimiser", "momentum", "weight_decay")}, lr=facts["lr"])
    optimizer = build_optimizer([(each, 1.0) for each in model.parameters()], options)
    losses = []
    for step in range(3):
        rows = slice(4 * step, 4 * step + 4)
        losses.append(stepped(model.train(), method, optimizer, x[rows], labels[rows]))
    check_steps(golden, stage, kind, model, before, losses)
    with torch.no_grad():
        [loss] = arrays[f"{stage}/loss_after_eval_mode_{kind}"]
        found = method(model.eval(), batch_of(x[:2], labels[:2]), None)["loss"].item()
        assert found == pytest.approx(loss, abs=TOLERANCES[stage, kind][2])


def batch_of(x, labels):
    return Batch(features=x, labels=labels, local=slice(0, len(labels)), gather=lambda rows: rows)


def stepped(model, method, optimizer, x, labels):
    optimizer.zero_grad()
    loss = method(model, batch_of(x, labels), None)["loss"]
    loss.backward()
    optimizer.step()
    return loss.item()


TOLERANCES = {
    ("train_stage1", "f32"): (5e-5, 5e-2, 1e-2),
    ("train_stage2", "f32"): (1e-6, 2e-2, 2e-4),
    ("train_stage1", "f64"): (1e-9, 1e-5, 1e-7),
    ("train_stage2", "f64"): (1e-9, 1e-5, 1e-7),
}
"""Of values, of relative changes of tensors, and of losses (README B, section 4)."""


def check_steps(golden, stage, kind, model, before, losses):
    arrays, facts = golden.arrays, golden.facts[stage]
    values, changes, loss = TOLERANCES[stage, kind]
    np.testing.assert_allclose(losses, arrays[f"{stage}/loss_{kind}"], atol=loss, rtol=0)
    state = {official(name): each.detach() for name, each in model.state_dict().items()}
    flat = torch.cat([state[name].flatten() for name in facts["order_of_parameters"]]).numpy()
    np.testing.assert_allclose(flat[arrays[f"{stage}/pos"]], arrays[f"{stage}/after_{kind}"], atol=values, rtol=0)
    moved = [float((state[name].double() - before[name].double()).norm()) for name in facts["tensors"]]
    np.testing.assert_allclose(moved, arrays[f"{stage}/change_norm_{kind}"], rtol=changes, atol=1e-9)
