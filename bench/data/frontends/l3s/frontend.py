"""Front-end ``l3s``: log-mel spectrograms and their differences in time (L3S/PrototypeSound @ 5116de7).

A recording is resampled to 4 kHz and band-passed as a whole; then its cycles are cut. A cycle that is longer than 4 s
gives its middle, a shorter one is repeated from its start. In training the authors cut longer cycles at a random place:
that is the augmentation ``crop``, which the recipes of the models ask for.

Shapes: U units, S samples, T frames, F bins, M mels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.data.frontends.l3s.card import RATE, L3SOptions
from bench.data.frontends.l3s.recordings import filtered, resampled, stored
from bench.data.frontends.slaney import slaney_corners, slaney_heights, slaney_triangles
from bench.data.frontends.waveform import cycle_samples, number_of_samples
from bench.data.units import UnitWaves

FLOOR = 1e-10
"""Smallest mel energy that the logarithm is taken of: digital silence is -100 dB."""


class L3SFrontEnd:
    """The front-end of CNN8, CNN8-Pt and the dilated networks.

    Args:
        options: Length, resampler and storage.
    """

    sample_rate = RATE

    def __init__(self, options: L3SOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, frames, mels) of one cycle."""
        return self.options.shape

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Resample and band-pass a recording and cut it into its cycles.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle at 4 kHz.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        whole = filtered(resampled(wave.numpy().astype(np.float64), rate, self.options.resampler))
        places = cycle_samples(spans, len(whole), name, rate=RATE)
        return [torch.from_numpy(stored(whole[place], self.options.storage)) for place in places]

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into decibels and their first and second differences in time.

        Args:
            units: Cycles as :meth:`fit` gives them, perhaps augmented.

        Returns:
            (U, 3, T, M) in the precision of the samples.
        """
        return with_differences(log_mels(fitted(units, self.options.samples)))

    def traced_picture(self, waves: Tensor) -> Tensor:
        """Turn cycles (U, S) of one length into what :meth:`picture` gives."""
        samples, length = self.options.samples, number_of_samples(waves)
        start = (length - samples).clamp(min=0) // 2
        places = (torch.arange(samples, device=waves.device) + start) % length
        return with_differences(log_mels(waves[:, places]))


def fitted(units: UnitWaves, samples: int) -> Tensor:
    """Bring cycles to one length: the middle of a longer one, a shorter one repeated from its start, without a fade.

    Args:
        units: The cycles.
        samples: The length.

    Returns:
        (U, samples).
    """
    starts = (units.lengths - samples).clamp(min=0) // 2
    places = (torch.arange(samples)[None] + starts[:, None]) % units.lengths[:, None]
    return units.samples.gather(1, places.to(units.samples.device))


def log_mels(waves: Tensor) -> Tensor:
    """Mel spectrograms in decibels: reflected edges, periodic Hann window, power, no floor below the loudest value.

    Args:
        waves: (U, S), more than half a window.

    Returns:
        (U, T, M).
    """
    options = L3SOptions
    window = torch.hann_window(options.WINDOW, dtype=waves.dtype, device=waves.device)
    spectrum = torch.stft(
        waves, options.WINDOW, options.HOP, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    power = spectrum.real.square() + spectrum.imag.square()
    mels = power.transpose(1, 2) @ mel_matrix().to(waves)
    return 10 * mels.clamp(min=FLOOR).log10()


def with_differences(decibels: Tensor) -> Tensor:
    """Spectrograms (U, T, M) with their first and second differences in time: (U, 3, T, M)."""
    first = differences(decibels)
    return torch.stack([decibels, first, differences(first)], dim=1)


def differences(pictures: Tensor) -> Tensor:
    """What each frame is before the next; 0 for the last one, which has none.

    Args:
        pictures: (U, T, M).
    """
    return functional.pad(pictures[:, 1:] - pictures[:, :-1], (0, 0, 0, 1))


@functools.lru_cache(maxsize=1)
def mel_matrix() -> Tensor:
    """Triangular filters (F, M) of equal area on Slaney's mel scale, float32 as librosa has them."""
    options = L3SOptions
    bins = np.linspace(0, RATE / 2, options.WINDOW // 2 + 1)
    corners = slaney_corners(options.MELS, options.LOWEST_HZ, options.HIGHEST_HZ)
    # Rounded before and after the triangles get their heights, as librosa does it.
    triangles = slaney_triangles(bins, corners).astype(np.float32)
    return torch.from_numpy((triangles * slaney_heights(corners)).astype(np.float32))
