"""LungAttn's front-end: the wavelet transform is what its equations say, and the parts are where the sounds are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core.errors import DataError
from bench.data.frontends import FRONTENDS
from bench.data.frontends.lungattn.dual_q import HIGH_Q, LOW_Q, DualQ, decompose
from bench.data.frontends.lungattn.pictures import SHORTEST, cycle_parts, cycle_wave
from bench.data.frontends.lungattn.tqwt import Wavelet, analyse, sub_bands, synthesise
from bench.data.frontends.native_rate import with_low_byte

SMALL = Wavelet(q=2, redundancy=3, stages=6)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples)


@pytest.mark.parametrize(("wavelet", "length"), [(HIGH_Q, 1464), (HIGH_Q, 2022), (LOW_Q, 1000), (SMALL, 514)])
def test_synthesis_inverts_analysis_and_keeps_the_energy(wavelet, length):
    x, bands = noise(length), sub_bands(wavelet, length)
    coefficients = analyse(x, bands)
    np.testing.assert_allclose(synthesise(coefficients, bands, length), x, rtol=0, atol=1e-13)
    assert sum(np.square(values).sum() for values in coefficients) == pytest.approx(np.square(x).sum(), rel=1e-13)


def test_analysis_is_the_transpose_of_synthesis():
    bands = sub_bands(SMALL, 514)
    x, others = noise(514), [noise(band.length, 1 + i) for i, band in enumerate(bands)]
    inner = sum(values @ other for values, other in zip(analyse(x, bands), others, strict=True))
    assert inner == pytest.approx(x @ synthesise(others, bands, 514), rel=1e-12)


def test_lengths_of_sub_bands_follow_alpha_and_beta():
    bands, n = sub_bands(HIGH_Q, 20_000), 20_000
    for stage, band in enumerate(bands[:-1]):
        assert abs(band.length - HIGH_Q.beta * HIGH_Q.alpha**stage * n) <= 1
        assert band.length % 2 == 0
    assert abs(bands[-1].length - HIGH_Q.alpha**HIGH_Q.stages * n) <= 1
    # Sub-bands of all stages hold about as many numbers as the redundancy says.
    assert sum(band.length for band in bands) == pytest.approx(HIGH_Q.redundancy * n, rel=0.02)


def test_the_norm_of_a_band_is_that_of_one_coefficient():
    bands = sub_bands(SMALL, 514)
    for place, band in enumerate(bands):
        ones = [np.zeros(other.length) for other in bands]
        ones[place][round(band.length / 2)] = 1
        assert np.linalg.norm(synthesise(ones, bands, 514)) == pytest.approx(band.norm, rel=1e-12)


@pytest.mark.parametrize("wavelet", [HIGH_Q, LOW_Q, SMALL])
def test_the_shortest_signal_has_just_room_for_all_stages(wavelet):
    assert len(sub_bands(wavelet, wavelet.shortest)) == wavelet.stages + 1
    with pytest.raises(ValueError, match="samples do not have"):
        sub_bands(wavelet, wavelet.shortest - 2)
    with pytest.raises(ValueError, match="samples do not have"):
        sub_bands(wavelet, wavelet.shortest + 1)


def salsa(x: np.ndarray, iterations: int, wavelets: tuple[Wavelet, Wavelet]) -> list[np.ndarray]:
    """The authors' iteration as it stands in the module's text, coefficient by coefficient."""
    bands = [sub_bands(wavelet, len(x)) for wavelet in wavelets]
    w = [analyse(x, each) for each in bands]
    d = [[np.zeros_like(values) for values in each] for each in w]

    def soft(values: np.ndarray, threshold: float) -> np.ndarray:
        return np.sign(values) * np.maximum(np.abs(values) - threshold, 0)

    for _ in range(iterations):
        u = [
            [soft(a + b, 0.5 * band.norm) - b for a, b, band in zip(*three, strict=True)]
            for three in zip(w, d, bands, strict=True)
        ]
        made = [synthesise(values, each, len(x)) for values, each in zip(u, bands, strict=True)]
        c = (x - made[0] - made[1]) / 2.1
        d = [analyse(c, each) for each in bands]
        w = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(d, u, strict=True)]
    return [synthesise(values, each, len(x)) for values, each in zip(w, bands, strict=True)]


@pytest.mark.parametrize("scale", [0.02, 0.2, 5.0])
def test_the_search_is_the_authors_iteration(scale):
    """Also where whole sub-bands are below their threshold, and are left out."""
    x = scale * noise(514)
    found = decompose(x, 7, SMALL, Wavelet(q=1, redundancy=3, stages=5))
    high, low = salsa(x, 7, (SMALL, Wavelet(q=1, redundancy=3, stages=5)))
    np.testing.assert_allclose(found.high, high, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(found.low, low, rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(found.high + found.low + found.residual, x, rtol=0, atol=1e-12)


def test_the_cost_falls():
    search, costs = DualQ(noise(1600)), []
    for _ in range(20):
        search.iterate()
        costs.append(search.cost())
    assert costs[-1] < 0.9 * costs[1]


def test_whistles_are_high_q_and_clicks_low_q():
    t = np.arange(4000) / 4000
    whistle = np.sin(2 * np.pi * 300 * t) * (t > 0.5)
    click = 3 * np.exp(-np.maximum(t - 0.25, 0) / 0.001) * (t >= 0.25)
    parts = decompose(whistle + click, 50)
    assert np.linalg.norm(parts.high - whistle) < 0.4 * np.linalg.norm(whistle)
    early = t < 0.4
    assert np.linalg.norm((parts.low - click)[early]) < 0.4 * np.linalg.norm(click)


@pytest.mark.parametrize("samples", [100, 1463, 1465])
def test_odd_and_short_cycles_are_followed_by_zeros(samples):
    wave = cycle_wave(noise(samples).astype(np.float32), 4000)
    parts = cycle_parts(wave, 3)
    assert len(parts["original"]) == samples
    assert len(parts["high"]) == max(SHORTEST, samples + samples % 2)
    whole = parts["high"] + parts["low"] + parts["residual"]
    np.testing.assert_allclose(whole, np.pad(wave, (0, len(whole) - samples)), rtol=0, atol=1e-12)


def test_samples_of_24_bits_get_a_low_byte_and_those_of_16_do_not():
    wide = np.array([-3, 0, 5], np.float32) * 2.0**-23
    np.testing.assert_array_equal(with_low_byte(wide) * 2.0**31, [-3 * 256 + 255, 0, 5 * 256])
    narrow = np.array([-3, 0, 5], np.float32) * 2.0**-15
    np.testing.assert_array_equal(with_low_byte(narrow), narrow)


def test_pictures_of_silence_and_of_sound_and_at_another_rate():
    wave = torch.from_numpy(noise(24_000).astype(np.float32) * 0.1)
    wave[:8000] = 0
    card = FRONTENDS.card("lungattn")
    for options in ({}, {"rate": 4000}, {"channels": "original-high-residual"}):
        front_end = FRONTENDS.get("lungattn").load()(card.options(size=32, iterations=2, **options))
        found = front_end.features(wave, 8000, [(0.0, 1.0), (1.0, 2.5)])
        assert found.shape == (2, *front_end.shape) == (2, 3, 32, 32)
        assert found.isfinite().all()
        assert found.min() == 0
        assert 0.5 < found[1].max() <= 1
        # One cycle does not depend on another.
        assert torch.equal(front_end.features(wave, 8000, [(1.0, 2.5)])[0], found[1])
    assert front_end.features(wave, 8000, []).shape == (0, 3, 32, 32)
    with pytest.raises(DataError, match="holds no sample"):
        front_end.features(wave, 8000, [(9.0, 9.5)])
