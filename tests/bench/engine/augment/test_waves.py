"""Rows of several lengths: cut, gathered, replaced and joined as NumPy does it one by one."""

from __future__ import annotations

import numpy as np
import torch
from unit_waves import noise, packed, unpacked

from bench.engine.augment.waves import blanked, joined, part, power, rows_of, with_rows

UNITS = [noise(7, 1), noise(1, 2), noise(12, 3)]


def test_what_lies_beyond_a_unit_becomes_zero():
    ones = torch.ones(2, 9)
    found = blanked(ones, torch.tensor([3, 5]))
    assert found.samples.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert ones.all(), "out of place"


def test_parts_of_units():
    found = unpacked(part(packed(*UNITS), torch.tensor([2, 0, 5]), torch.tensor([3, 1, 7])))
    for unit, want in zip(found, (UNITS[0][2:5], UNITS[1], UNITS[2][5:]), strict=True):
        np.testing.assert_array_equal(unit, want)


def test_a_part_may_be_empty():
    found = part(packed(*UNITS), torch.tensor([0, 0, 0]), torch.tensor([0, 0, 0]))
    assert found.samples.shape == (3, 0)


def test_some_rows_are_as_wide_as_their_longest():
    found = rows_of(packed(*UNITS), np.array([1, 0]))
    assert found.samples.shape == (2, 7)
    np.testing.assert_array_equal(unpacked(found)[1], UNITS[0])


def test_rows_are_replaced_by_longer_and_shorter_ones():
    waves = packed(*UNITS)
    before = waves.samples.clone()
    found = unpacked(with_rows(waves, np.array([2, 1]), packed(noise(2, 8), noise(20, 9))))
    for unit, want in zip(found, (UNITS[0], noise(20, 9), noise(2, 8)), strict=True):
        np.testing.assert_array_equal(unit, want)
    assert torch.equal(waves.samples, before), "out of place"


def test_the_tensor_becomes_narrower_with_its_longest_unit():
    found = with_rows(packed(*UNITS), np.array([2]), packed(noise(2)))
    assert found.samples.shape == (3, 7)


def test_units_are_joined_end_to_end():
    others = [noise(3, 5), noise(10, 6), noise(1, 7)]
    found = unpacked(joined(packed(*UNITS), packed(*others)))
    for unit, *both in zip(found, UNITS, others, strict=True):
        np.testing.assert_array_equal(unit, np.concatenate(both))


def test_joined_units_add_up_where_they_overlap():
    (found,) = unpacked(joined(packed(np.array([1, 2, 3])), packed(np.array([10, 20])), torch.tensor([2])))
    assert found.tolist() == [1, 12, 23]


def test_power_is_that_of_the_unit_without_what_follows():
    found = power(packed(*UNITS, spare=5))[:, 0].tolist()
    np.testing.assert_allclose(found, [np.mean(unit.astype(float) ** 2) for unit in UNITS], rtol=1e-6)
