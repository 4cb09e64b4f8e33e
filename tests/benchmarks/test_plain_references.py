"""The plain references compute what the project computes: losses, parameters, masks' places, features."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from bench.engine.first_step import FirstStep, forget_accelerator
from bench.engine.made_up import made_up_data, made_up_spec
from benchmarks.made_up_recordings import read_recordings, write_recordings
from benchmarks.plain.graph import plain_graph
from benchmarks.plain.preparation import prepare_recording
from benchmarks.plain.specaugment import mask_clips
from benchmarks.plain.training import PlainTraining

TINY = {"embed_dim": 16, "depth": 2, "heads": 2, "frames": 98}
LR = 1e-4
"""Adam moves an entry whose gradient is rounding by a share of this: at a tenth, that is below what is compared."""
STEPS = 2


@pytest.fixture(autouse=True)
def no_accelerator_is_left():
    yield
    forget_accelerator()


def pair(model, method, options, **fields):
    """A run's first step and the same in plain form, from the same parameters."""
    spec = made_up_spec(model, method, options, batch=4, lr=LR, schedule="constant", warmup_epochs=0, **fields)
    own = FirstStep(spec, made_up_data(spec, 4, 4))
    plain = plain_graph(own.steps.bare, method)
    return own, plain, PlainTraining(plain, own.rate, spec.optim.weight_decay)


def difference(own, plain):
    """The largest difference of the states, but for biases that nothing depends on: their gradients are rounding."""
    one, other = own.steps.bare.state_dict(), plain.state_dict()
    other = {name.removeprefix("both."): value for name, value in other.items()}
    assert one.keys() == other.keys()
    kept = [name for name in one if not name.endswith(("qkv.bias", "projector.linear1.bias"))]
    return max((one[name].double() - other[name].double()).abs().max().item() for name in kept)


@pytest.mark.parametrize("method", ["patchmix-cl", "ce"])
def test_a_step_of_an_ast_equals_the_plain_one(method):
    own, plain, training = pair("ast", method, TINY, frontend_options={"seconds": 1.0})
    assert own.rate == LR
    batch, draw = own.load()
    before = {name: value.clone() for name, value in own.steps.bare.state_dict().items()}
    for _ in range(STEPS):
        loss = training.step(lambda: plain(batch, draw))
        assert loss == pytest.approx(own.take()["loss"].item(), abs=1e-5)
    assert difference(own, plain) < 1e-5
    moved = max((value - before[name]).abs().max().item() for name, value in own.steps.bare.state_dict().items())
    assert moved > LR / 4, "the steps must be large enough for a difference to show"


def test_a_step_with_batch_normalisation_equals_the_plain_one():
    own, plain, training = pair("timm:test_resnet", "ce", {}, frontend_options={"seconds": 1.0})
    batch, draw = own.load()
    assert training.step(lambda: plain(batch, draw)) == pytest.approx(own.take()["loss"].item(), abs=1e-5)
    own_buffers, buffers = dict(own.steps.bare.named_buffers()), dict(plain.named_buffers())
    assert own_buffers.keys() == buffers.keys()
    for name, value in own_buffers.items():
        torch.testing.assert_close(value, buffers[name], atol=1e-5, rtol=1e-4)


def test_plain_features_equal_those_of_the_bank(tmp_path):
    from bench.data.bank import recording_features

    dataset = read_recordings(write_recordings(tmp_path / "data", 3))
    recording = dataset.recordings[1]
    plain = prepare_recording(recording.audio, [(cycle.start, cycle.end) for cycle in recording.cycles])
    ours, cycles = recording_features(recording, "ast", {})
    assert len(plain) == len(cycles) == 7
    torch.testing.assert_close(torch.stack(plain), torch.as_tensor(ours), atol=2e-3, rtol=0)


def test_plain_masks_hide_whole_bins_and_frames_behind_one_mean():
    clips = torch.randn(6, 1, 60, 40, generator=torch.Generator().manual_seed(1))
    widths = {"freq_masks": 1, "freq_width": 9, "time_masks": 1, "time_width": 9}
    masked = mask_clips(clips, random.Random(2), 1.0, **widths)
    changed = (masked != clips)[:, 0]
    assert changed.any()
    for clip in changed:
        rows, columns = clip.all(dim=1), clip.all(dim=0)
        assert torch.equal(clip, rows[:, None] | columns[None, :])
    assert torch.equal(mask_clips(clips, random.Random(2), 0.0, **widths), clips)


def test_made_up_data_have_every_class_in_both_parts():
    spec = made_up_spec("ast", "ce", TINY, frontend_options={"seconds": 1.0}, batch=4)
    data = made_up_data(spec, 4, 4)
    for rows in (data.train, data.test):
        assert np.unique(data.bank.labels[rows]).tolist() == [0, 1, 2, 3]
