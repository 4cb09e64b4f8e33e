"""Tempo, pitch and vocal tract: torchaudio and RespireNet's own augmentation agree; tones land where they must."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
import torchaudio
from unit_waves import amounts, noise, packed, peak_frequency, tone, unpacked

from bench.engine.augment.options import AugmentOptions
from bench.engine.augment.vocoder import (
    perturb_vocal_tract,
    shift_pitch,
    stretch_tempo,
    unwarp_frequency,
    warp_frequency,
)
from bench.engine.augment.waveform import Change, WaveformDraw, apply_waveform

RATE = 8000
WINDOW = 512


def torchaudio_stretch(unit: np.ndarray, factor: float, window: int) -> np.ndarray:
    """One unit by torchaudio's vocoder and inverse transform."""
    hann = torch.hann_window(window, dtype=torch.float64)
    wave = torch.from_numpy(unit).double()
    frames = torch.stft(wave, window, window // 4, window=hann, center=True, pad_mode="reflect", return_complex=True)
    advance = torch.linspace(0, np.pi * (window // 4), window // 2 + 1, dtype=torch.float64)[:, None]
    found = torchaudio.functional.phase_vocoder(frames, factor, advance)
    length = round(len(unit) / factor)
    return torch.istft(found, window, window // 4, window=hann, length=length).numpy()


@pytest.mark.parametrize("factor", [0.5, 0.83, 1.0, 1.3, 1.9])
def test_a_stretch_gives_the_numbers_of_torchaudio(factor):
    unit = tone(440, 6000, RATE) + noise(6000)
    (found,) = unpacked(stretch_tempo(packed(unit), amounts(factor), WINDOW))
    wanted = torchaudio_stretch(unit, factor, WINDOW)
    assert len(found) == len(wanted)
    # Phases of the weakest bins are rounded differently in 32 bits, and carried on.
    inner = slice(0, len(wanted) - WINDOW)
    np.testing.assert_allclose(found[inner], wanted[inner], atol=2e-3)
    assert np.abs(found[inner] - wanted[inner]).mean() < 1e-4


@pytest.mark.parametrize("factor", [0.7, 1.5])
def test_a_stretched_tone_keeps_its_frequency_and_loudness(factor):
    (found,) = unpacked(stretch_tempo(packed(tone(440, 8000, RATE)), amounts(factor), WINDOW))
    assert len(found) == round(8000 / factor)
    assert peak_frequency(found, RATE) == pytest.approx(440, rel=1e-3)
    assert found[1000:-1000].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_a_stretch_of_1_gives_the_unit_back():
    unit = noise(3000)
    (found,) = unpacked(stretch_tempo(packed(unit), amounts(1), WINDOW))
    np.testing.assert_allclose(found, unit, atol=1e-4)


@pytest.mark.parametrize("semitones", [-12, -5, -1, 1, 2.5, 7])
def test_a_tone_lands_semitones_away(semitones):
    (found,) = unpacked(shift_pitch(packed(tone(440, 8000, RATE)), amounts(semitones), WINDOW))
    assert len(found) == 8000
    assert peak_frequency(found, RATE) == pytest.approx(440 * 2 ** (semitones / 12), rel=1e-3)
    assert found[1000:-1000].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_the_warp_is_that_of_jaitly_and_hinton(factor):
    rate, highest = 16000, 4800
    hertz = np.linspace(0, rate / 2, 101)
    low = min(factor, 1.0)
    above = rate / 2 - (rate / 2 - highest * low) / (rate / 2 - highest * low / factor) * (rate / 2 - hertz)
    wanted = np.where(hertz <= highest * low / factor, hertz * factor, above)
    shares = torch.from_numpy(hertz / 8000)
    found = warp_frequency(shares, amounts(factor), highest / 8000)
    np.testing.assert_allclose(found.numpy() * 8000, wanted, atol=1e-9)
    np.testing.assert_allclose(unwarp_frequency(found, amounts(factor), highest / 8000), shares, atol=1e-12)
    assert (found.diff() > 0).all()
    assert (found[0], found[-1]) == (0, 1)


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("frequency", [300, 1000, 3200])
def test_a_tone_lands_where_the_warp_says(factor, frequency):
    (found,) = unpacked(perturb_vocal_tract(packed(tone(frequency, 8000, RATE)), amounts(factor), WINDOW, 0.6))
    wanted = float(warp_frequency(amounts(frequency / 4000), amounts(factor), 0.6)) * 4000
    assert len(found) == 8000
    assert peak_frequency(found, RATE) == pytest.approx(wanted, rel=2e-3)
    assert found[1000:-1000].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.2)


def test_a_warp_of_1_gives_the_unit_back():
    unit = noise(3000)
    (found,) = unpacked(perturb_vocal_tract(packed(unit), amounts(1), WINDOW, 0.6))
    np.testing.assert_allclose(found, unit, atol=1e-4)


OPERATIONS = [
    ("stretch", lambda waves, values: stretch_tempo(waves, values, WINDOW), [0.8, 1.25, 1.9, 0.5]),
    ("pitch", lambda waves, values: shift_pitch(waves, values, WINDOW), [-2, 3, 0, 1]),
    ("vtlp", lambda waves, values: perturb_vocal_tract(waves, values, WINDOW, 0.6), [0.9, 1.1, 1.0, 1.05]),
]


@pytest.mark.parametrize(("name", "operation", "values"), OPERATIONS)
def test_a_batch_gives_what_each_unit_alone_gives(name, operation, values):
    units = [noise(2000, 1) + tone(200, 2000, RATE), noise(130, 2), noise(3000, 3), noise(1, 4)]
    together = unpacked(operation(packed(*units, spare=7), amounts(*values)))
    for found, unit, value in zip(together, units, values, strict=True):
        (alone,) = unpacked(operation(packed(unit), amounts(value)))
        np.testing.assert_allclose(found, alone, atol=1e-4)


@pytest.mark.parametrize(("name", "operation", "values"), OPERATIONS)
@pytest.mark.parametrize("length", [1, 2, 3, 127, 128, 129, 511, 513])
def test_short_units_and_silence(name, operation, values, length):
    found = unpacked(operation(packed(noise(length), np.zeros(length)), amounts(*values[:2])))
    assert all(len(unit) >= 1 and np.isfinite(unit).all() for unit in found)
    assert not found[1].any()


RESPIRENET = [
    ("speed", 0.8, 36800, [9168, 10617, 14599, 16447, 19435, 22335, 24957, 29402],
     [0.068428, 0.013495, 0.017749, -0.024334, 0.055261, -0.014541, -0.062425, 0.016943]),
    ("speed", 1.9, 22905, [8193, 10051, 11648, 14249, 15358, 16462],
     [0.030423, -0.080388, 0.000951, -0.027618, 0.015812, 0.018357]),
    ("pitch", -1, 32000, [7471, 9799, 13350, 15453, 16530, 19945, 21769, 24399],
     [-0.012124, 0.087313, -0.025285, 0.088378, 0.041831, -0.029276, 0.030893, 0.063976]),
    ("pitch", 1, 32000, [7663, 10510, 12515, 14948, 17392, 20056, 21993, 24854],
     [0.055279, -0.068999, -0.029089, -0.053978, -0.010014, 0.08358, -0.01063, 0.000584]),
]  # fmt: skip
"""Operation, amount, length, places, and values there of RespireNet's augmentation (@ 5e3f41a, nlpaug 0.0.14)."""


def pretend_recording(name: str, samples: int, rate: int) -> np.ndarray:
    """The recording that those values are of, by the rule of the reference numbers, seed 20231."""
    key = hashlib.sha256(f"20231:synth:{name}".encode()).digest()[:8]
    g = np.random.default_rng(int.from_bytes(key, "little"))
    frequency, loudness, modulation = g.uniform(80, 0.45 * rate, 6), g.uniform(0.02, 0.12, 6), g.uniform(0.2, 1.5, 6)
    phase, x, t = g.uniform(0, 2 * np.pi, 6), 0.03 * g.standard_normal(samples), np.arange(samples) / rate
    for f, a, m, p in zip(frequency, loudness, modulation, phase, strict=True):
        x += a * (0.5 + 0.5 * np.sin(2 * np.pi * m * t)) * np.sin(2 * np.pi * f * t + p)
    pcm = np.rint(x * (2**15 - 1))
    pcm[int(0.55 * samples) : int(0.60 * samples)] = 0
    return (pcm / 2**15).astype(np.float32)


@pytest.mark.parametrize(("name", "amount", "length", "places", "values"), RESPIRENET)
def test_the_numbers_of_respirenets_augmentation(name, amount, length, places, values):
    options = AugmentOptions(wave_zone=0.6, resampling_filter="kaiser-best")
    change = Change(np.array([True]), np.array([float(amount)]))
    draw = WaveformDraw(**{"stretch" if name == "speed" else name: change})
    unit = pretend_recording("aug_base", 32000, 4000)
    (found,) = unpacked(apply_waveform(packed(unit), draw, options, 4000))
    assert len(found) == length
    np.testing.assert_allclose(found[places], values, atol=5e-4)
    np.testing.assert_array_equal(found[:6400], unit[:6400])
    np.testing.assert_array_equal(found[-6400:], unit[-6400:])
