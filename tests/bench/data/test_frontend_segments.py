"""Front-end ``log-mel-segments`` against a plain Fourier transform, and the pieces that it cuts."""

import numpy as np
import pytest
import torch

from bench.core.options import build_options
from bench.data.frontends import FRONTENDS, PieceOptions
from bench.data.frontends.ast import ASTFrontEnd
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.options import ASTFrontEndOptions
from bench.data.frontends.segments.card import SegmentOptions
from bench.data.frontends.waveform import fit_units
from bench.data.units import UnitWaves

SPANS = [(0.0, 1.2), (1.2, 3.0), (3.0, 12.5)]


def build(**options):
    entry = FRONTENDS.get("log-mel-segments")
    return entry.load()(build_options(entry.card.options, options, "log-mel-segments"))


def breath(rate=16000, seconds=13):
    generator = torch.Generator().manual_seed(rate)
    return 0.1 * torch.randn(seconds * rate, generator=generator)


@pytest.mark.parametrize(
    ("seconds", "segment", "pieces", "frames"),
    [(8.0, 2.0, 4, 201), (8.0, 3.0, 2, 301), (1.0, 2.0, 1, 101), (0.8, 0.8, 1, 81), (8.0, 0.1, 80, 11)],
)
def test_pieces_and_shapes(seconds, segment, pieces, frames):
    options = SegmentOptions(seconds=seconds, segment=segment)
    assert isinstance(options, PieceOptions)
    assert options.pieces([0.3, 11.0]) == [pieces, pieces]
    assert options.shape == (frames, 64)
    front_end = build(seconds=seconds, segment=segment)
    assert len(front_end.fit(breath(), 16000, SPANS)) == 3 * pieces
    assert recording_pictures(front_end, breath(), 16000, SPANS).shape == (3 * pieces, frames, 64)


def test_segments_joined_are_the_cycle_brought_to_its_length():
    segments = torch.stack(build().fit(breath(4000), 4000, SPANS)).view(3, -1)
    cycles = ASTFrontEnd(ASTFrontEndOptions()).fit(breath(4000), 4000, SPANS)
    torch.testing.assert_close(segments, fit_units(UnitWaves.of(cycles), 128_000), rtol=0, atol=0)


def slaney_filters(mels, window):
    """Triangles between points that are evenly spaced in mels: linear up to 1 kHz, 27 per factor of 6.4 above."""
    hz = np.array([50.0, 8000.0])
    ends = np.where(hz < 1000, 3 * hz / 200, 15 + 27 * np.log(hz / 1000) / np.log(6.4))
    points = np.linspace(*ends, mels + 2)
    points = np.where(points < 15, 200 * points / 3, 1000 * np.exp((points - 15) * np.log(6.4) / 27))
    bins = np.arange(window // 2 + 1) * 16000 / window
    low, middle, high = points[:-2, None], points[1:-1, None], points[2:, None]
    triangles = np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    return triangles * 2 / (high - low)


@pytest.mark.parametrize(("mels", "window"), [(64, 512), (128, 1024)])
def test_decibels_are_those_of_a_plain_fourier_transform(mels, window):
    wave = breath()[:32000]
    found = build(mels=mels, window=window).picture(UnitWaves.of([wave]))[0]
    assert found.shape == (201, mels)
    padded = np.pad(wave.numpy().astype(np.float64), window // 2, mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.stack([padded[i * 160 : i * 160 + window] * hann for i in range(201)])
    power = np.abs(np.fft.rfft(frames)) ** 2 @ slaney_filters(mels, window).T
    expected = 10 * np.log10(np.maximum(power, 1e-10))
    assert np.abs(found.numpy() - expected).max() < 1e-2


def test_silence_is_the_floor_and_standardised_is_nothing():
    silence = UnitWaves.of([torch.zeros(32000)])
    assert (build().picture(silence) == -100).all()
    assert not build(normalise="segment").picture(silence).any()


def test_segments_can_be_standardised_each_by_itself():
    waves = [breath()[:32000], 0.01 * breath()[32000:64000]]
    found = build(normalise="segment").picture(UnitWaves.of(waves))
    torch.testing.assert_close(found.mean((1, 2)), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std((1, 2), correction=0), torch.ones(2), rtol=1e-4, atol=1e-4)
    alone = build(normalise="segment").picture(UnitWaves.of(waves[1:]))
    torch.testing.assert_close(found[1], alone[0], rtol=1e-4, atol=1e-4)


def test_a_segment_of_another_length_is_cut_or_repeated_without_a_fade():
    front_end, wave = build(), breath()[:40000]
    long, cut = (front_end.picture(UnitWaves.of([each])) for each in (wave, wave[:32000]))
    torch.testing.assert_close(long, cut)
    short, repeated = (front_end.picture(UnitWaves.of([each])) for each in (wave[:16000], wave[:16000].repeat(2)))
    torch.testing.assert_close(short, repeated)
