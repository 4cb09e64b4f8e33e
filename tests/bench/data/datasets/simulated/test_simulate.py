"""The simulated sounds: what the textbook says of breath, crackles and wheezes, and how clear they are."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.datasets.simulated import demo, simulate
from bench.data.datasets.simulated.simulate import SYNTHESIS_RATE, Breath, Chest, Device

CHEST = Chest(level=0.02, corner=200.0, slope=12.0, inspiration=0.4, expiration_db=-6.0)
DEVICES = sorted(set(demo.DEVICES), key=lambda device: device.name)
CYCLE = 3 * SYNTHESIS_RATE


def rms(wave):
    return float(np.sqrt(np.mean(wave**2)))


def decibels(ratio):
    return 20 * np.log10(ratio)


def tone(frequency, seconds=2.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * SYNTHESIS_RATE)) / SYNTHESIS_RATE)


def crackle_kinds(count=40):
    """Crackles of many cycles, each with its strongest frequency."""
    spectra = []
    for seed in range(count):
        wave = simulate.crackles(np.random.default_rng(seed), CYCLE, 0.4)
        strongest = np.abs(np.fft.rfft(wave)).argmax() * SYNTHESIS_RATE / CYCLE
        spectra.append((wave, strongest))
    return spectra


def test_breath_noise_is_strongest_in_inspiration_and_soft_in_the_pause():
    breaths = [Breath(4.0 * i, 4.0 * i + 4.0, crackle=False, wheeze=False) for i in range(20)]
    noise = simulate.breath_noise(np.random.default_rng(0), CHEST, breaths, 80 * SYNTHESIS_RATE)
    cycles = noise.reshape(20, 4 * SYNTHESIS_RATE)
    levels = {at: decibels(rms(cycles[:, int(at * 32000) - 800 : int(at * 32000) + 800])) for at in (0.2, 0.675, 0.98)}
    assert levels[0.2] == pytest.approx(0.0, abs=1.0)
    assert levels[0.675] == pytest.approx(CHEST.expiration_db, abs=1.0)
    assert levels[0.98] == pytest.approx(simulate.BACKGROUND_DB, abs=1.5)


def test_breath_noise_falls_with_frequency_by_its_slope():
    samples = 60 * SYNTHESIS_RATE
    white = np.random.default_rng(0).standard_normal(samples + 2).view(np.complex128)
    power = np.abs(np.fft.rfft(simulate._coloured(white, samples, 200.0, 12.0))) ** 2
    low, high = (power[60 * f - 1500 : 60 * f + 1500].mean() for f in (1000, 2000))
    assert 10 * np.log10(low / high) == pytest.approx(12.0, abs=0.7)


def test_crackles_are_short_and_fine_or_coarse():
    strongest = [frequency for _, frequency in crackle_kinds()]
    assert all(150 < frequency < 1000 for frequency in strongest)
    assert 8 < sum(frequency > 450 for frequency in strongest) < 32
    for frequency, decay in ((700.0, 0.002), (300.0, 0.006)):
        pulse = simulate._crackle(frequency, decay)
        energy = np.cumsum(pulse**2) / np.sum(pulse**2)
        assert np.searchsorted(energy, 0.95) / SYNTHESIS_RATE < 0.02
        assert np.abs(pulse).max() == pytest.approx(1.0)


def test_crackles_are_as_clear_as_stated():
    low, high = simulate.CRACKLE_PEAK_DB
    for wave, _ in crackle_kinds():
        # Two crackles that meet may add up, but never to more than both.
        assert low - 0.1 < decibels(np.abs(wave).max()) < high + 6.1


def test_wheezes_are_tones_between_100_and_1000_hz_and_long_enough():
    for seed in range(40):
        wave = simulate._wheeze(np.random.default_rng(seed), SYNTHESIS_RATE)
        spectrum = np.abs(np.fft.rfft(wave)) ** 2
        strongest = int(spectrum.argmax())
        assert 100 <= strongest <= 1000
        nearby = spectrum[: int(3.6 * strongest) + 20].sum()
        assert nearby / spectrum.sum() > 0.99
        assert rms(wave[1000:-1000]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 5.0])
def test_every_wheeze_lasts_80_ms_and_stays_in_its_cycle(seconds):
    samples = int(seconds * SYNTHESIS_RATE)
    for seed in range(20):
        wave = simulate.wheezes(np.random.default_rng(seed), samples, 0.4)
        sounding = np.flatnonzero(wave)
        assert len(wave) == samples
        assert len(sounding) >= 0.075 * SYNTHESIS_RATE


def test_wheezes_are_as_clear_as_stated():
    low, high = simulate.WHEEZE_RMS_DB
    for seed in range(40):
        wave = simulate.wheezes(np.random.default_rng(seed), CYCLE, 0.4)
        loudest = max(rms(wave[i : i + 800]) for i in range(0, CYCLE - 800, 400))
        assert low - 0.5 < decibels(loudest) < high + 6.1


@pytest.mark.parametrize("crackle", [False, True])
@pytest.mark.parametrize("wheeze", [False, True])
def test_a_cycle_holds_what_its_label_says_and_its_neighbours_do_not(crackle, wheeze):
    breaths = [Breath(0.5 + 3 * i, 3.5 + 3 * i, crackle and i == 1, wheeze and i == 1) for i in range(3)]
    plain = [Breath(breath.start, breath.end, crackle=False, wheeze=False) for breath in breaths]
    sound = simulate.lung_sound(np.random.default_rng(1), CHEST, breaths, 10.0)
    added = sound - simulate.lung_sound(np.random.default_rng(1), CHEST, plain, 10.0)
    inside = added[breaths[1].samples]
    assert (np.abs(inside).max() > CHEST.level) == (crackle or wheeze)
    assert np.abs(added[: 3 * SYNTHESIS_RATE + 4000]).max() == 0
    assert np.abs(added[6 * SYNTHESIS_RATE + 4000 :]).max() == 0


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_a_device_keeps_its_band_and_its_rate(device):
    middle, below, above = (
        simulate.band_limited(tone(frequency), device) for frequency in (500.0, device.low / 4, device.high * 1.15)
    )
    assert len(middle) == 2 * device.rate
    assert decibels(rms(middle) / rms(tone(500.0))) == pytest.approx(0.0, abs=0.2)
    assert decibels(rms(below) / rms(middle)) < -30
    assert decibels(rms(above) / rms(middle)) < -4.5
    peak = np.abs(np.fft.rfft(middle)).argmax() / 2
    assert peak == 500


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_events_are_heard_through_every_device(device):
    for make in (simulate.crackles, simulate.wheezes):
        for seed in range(20):
            wave = make(np.random.default_rng(seed), CYCLE, 0.4)
            heard = simulate.band_limited(wave, device)
            assert decibels(rms(heard) / rms(wave)) > -1.5


def test_numbers_are_rounded_and_limited():
    wave = np.array([-2.0, -1.0, -0.6 / 32768, 0.0, 0.4 / 32768, 0.5, 1.0])
    assert simulate.quantised(wave, 16).tolist() == [-32768, -32768, -1, 0, 0, 16384, 32767]
    assert simulate.quantised(wave, 24).dtype == np.int32
    assert (simulate.quantised(np.array([0.5, 1.0]), 24) >> 8).tolist() == [4194304, 8388607]


def test_devices_are_known_by_eight_characters():
    assert all(isinstance(device, Device) and len(device.name) == 8 for device in DEVICES)
    assert {device.rate for device in DEVICES} == {4000, 10000, 44100}
