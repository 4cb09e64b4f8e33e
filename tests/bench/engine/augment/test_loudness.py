"""Noise has the ratio or the deviation that was asked for, at its place; gain is what decibels say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from unit_waves import amounts, noise, packed, tone, unpacked

from bench.engine.augment.loudness import add_noise, change_gain, mirrored_noise

UNITS = [tone(300, 4000, 4000), noise(1, 2), noise(900, 3)]
SEEDS = np.array([3, 2**62, 5])


def added(**changes) -> list[np.ndarray]:
    values = {"seeds": SEEDS, "places": amounts(0, 0, 0)} | changes
    found = unpacked(add_noise(packed(*UNITS, spare=3), amounts(0, 10, 30), **values))
    return [unit.astype(float) - before for unit, before in zip(found, UNITS, strict=True)]


def decibels(unit: np.ndarray, other: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(unit.astype(float) ** 2) / np.mean(other**2)))


def test_noise_has_the_ratio_asked_for():
    for difference, unit, ratio in zip(added(), UNITS, (0, 10, 30), strict=True):
        assert decibels(unit, difference) == pytest.approx(ratio, abs=1e-3)


def test_the_ratio_is_that_of_the_stretch_which_noise_covers():
    difference = added(zone=0.25, places=amounts(0.5, 0, 0.999))
    covered = np.flatnonzero(difference[0])
    # 1000 of 4000 samples, from the middle of the 3001 places where they may begin.
    assert (covered[0], covered[-1]) == (1500, 2499)
    assert decibels(UNITS[0][1500:2500], difference[0][1500:2500]) == pytest.approx(0, abs=1e-3)
    assert np.flatnonzero(difference[2]).tolist() == list(range(675, 900)), "nearly 1 is the end"


def test_noise_of_a_fixed_deviation_does_not_depend_on_the_unit():
    difference = added(deviation=0.007)
    assert difference[0].std() == pytest.approx(0.007, rel=4 / np.sqrt(2 * 4000))
    drawn = np.random.default_rng(5).standard_normal(900, np.float32) * np.float32(0.007)
    np.testing.assert_allclose(difference[2], drawn, atol=1e-7)


def test_noise_is_white_and_of_each_unit_its_own():
    first, _, last = added(deviation=0.1)
    spectrum = np.abs(np.fft.rfft(first)) ** 2
    halves = spectrum[1:1001].mean(), spectrum[1000:2000].mean()
    assert halves[0] == pytest.approx(halves[1], rel=6 / np.sqrt(1000))
    assert abs(np.corrcoef(first[:900], last)[0, 1]) < 4 / np.sqrt(900)


def test_a_silent_unit_stays_silent():
    waves = packed(np.zeros(50), noise(50))
    found = unpacked(add_noise(waves, amounts(0, 0), seeds=SEEDS[:2], places=amounts(0, 0)))
    assert not found[0].any()
    assert np.isfinite(found[1]).all()


def test_gain_in_decibels_and_as_a_factor():
    decibel = unpacked(change_gain(packed(*UNITS), amounts(20, -6, 0)))
    np.testing.assert_allclose(decibel[0], 10 * UNITS[0], rtol=1e-6)
    np.testing.assert_allclose(decibel[1], UNITS[1] * 0.5011872336, rtol=1e-6)
    np.testing.assert_array_equal(decibel[2], UNITS[2])
    factor = unpacked(change_gain(packed(*UNITS), amounts(0.5, 2, 0), scale="factor"))
    np.testing.assert_array_equal(factor[1], 2 * UNITS[1])
    assert not factor[2].any()


def test_the_units_are_not_written_into():
    waves = packed(*UNITS)
    before = waves.samples.clone()
    change_gain(waves, amounts(1, 2, 3))
    add_noise(waves, amounts(0, 0, 0), seeds=SEEDS, places=amounts(0, 0, 0))
    assert torch.equal(waves.samples, before)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_mirrored_noise_is_the_same_in_reverse_and_of_unit_deviation(size):
    found = mirrored_noise(np.random.default_rng(size).standard_normal(size // 2 + 1), size)
    assert found.shape == (size,)
    np.testing.assert_allclose(found[1:], found[:0:-1], atol=1e-12)
    assert size < 1000 or 0.9 < found.std() < 1.1


def test_noise_may_be_mirrored():
    waves = packed(np.zeros(400), np.zeros(90))
    words = {"seeds": SEEDS[:2], "places": amounts(0, 0), "deviation": 0.1, "kind": "mirrored"}
    for unit in unpacked(add_noise(waves, amounts(0, 0), **words)):
        assert 0.07 < unit.std() < 0.13
        np.testing.assert_allclose(unit[1:], unit[:0:-1], atol=1e-6)
