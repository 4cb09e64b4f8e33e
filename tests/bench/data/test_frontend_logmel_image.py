"""Front-end ``logmel-image`` against the plain chain, and its spectrum correction by what it must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchaudio.transforms import MelSpectrogram

from bench.core.options import build_options
from bench.data.frontends import FRONTENDS, LearningFrontEnd, WaveformFrontEnd
from bench.data.frontends.imagenet.card import LogMelImageOptions
from bench.data.frontends.imagenet.logmel_image import build, gains_of, power_spectra, repeated
from bench.data.units import UnitWaves

SMALL = {"seconds": 1.0, "size": 32}


def waves(*seeds: int, samples: int = 9000) -> list[torch.Tensor]:
    return [torch.randn(samples + 500 * k, generator=torch.Generator().manual_seed(k)) * 0.1 for k in seeds]


def front_end(**options):
    return build(LogMelImageOptions(**{**SMALL, **options}))


def test_pictures_equal_the_plain_chain():
    units = UnitWaves.of(waves(1, 2))
    found = front_end().picture(units)
    assert found.shape == (2, *LogMelImageOptions(**SMALL).shape)
    for picture, wave in zip(found, waves(1, 2), strict=True):
        tiled = wave.repeat(3)[:16000]
        power = MelSpectrogram(16000, 4096, 1024, 512, 50, 2000, n_mels=128)(tiled)
        decibels = 10 * power.clamp_min(1e-10).log10()
        decibels = torch.maximum(decibels, decibels.max() - 80)
        unit = ((decibels - decibels.min()) / (decibels.max() - decibels.min())).T
        small = torch.nn.functional.interpolate(unit[None, None], (32, 32), mode="bilinear", antialias=True)[0, 0]
        wanted = torch.stack(
            [(small - mean) / std for mean, std in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
        )
        torch.testing.assert_close(picture, wanted, rtol=0, atol=1e-3)


def test_no_mel_filter_is_empty():
    from bench.data.frontends.imagenet.logmel_image import _mel_filters

    assert (_mel_filters(torch.device("cpu")).sum(0) > 0).all()


def test_a_row_depends_on_its_own_waveform_alone():
    alone, beside = (front_end().picture(UnitWaves.of(waves(*seeds))) for seeds in ((1,), (1, 2, 3)))
    torch.testing.assert_close(alone[0], beside[0], rtol=0, atol=1e-6)


def test_silence_has_a_picture():
    found = front_end().picture(UnitWaves.of([torch.zeros(4000)]))
    assert found.isfinite().all()
    assert (found.amax((2, 3)) == found.amin((2, 3))).all()


def test_long_cycles_are_cut_and_short_ones_begin_anew():
    units = UnitWaves.of([torch.arange(5.0), torch.arange(20.0)])
    np.testing.assert_array_equal(repeated(units, 12), [[*range(5), *range(5), 0, 1], [*range(12)]])


def test_fit_resamples_first_and_cuts_then():
    wave = torch.randn(8000)
    first, second = front_end().fit(wave, 4000, [(0.0, 0.5), (0.5, 2.0)])
    assert (len(first), len(second)) == (8000, 24000)


# --- spectrum correction ----------------------------------------------------------------------------------------------


def coloured(seed: int, strength: float) -> torch.Tensor:
    """Noise that a device has made duller or brighter."""
    (wave,) = waves(seed, samples=16000)
    return wave[1:] + strength * wave[:-1]


DEVICES = ("a", "a", "b", "b")
BATCH = UnitWaves.of([coloured(k, s) for k, s in ((1, 0.9), (2, 0.9), (3, -0.9), (4, -0.9))], DEVICES)


def learnt_front_end(**options):
    found = front_end(spectrum_correction=True, **options)
    found.use(found.learn(iter([BATCH])))
    return found


def mean_spectra(power: torch.Tensor) -> dict[str, torch.Tensor]:
    magnitudes = power.sqrt().mean(2)
    return {name: magnitudes[[k for k, each in enumerate(DEVICES) if each == name]].mean(0) for name in "ab"}


def test_devices_have_one_mean_spectrum_afterwards():
    before = mean_spectra(power_spectra(repeated(BATCH, 16000)))
    after = mean_spectra(learnt_front_end(correction_limit=200.0).power(BATCH))
    reference = (before["a"] + before["b"]) / 2
    for name in "ab":
        assert not torch.allclose(before[name], reference, rtol=0.1)
        torch.testing.assert_close(after[name], reference, rtol=1e-3, atol=1e-6)


def test_it_does_not_depend_on_how_rows_are_batched():
    whole, parts = (front_end(spectrum_correction=True) for _ in range(2))
    halves = [UnitWaves.of(BATCH.waves()[i : i + 2], DEVICES[i : i + 2]) for i in (0, 2)]
    one, other = whole.learn(iter([BATCH])), parts.learn(iter(halves))
    assert one.keys() == other.keys() == {"gain.a", "gain.b"}
    for name, gain in one.items():
        torch.testing.assert_close(gain, other[name], rtol=1e-4, atol=0)


def test_no_frequency_is_changed_beyond_the_limit():
    gains = gains_of({"a": torch.tensor([1.0, 1.0, 0.0]), "b": torch.tensor([1e-9, 1.0, 0.0])}, 20.0)
    np.testing.assert_allclose(gains["b"], [10.0, 1.0, 1.0])
    np.testing.assert_allclose(gains["a"], [0.5, 1.0, 1.0])


def test_a_device_that_was_not_learnt_stays_as_it_is():
    other = UnitWaves.of(waves(1), ["c"])
    torch.testing.assert_close(learnt_front_end().picture(other), front_end().picture(other), rtol=0, atol=1e-6)


@pytest.mark.parametrize("correction", [False, True])
def test_the_switch_decides_whether_it_learns(correction):
    options = build_options(LogMelImageOptions, {"spectrum_correction": correction}, "front-end")
    built = FRONTENDS.get("logmel-image").load()(options)
    assert isinstance(built, WaveformFrontEnd)
    assert isinstance(built, LearningFrontEnd) == correction
    assert built.shape == options.shape == (3, 224, 224)
