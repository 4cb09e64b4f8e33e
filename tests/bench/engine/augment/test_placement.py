"""Roll, crop and pad against NumPy, at every place they can draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from unit_waves import amounts, noise, packed, unpacked

from bench.engine.augment.placement import crop, gap, pad, roll

UNITS = [noise(7, 1), noise(1, 2), noise(12, 3)]
NEARLY_1 = np.nextafter(1.0, 0.0)


@pytest.mark.parametrize("draw", [0.0, 0.3, 0.5, NEARLY_1])
def test_a_roll_is_that_of_numpy_within_each_length(draw):
    found = unpacked(roll(packed(*UNITS, spare=4), amounts(draw, draw, draw)))
    for unit, before in zip(found, UNITS, strict=True):
        np.testing.assert_array_equal(unit, np.roll(before, min(int(draw * len(before)), len(before) - 1)))


def test_every_shift_of_a_roll_is_as_likely():
    draws = amounts(*np.linspace(0, 1, 700, endpoint=False))
    waves = packed(*[np.arange(1, 8)] * 700)
    first = [int(unit[0]) for unit in unpacked(roll(waves, draws))]
    assert np.bincount(first).tolist() == [0] + [100] * 7


@pytest.mark.parametrize(("draw", "start"), [(0.0, 0), (0.5, 4), (NEARLY_1, 7)])
def test_a_crop_begins_anywhere_with_room_behind_it(draw, start):
    found = unpacked(crop(packed(*UNITS), amounts(draw, draw, draw), 5))
    np.testing.assert_array_equal(found[2], UNITS[2][start : start + 5])
    np.testing.assert_array_equal(found[1], UNITS[1])


def test_units_as_long_as_the_crop_stay():
    waves = packed(*UNITS)
    found = crop(waves, amounts(0.9, 0.9, 0.9), 12)
    assert torch.equal(found.samples, waves.samples)


@pytest.mark.parametrize(("draw", "before"), [(0.0, 0), (0.5, 2), (NEARLY_1, 3)])
def test_zeros_before_and_after_a_unit(draw, before):
    found = unpacked(pad(packed(*UNITS), amounts(draw, draw, draw), 10))
    np.testing.assert_array_equal(found[0], np.pad(UNITS[0], (before, 3 - before)))
    np.testing.assert_array_equal(found[2], UNITS[2])
    assert len(found[1]) == 10
    assert (found[1] != 0).sum() == 1


@pytest.mark.parametrize(("draw", "before"), [(0.2, True), (0.7, False)])
def test_copies_at_a_side_as_respirenet_fills_up(draw, before):
    unit, size = noise(7), 24
    # Their filler: copies of the whole cycle, more than enough, of which the part next to the cycle is kept.
    filler, left = np.tile(unit, 8), size - 7
    wanted = np.concatenate([filler[len(filler) - left :], unit] if before else [unit, filler[:left]])
    (found,) = unpacked(pad(packed(unit, spare=2), amounts(draw), size, fill="copies", place="side"))
    np.testing.assert_array_equal(found, wanted)


def test_copies_anywhere_go_on_in_both_directions():
    unit = noise(5)
    (found,) = unpacked(pad(packed(unit), amounts(0.5), 11, fill="copies"))
    np.testing.assert_array_equal(found, np.tile(unit, 4)[5 - 3 : 5 - 3 + 11])


@pytest.mark.parametrize(("draw", "start"), [(0.0, 0), (0.5, 135), (NEARLY_1, 269)])
def test_a_gap_leaves_out_what_a_tenth_has_beyond_whole_hops(draw, start):
    long, short = noise(300, 4), noise(70, 5)
    found = unpacked(gap(packed(long, short), amounts(draw, draw), 8))
    # A tenth has 30 samples, of which 24 are whole hops; a tenth of the other is shorter than a hop.
    np.testing.assert_array_equal(found[0], np.delete(long, slice(start + 24, start + 30)))
    np.testing.assert_array_equal(found[1], short)
