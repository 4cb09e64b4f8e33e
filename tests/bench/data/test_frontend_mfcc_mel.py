"""Front-end ``mfcc-mel`` against front-end ``ast`` and the equations of cepstra and differences."""

import math

import torch

from bench.core.options import build_options
from bench.data.frontends import FRONTENDS
from bench.data.frontends.halves import recording_pictures
from bench.data.frontends.mfcc_mel.card import MFCCMelOptions
from bench.data.frontends.mfcc_mel.frontend import cepstra, standardised
from bench.data.units import UnitWaves

SPANS = [(0.0, 1.2), (1.2, 3.0), (3.0, 12.5)]


def build(name, **options):
    entry = FRONTENDS.get(name)
    return entry.load()(build_options(entry.card.options, options, name))


def breath(rate=16000, seconds=13):
    generator = torch.Generator().manual_seed(rate)
    return 0.1 * torch.randn(seconds * rate, generator=generator)


def test_shapes_are_those_of_the_sheet():
    assert MFCCMelOptions().shape == {"mfcc": (798, 120), "mel": (798, 128)}
    found = recording_pictures(build("mfcc-mel"), breath(), 16000, SPANS)
    assert {name: tuple(each.shape) for name, each in found.items()} == {"mfcc": (3, 798, 120), "mel": (3, 798, 128)}


def test_mels_are_those_of_front_end_ast():
    mels = recording_pictures(build("mfcc-mel"), breath(4000), 4000, SPANS)["mel"]
    expected = recording_pictures(build("ast"), breath(4000), 4000, SPANS)
    torch.testing.assert_close(mels, expected, rtol=1e-4, atol=1e-4)


def test_coefficients_are_an_orthonormal_cosine_transform():
    log_mels = torch.randn(2, 7, 128, dtype=torch.float64).float()
    found = cepstra(log_mels, 128)[:, :, :128]
    torch.testing.assert_close(found.square().sum(2), log_mels.square().sum(2), rtol=1e-4, atol=1e-4)
    k, n = 3, torch.arange(128)
    third = (log_mels * torch.cos(math.pi * k * (2 * n + 1) / 256)).sum(2) * math.sqrt(2 / 128)
    torch.testing.assert_close(found[:, :, k], third, rtol=1e-4, atol=1e-4)


def test_differences_are_regressions_over_five_frames():
    """Of a square of time the first difference is twice the time and the second is 2, away from the ends."""
    frames = torch.arange(40.0)
    log_mels = (frames**2 / math.sqrt(128))[None, :, None].expand(1, 40, 128).contiguous()
    found = cepstra(log_mels, 1)[0]
    torch.testing.assert_close(found[:, 0], frames**2, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[4:-4, 1], 2 * frames[4:-4], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[4:-4, 2], torch.full((32,), 2.0), rtol=1e-3, atol=1e-3)


def test_every_coefficient_is_standardised_over_its_cycle():
    found = recording_pictures(build("mfcc-mel"), breath(), 16000, SPANS)["mfcc"]
    torch.testing.assert_close(found.mean(1), torch.zeros(3, 120), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std(1, correction=0), torch.ones(3, 120), rtol=1e-3, atol=1e-3)
    assert not standardised(torch.full((1, 5, 2), 7.0)).any()
    silent = recording_pictures(build("mfcc-mel"), torch.zeros(32000), 16000, [(0.0, 1.0)])
    assert all(each.isfinite().all() for each in silent.values())


def test_a_row_depends_on_its_own_waveform_alone():
    front_end = build("mfcc-mel", seconds=1.0, coefficients=13)
    waves = [breath()[:9000], breath()[9000:30000]]
    both = front_end.picture(UnitWaves.of(waves))
    assert both["mfcc"].shape == (2, 98, 39)
    for row, wave in enumerate(waves):
        alone = front_end.picture(UnitWaves.of([wave]))
        for name, each in alone.items():
            torch.testing.assert_close(both[name][row], each[0], rtol=1e-4, atol=1e-4)
