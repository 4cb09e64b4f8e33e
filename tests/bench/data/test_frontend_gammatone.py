"""Front-end ``gammatone``: its filters against their equations, and the patches of cycles."""

import itertools

import numpy as np
import pytest
import torch

from bench.core.errors import DataError, SpecError
from bench.core.options import build_options
from bench.data.frontends import FRONTENDS, PieceOptions
from bench.data.frontends.gammatone.card import GammatoneOptions
from bench.data.frontends.gammatone.filters import (
    EAR_Q,
    NARROWEST_HZ,
    equivalent_rectangular_bandwidth,
    erb_spaced_centres,
    gammatone_responses,
)
from bench.data.frontends.gammatone.frontend import GammatoneFrontEnd, filter_weights
from bench.data.frontends.halves import recording_pictures
from bench.data.units import UnitWaves

CENTRES = erb_spaced_centres(50, 8000, 64)


def erb_rate(frequencies):
    """Number of the ear's bandwidths below a frequency (Glasberg & Moore 1990)."""
    return EAR_Q * np.log(1 + np.asarray(frequencies) / (EAR_Q * NARROWEST_HZ))


def tone(hertz, seconds=6.0, rate=16000):
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * rate), dtype=torch.float64) / rate).float()


def test_centres_are_equally_spaced_for_the_ear():
    assert CENTRES[0] == pytest.approx(50)
    assert (np.diff(CENTRES) > 0).all()
    assert CENTRES[-1] < 8000
    np.testing.assert_allclose(np.diff(erb_rate([*CENTRES, 8000])), (erb_rate(8000) - erb_rate(50)) / 64, rtol=1e-12)


def test_filters_peak_at_their_centres_and_are_as_wide_as_the_ears():
    assert gammatone_responses(CENTRES, CENTRES).argmax(axis=0).tolist() == list(range(64))
    assert np.diag(gammatone_responses(CENTRES, CENTRES)) == pytest.approx(1)
    # From far below zero: the equation holds for a filter far from it.
    frequencies = np.arange(-20_000, 40_000, 0.5)
    widths = gammatone_responses(frequencies, CENTRES).sum(axis=0) * 0.5
    np.testing.assert_allclose(widths, equivalent_rectangular_bandwidth(CENTRES), rtol=1e-3)


def test_the_response_is_that_of_the_impulse_response():
    # t^3 exp(-2 pi b t) cos(2 pi c t), sampled densely: what the power response was derived from.
    rate, centre = 64_000, 1000.0
    t = np.arange(rate) / rate
    bandwidth = 1.019 * equivalent_rectangular_bandwidth(np.array(centre))
    spectrum = np.abs(np.fft.rfft(t**3 * np.exp(-2 * np.pi * bandwidth * t) * np.cos(2 * np.pi * centre * t))) ** 2
    found, frequencies = spectrum / spectrum[1000], np.arange(len(spectrum))
    near = slice(600, 1400)
    expected = gammatone_responses(frequencies, np.array([centre]))[:, 0]
    np.testing.assert_allclose(found[near], expected[near], atol=2e-3)


@pytest.mark.parametrize("bank", ["gammatone", "mel"])
@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_the_filter_at_its_frequency(bank, hertz):
    options = GammatoneOptions(bank=bank, bands=32)
    picture = recording_pictures(GammatoneFrontEnd(options), tone(hertz), 16000, [(0.0, 6.0)])
    weights = filter_weights(options, torch.device("cpu"))
    bin_of_tone = round(hertz / (16000 / options.WINDOW))
    assert abs(int(picture[0].mean(0).argmax()) - int(weights[bin_of_tone].argmax())) <= 1


def test_pieces_are_the_whole_patches_of_the_repeated_cycle():
    options = GammatoneOptions()
    assert isinstance(options, PieceOptions)
    # 5 s are 309 frames: 4 patches of 64. Of 8.3 s (516 frames) there are 8, of 0.2 s as many as of 5.
    assert options.pieces([0.2, 5.0, 8.3]) == [4, 4, 8]
    assert GammatoneOptions(seconds=0.1).pieces([0.05]) == [1]


@pytest.mark.parametrize("rate", [4000, 16000, 44100])
def test_patches_of_a_long_cycle_are_its_spectrogram_cut(rate):
    rng = np.random.default_rng(rate)
    wave = torch.from_numpy(rng.standard_normal(int(9 * rate)).astype("f4")) * 0.1
    before, spans = wave.clone(), [(0.0, 0.3), (0.3, 8.9)]
    found = recording_pictures(GammatoneFrontEnd(GammatoneOptions()), wave, rate, spans)
    assert torch.equal(wave, before)
    assert found.shape == (4 + 8, 64, 64)
    assert found.dtype == torch.float32
    whole = GammatoneFrontEnd(GammatoneOptions(frames=8 * 64))
    long = recording_pictures(whole, wave, rate, spans[1:])
    torch.testing.assert_close(found[4:].flatten(0, 1), long[0], atol=1e-4, rtol=0)


def test_a_short_cycle_is_repeated_without_a_fade():
    patches = GammatoneFrontEnd(GammatoneOptions()).fit(torch.arange(1, 32001) / 32001, 16000, [(0.0, 1.0)])
    joined = torch.cat([patch[: 64 * 256] for patch in patches])
    expected = (torch.arange(1, 16001) / 32001).repeat(5)[: joined.numel()]
    torch.testing.assert_close(joined, expected, rtol=0, atol=0)


def test_an_annotated_end_beyond_the_recording_leaves_the_number_of_pieces():
    options = GammatoneOptions()
    found = recording_pictures(GammatoneFrontEnd(options), tone(300, seconds=2.0), 16000, [(0.0, 20.0)])
    assert len(found) == options.pieces([20.0])[0] == 19


def test_pictures_do_not_depend_on_the_batch():
    front_end = GammatoneFrontEnd(GammatoneOptions())
    patches = front_end.fit(tone(440), 16000, [(0.0, 3.0), (3.0, 6.0)])
    together = front_end.picture(UnitWaves.of([*patches, patches[0][:9000]]))
    for one, alone in itertools.zip_longest(together[:-1], patches):
        torch.testing.assert_close(one, front_end.picture(UnitWaves.of([alone]))[0], atol=1e-3, rtol=0)


def test_silence_is_the_lowest_value():
    options = GammatoneOptions()
    found = recording_pictures(GammatoneFrontEnd(options), torch.zeros(16000), 16000, [(0.0, 1.0)])
    torch.testing.assert_close(found, torch.full_like(found, options.lowest))


def test_an_empty_cycle_is_named():
    with pytest.raises(DataError, match=r"Cycle 0 of 101"):
        GammatoneFrontEnd(GammatoneOptions()).fit(tone(300), 16000, [(14.0, 15.0)], name="101")


def test_frequencies_in_the_wrong_order_are_refused():
    with pytest.raises(SpecError, match="lowest_hz is 500, but must be below highest_hz, which is 400"):
        build_options(FRONTENDS.card("gammatone").options, {"lowest_hz": 500, "highest_hz": 400}, "front-end gammatone")
