"""Front-end ``sadaco`` against its definition in plain numpy."""

import numpy as np
import pytest
import torch

from bench.core.errors import DataError
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.sadaco.card import SadacoOptions
from bench.data.frontends.sadaco.frontend import SadacoFrontEnd, middle
from bench.data.units import UnitWaves


def mel_corners(bands):
    """Slaney's scale: linear below 1000 Hz, 27 steps for each factor of 6.4 above; all the filters' corners, Hz."""

    def hertz(mels):
        return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))

    return hertz(np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), bands + 2))


def plain_picture(wave, bands=32):
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave.astype(np.float64), 200), 401)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(401) / 401)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    corners, bins = mel_corners(bands), np.arange(201) * 16000 / 401
    rising = (bins[:, None] - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - bins[:, None]) / np.diff(corners)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (corners[2:] - corners[:-2])
    decibels = 10 * np.log10(np.maximum(power @ filters, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    return (decibels - decibels.min()) / (decibels.max() - decibels.min())


def test_a_picture_is_the_plain_one_with_zeros_after_it():
    wave = np.random.default_rng(0).standard_normal(9000).astype(np.float32) * 0.1
    found = recording_pictures(SadacoFrontEnd(SadacoOptions()), torch.from_numpy(wave), 16000, [(0.0, 9000 / 16000)])
    assert found.shape == (1, 160, 32)
    plain = plain_picture(wave)
    np.testing.assert_allclose(found[0, : len(plain)], plain, atol=2e-4)
    assert not found[0, len(plain) :].any()


def test_of_a_longer_cycle_the_middle_is_taken():
    rows = torch.arange(200.0)[:, None].expand(-1, 3)
    assert middle(rows, 160)[:, 0].tolist() == list(range(20, 180))
    assert middle(rows[:161], 160)[0, 0] == 0


def test_pictures_do_not_depend_on_the_batch():
    front_end, generator = SadacoFrontEnd(SadacoOptions()), torch.Generator().manual_seed(0)
    waves = [torch.randn(size, generator=generator) for size in (3000, 40_000)]
    together = front_end.picture(UnitWaves.of(waves))
    for one, wave in zip(together, waves, strict=True):
        torch.testing.assert_close(one, front_end.picture(UnitWaves.of([wave]))[0], atol=1e-5, rtol=0)


def test_silence_is_the_lowest_value():
    options = SadacoOptions()
    found = recording_pictures(SadacoFrontEnd(options), torch.zeros(16000), 16000, [(0.0, 1.0)])
    assert (found == options.lowest).all()


def test_an_empty_cycle_is_named():
    with pytest.raises(DataError, match=r"Cycle 0 of 101"):
        SadacoFrontEnd(SadacoOptions()).fit(torch.zeros(16000), 16000, [(14.0, 15.0)], name="101")
