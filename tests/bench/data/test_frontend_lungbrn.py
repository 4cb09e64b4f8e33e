"""Front-ends ``lungbrn`` and ``lungrn-nl``, and the cut, the filter and the drawing that they are made of."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch
from scipy.signal import butter, lfilter, stft

from bench.core.errors import DataError, SpecError
from bench.core.options import build_options
from bench.data.frontends import FRONTENDS
from bench.data.frontends.colour_tables import MAGMA, luminance
from bench.data.frontends.drawn_pictures import (
    FRAMED_GREYS,
    GREYS,
    HEIGHT,
    WIDTH,
    colour_indices,
    drawn_picture,
    even_edges,
    log_frequency_edges,
    network_picture,
)
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.lungbrn.pictures import cycle_wave, wavelet_square, wavelet_vector
from bench.data.frontends.native_rate import band_pass, cut_cycles, scaled_to_unit, stft_decibels


def breath(rate, seconds=2.0):
    rng = np.random.default_rng(rate)
    t = np.arange(int(seconds * rate)) / rate
    return (0.05 * rng.standard_normal(t.size) + 0.3 * np.sin(2 * np.pi * 300 * t)).astype("f4")


def build(front_end, **options):
    return FRONTENDS.get(front_end).load()(build_options(FRONTENDS.card(front_end).options, options, front_end))


# --- the cut --------------------------------------------------------------------------------------------------------


def test_times_are_cut_to_samples_not_to_milliseconds():
    wave = np.arange(44_100, dtype="f4")
    (cycle,) = cut_cycles(wave, 44_100, [(0.0305, 0.7005)])
    assert (cycle[0], cycle[-1]) == (1345, 30_891)  # 1345.05 to 30892.05


@pytest.mark.parametrize(("samples", "length"), [(1_003, 1_004), (1_002, 1_000)])
def test_the_end_is_clamped_to_whole_milliseconds(samples, length):
    """At 4 kHz: 250.75 ms become 251, for which a zero is appended; 250.5 ms become 250."""
    (cycle,) = cut_cycles(np.ones(samples, "f4"), 4_000, [(0.0, 9.0)])
    assert len(cycle) == length
    assert cycle.sum() == min(samples, length)


@pytest.mark.parametrize("front_end", ["lungbrn", "lungrn-nl"])
def test_a_cycle_without_samples_is_named(front_end):
    with pytest.raises(DataError, match=r"Cycle 1 of 101 .*2\.000 s"):
        recording_pictures(build(front_end), torch.from_numpy(breath(4000)), 4000, [(0.0, 1.0), (3.0, 4.0)], name="101")


# --- signals --------------------------------------------------------------------------------------------------------


def test_numbers_without_difference_become_zeros():
    assert scaled_to_unit(np.array([2, 4, 3])).tolist() == [0, 1, 0.5]
    assert scaled_to_unit(np.full(3, 7.0)).tolist() == [0, 0, 0]


def test_only_rates_above_4_khz_are_filtered():
    assert np.array_equal(cycle_wave(breath(4000), 4000), scaled_to_unit(breath(4000)))
    b, a = butter(3, [1 / 8000, 4000 / 8000], btype="band")
    np.testing.assert_allclose(cycle_wave(breath(16_000), 16_000), lfilter(b, a, scaled_to_unit(breath(16_000))))


def test_the_band_pass_lets_its_band_through():
    t = np.arange(16_000) / 16_000
    tones = {
        hertz: band_pass(np.sin(2 * np.pi * hertz * t), 16_000, 50.0, 2000.0)[8000:].std() for hertz in (500, 6000)
    }
    assert tones[500] == pytest.approx(2**-0.5, rel=1e-2)
    assert tones[6000] < 0.02


def test_decibels_are_those_of_scipys_transform():
    wave = breath(8000).astype(float)
    found = stft_decibels(wave, 160, 80, 60)
    _, _, spectrum = stft(np.pad(wave, 80, mode="reflect"), window="hann", nperseg=160, noverlap=80, boundary=None)
    power = np.abs(spectrum[:60]) ** 2
    expected = np.maximum(10 * np.log10(power / power.max()), -80)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.shape == (60, 1 + len(wave) // 80)
    assert found.max() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("samples", [1, 30, 500])
def test_short_cycles_have_pictures(samples):
    made = recording_pictures(build("lungbrn"), torch.from_numpy(breath(4000)), 4000, [(0.1, 0.1 + samples / 4000)])
    assert all(pictures.isfinite().all() for pictures in made.values())


def test_the_wavelet_coefficients_are_pywavelets():
    wave = breath(4000).astype(float)
    approximation, *details = pywt.wavedec(wave, "db8", level=9)  # details of levels 9 to 1
    np.testing.assert_allclose(wavelet_vector(wave), np.concatenate([*reversed(details[:7]), approximation]))


def test_coefficients_are_wrapped_row_by_row():
    square = wavelet_square(np.array([1.0, 2.0, 3.0, 2.0, 1.0]))
    assert square.tolist() == [[0, 127.5, 255], [127.5, 0, 0], [0, 0, 0]]
    assert wavelet_square(np.arange(4.0)).shape == (2, 2)


# --- drawing --------------------------------------------------------------------------------------------------------


def test_greys_rise_with_the_colour_map():
    assert MAGMA.shape == (256, 3)
    assert np.all(np.diff(GREYS.astype(int)) >= 0)
    assert luminance(np.array([[255, 255, 255], [100, 10, 1]], np.uint8)).tolist() == [255, 35]


def test_colours_are_numbered_from_the_smallest_to_the_largest():
    assert colour_indices(np.array([-80.0, -40.0, -0.1, 0.0])).tolist() == [0, 128, 255, 255]
    assert colour_indices(np.full((2, 2), -80.0)).tolist() == [[0, 0], [0, 0]]


def test_cells_fill_the_figure_within_a_frame():
    picture = drawn_picture(np.array([[0.0, 1.0], [2.0, 3.0]]), even_edges(2, HEIGHT))
    assert picture.shape == (HEIGHT, WIDTH)
    low_left, low_right, high_left, high_right = (GREYS[i] for i in (0, 85, 170, 255))
    assert (picture[240:-1, 2:320] == low_left).all()
    assert (picture[240:-1, 320:-1] == low_right).all()
    assert (picture[2:240, 2:320] == high_left).all()
    assert (picture[2:240, 320:-1] == high_right).all()
    assert not picture[0].any()
    assert not picture[:, 0].any()
    assert (picture[1, 320:] == FRAMED_GREYS[255]).all()
    assert (picture[1:240, -1] == FRAMED_GREYS[255]).all()


def test_rows_of_a_spectrogram_are_octaves_apart():
    """65.4 Hz and 130.8 Hz lie as far from one another as 0 Hz and 65.4 Hz; octaves above are all alike."""
    note = 65.40639
    rows = 65
    edges = log_frequency_edges(rows, 128 * note)  # rows are two notes wide, from one note on
    unit = HEIGHT / 8
    assert edges[:2].tolist() == pytest.approx([0.0, unit])
    assert edges[1 + 1] == pytest.approx(unit * (1 + np.log2(3)))
    assert edges[-1] == pytest.approx(unit * (1 + np.log2(127)))


def test_small_pictures_stretch_from_0_to_1():
    picture = np.full((HEIGHT, WIDTH), 50, np.uint8)
    picture[:, 320:] = 150
    small = network_picture(picture, 16)
    assert small.shape == (16, 16)
    assert (small[:, :7] == 0).all()
    assert (small[:, 9:] == 1).all()
    assert (network_picture(np.zeros((HEIGHT, WIDTH), np.uint8), 16) == 0).all()


# --- the front-ends -------------------------------------------------------------------------------------------------

SPANS = [(0.0, 0.5), (0.5, 1.999)]


@pytest.mark.parametrize("rate", [4000, 44_100])
def test_both_front_ends_draw_the_same_spectrogram(rate):
    wave = torch.from_numpy(breath(rate))
    both = recording_pictures(build("lungbrn", stft_size=64, wavelet_size=24), wave, rate, SPANS)
    assert {name: tuple(made.shape) for name, made in both.items()} == {
        "stft": (2, 1, 64, 64),
        "wavelet": (2, 1, 24, 24),
    }
    assert torch.equal(recording_pictures(build("lungrn-nl", stft_size=64), wave, rate, SPANS), both["stft"][:, 0])
    for made in both.values():
        assert made.dtype == torch.float32
        assert made.min() >= 0
        assert made.max() <= 1


def test_shapes_follow_from_the_options():
    assert build("lungrn-nl").shape == (128, 128)
    assert build("lungbrn").shape == {"stft": (1, 128, 128), "wavelet": (1, 56, 56)}
    made = recording_pictures(build("lungbrn"), torch.from_numpy(breath(4000)), 4000, [])
    assert {name: tuple(each.shape) for name, each in made.items()} == {
        "stft": (0, 1, 128, 128),
        "wavelet": (0, 1, 56, 56),
    }


def test_a_cycle_does_not_depend_on_its_neighbours():
    wave = torch.from_numpy(breath(10_000))
    alone = recording_pictures(build("lungrn-nl"), wave, 10_000, SPANS[1:])
    assert torch.equal(recording_pictures(build("lungrn-nl"), wave, 10_000, SPANS)[1:], alone)


def test_silence_is_black():
    made = recording_pictures(build("lungbrn"), torch.zeros(8000), 4000, [(0.0, 2.0)])
    assert not any(pictures.any() for pictures in made.values())


def test_a_picture_of_no_size_is_refused():
    with pytest.raises(SpecError, match="stft_size is 8, but must be at least 16"):
        build("lungbrn", stft_size=8)
