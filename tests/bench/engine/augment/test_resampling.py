"""Speed: length, frequencies, and the numbers of torchaudio where it has the factor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchaudio
from unit_waves import amounts, noise, packed, peak_frequency, tone, unpacked

from bench.engine.augment.resampling import FILTERS, change_speed

RATIOS = [(5, 4), (4, 5), (2, 1), (1, 3), (9, 10)]


@pytest.mark.parametrize(("old", "new"), RATIOS)
@pytest.mark.parametrize("kind", FILTERS)
def test_a_rational_factor_gives_the_numbers_of_torchaudio(old, new, kind):
    shape = FILTERS[kind]
    unit = noise(1003)
    wanted = torchaudio.functional.resample(
        torch.from_numpy(unit),
        old,
        new,
        lowpass_filter_width=shape.crossings,
        rolloff=shape.rolloff,
        resampling_method="sinc_interp_hann" if shape.beta is None else "sinc_interp_kaiser",
        beta=shape.beta,
    )
    (found,) = unpacked(change_speed(packed(unit), amounts(old / new), kind))
    np.testing.assert_allclose(found, wanted.numpy(), atol=3e-6)


@pytest.mark.parametrize("factor", [0.5, 0.93, 1.1, 1.7])
def test_length_and_frequency_follow_the_factor(factor):
    (found,) = unpacked(change_speed(packed(tone(440, 8000, 8000)), amounts(factor)))
    assert len(found) == math.ceil(8000 / factor - 1e-9)
    assert peak_frequency(found, 8000) == pytest.approx(440 * factor, rel=1e-4)


def test_a_factor_of_1_changes_nothing():
    units = [noise(40, 1), noise(50, 2)]
    found = unpacked(change_speed(packed(*units), amounts(1, 1.25)))
    np.testing.assert_array_equal(found[0], units[0])
    assert len(found[1]) == 40
    waves = packed(*units)
    assert change_speed(waves, amounts(1, 1)) is waves


def test_what_would_fold_back_is_filtered_out():
    (found,) = unpacked(change_speed(packed(tone(3000, 8000, 8000)), amounts(2.0)))
    assert np.abs(found[100:-100]).max() < 0.005


@pytest.mark.parametrize("length", [1, 2, 5])
def test_very_short_units(length):
    found = unpacked(change_speed(packed(noise(length), noise(length)), amounts(0.5, 10)))
    assert [len(unit) for unit in found] == [2 * length, 1]
    assert all(np.isfinite(unit).all() for unit in found)


def test_a_batch_gives_what_each_unit_alone_gives():
    units, factors = [noise(700, 1), noise(64, 2), noise(1000, 3)], [0.8, 1.9, 1.01]
    together = unpacked(change_speed(packed(*units, spare=9), amounts(*factors)))
    for found, unit, factor in zip(together, units, factors, strict=True):
        (alone,) = unpacked(change_speed(packed(unit), amounts(factor)))
        np.testing.assert_allclose(found, alone, atol=1e-6)
