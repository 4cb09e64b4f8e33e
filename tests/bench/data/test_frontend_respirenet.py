"""Front-end ``respirenet``: pieces, their filling, resampling, and pictures whose numbers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.frontends import FRONTENDS, LearningFrontEnd, LengthFrontEnd
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.respirenet.card import RespireNetOptions, piece_spans
from bench.data.frontends.respirenet.colours import magma
from bench.data.frontends.respirenet.front_end import build, filling
from bench.data.frontends.respirenet.kaiser_best import filter_table, resample_kaiser_best
from bench.data.frontends.respirenet.pictures import blank_rows, clip_rows, coloured, enlarge
from bench.data.units import UnitWaves, unit_draws

SMALL = {"seconds": 0.5, "enlargement": 1}


def tone(seconds, rate, hertz=300.0):
    return torch.sin(2 * math.pi * hertz * torch.arange(int(seconds * rate)) / rate) * 0.3


def noise(count, seed=0):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 0.1


# --- pieces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "spans"),
    [
        (7, [(0, 7)]),
        (8, [(0, 8)]),
        (9, [(0, 8), (4, 9)]),
        (11, [(0, 8), (4, 11)]),
        (12, [(0, 8), (4, 12), (8, 12)]),
        (15, [(0, 8), (4, 12), (8, 15)]),
    ],
)
def test_a_longer_cycle_becomes_pieces_that_overlap_by_half(length, spans):
    assert piece_spans(length, 8) == spans


def test_pieces_are_counted_in_samples_between_times():
    options = RespireNetOptions()
    assert options.pieces([0.1, 8.0, 8.0003, 12.0]) == [1, 1, 2, 3]
    # The recording ends before the cycle, and a time within a sample begins with that sample.
    assert options.pieces_of_spans([(0.0, 99.0), (0.00024, 8.0)], 8.0) == [1, 1]
    assert options.pieces_of_spans([(0.0001, 8.0003)], math.inf) == [2]
    assert options.pieces_of_spans([(0.0002, 8.0002)], math.inf) == [1]


@pytest.mark.parametrize(("before", "expected"), [(False, [4, 5, 6, 0, 1, 2, 3, 4]), (True, [2, 3, 4, 5, 6, 4, 5, 6])])
def test_a_piece_is_filled_with_copies_of_the_whole_cycle(before, expected):
    begin, end, length = (torch.tensor([value]) for value in (4, 7, 7))
    assert filling(begin, end, length, torch.tensor([before]), 8).tolist() == [expected]


def test_each_unit_is_brought_to_length_as_its_draw_says():
    built = build(RespireNetOptions(seconds=0.5))
    assert isinstance(built, LengthFrontEnd)
    short, long = noise(700), noise(3500, 1)
    units = UnitWaves.of([short, short, long, long], draws=torch.tensor([0.1, 0.9, 0.1, 0.7]))
    found = built.at_length(units)
    assert found.lengths.tolist() == [2000] * 4
    after, before, first, last = found.samples
    assert torch.equal(after, short.repeat(3)[:2000])
    assert torch.equal(before, short.repeat(3)[-2000:])
    # Three pieces: the draw falls on the first, and on the last, which begins at sample 2000.
    assert torch.equal(first, long[:2000])
    assert torch.equal(last[:1500], long[2000:])
    assert torch.equal(built.at_length(units, first=True).samples[3], long[:2000])
    assert built.at_length(found) is found


def test_a_fixed_side_needs_no_draw():
    for side in ("before", "after"):
        built = build(RespireNetOptions(seconds=0.5, pad_side=side))
        [found] = built.at_length(UnitWaves.of([noise(700)])).samples
        whole = noise(700).repeat(3)
        assert torch.equal(found, whole[-2000:] if side == "before" else whole[:2000])


def test_sides_are_drawn_from_names_and_both_come_up():
    draws = torch.cat([unit_draws(f"recording {number}", 0, 2) for number in range(500)])
    assert ((draws >= 0) & (draws < 1)).all()
    assert 0.45 < float((draws >= 0.5).double().mean()) < 0.55
    assert torch.equal(unit_draws("a", 1, 2), unit_draws("a", 0, 3)[1:])


# --- resampling -----------------------------------------------------------------------------------------------------


def plain_resampling(x, rate, target):
    """resampy 0.2's loop over outputs, written out."""
    table, ratio = filter_table(), target / rate
    scale = min(1.0, ratio)
    step, time = int(scale * 512), 0.0
    table = table * scale
    found = np.zeros(-(-len(x) * target // rate))
    for output in range(len(x) * target // rate):
        k = int(time)
        for fraction, places in (
            (scale * (time - k), range(k, -1, -1)),
            (scale * (1 - time + k), range(k + 1, len(x))),
        ):
            first = int(fraction * 512)
            for i, place in enumerate(places):
                at = first + i * step
                if i >= (len(table) - first) // step:
                    break
                weight = table[at] + (fraction * 512 - first) * (np.append(np.diff(table), 0)[at])
                found[output] += weight * x[place]
        time += 1 / ratio
    return found


@pytest.mark.parametrize("rate", [4410, 10000])
def test_resampling_equals_the_plain_loop(rate):
    target, wave = (400, noise(600)) if rate == 4410 else (4000, noise(250))
    found = resample_kaiser_best(wave, rate, target).numpy()
    np.testing.assert_allclose(found, plain_resampling(wave.numpy().astype(float), rate, target), atol=1e-6)


def test_resampling_keeps_a_tone_and_its_length():
    for rate in (8000, 22050, 44100):
        found = resample_kaiser_best(tone(2.0, rate), rate, 4000)
        assert len(found) == 8000
        np.testing.assert_allclose(found[500:-500], tone(2.0, 4000)[500:-500], atol=0.004)
    assert resample_kaiser_best(tone(1.0, 2000), 2000, 4000).shape == (4000,)


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blank", "cut"), [(0, 1), (1, 2), (5, 6), (6, 7), (7, 0), (8, 0)])
def test_blank_rows_are_cut_up_to_the_first_that_is_not_and_that_one(blank, cut):
    levels = torch.full((1, 8, 10), 200)
    levels[0, :blank] = 14
    assert blank_rows(levels).tolist() == [cut]


@pytest.mark.parametrize(("dark", "cut"), [(7, 1), (8, 2)])
def test_a_row_is_blank_from_four_fifths_on(dark, cut):
    levels = torch.full((1, 4, 10), 15)
    levels[0, 0, :dark] = 14
    assert blank_rows(levels).tolist() == [cut]


def test_what_is_left_is_stretched_and_constant_colours_stay():
    levels = torch.full((2, 8, 10), 200)
    levels[0, :4] = 0
    pictures = coloured(levels)
    found = clip_rows(pictures, torch.tensor([4, 0]))
    assert torch.equal(found[0], pictures[0, 4:].repeat(2, 1, 1))
    assert torch.equal(found[1], pictures[1])


def test_an_enlarged_picture_is_that_of_plain_bilinear_interpolation():
    levels = torch.randint(0, 256, (2, 8, 10), generator=torch.Generator().manual_seed(0))
    pictures = coloured(levels)
    plain = torch.nn.functional.interpolate(pictures.permute(0, 2, 1, 3).float(), scale_factor=3, mode="bilinear")
    found = enlarge(pictures, 3).permute(0, 2, 1, 3)
    assert (found - plain).abs().max() <= 1
    assert enlarge(pictures, 1) is pictures


def test_silence_is_the_darkest_colour_throughout():
    built = build(RespireNetOptions(**SMALL))
    found = built.colours(UnitWaves.of([torch.zeros(2000)]))
    assert torch.equal(found, magma(torch.device("cpu"))[0].int()[None, :, None, None].expand_as(found))


def test_a_tone_lies_in_the_row_of_its_mel():
    built = build(RespireNetOptions(**SMALL, blank_region_clipping=False))
    low, high = built.colours(UnitWaves.of([tone(0.5, 4000, 150), tone(0.5, 4000, 1500)])).sum((1, 3))
    assert low.argmax() > 48
    assert high.argmax() < 16


@pytest.mark.parametrize("rate", [4000, 10000])
def test_pictures_of_any_batch_are_those_of_the_recording(rate):
    built = build(RespireNetOptions(**SMALL))
    spans = [(0.0, 0.2), (0.2, 0.7), (0.7, 1.9), (1.9, 2.0), (2.0, 2.6)]
    wave = noise(int(2.5 * rate), 3)
    offline = recording_pictures(built, wave, rate, spans, name="one")
    waves = built.fit(wave, rate, spans, name="one")
    assert len(waves) == sum(built.options.pieces_of_spans(spans, 2.5)) == len(offline)
    assert offline.shape == (len(waves), *built.shape)
    draws = unit_draws("one", 0, len(waves))
    for place in range(len(waves)):
        alone = built.picture(UnitWaves.of([waves[place]], draws=draws[place : place + 1]))
        torch.testing.assert_close(alone[0], offline[place], atol=1e-6, rtol=0)
    fitted = built.at_length(UnitWaves.of(waves, draws=draws))
    assert torch.equal(built.picture(replace(fitted, draws=None)), offline)


def test_what_is_learnt_is_used_and_gives_each_colour_no_mean():
    options = RespireNetOptions(**SMALL, normalise="training")
    built = build(options)
    assert isinstance(built, LearningFrontEnd)
    assert not isinstance(build(RespireNetOptions()), LearningFrontEnd)
    units = UnitWaves.of([noise(2000, 5), noise(2000, 6)])
    learnt = built.learn([units])
    built.use(learnt)
    assert built.picture(units).mean((0, 2, 3)).abs().max() < 1e-5
    singles = [built.colours(UnitWaves.of([noise(2000, seed)]))[0].double() / 255 for seed in (5, 6)]
    expected = torch.stack([single.flatten(1).std(1) for single in singles]).mean(0)
    torch.testing.assert_close(learnt["deviation"].double(), expected, atol=1e-6, rtol=0)


def test_the_card_and_its_default_shape():
    card = FRONTENDS.card("respirenet")
    assert card.fidelity == "authors' code"
    assert card.options().shape == (3, 192, 753)
    assert card.options(**SMALL).shape == (3, 64, 16)
