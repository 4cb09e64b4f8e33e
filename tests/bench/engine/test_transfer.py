"""Judging elsewhere in the cases that plug-ins bring: front-ends that learnt, methods that make the scores."""

from __future__ import annotations

import json
from pathlib import Path

import hooked_methods
import numpy as np
import pytest
import torch
from children_sets import write_children
from halves_plugin import write_halves_plugin
from plugin_files import fresh_registries
from safetensors.torch import load_file
from small_runs import SETTINGS

import baselines
from bench.api.runs import run_spec
from bench.api.transfers import transfer
from bench.core.errors import DataError, SpecError, WeightsError
from bench.data.bank import recording_features
from bench.data.samples import read_samples
from bench.data.sources import load_dataset
from bench.engine.trained import evaluation_precision
from bench.experiment.plugins import load_plugins
from bench.experiment.recipes import Request, choose_source, resolve

THERE = {"dataset": "sprsound", "task": "event-2", "allow_partial": True, "device": "cpu"}


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    return write_children(tmp_path_factory.mktemp("children"))


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    files = [write_halves_plugin(tmp_path_factory.mktemp("plugin")), Path(hooked_methods.__file__)]
    with fresh_registries():
        load_plugins(files)
        yield files


@pytest.fixture
def trained(plugins, small_data, small_cache, tmp_path):
    """Gives a run of one epoch on the simulated set, in a results folder of its own."""

    def run(**words):
        request = Request(
            **words,
            pretrain="none",
            data=str(small_data),
            cache=small_cache,
            device="cpu",
            plugins=[str(path) for path in plugins],
        )
        return run_spec(resolve(request, choose_source(request), [1])[0], tmp_path, rerun=False)

    return run


@pytest.fixture
def judge(plugins, children, small_cache, tmp_path):
    def judged(run, **words):
        return transfer(run, **{**THERE, "data": children, "home": tmp_path, "cache": small_cache, **words})

    return judged


def recordings_of_parts(folder):
    found = load_dataset(folder, "sprsound", "event-2", allow_partial=True).recordings
    return [recording for recording in found if recording.split != "train" and recording.cycles]


def levels(folder):
    """What the front-end ``learner`` makes of the tested events before it takes the mean off."""
    found = {}
    for recording in recordings_of_parts(folder):
        wave, rate = read_samples(recording.audio)
        for cycle in recording.cycles:
            part = np.asarray(wave)[int(cycle.start * rate) : int(cycle.end * rate)]
            parts = torch.stack([piece.abs().mean() for piece in torch.as_tensor(part).chunk(6)])
            found[cycle.recording, cycle.index] = parts[:, None] ** torch.arange(1, 5)
    return found


def test_what_a_front_end_learnt_stays_the_runs_own(trained, judge, plugins, children, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setenv("LEARN_LOG", str(log))
    run = trained(model="any-input", method="ce", frontend="learner", settings=["model.frames=1", "epochs=1"])
    assert log.read_text() == "learnt\n"
    found = judge(run, plugins=plugins)
    assert log.read_text() == "learnt\n"
    mean = load_file(run.folder / "frontend.safetensors")["mean"]
    model = baselines.create("any-input", 4, **run.spec.model_options)
    model.load_state_dict(load_file(run.folder / "weights" / "last.safetensors"))
    wanted = levels(children)
    for key, row in zip(found.transfer.cycles.keys, found.transfer.probabilities, strict=True):
        with torch.no_grad():
            scores = model((wanted[key] - mean)[None].float()).double().softmax(1)[0]
        assert row == pytest.approx([float(scores[0]), float(scores[1:].sum())], abs=1e-5)


def test_a_run_that_lost_what_its_front_end_learnt_is_refused(trained, judge, plugins):
    run = trained(model="any-input", method="ce", frontend="learner", settings=["model.frames=1", "epochs=1"])
    (run.folder / "frontend.safetensors").unlink()
    with pytest.raises(WeightsError, match="keeps nothing of what its front-end learnt"):
        judge(run, plugins=plugins)


def test_a_method_that_makes_the_scores_makes_them_there_too(trained, judge, plugins, children):
    settings = [f"{name}={value}" for name, value in {**SETTINGS, "epochs": 1}.items()]
    run = trained(model="ast", method="sigmoid", settings=settings)
    found = judge(run, plugins=plugins).transfer
    model, wanted = run.model(), {}
    for recording in recordings_of_parts(children):
        features, cycles = recording_features(recording, run.spec.frontend, run.spec.frontend_options)
        with torch.no_grad():
            sigmoids = model(torch.as_tensor(features)[:, None]).double().sigmoid()
        shares = (sigmoids[:, 1:].sum(1) / sigmoids.sum(1)).tolist()
        wanted |= {(cycle.recording, cycle.index): share for cycle, share in zip(cycles, shares, strict=True)}
    assert found.probabilities[:, 1] == pytest.approx([wanted[key] for key in found.cycles.keys], abs=1e-5)
    lose_data(run)
    assert judge(run, plugins=plugins, rerun=True).transfer.probabilities == pytest.approx(found.probabilities)


def test_scores_that_depend_on_the_training_rows_need_the_data_of_the_run(trained, judge, plugins):
    settings = [f"{name}={value}" for name, value in {**SETTINGS, "epochs": 1}.items()]
    run = trained(model="ast", method="frequent", settings=settings)
    assert judge(run, plugins=plugins).new
    lose_data(run)
    with pytest.raises(DataError):
        judge(run, plugins=plugins, rerun=True)


def lose_data(run):
    path = run.folder / "spec.json"
    document = json.loads(path.read_text())
    document["execution"]["data"] = "/nowhere"
    path.write_text(json.dumps(document))


def test_code_that_a_spec_alone_names_is_not_run(trained, judge):
    run = trained(model="any-input", method="ce", settings=["model.frames=1", "epochs=1"])
    with pytest.raises(SpecError, match="--plugin"):
        judge(run)
    assert judge(run, allow=lambda _version, _path: True).new


def test_a_run_in_half_precision_is_evaluated_in_full_on_a_cpu(trained):
    spec = trained(model="any-input", method="ce", settings=["model.frames=1", "epochs=1"]).spec
    assert evaluation_precision(spec) == "fp32"
    assert evaluation_precision(spec.changed(precision="bf16")) == "bf16"
    assert evaluation_precision(spec.changed(precision="fp16")) == "fp32"
