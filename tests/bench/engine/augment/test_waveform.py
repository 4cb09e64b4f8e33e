"""Draws and their application: laws of the draws, processes, order, zones, and nothing where nothing is asked for."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from unit_waves import noise, packed, tone, unpacked

from bench.engine.augment.loudness import change_gain
from bench.engine.augment.options import PLACEMENTS, WAVE_OPERATIONS, AugmentOptions
from bench.engine.augment.waveform import (
    Change,
    WaveformDraw,
    apply_waveform,
    draw_waveform,
    step_values,
)

RATE = 4000
LENGTHS = (900, 1, 2500, 130, 40, 3001, 2048, 512)
EVERYTHING = AugmentOptions(
    vocoder_window=256,
    crop_seconds=0.5,
    pad_seconds=0.4,
    **{f"{name}_probability": 0.6 for name in (*WAVE_OPERATIONS, *PLACEMENTS)},
)


def units() -> list[np.ndarray]:
    return [noise(length, i) + tone(300, length, RATE) for i, length in enumerate(LENGTHS)]


def test_off_draws_no_number_and_gives_the_same_units():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    draw = draw_waveform(8, AugmentOptions(), rng)
    assert rng.bit_generator.state == before
    assert draw == WaveformDraw()
    waves = packed(*units())
    assert apply_waveform(waves, draw, AugmentOptions(), RATE) is waves


def test_units_that_nothing_is_drawn_for_are_bit_identical():
    draw = draw_waveform(8, EVERYTHING, np.random.default_rng(4))
    operations = [getattr(draw, name) for name in (*WAVE_OPERATIONS, *PLACEMENTS)]
    draw = WaveformDraw(
        **{
            name: Change(change.chosen & (np.arange(8) != 2), change.amount)
            for name, change in zip((*WAVE_OPERATIONS, *PLACEMENTS), operations, strict=True)
        },
        noise_draw=draw.noise_draw,
    )
    found = unpacked(apply_waveform(packed(*units()), draw, EVERYTHING, RATE))
    np.testing.assert_array_equal(found[2], units()[2])
    assert any(len(unit) != length for unit, length in zip(found, LENGTHS, strict=True))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("zone", [1.0, 0.6])
def test_own_rows_are_those_of_the_whole_batch(seed, zone):
    options = dataclasses.replace(EVERYTHING, wave_zone=zone)
    draw = draw_waveform(8, options, np.random.default_rng(seed))
    whole = unpacked(apply_waveform(packed(*units(), spare=5), draw, options, RATE))
    for processes in (2, 3, 8):
        for start, end in itertools.pairwise(np.linspace(0, 8, processes + 1).astype(int)):
            local = slice(start, end)
            own = unpacked(apply_waveform(packed(*units()[local]), draw[local], options, RATE))
            for unit, want in zip(own, whole[local], strict=True):
                np.testing.assert_allclose(unit, want, atol=2e-4)


@pytest.mark.parametrize("choice", ["each", "one"])
def test_as_many_numbers_are_drawn_whatever_comes_out(choice):
    fields = {f"{name}_probability": 0.1 for name in (*WAVE_OPERATIONS, *PLACEMENTS)}
    ends = set()
    for low in (0.0001, 0.1):
        options = AugmentOptions(**dict.fromkeys(fields, low), wave_choice=choice, pitch_step=1.0)
        rng = np.random.default_rng(7)
        draw_waveform(50, options, rng)
        ends.add(rng.random())
    assert len(ends) == 1


def test_each_operation_is_drawn_by_itself():
    count = 20_000
    draw = draw_waveform(count, EVERYTHING, np.random.default_rng(1))
    chosen = np.stack([getattr(draw, name).chosen for name in (*WAVE_OPERATIONS, *PLACEMENTS)])
    np.testing.assert_allclose(chosen.mean(1), 0.6, atol=4 * np.sqrt(0.24 / count))
    assert np.abs(np.corrcoef(chosen) - np.eye(9)).max() < 4.5 / np.sqrt(count)


def test_at_most_one_is_drawn():
    count = 20_000
    chances = dict(zip(WAVE_OPERATIONS, (0.05, 0.1, 0.0, 0.2, 0.15, 0.25), strict=True))
    options = AugmentOptions(wave_choice="one", **{f"{name}_probability": chance for name, chance in chances.items()})
    draw = draw_waveform(count, options, np.random.default_rng(2))
    assert draw.speed is None
    chosen = {name: getattr(draw, name).chosen for name, chance in chances.items() if chance}
    assert np.sum(list(chosen.values()), axis=0).max() == 1
    for name, rows in chosen.items():
        assert rows.mean() == pytest.approx(chances[name], abs=4 * np.sqrt(0.25 / count))


@pytest.mark.parametrize("choice", ["each", "one"])
def test_rare_classes_are_changed_more_often(choice):
    count = 20_000
    rarity = np.repeat([0.0, 0.5, 0.8], count)
    options = AugmentOptions(wave_rare=True, wave_choice=choice, gain_probability=1.0, roll_probability=0.5)
    draw = draw_waveform(3 * count, options, np.random.default_rng(3), rarity)
    shares = draw.gain.chosen.reshape(3, count).mean(1)
    np.testing.assert_allclose(shares, [0, 0.5, 0.8], atol=4 * 0.5 / np.sqrt(count))
    assert draw.roll.chosen.reshape(3, count).mean(1) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(count))
    with pytest.raises(ValueError, match="how rare"):
        draw_waveform(3, options, np.random.default_rng(3))


@pytest.mark.parametrize("name", WAVE_OPERATIONS)
def test_amounts_lie_between_lowest_and_highest(name):
    draw = draw_waveform(5000, EVERYTHING, np.random.default_rng(5))
    prefix = "noise_snr" if name == "noise" else name
    low, high = getattr(EVERYTHING, f"{prefix}_low"), getattr(EVERYTHING, f"{prefix}_high")
    amount = getattr(draw, name).amount
    assert low <= amount.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < amount.max() <= high


def test_steps_of_respirenet():
    speeds = step_values(0.5, 1.9, 0.1, without=1.0)
    np.testing.assert_allclose(speeds, [k / 10 for k in range(5, 20) if k != 10])
    np.testing.assert_allclose(step_values(-1, 2, 1, without=None), [-1, 0, 1, 2])
    assert step_values(0.5, 2, 0, without=1.0) is None
    options = AugmentOptions(pitch_probability=1.0, pitch_low=-1.0, pitch_high=2.0, pitch_step=1.0)
    amount = draw_waveform(4000, options, np.random.default_rng(6)).pitch.amount
    values, counts = np.unique(amount, return_counts=True)
    assert values.tolist() == [-1, 0, 1, 2]
    assert counts.min() > 1000 - 4 * np.sqrt(4000 * 3 / 16)


def one(name: str, amount: float, count: int = 1) -> WaveformDraw:
    return WaveformDraw(**{name: Change(np.ones(count, bool), np.full(count, float(amount)))})


def test_a_zone_leaves_both_ends_as_they_are():
    unit = noise(1000)
    (found,) = unpacked(apply_waveform(packed(unit), one("gain", 20), AugmentOptions(wave_zone=0.6), RATE))
    np.testing.assert_array_equal(found[:200], unit[:200])
    np.testing.assert_array_equal(found[800:], unit[800:])
    np.testing.assert_allclose(found[200:800], 10 * unit[200:800], rtol=1e-6)


@pytest.mark.parametrize("name", ["speed", "stretch"])
def test_a_zone_changes_its_own_length_alone(name):
    unit = noise(1000)
    options = AugmentOptions(wave_zone=0.6, vocoder_window=64)
    (found,) = unpacked(apply_waveform(packed(unit), one(name, 1.5), options, RATE))
    assert len(found) == 200 + 400 + 200
    np.testing.assert_array_equal(found[:200], unit[:200])
    np.testing.assert_array_equal(found[-200:], unit[-200:])


@pytest.mark.parametrize("name", [name for name in WAVE_OPERATIONS if name != "noise"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_zone_of_a_very_short_unit(name, length):
    options = AugmentOptions(wave_zone=0.1, vocoder_window=64)
    amount = {"gain": 6, "pitch": 1}.get(name, 1.1)
    (found,) = unpacked(apply_waveform(packed(noise(length)), one(name, amount), options, RATE))
    assert np.isfinite(found).all()
    assert len(found) == (math.ceil(1 / 1.1) + length - 1 if name == "speed" else length)


def test_sound_is_changed_before_it_is_moved():
    # Gain in the middle, then a roll by a half: what is louder lies at the ends.
    unit = np.ones(100, np.float32)
    draw = dataclasses.replace(one("gain", 20), roll=Change(np.array([True]), np.array([0.5])))
    (found,) = unpacked(apply_waveform(packed(unit), draw, AugmentOptions(wave_zone=0.5), RATE))
    loud = found > 5
    assert loud[:25].all()
    assert loud[75:].all()
    assert not loud[25:75].any()


def test_a_crop_comes_before_padding_and_both_are_in_seconds():
    draw = dataclasses.replace(one("crop", 0.0), pad=Change(np.array([True]), np.array([0.999])))
    options = AugmentOptions(crop_seconds=0.1, pad_seconds=0.2)
    (found,) = unpacked(apply_waveform(packed(np.ones(1000)), draw, options, RATE))
    assert found.tolist() == [0.0] * 400 + [1.0] * 400


def test_gain_by_the_chain_is_the_operation():
    waves = packed(*units())
    chain = apply_waveform(waves, one("gain", 3, count=8), AugmentOptions(), RATE)
    alone = change_gain(waves, torch.full((8,), 3.0, dtype=torch.float64))
    assert torch.equal(chain.samples, alone.samples)


def test_noise_by_the_chain_is_the_same_in_every_batch():
    options = AugmentOptions(noise_probability=0.5)
    draw = draw_waveform(8, options, np.random.default_rng(9))
    assert 0 < draw.noise.chosen.sum() < 8
    whole = unpacked(apply_waveform(packed(*units()), draw, options, RATE))
    for i, unit in enumerate(units()):
        (alone,) = unpacked(apply_waveform(packed(unit), draw[i : i + 1], options, RATE))
        np.testing.assert_array_equal(alone, whole[i])
        assert np.array_equal(alone, unit) == (not draw.noise.chosen[i])


def test_a_batch_of_one():
    for seed in range(5):
        draw = draw_waveform(1, EVERYTHING, np.random.default_rng(seed))
        (found,) = unpacked(apply_waveform(packed(noise(1)), draw, EVERYTHING, RATE))
        assert np.isfinite(found).all()


def test_the_units_are_not_written_into():
    waves = packed(*units())
    before = waves.samples.clone()
    apply_waveform(waves, draw_waveform(8, EVERYTHING, np.random.default_rng(1)), EVERYTHING, RATE)
    assert torch.equal(waves.samples, before)


def test_samples_stay_on_their_device_and_are_never_read_on_the_host():
    # Tensors of this device have no values: a look at one, or a mix with a tensor of the CPU, is an error.
    waves = packed(*units())
    elsewhere = waves._replace(samples=waves.samples.to("meta"))
    for zone, deviation in ((1.0, 0.0), (0.6, 0.01)):
        options = dataclasses.replace(EVERYTHING, wave_zone=zone, noise_deviation=deviation)
        draw = draw_waveform(8, options, np.random.default_rng(1))
        here, there = (apply_waveform(each, draw, options, RATE) for each in (waves, elsewhere))
        assert there.samples.device.type == "meta"
        assert there.samples.shape == here.samples.shape
        assert torch.equal(there.lengths, here.lengths)
