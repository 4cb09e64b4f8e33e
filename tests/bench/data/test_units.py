"""Padded batches of waveforms: what was put in comes out, whatever the lengths."""

from __future__ import annotations

import pytest
import torch

from bench.data.units import UnitWaves


def waves():
    return [torch.arange(1.0, length + 1) for length in (3, 5, 1)]


def test_a_batch_is_zero_beyond_each_length_and_gives_the_waveforms_back():
    units = UnitWaves.of(waves(), ["a", "b", "a"])
    assert units.samples.tolist() == [[1, 2, 3, 0, 0], [1, 2, 3, 4, 5], [1, 0, 0, 0, 0]]
    assert units.lengths.tolist() == [3, 5, 1]
    assert units.devices == ("a", "b", "a")
    assert len(units) == 3
    for found, given in zip(units.waves(), waves(), strict=True):
        assert torch.equal(found, given)


def test_lengths_stay_on_the_cpu_where_samples_go_to_another_device():
    moved = UnitWaves.of(waves()).to("meta")
    assert moved.samples.device.type == "meta"
    assert moved.lengths.tolist() == [3, 5, 1]
    assert moved.devices == ("", "", "")


@pytest.mark.parametrize("given", [[], [torch.zeros(0)], [torch.zeros(2, 3)], [torch.zeros(3), torch.zeros(0)]])
def test_a_batch_without_samples_is_refused(given):
    with pytest.raises(ValueError, match="a sample or more"):
        UnitWaves.of(given)


def test_every_waveform_has_a_device():
    with pytest.raises(ValueError, match="3 waveforms, but 2 devices"):
        UnitWaves.of(waves(), ["a", "b"])
