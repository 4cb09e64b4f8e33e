"""What a run's rows become for a model: from either bank, by name, of one device, with batches normalised."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from halves_plugin import write_halves_plugin
from icbhi_sets import load_dataset
from plugin_files import fresh_registries
from small_data import write_small_data

from bench.core.errors import SpecError
from bench.data.bank import empty_bank, prepare_bank, recording_features
from bench.data.frontends import FRONTENDS
from bench.data.wave_bank import prepare_wave_bank
from bench.engine.augment.options import AugmentOptions
from bench.engine.data import load_run_dataset, open_run_data, planned_data
from bench.engine.inputs import evaluation_inputs, training_inputs
from bench.engine.preflight import check_model, check_start
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import Request, choose_source, resolve

CPU = torch.device("cpu")
NAMED_SHAPES = {"left": (6, 4), "right": (2, 5, 3), "length": (1,)}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = write_halves_plugin(tmp_path_factory.mktemp("plugin"))
    with fresh_registries():
        load_plugins([path])
        yield path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def devices_data(tmp_path_factory):
    """The small set with recordings of two devices: patients 103, 105 and 202 of a Litt C2SE."""
    folder = write_small_data(tmp_path_factory.mktemp("devices") / "data")
    split = folder / "ICBHI_challenge_train_test.txt"
    for patient in ("103", "105", "202"):
        before, after = (f"{patient}_1b1_Tc_sc_{device}" for device in ("Meditron", "LittC2SE"))
        for path in folder.rglob(f"{before}.*"):
            path.rename(path.with_stem(after))
        split.write_text(split.read_text().replace(before, after))
    return folder


@pytest.fixture
def augmented(monkeypatch):
    """Specs as if they asked for waveforms to be augmented."""
    monkeypatch.setattr(AugmentOptions, "changes_waveforms", True)


def spec_of(plugin, data, cache, frontend, *settings, model="any-input"):
    request = Request(
        model=model,
        method="ce",
        frontend=frontend,
        pretrain="none",
        data=str(data),
        cache=cache,
        settings=settings,
        device="cpu",
        plugins=[str(plugin)],
    )
    return resolve(request, choose_source(request), [1])[0]


# --- named inputs -----------------------------------------------------------------------------------------------------


def test_a_bank_holds_an_array_for_each_name(plugin, small_data, tmp_path):
    dataset = load_dataset(small_data, cache=tmp_path)
    bank = prepare_bank(dataset, "named", {}, tmp_path)
    assert {name: rows.shape for name, rows in bank.features.items()} == {
        name: (36, *shape) for name, shape in NAMED_SHAPES.items()
    }
    assert bank.path.name == "features-left.npy"
    parts = [recording_features(recording, "named", {})[0] for recording in dataset.recordings]
    for name, rows in bank.features.items():
        np.testing.assert_array_equal(rows, torch.cat([part[name] for part in parts]))
    assert sorted(path.name for path in bank.path.parent.iterdir()) == [
        *("bank.json", "features-left.npy", "features-length.npy", "features-right.npy", "lock"),
    ]
    empty = empty_bank(dataset, "named", {})
    assert {name: rows.shape for name, rows in empty.features.items()} == {
        name: (0, *shape) for name, shape in NAMED_SHAPES.items()
    }


@pytest.mark.parametrize("damaged", ["features-length.npy", "features-right.npy", "bank.json"])
def test_a_bank_of_which_one_array_is_damaged_is_made_anew(plugin, small_data, tmp_path, damaged):
    dataset = load_dataset(small_data, cache=tmp_path)
    bank = prepare_bank(dataset, "named", {}, tmp_path)
    before = {name: np.array(rows) for name, rows in bank.features.items()}
    path = bank.path.with_name(damaged)
    path.write_bytes(path.read_bytes()[:-9])
    again = prepare_bank(dataset, "named", {}, tmp_path)
    for name, rows in again.features.items():
        np.testing.assert_array_equal(rows, before[name])


def test_a_front_end_that_makes_other_names_is_refused(plugin, small_data, tmp_path, monkeypatch):
    dataset = load_dataset(small_data, cache=tmp_path)
    builder = FRONTENDS.get("named").load()
    picture = builder.picture
    monkeypatch.setattr(builder, "picture", lambda self, units: {"left": picture(self, units)["left"]})
    with pytest.raises(SpecError, match=r"made \['left'\] of 101_.*, not \['left', 'length', 'right'\]"):
        prepare_bank(dataset, "named", {}, tmp_path, workers=1)


def test_inputs_have_names_and_pictures_a_channel(plugin, small_data, cache):
    data = open_run_data(spec_of(plugin, small_data, cache, "named"))
    rows = data.test[[3, 0]]
    found = data.inputs(rows)
    shapes = {name: tuple(array.shape) for name, array in found.items()}
    assert shapes == {"left": (2, 1, 6, 4), "right": (2, 2, 5, 3), "length": (2, 1)}
    for name, array in found.items():
        np.testing.assert_array_equal(array.reshape(-1), np.asarray(data.bank.features[name][rows]).reshape(-1))
    found["left"][:] = 9
    assert data.inputs(rows)["left"].max() < 9


@pytest.mark.parametrize("augmented", [False, True])
def test_a_run_on_named_inputs_ends_with_what_its_model_says_of_them(plugin, bench, small_data, tmp_path, augmented):
    import baselines

    words = ["run", "--model", "any-input", "--method", "ce", "--frontend", "named", "--plugin", plugin]
    if augmented:
        # Masks and shifts of both pictures; the number has no frames.
        values = ("specaug_probability=1", "specaug_time_width=3", "specaug_freq_width=2", "time_shift=true")
        words += [word for value in values for word in ("--set", value)]
    bench(*words, "--data", small_data, "--device", "cpu", "--home", tmp_path, "--cache", tmp_path / "cache")
    (folder,) = tmp_path.glob("runs/*")
    from safetensors.torch import load_file

    from bench.experiment.spec import read_spec

    data, document = open_run_data(read_spec(folder / "spec.json")), json.loads((folder / "result.json").read_text())
    model = baselines.create("any-input").eval()
    model.load_state_dict(load_file(folder / "weights" / "last.safetensors"))
    with torch.inference_mode():
        expected = model(data.inputs(data.test)).softmax(-1).numpy()
    with (folder / document["predictions"]["last"]).open() as stream:
        rows = {(row["recording"], int(row["cycle"])): row for row in csv.DictReader(stream)}
    for key, scores in zip(data.keys(data.test), expected, strict=True):
        found = [float(rows[key][name]) for name in ("normal", "crackle", "wheeze", "both")]
        np.testing.assert_allclose(found, scores, atol=1e-6)


def test_masks_must_fit_into_the_smallest_picture(plugin, small_data, cache):
    wide = ("specaug_probability=1", "specaug_time_width=7", "specaug_freq_width=3")
    with pytest.raises(SpecError, match="masks up to 6 frames, but the spectrogram has 5"):
        spec_of(plugin, small_data, cache, "named", *wide)
    assert spec_of(plugin, small_data, cache, "named", *wide[:1], "specaug_time_width=6", wide[2])


def test_a_model_that_says_so_gets_frames_of_the_only_picture_and_none_of_several(plugin, small_data, cache):
    assert spec_of(plugin, small_data, cache, "halves").model_options == {"frames": 6}
    assert spec_of(plugin, small_data, cache, "named").model_options == {"frames": 0}


def test_features_of_a_recording_are_written_by_name(plugin, bench, small_data, tmp_path):
    audio, out = next(small_data.rglob("101_*.wav")), tmp_path / "x.npz"
    words = ["data", "features", audio, "--frontend", "named", "--plugin", plugin, "--out", out]
    assert "4 cycles of left 6 × 4, right 2 × 5 × 3, length 1 in" in bench(*words).out
    with np.load(out) as found:
        assert sorted(found) == ["end", "features-left", "features-length", "features-right", "labels", "start"]
        assert found["features-right"].shape == (4, 2, 5, 3)


def test_a_model_for_one_input_is_refused_by_the_sizes_of_all(plugin, small_data, cache, monkeypatch):
    spec = spec_of(plugin, small_data, cache, "named", model="cnn6")
    # As if it were built in: plug-ins are not tried without numbers.
    built_in = dataclasses.replace(FRONTENDS.get("named"), version=None)
    monkeypatch.setattr(FRONTENDS, "get", lambda _: built_in)
    with pytest.raises(SpecError, match="cnn6 does not take spectrograms of left 6 by 4, right 2 by 5 by 3, length 1"):
        check_model(spec)


# --- waveforms --------------------------------------------------------------------------------------------------------


def test_waveforms_are_opened_only_where_a_run_needs_them(plugin, small_data, tmp_path, monkeypatch):
    spec = spec_of(plugin, small_data, tmp_path, "halves")
    data = open_run_data(spec)
    assert (data.waves, data.frontend) == (None, None)
    assert not (tmp_path / "waveforms").exists()
    with pytest.raises(ValueError, match="no bank of waveforms"):
        data.units(data.train[:2])
    monkeypatch.setattr(AugmentOptions, "changes_waveforms", True)
    data = open_run_data(spec)
    rows = data.train[[5, 0, 7]]
    units = data.units(rows)
    dataset = load_run_dataset(spec)
    expected = prepare_wave_bank(dataset, "halves", {}, tmp_path).units(rows)
    assert torch.equal(units.samples, expected.samples)
    # Without a change, both ways give the same.
    torch.testing.assert_close(data.picture(units), data.inputs(rows), atol=1e-6, rtol=0)


@pytest.mark.usefixtures("augmented")
def test_pictures_are_in_single_precision_whatever_surrounds_them(small_data, cache):
    data = scl_data(small_data, cache)
    units = data.units(data.train[:3])
    expected = data.picture(units)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = data.picture(units)
    assert torch.equal(found, expected)


@pytest.mark.usefixtures("augmented")
def test_a_front_end_without_halves_is_refused_before_a_run_starts(plugin, small_data, cache):
    spec = spec_of(plugin, small_data, cache, "one-go")
    for check in (check_model, check_start, open_run_data):
        with pytest.raises(SpecError, match="one-go makes pictures in one go, so that no waveform can be augmented"):
            check(spec)


def test_a_front_end_without_halves_runs_as_ever(plugin, small_data, cache):
    spec = spec_of(plugin, small_data, cache, "one-go")
    check_start(spec)
    data = open_run_data(spec)
    assert data.inputs(data.test).shape == (12, 1, 6, 4)


# --- batches ----------------------------------------------------------------------------------------------------------


def scl_data(small_data, cache):
    request = Request(
        model="cnn6",
        method="ce",
        frontend="scl",
        pretrain="none",
        data=str(small_data),
        cache=cache,
        settings=["frontend.seconds=1", "frontend.normalise=batch", "frontend.evaluation_batch=5", "batch=4"],
        device="cpu",
    )
    return open_run_data(resolve(request, choose_source(request), [1])[0])


@pytest.mark.usefixtures("augmented")
def test_augmented_batches_are_normalised_by_what_became_of_them(small_data, cache):
    data = scl_data(small_data, cache)
    rows, local = data.train[[3, 8, 1, 20]], slice(1, 3)
    units = data.units(rows)
    louder = dataclasses.replace(units, samples=units.samples * torch.tensor([1.0, 1.0, 4.0, 0.01])[:, None])
    decibels = data.picture(louder)
    unit = (decibels - decibels.min()) / (decibels.max() - decibels.min())
    part = dataclasses.replace(
        louder, samples=louder.samples[local], lengths=louder.lengths[local], devices=louder.devices[local]
    )
    everything = torch.stack([decibels.flatten(1).amin(1), decibels.flatten(1).amax(1)], 1)
    seen = []

    def gather(own):
        seen.append(own)
        return everything

    found = training_inputs(data, rows, local, CPU, units=part, gather=gather)
    torch.testing.assert_close(found, (unit[local] - 0.3690) / 0.0255, atol=1e-4, rtol=1e-5)
    assert torch.equal(seen[0], everything[local])
    # The bank's own extremes are others: the loud row is louder than anything there.
    plain = training_inputs(data, rows, local, CPU, gather=gather)
    assert len(seen) == 1
    assert not torch.allclose(plain, found, atol=0.1)


@pytest.mark.usefixtures("augmented")
def test_waveforms_that_nothing_changed_are_normalised_as_those_of_the_bank(small_data, cache):
    data = scl_data(small_data, cache)
    rows = data.train[[3, 8, 1, 20]]
    whole = slice(0, 4)
    online = training_inputs(data, rows, whole, CPU, units=data.units(rows), gather=lambda own: own)
    offline = training_inputs(data, rows, whole, CPU, gather=lambda own: own)
    torch.testing.assert_close(online, offline, atol=1e-6, rtol=1e-6)


def test_evaluations_do_not_depend_on_their_batches(small_data, cache):
    data = scl_data(small_data, cache)
    whole = evaluation_inputs(data, data.test, np.arange(12), CPU)
    for start in range(0, 12, 5):
        part = np.arange(start, min(start + 5, 12))
        assert torch.equal(evaluation_inputs(data, data.test, part, CPU), whole[part])


def test_named_inputs_cannot_be_normalised_by_the_batch(plugin, small_data, cache):
    with pytest.raises(SpecError, match="inputs left, right, length to the batch"):
        open_run_data(spec_of(plugin, small_data, cache, "named-batch"))


# --- rows of one device -----------------------------------------------------------------------------------------------


def devices_of(data, rows):
    return {data.recordings[name].device for name, _ in data.keys(rows)}


def test_only_training_rows_of_the_device_are_trained_on(plugin, devices_data, cache):
    everything = planned(plugin, devices_data, cache)
    data = planned(plugin, devices_data, cache, "train_device=Meditron")
    assert devices_of(data, data.train) == {"Meditron"}
    assert (len(data.train), len(everything.train)) == (16, 24)
    # Judged on all devices, as every run is.
    np.testing.assert_array_equal(data.test, everything.test)
    assert devices_of(data, data.test) == {"Meditron", "LittC2SE"}
    assert data.devices(data.test[:5]) == ("Meditron",) * 4 + ("LittC2SE",)
    assert data.patients(data.test[:5]) == ("201",) * 4 + ("202",)


def test_models_of_all_devices_hold_out_the_same_patients(plugin, devices_data, cache):
    whole = planned(plugin, devices_data, cache, "val_fraction=0.5")
    for device in ("Meditron", "LittC2SE"):
        data = planned(plugin, devices_data, cache, f"train_device={device}", "val_fraction=0.5")
        for part in ("train", "val"):
            rows, of_all = getattr(data, part), getattr(whole, part)
            assert devices_of(data, rows) == {device}
            np.testing.assert_array_equal(rows, [row for row in of_all if whole.devices([row]) == (device,)])


def test_a_device_without_a_held_out_patient_is_refused(plugin, devices_data, cache):
    whole = planned(plugin, devices_data, cache, "val_fraction=0.17")
    (missing,) = {"Meditron", "LittC2SE"} - devices_of(whole, whole.val)
    with pytest.raises(SpecError, match=f"train_device is '{missing}', but the held-out part was recorded with"):
        planned(plugin, devices_data, cache, f"train_device={missing}", "val_fraction=0.17")


def planned(plugin, folder, cache, *settings, **fields):
    spec = spec_of(plugin, folder, cache, "halves", *settings).changed(**fields)
    return planned_data(load_run_dataset(spec), spec)


def test_a_fold_is_judged_on_all_devices(plugin, devices_data, cache):
    plain = planned(plugin, devices_data, cache, split="training-fold-1-of-3")
    data = planned(plugin, devices_data, cache, "train_device=LittC2SE", split="training-fold-1-of-3")
    np.testing.assert_array_equal(data.test, plain.test)
    assert devices_of(data, data.train) == {"LittC2SE"}
    assert set(data.train) < set(plain.train)


def test_a_device_that_is_not_there_is_named_with_those_that_are(plugin, devices_data, cache):
    with pytest.raises(SpecError, match=r"train_device is 'AKGC417L', but .* recorded with LittC2SE, Meditron"):
        planned(plugin, devices_data, cache, "train_device=AKGC417L")
