"""Front-ends that learn: from the training rows of a run alone, once, and the same for all of its processes."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from halves_plugin import write_halves_plugin
from plugin_files import fresh_registries
from safetensors.torch import load_file, save_file

from bench.core.errors import SpecError, StoreError
from bench.engine.data import open_run_data
from bench.engine.inputs import evaluation_inputs, training_inputs
from bench.engine.learnt_frontend import with_learnt_frontend
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import Request, choose_source, resolve
from bench.experiment.spec import read_spec
from leaderboard.results.run_folder import RunFolder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = write_halves_plugin(tmp_path_factory.mktemp("plugin"))
    with fresh_registries():
        load_plugins([path])
        yield path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A file that gets a line whenever a front-end learns."""
    path = tmp_path / "log"
    path.touch()
    monkeypatch.setenv("LEARN_LOG", str(path))
    return path


def spec_of(plugin, data, cache, frontend="learner", *settings):
    request = Request(
        model="any-input",
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


def learnt(spec, folder):
    """The data of a run whose front-end has learnt, and what it has learnt."""
    place = RunFolder(folder)
    return with_learnt_frontend(open_run_data(spec), spec, place), load_file(place.frontend)


def levels(data, rows):
    """The levels of rows, computed here: the mean amplitude of each sixth, in powers 1 to 4."""
    found = []
    for wave in data.units(rows).waves():
        size = -(-len(wave) // 6)
        parts = np.array([np.abs(wave.numpy()[i * size : (i + 1) * size].astype(np.float64)).mean() for i in range(6)])
        found.append(parts[:, None] ** np.arange(1, 5))
    return np.stack(found)


def test_it_sees_the_training_rows_and_no_others(plugin, small_data, cache, tmp_path):
    spec = spec_of(plugin, small_data, cache, "learner", "val_fraction=0.3")
    data, state = learnt(spec, tmp_path)
    assert 0 < len(data.val) < len(data.train) < 24
    # What it saw, row by row and in the bank's order.
    np.testing.assert_allclose(state["seen"], levels(data, data.train).sum((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(state["mean"], levels(data, data.train).mean(0), rtol=1e-5)


def louder(folder, data, rows):
    """Make the recordings of rows louder than they are."""
    for name in {name for name, _ in data.keys(rows)}:
        (path,) = folder.rglob(f"{name}.wav")
        wave, rate = soundfile.read(path)
        soundfile.write(path, np.clip(3 * wave + 0.1, -1, 1), rate, subtype="PCM_16")


def test_no_held_out_or_test_row_changes_what_it_learns(plugin, small_data, cache, tmp_path):
    before = spec_of(plugin, small_data, cache, "learner", "val_fraction=0.3")
    data, state = learnt(before, tmp_path / "before")
    for part, differs in (("val", False), ("test", False), ("train", True)):
        folder = tmp_path / part
        shutil.copytree(small_data, folder)
        louder(folder, data, getattr(data, part))
        after = spec_of(plugin, folder, cache, "learner", "val_fraction=0.3")
        assert after.data_fingerprint != before.data_fingerprint
        changed, found = learnt(after, tmp_path / f"after-{part}")
        np.testing.assert_array_equal(changed.train, data.train)
        assert torch.equal(found["mean"], state["mean"]) != differs
        assert torch.equal(found["seen"], state["seen"]) != differs


def test_pictures_are_those_of_what_was_learnt_in_training_and_evaluation(plugin, small_data, cache, tmp_path):
    data, state = learnt(spec_of(plugin, small_data, cache), tmp_path)
    for rows in (data.train[[4, 1]], data.test[:2]):
        expected = levels(data, rows) - state["mean"].double().numpy()
        np.testing.assert_allclose(data.inputs(rows)[:, 0], expected, atol=1e-6)
        trained = training_inputs(data, rows, slice(0, 2), CPU, gather=lambda own: own)
        assert torch.equal(trained, data.inputs(rows))
        assert torch.equal(evaluation_inputs(data, rows, np.arange(2), CPU), data.inputs(rows))
    # No bank of pictures was made, of a front-end that had learnt nothing.
    assert not (cache / "features").exists()


def test_it_learns_once_and_is_read_back(plugin, small_data, cache, tmp_path, log):
    spec = spec_of(plugin, small_data, cache)
    first, state = learnt(spec, tmp_path)
    assert log.read_text() == "learnt\n"
    stored = RunFolder(tmp_path).frontend
    save_file({**state, "mean": state["mean"] + 1}, stored, metadata={"run_id": spec.run_id})
    again, _ = learnt(spec, tmp_path)
    assert log.read_text() == "learnt\n"
    rows = first.test[:3]
    torch.testing.assert_close(again.inputs(rows), first.inputs(rows) - 1)


def test_data_that_runs_share_are_left_alone(plugin, small_data, cache, tmp_path):
    spec = spec_of(plugin, small_data, cache)
    data = open_run_data(spec)
    ready = with_learnt_frontend(data, spec, RunFolder(tmp_path))
    assert data.frontend.mean is None
    assert ready.frontend is not data.frontend
    assert with_learnt_frontend(open_run_data(spec_of(plugin, small_data, cache, "halves")), spec, None).waves is None


def test_a_learning_front_end_may_leave_normalisation_to_the_batch(plugin, small_data, cache, tmp_path):
    data, state = learnt(spec_of(plugin, small_data, cache, "batch-learner"), tmp_path)
    plain = torch.from_numpy(levels(data, data.test) - state["mean"].double().numpy()).float()[:, None]
    found = evaluation_inputs(data, data.test, np.arange(4, 12), CPU)
    groups = [plain[start : start + 3] for start in range(0, 12, 3)]
    expected = torch.cat([(group - group.min()) / (group.max() - group.min()) for group in groups])
    torch.testing.assert_close(found, expected[4:], atol=1e-4, rtol=1e-4)


def test_what_is_no_tensor_by_name_is_refused(plugin, small_data, cache, tmp_path):
    spec = spec_of(plugin, small_data, cache, "no-tensors")
    with pytest.raises(SpecError, match="no-tensors learnt something that is no tensor by name"):
        learnt(spec, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(plugin, small_data, cache, tmp_path):
    spec = spec_of(plugin, small_data, cache)
    RunFolder(tmp_path).frontend.write_bytes(b"no tensors")
    with pytest.raises(StoreError, match=r"learnt cannot be read from .*frontend\.safetensors") as caught:
        learnt(spec, tmp_path)
    assert "--rerun" in caught.value.hint


@pytest.mark.parametrize("metadata", [None, {"run_id": "0123456789abcdef"}])
def test_what_the_front_end_of_another_run_learnt_is_refused(plugin, small_data, cache, tmp_path, metadata):
    spec = spec_of(plugin, small_data, cache)
    _, state = learnt(spec, tmp_path)
    save_file(state, RunFolder(tmp_path).frontend, metadata=metadata)
    with pytest.raises(StoreError, match=f"is of the run {(metadata or {}).get('run_id')}, not of {spec.run_id}"):
        learnt(spec, tmp_path)


def test_learning_draws_by_the_seed_and_leaves_the_run_s_draws_alone(plugin, small_data, cache, tmp_path, monkeypatch):
    spec = spec_of(plugin, small_data, cache)
    drawn = []
    builder = type(open_run_data(spec).frontend)

    def draw(self, units):
        drawn.append(torch.rand(3))
        return {"mean": torch.zeros(6, 4)}

    monkeypatch.setattr(builder, "learn", draw)
    for name in ("a", "b"):
        torch.manual_seed(len(drawn))
        before = torch.get_rng_state()
        learnt(spec, tmp_path / name)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])


def run(bench, plugin, small_data, tmp_path, *words):
    given = ["run", "--model", "any-input", "--method", "ce", "--frontend", "learner", "--plugin", plugin]
    given += ["--data", small_data, "--device", "cpu", "--home", tmp_path, "--cache", tmp_path / "cache", *words]
    return bench(*given)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_keeps_what_its_front_end_learnt(plugin, bench, small_data, tmp_path, log, processes):
    import baselines

    run(bench, plugin, small_data, tmp_path, "--processes", processes)
    (folder,) = tmp_path.glob("runs/*")
    assert log.read_text() == "learnt\n"
    spec = read_spec(folder / "spec.json")
    data = with_learnt_frontend(open_run_data(spec), spec, RunFolder(folder))
    assert log.read_text() == "learnt\n"
    model = baselines.create("any-input", **spec.model_options).eval()
    model.load_state_dict(load_file(folder / "weights" / "last.safetensors"))
    with torch.inference_mode():
        expected = model(data.inputs(data.test)).softmax(-1).numpy()
    document = json.loads((folder / "result.json").read_text())
    with (folder / document["predictions"]["last"]).open() as stream:
        rows = {(row["recording"], int(row["cycle"])): row for row in csv.DictReader(stream)}
    for key, scores in zip(data.keys(data.test), expected, strict=True):
        found = [float(rows[key][name]) for name in ("normal", "crackle", "wheeze", "both")]
        np.testing.assert_allclose(found, scores, atol=1e-6)
    if processes == 1:
        run(bench, plugin, small_data, tmp_path, "--rerun")
        assert log.read_text() == "learnt\nlearnt\n"


def test_without_a_run_it_makes_no_pictures(plugin, bench, small_data, tmp_path):
    for words in (
        ["data", "prepare", "--data", small_data, "--cache", tmp_path / "cache"],
        ["data", "features", next(small_data.rglob("101_*.wav")), "--out", tmp_path / "x.npz"],
    ):
        told = bench(*words, "--frontend", "learner", "--plugin", plugin, code=2)
        assert "learner learns from the rows that a run is trained on" in told.err
    assert not (tmp_path / "x.npz").exists()


def test_a_mock_run_takes_a_front_end_that_learns(plugin, tmp_path):
    from bench.mock.checked_pair import CheckedPair

    pair = CheckedPair("any-input", "ce", "learner", [str(plugin)], tmp_path)
    assert pair.clips(pair.data.test).shape == (len(pair.data.test), 1, 6, 4)
    assert [losses["loss"].isfinite() for _, losses in pair.losses(pair.graph())] == [True]
