"""Front-end ``scl`` against the plain chain of torchaudio's own transforms."""

import math

import numpy as np
import pytest
import torch
import torchaudio

from bench.core.errors import DataError, SpecError
from bench.core.options import build_options
from bench.data.frontends import FRONTENDS, BatchFrontEnd, SCLFrontEndOptions
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.scl import build, normalise

SPANS = [(0.0, 1.2345), (1.2345, 3.0), (3.0, 12.5), (12.5, 12.9)]


def breath(rate, seconds=13.0):
    rng = np.random.default_rng(rate)
    t = np.arange(int(seconds * rate)) / rate
    return torch.from_numpy((0.05 * rng.standard_normal(t.size) + 0.3 * np.sin(2 * np.pi * 300 * t)).astype("f4"))


def plain_decibels(wave, rate, start, end):
    """One cycle as SYSTEMS 3.6 says it, step by step."""
    cycle = wave[None, int(start * rate) : int(end * rate)]
    if rate != 16000:
        cycle = torchaudio.transforms.Resample(rate, 16000)(cycle)
    cycle = torchaudio.transforms.Fade(1000, 1000, "linear")(cycle)
    if cycle.shape[1] > 128000:
        cycle = cycle[:, :128000]
    else:
        cycle = cycle.repeat(1, math.ceil(128000 / cycle.shape[1]))[:, :128000]
        cycle = torchaudio.transforms.Fade(0, 1000, "linear")(cycle)
    mel = torchaudio.transforms.MelSpectrogram(16000, n_fft=1024, hop_length=512, n_mels=64, f_min=50, f_max=2000)
    return torchaudio.transforms.AmplitudeToDB()(mel(cycle))[0].T


@pytest.mark.parametrize("rate", [4000, 16000, 44100])
def test_cycles_equal_the_plain_chain(rate):
    wave = breath(rate)
    found = recording_pictures(build(SCLFrontEndOptions()), wave, rate, SPANS)
    assert found.shape == (4, 251, 64)
    for row, span in zip(found, SPANS, strict=True):
        decibels = plain_decibels(wave, rate, *span)
        unit = (decibels - decibels.min()) / (decibels.max() - decibels.min())
        torch.testing.assert_close(row, (unit - 0.3690) / 0.0255, atol=2e-3, rtol=0)


def test_the_quirk_leaves_normalisation_to_the_batch():
    frontend = build(SCLFrontEndOptions(normalise="batch"))
    assert isinstance(frontend, BatchFrontEnd)
    assert not isinstance(build(SCLFrontEndOptions()), BatchFrontEnd)
    wave = breath(4000)
    torch.testing.assert_close(
        recording_pictures(frontend, wave, 4000, SPANS)[1], plain_decibels(wave, 4000, *SPANS[1]), atol=1e-4, rtol=0
    )


def test_the_recording_is_not_changed():
    wave = breath(16000)
    before = wave.clone()
    recording_pictures(build(SCLFrontEndOptions()), wave, 16000, SPANS)
    assert torch.equal(wave, before)


def test_silence_is_finite_and_lowest():
    options = SCLFrontEndOptions()
    found = recording_pictures(build(options), torch.zeros(16000), 16000, [(0.0, 1.0)])
    assert torch.allclose(found, torch.full_like(found, options.lowest))


def test_lowest_and_highest_are_those_of_the_unit_interval():
    decibels = torch.tensor([[[-80.0, 0.0], [-40.0, -20.0]]])
    found = normalise(decibels, torch.tensor([-80.0]), torch.tensor([0.0]))
    assert found.min().item() == pytest.approx(SCLFrontEndOptions().lowest)
    assert found.max().item() == pytest.approx((1 - 0.3690) / 0.0255)


@pytest.mark.parametrize(("seconds", "frames"), [(8.0, 251), (4.0, 126), (1.0, 32)])
def test_the_shape_follows_from_the_length(seconds, frames):
    options = SCLFrontEndOptions(seconds=seconds)
    found = recording_pictures(build(options), breath(4000), 4000, SPANS)
    assert options.shape == tuple(found.shape[1:]) == (frames, 64)


def test_an_empty_cycle_is_named():
    with pytest.raises(DataError, match=r"Cycle 0 of 101 .*13\.000 s"):
        recording_pictures(build(SCLFrontEndOptions()), breath(4000), 4000, [(14.0, 15.0)], name="101")


def test_a_misspelt_word_is_refused():
    with pytest.raises(SpecError, match="cycle, batch"):
        build_options(FRONTENDS.card("scl").options, {"normalise": "clip"}, "front-end scl")
