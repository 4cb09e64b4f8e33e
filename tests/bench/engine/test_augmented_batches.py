"""Waveforms that are augmented in a run: what a batch holds, whose labels it has, and what stays as it was."""

from __future__ import annotations

import dataclasses
import json
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import write_small_data
from small_runs import SETTINGS
from small_studies import base_spec, request_of, states, study_of, work_on
from stage_plans import make_stage

import bench as library
from bench.core.errors import InterruptedRunError, SpecError
from bench.data.units import UnitWaves
from bench.engine import trainer
from bench.engine.augment.concatenation import RESPIRENET_PAIRS
from bench.engine.augment.options import PLACEMENTS, WAVE_OPERATIONS
from bench.engine.augment.waveform import draw_waveform
from bench.engine.batches import Batches, random_stream
from bench.engine.data import open_run_data
from bench.engine.evaluate import class_probabilities
from bench.engine.preflight import check_start
from bench.engine.stages import PlannedStage
from bench.experiment.recipes import Request, choose_source, resolve
from leaderboard.results.predictions import read_predictions
from leaderboard.results.run_folder import RunFolder

CPU = torch.device("cpu")
SMALL = ("embed_dim=16", "depth=1", "heads=2", "frontend.seconds=1", "batch=8", "epochs=1")
PLAIN = ("specaug_probability=0", "time_shift=false")
SHORT = {"vocoder_window": 512, "crop_seconds": 0.5, "pad_seconds": 1.5}
EVERYTHING = {
    **SHORT,
    **{f"{name}_probability": 0.5 for name in (*WAVE_OPERATIONS, *PLACEMENTS, "concat")},
    "concat_law": "union",
    "concat_crossfade": 0.05,
    "time_shift": True,
}
LAWS = ("same", "union", "cba")
PARTNERS = ("any", "other-patient", "other-device")
NAMES = (*WAVE_OPERATIONS, *PLACEMENTS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("waves") / "data", devices=("Meditron", "AKGC417L"))


@pytest.fixture(scope="module")
def make_spec(data, small_cache):
    def make(method="ce", model="ast", **settings):
        words = [*SMALL, *PLAIN, *(f"{name}={value}" for name, value in settings.items())]
        request = Request(model=model, method=method, data=str(data), cache=small_cache, settings=words, device="cpu")
        return resolve(request, choose_source(request), [1])[0]

    return make


def batches_of(spec, data, process=0, processes=1):
    place = SimpleNamespace(device=CPU, process_index=process, num_processes=processes)
    return Batches(spec, data, place)


def loaded(spec, data, rows, *, stage=None, **place):
    planned = PlannedStage(0, stage or make_stage(), 0, 1)
    return batches_of(spec, data, **place).load(rows, planned, random_stream(1, 2, 3))


def changed_rows(one, other):
    return ((one - other).abs().flatten(1).amax(1) > 1e-3).tolist()


# --- what a batch holds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_changes_the_rows_that_it_was_drawn_for(make_spec, name):
    spec = make_spec(**SHORT, **{f"{name}_probability": 0.5})
    data = open_run_data(spec)
    rows = data.train[3:19]
    batch = loaded(spec, data, rows)
    drawn = getattr(draw_waveform(len(rows), spec.augment, random_stream(1, 2, 3)), name)
    assert len(set(drawn.chosen.tolist())) == 2
    assert changed_rows(batch.features, data.inputs(rows)) == drawn.chosen.tolist()
    np.testing.assert_array_equal(batch.labels, data.bank.labels[rows])


@pytest.mark.parametrize("name", [*NAMES, *LAWS])
def test_a_run_with_an_operation_trains(make_spec, tmp_path, name):
    if name in LAWS:
        spec = make_spec(concat_probability=1.0, concat_law=name)
    else:
        spec = make_spec(**SHORT, **{f"{name}_probability": 1.0})
    data = open_run_data(spec)
    [epoch] = trainer.Trainer(spec, data, tmp_path / "changed").fit().position.epochs
    [plain] = trainer.Trainer(make_spec(), data, tmp_path / "plain").fit().position.epochs
    assert np.isfinite(epoch["loss"])
    assert epoch["loss"] != plain["loss"]


class Sounds:
    """Waveforms that say which rows they are: each sample of row r is r + 1; a cycle more or less long."""

    def units(self, rows):
        return UnitWaves.of([torch.full((20 + int(row) % 7,), row + 1.0) for row in rows])


class Ends:
    """A front-end whose picture is the first and the last sample: what is heard first and what last."""

    sample_rate, shape = 1000, (2,)

    def picture(self, units):
        last = units.samples.gather(1, units.lengths[:, None] - 1)
        return torch.cat([units.samples[:, :1], last], 1)


def told(data):
    return dataclasses.replace(data, waves=Sounds(), frontend=Ends())


def heard_rows(features):
    return (features.round().long() - 1).T.numpy()


@pytest.mark.parametrize(
    ("law", "partner"),
    [("cba", "any"), *((law, each) for law in ("same", "union") for each in PARTNERS)],
)
def test_labels_are_those_of_what_is_heard(make_spec, law, partner):
    spec = make_spec(concat_probability=0.7, concat_law=law, concat_partner=partner, val_fraction=0.2)
    data = told(open_run_data(spec))
    labels, allowed = data.bank.labels, set(data.train.tolist())
    rows = np.random.default_rng(0).choice(data.train, 300)
    batch = loaded(spec, data, rows)
    first, last = heard_rows(batch.features)
    joined = first != last
    assert 100 < joined.sum() < 280
    assert set(first) | set(last) <= allowed, "neither held-out nor test rows are heard"
    expected = labels[first] | labels[last]
    np.testing.assert_array_equal(batch.labels, expected)
    pairs = set(zip(labels[first[joined]], labels[last[joined]], expected[joined], strict=True))
    if law == "same":
        assert pairs == {(label, label, label) for label in range(4)}
    if law == "union":
        assert len(pairs) == 16
    if law == "cba":
        assert pairs == {(a, b, label) for label, rows in enumerate(RESPIRENET_PAIRS) for _, a, b in rows}
        np.testing.assert_array_equal(batch.labels, labels[rows])
    if law != "cba":
        assert ((first == rows) | (last == rows)).all()
        assert 0.3 < (first == rows)[joined].mean() < 0.7, "either comes first"
    names = {"other-patient": data.patients, "other-device": data.devices}.get(partner)
    if names is not None:
        assert not any(a == b for a, b in zip(names(first[joined]), names(last[joined]), strict=True))


def test_two_views_are_of_the_same_units_and_have_changes_of_their_own(make_spec):
    spec = make_spec("scl-hybrid", concat_probability=0.5, gain_probability=1.0, gain_scale="factor", gain_low=0.5)
    data = told(open_run_data(spec))
    rows = data.train[:16]
    batch = loaded(spec, data, rows)
    first, second = batch.features, batch.second
    assert not torch.isclose(first, second).any()
    # A gain is one factor for all that is heard: the ratio of its ends stays.
    torch.testing.assert_close(first[:, 0] * second[:, 1], second[:, 0] * first[:, 1])
    assert (first[:, 0] != first[:, 1]).any()


@pytest.mark.parametrize(("processes", "rows"), [(2, 8), (3, 8), (3, 4), (3, 3)])
def test_processes_hold_their_rows_of_one_batch(make_spec, processes, rows):
    spec = make_spec("scl-hybrid", **EVERYTHING)
    data = open_run_data(spec)
    chosen = data.train[:rows]
    whole = loaded(spec, data, chosen)
    parts = [loaded(spec, data, chosen, process=process, processes=processes) for process in range(processes)]
    for view in ("features", "second"):
        together = torch.cat([getattr(part, view) for part in parts])
        apart = (together - getattr(whole, view)).abs()
        # Fourier frames are rounded otherwise in a batch of other size, on some processors; in the quietest bands a
        # phase may turn by it, and the logarithm shows that. Another draw would change whole pictures.
        assert apart.mean() < 1e-4
        assert (apart > 1e-3).float().mean() < 2e-3
    assert all(torch.equal(part.labels, whole.labels) for part in parts)
    assert [part.local for part in parts][-1].stop == rows


def test_a_stage_without_augmentation_hears_units_as_they_are(make_spec):
    spec = make_spec("scl", **EVERYTHING)
    data = open_run_data(spec)
    batch = loaded(spec, data, data.train[:8], stage=make_stage(augment=False))
    assert torch.equal(batch.features, data.inputs(data.train[:8]))
    np.testing.assert_array_equal(batch.labels, data.bank.labels[data.train[:8]])
    assert batch.second is None


def test_a_row_without_a_partner_is_refused_before_features_are_made(make_spec, data, small_data, tmp_path):
    spec = make_spec(concat_probability=0.5, concat_partner="other-device", train_device="Meditron")
    with pytest.raises(SpecError, match="concat_partner=other-device finds no partner"):
        check_start(spec)
    with pytest.raises(SpecError, match="concat_partner=other-device finds no partner"):
        open_run_data(spec.changed(cache=str(tmp_path)))
    assert not (tmp_path / "features").exists()


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(data, small_cache):
    def run(home, cache=small_cache, method="ce", **settings):
        words = {"data": data, "cache": cache, "home": home, "device": "cpu", "epochs": 2}
        return library.run("ast", method, settings={**SETTINGS, **settings}, **words)

    return run


@pytest.fixture(scope="module")
def everything(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("everything"), **EVERYTHING)


def same_numbers(one, other):
    files = [found.folder / "predictions-last.csv" for found in (one, other)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert [entry["loss"] for entry in one.epochs] == [entry["loss"] for entry in other.epochs]
    kept = [load_file(RunFolder(found.folder).weights_of("last")) for found in (one, other)]
    assert all(torch.equal(value, kept[1][key]) for key, value in kept[0].items())


def test_a_run_that_is_interrupted_within_an_epoch_equals_one_that_is_not(run, everything, tmp_path, monkeypatch):
    steps, step = [], trainer.Trainer._train_step

    def stopped(self, *words):
        steps.append(1)
        if len(steps) == 4:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *words)

    monkeypatch.setattr(trainer.Trainer, "_train_step", stopped)
    with pytest.raises(InterruptedRunError):
        run(tmp_path, **EVERYTHING)
    same_numbers(run(tmp_path, **EVERYTHING), everything)
    assert len(steps) == 6, "two epochs of three steps, none of them twice"


def test_an_evaluation_is_of_the_pictures_of_the_bank(everything):
    """The stored scores are those of the stored weights for what a run without augmentation reads."""
    plain = open_run_data(everything.spec.changed(**{f"{name}_probability": 0.0 for name in (*NAMES, "concat")}))
    assert plain.waves is None
    place = SimpleNamespace(device=CPU, process_index=0, num_processes=1, autocast=torch.no_grad)
    scores = class_probabilities(everything.model(), plain, plain.test, place, 5)
    stored = read_predictions(everything.folder / "predictions-last.csv").scores
    np.testing.assert_allclose(scores, stored, atol=1e-6)


def test_what_is_not_asked_for_changes_no_digit_and_makes_no_bank(run, tmp_path):
    plain = run(tmp_path / "plain", cache=tmp_path / "cache")
    others = {"concat_law": "union", "noise_snr_low": 5.0, "wave_zone": 0.5, "pitch_high": 4.0}
    unused = run(tmp_path / "unused", cache=tmp_path / "cache", **others)
    same_numbers(unused, plain)
    assert unused.id != plain.id
    assert not (tmp_path / "cache" / "waveforms").exists()


def test_prepared_features_are_used_and_waveforms_are_cut_once(run, data, tmp_path, bench):
    cache = tmp_path / "cache"
    words = ("--data", data, "--cache", cache, "--frontend", "ast", "--set", "frontend.seconds=1")
    done = json.loads(bench("data", "prepare", *words, "--format", "json").out)
    assert not (cache / "waveforms").exists()
    features = {path: path.stat().st_mtime_ns for path in (cache / "features").rglob("features*.npy")}
    assert len(features) == 1, done
    run(tmp_path / "home", cache=cache, noise_probability=0.5)
    waves = {path: path.stat().st_mtime_ns for path in (cache / "waveforms").rglob("waves.f32")}
    assert len(waves) == 1
    run(tmp_path / "home", cache=cache, roll_probability=0.5)
    for before in (features, waves):
        assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((cache / "waveforms").rglob("waves.f32"))) == 1


def test_a_search_tries_runs_with_and_without(data, small_cache, tmp_path):
    base = base_spec(data, small_cache, method="ce")
    request = request_of(base, "noise_probability", ("noise_probability=0,0.5",), sampler="grid")
    search = study_of(base, request, tmp_path, trials=2)
    work_on(search, tmp_path)
    assert states(search) == ["COMPLETE", "COMPLETE"]
    results = [RunFolder(path).read().document for path in (tmp_path / "runs").iterdir()]
    assert sorted(result["spec"].get("noise_probability", 0.0) for result in results) == [0.0, 0.5]
    assert len({result["epochs"][0]["loss"] for result in results}) == 2
