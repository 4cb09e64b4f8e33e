"""Front-ends in two halves: pictures of a batch of waveforms equal those of the bank, in whatever batch they come."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from bench.core.options import build_options
from bench.data.frontends import FRONTENDS, FrontEnd, LearningFrontEnd, WaveformFrontEnd
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.waveform import fade_, fit_cycle, fit_units
from bench.data.units import UnitWaves

FADES, DIVISORS = ("recording", "cycle"), ("2std", "std")
CASES = [
    *(("ast", {"fade": fade, "normalise": divisor, "seconds": 2.0}) for fade in FADES for divisor in DIVISORS),
    ("ast", {}),
    *(("scl", {"normalise": normalise, "seconds": 2.0}) for normalise in ("cycle", "batch")),
    ("scl", {}),
]
CLOSE = {"atol": 1e-6, "rtol": 1e-6}
"""Equal up to the rounding of single precision: normalised values of ``scl`` reach 25, decibels 50."""


def built(frontend, options):
    return FRONTENDS.get(frontend).load()(build_options(FRONTENDS.card(frontend).options, options, frontend))


def breath(seconds, rate):
    generator, count = torch.Generator().manual_seed(rate), int(seconds * rate)
    swell = 0.2 + torch.sin(2 * torch.arange(count) / rate) ** 2
    return (0.1 * torch.randn(count, generator=generator) * swell + 0.01).clamp(-1, 1)


def real_spans(target):
    """Cycles as long as ICBHI's (0.2 to 16.2 s, 2.7 s on average), and some a sample around the target length."""
    lengths = np.clip(np.random.default_rng(0).normal(2.7, 1.17, 6), 0.2, 16.2)
    around = [target - 1 / 16000, target, target + 1 / 16000, 2 * target, 0.05]
    ends = np.cumsum([0.0, *lengths, *around])
    return [(float(start), float(end)) for start, end in itertools.pairwise(ends)]


@pytest.mark.parametrize("rate", [4000, 44100])
@pytest.mark.parametrize(("frontend", "options"), CASES, ids=[f"{name} {options}" for name, options in CASES])
def test_pictures_of_waveforms_equal_those_of_the_recording(frontend, options, rate):
    front_end = built(frontend, options)
    spans = real_spans(options.get("seconds", 8.0))
    wave = breath(spans[-1][1] + 0.1, rate)
    before = wave.clone()
    offline = recording_pictures(front_end, wave, rate, spans)
    waves = front_end.fit(wave, rate, spans)
    assert torch.equal(wave, before)
    assert len({each.numel() for each in waves}) > 5
    online = front_end.picture(UnitWaves.of(waves))
    assert online.shape == (len(spans), *front_end.shape)
    assert online.dtype == torch.float32
    torch.testing.assert_close(online, offline, **CLOSE)
    # The batch: any part of it, in any order.
    order = torch.randperm(len(waves), generator=torch.Generator().manual_seed(1)).tolist()
    for size in (1, 4):
        for start in range(0, len(order), size):
            part = order[start : start + size]
            pictures = front_end.picture(UnitWaves.of([waves[place] for place in part]))
            torch.testing.assert_close(pictures, online[part], **CLOSE)


def test_padding_of_a_batch_does_not_show():
    front_end, waves = built("ast", {"seconds": 1.0}), [breath(0.3, 16000), breath(0.9, 16000)]
    units = UnitWaves.of(waves)
    noisy = units.samples.clone()
    noisy[0, waves[0].numel() :] = 7.0
    changed = UnitWaves(noisy, units.lengths, units.devices)
    assert torch.equal(front_end.picture(changed), front_end.picture(units))


def test_units_are_brought_to_length_as_the_official_code_does():
    """Written out by itself: tile and fade the last 1000 samples, or cut without a fade."""
    target = 20000
    waves = [torch.rand(length) + 1 for length in (1, 999, 7001, 19999, 20000, 20001, 45000)]
    found = fit_units(UnitWaves.of(waves), target)
    ramp = 1 - np.linspace(0, 1, 1000)
    for wave, row in zip(waves, found, strict=True):
        expected = np.tile(wave.numpy(), -(-target // wave.numel()))[:target].astype(np.float64)
        if wave.numel() <= target:
            expected[-1000:] *= ramp
        np.testing.assert_allclose(row.numpy(), expected, atol=1e-6)
        alone = torch.empty(target)
        fit_cycle(wave, alone)
        assert torch.equal(row, alone)


def test_raw_cycles_keep_their_length_and_are_faded_as_the_options_say():
    wave = torch.ones(48000)
    ramp = torch.linspace(0, 1, 1000)
    plain = built("ast", {"fade": "recording"}).fit(wave, 16000, [(1.0, 2.5)])[0]
    assert torch.equal(plain, torch.ones(24000))
    faded = built("ast", {"fade": "cycle"}).fit(wave, 16000, [(1.0, 2.5)])[0]
    for cycle in (faded, built("scl", {}).fit(wave, 16000, [(1.0, 2.5)])[0]):
        assert cycle.numel() == 24000
        assert torch.equal(cycle, fade_(torch.ones(24000)))
        torch.testing.assert_close(cycle[:1000], ramp)


@pytest.mark.parametrize(("frontend", "options"), CASES, ids=[f"{name} {options}" for name, options in CASES])
def test_built_in_front_ends_have_both_halves(frontend, options):
    front_end = built(frontend, options)
    assert isinstance(front_end, WaveformFrontEnd)
    assert not isinstance(front_end, LearningFrontEnd)
    assert front_end.sample_rate == 16000
    assert isinstance(front_end, FrontEnd) == (frontend == "ast")


class TwoHalves:
    """What a new front-end has to write: the loudness of each cycle by its device, and its length, by name."""

    shape = {"level": (2,), "length": (1,)}  # noqa: RUF012
    sample_rate = 100

    def fit(self, wave, rate, spans, *, name="the recording"):
        return [wave[int(start * rate) : int(end * rate)] for start, end in spans]

    def picture(self, units):
        level = torch.stack([wave.abs().mean() for wave in units.waves()])
        is_loud = torch.tensor([float(device == "loud") for device in units.devices])
        return {"level": torch.stack([level, is_loud], 1), "length": units.lengths[:, None].float()}


def test_a_front_end_needs_no_more_than_its_halves():
    wave = torch.full((200,), 0.5)
    assert isinstance(TwoHalves(), WaveformFrontEnd)
    found = recording_pictures(TwoHalves(), wave, 100, [(0.0, 0.5), (0.5, 2.0)], device="loud")
    assert found["level"].tolist() == [[0.5, 1.0], [0.5, 1.0]]
    assert found["length"].tolist() == [[50.0], [150.0]]
    none = recording_pictures(TwoHalves(), wave, 100, [])
    assert {name: tuple(array.shape) for name, array in none.items()} == {"level": (0, 2), "length": (0, 1)}
