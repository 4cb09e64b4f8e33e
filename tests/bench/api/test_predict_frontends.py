"""New recordings through every registered front-end: the pictures are those of the bank that runs are trained on."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_recordings import make_recording

from bench.core.inputs import by_name
from bench.data.bank import recording_features
from bench.data.bank_folder import read_recording
from bench.data.frontends import FRONTENDS, LearningFrontEnd
from bench.data.frontends.chosen import choose_front_end
from bench.data.frontends.shapes import input_shapes
from bench.data.units import UnitWaves, unit_draws
from bench.data.wav import read_header
from bench.engine.graph import TrainingGraph
from bench.engine.trained import TrainedRun

BUILT_IN = sorted(entry.card.id for entry in FRONTENDS if entry.version is None)
SLOW = {"lungattn", "l3s"}
"""Front-ends that take a second for a cycle: of one cycle the size of its picture is looked at alone."""

LEARNING = {"respirenet": {"normalise": "training"}, "logmel-image": {"spectrum_correction": True}}
"""Options with which a front-end learns."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    made = make_recording(folder, "101_1b1_Al_sc_Meditron", 10000, "PCM_16", 2.4, 2)
    return replace(made, header=read_header(made.audio))


def opened(frontend, options):
    """A run as far as its front-end goes, with a model of no parameters."""
    chosen = choose_front_end(frontend, options)
    spec = SimpleNamespace(distribution=SimpleNamespace(device="cpu"), vote="mean")
    nothing = TrainingGraph(torch.nn.Identity(), torch.nn.Identity())
    return TrainedRun(None, spec, {"provenance": {}}, None, chosen, chosen.build(), nothing)


@pytest.mark.parametrize("frontend", BUILT_IN)
def test_pictures_are_those_of_the_bank(frontend, recording):
    run, cycles = opened(frontend, {}), 1 if frontend in SLOW else 2
    recording = replace(recording, cycles=recording.cycles[:cycles])
    wave, rate, _ = read_recording(recording)
    found, cycle_of = run.pictures(recording, wave, rate)
    assert {len(tensor) for tensor in by_name(found).values()} == {len(cycle_of)}
    assert sorted(set(cycle_of.tolist())) == list(range(cycles))
    for name, shape in input_shapes(run.chosen.options).items():
        assert by_name(found)[name].shape[-len(shape) :][-2:] == shape[-2:]
        assert bool(by_name(found)[name].isfinite().all())
    if frontend not in SLOW:
        assert_same(found, recording_features(recording, frontend, {})[0])


@pytest.mark.parametrize("frontend", LEARNING)
def test_what_a_front_end_learnt_makes_the_pictures(frontend, recording):
    run = opened(frontend, LEARNING[frontend])
    assert isinstance(run.frontend, LearningFrontEnd)
    wave, rate, spans = read_recording(recording)
    waves = run.frontend.fit(wave, rate, spans, name=recording.name)
    units = UnitWaves.of(waves, [recording.device] * len(waves), unit_draws(recording.name, 0, len(waves)))
    run.frontend.use(run.frontend.learn([units]))
    found, _ = run.pictures(recording, wave, rate)
    assert_same(found, run.frontend.picture(units))


def assert_same(found, wanted):
    for name, tensor in by_name(wanted).items():
        assert torch.equal(by_name(found)[name].reshape(tensor.shape), torch.as_tensor(tensor))


def test_cycles_that_become_pieces_are_voted_together(recording):
    run = opened("log-mel-segments", {})
    wave, rate, _ = read_recording(recording)
    _, cycle_of = run.pictures(recording, wave, rate)
    assert len(cycle_of) > 2
    pieces = np.eye(2)[cycle_of]
    assert run.voted(pieces, cycle_of).tolist() == [[1.0, 0.0], [0.0, 1.0]]
