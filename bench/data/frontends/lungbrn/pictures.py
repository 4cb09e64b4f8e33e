"""Front-ends ``lungbrn`` and ``lungrn-nl``: pictures of a cycle's spectrogram and of its wavelet decomposition.

Each recording stays at its own rate, so the pictures are made of whole recordings in one go.

Source: SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I @ 83f3d17 (Ma et al. 2019) and 6450040
(Ma et al. 2020), ``Bi-Resnet/pre-processing``, as libraries of their time drew them (librosa 0.7, matplotlib 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.frontends.drawn_pictures import (
    HEIGHT,
    Grey,
    drawn_picture,
    even_edges,
    log_frequency_edges,
    network_picture,
)
from bench.data.frontends.lungbrn.card import LungBRNOptions, LungRNOptions
from bench.data.frontends.native_rate import Wave, band_pass, cut_cycles, scaled_to_unit, stft_decibels

LOWEST_HZ, HIGHEST_HZ = 1.0, 4000.0
FILTERED_ABOVE = 4000
"""Edges of the band-pass, and the rate above which it is used and the upper half of the STFT left out, Hz."""

DRAWN_HIGHEST_HZ = 11025.0
"""Frequency at the top of every picture's axis: the authors leave librosa's default rate of 22.05 kHz in place."""

WAVELET = "db8"
FIRST_LEVEL, LEVELS = 3, 9
"""Decomposition level whose details are the first that are kept, and the number of levels."""


def cycle_wave(cycle: NDArray[np.float32], rate: int) -> Wave:
    """Bring a cycle to 0..1, and filter it where its rate allows.

    The filter begins at rest while the cycle begins near 0.5, so its first samples are a step; the authors' are too.

    Args:
        cycle: (samples,).
        rate: Hz.

    Returns:
        (samples,).
    """
    unit = scaled_to_unit(cycle)
    return band_pass(unit, rate, LOWEST_HZ, HIGHEST_HZ) if rate > FILTERED_ABOVE else unit


def cycle_decibels(wave: Wave, rate: int) -> NDArray[np.float32]:
    """STFT of 20 ms every 10 ms in decibels, up to a quarter of the rate (half of it up to 4 kHz).

    Args:
        wave: (samples,), from :func:`cycle_wave`.
        rate: Hz.

    Returns:
        (rows, frames); row 0 is 0 Hz.
    """
    window, hop = int(0.02 * rate), int(0.01 * rate)
    rows = window // 2 + 1
    return stft_decibels(wave, window, hop, rows // 2 if rate > FILTERED_ABOVE else rows)


def wavelet_vector(wave: Wave) -> Wave:
    """Coefficients of a wavelet decomposition: the details of levels 3 to 9, then what is left at level 9.

    Args:
        wave: (samples,).

    Returns:
        (coefficients,).
    """
    kept, approximation = [], wave
    for level in range(1, LEVELS + 1):
        approximation, details = pywt.dwt(approximation, WAVELET)
        if level >= FIRST_LEVEL:
            kept.append(details)
    return np.concatenate([*kept, approximation])


def wavelet_square(vector: Wave) -> Wave:
    """Bring coefficients to 0..255, append zeros up to a square number of them, and wrap them row by row.

    Args:
        vector: (coefficients,).

    Returns:
        (side, side).
    """
    side = math.isqrt(len(vector) - 1) + 1
    return np.pad(255 * scaled_to_unit(vector), (0, side * side - len(vector))).reshape(side, side)


def stft_drawing(wave: Wave, rate: int) -> Grey:
    """Draw the spectrogram of a cycle.

    Args:
        wave: (samples,), from :func:`cycle_wave`.
        rate: Hz.

    Returns:
        (480, 640).
    """
    decibels = cycle_decibels(wave, rate)
    return drawn_picture(decibels, log_frequency_edges(len(decibels), DRAWN_HIGHEST_HZ))


def wavelet_drawing(wave: Wave) -> Grey:
    """Draw the wavelet decomposition of a cycle.

    Args:
        wave: (samples,), from :func:`cycle_wave`.

    Returns:
        (480, 640).
    """
    square = wavelet_square(wavelet_vector(wave))
    return drawn_picture(square, even_edges(len(square), HEIGHT))


def _stacked(draw: Callable[[Wave], Grey], waves: Sequence[Wave], size: int) -> Tensor:
    """The pictures of waveforms, (cycles, size, size)."""
    pictures = [torch.from_numpy(network_picture(draw(wave), size)) for wave in waves]
    return torch.stack(pictures) if pictures else torch.empty(0, size, size)


def _waves(wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], name: str) -> list[Wave]:
    return [cycle_wave(cycle, rate) for cycle in cut_cycles(wave.numpy(), rate, spans, name)]


class LungRNFrontEnd:
    """Makes a picture of the spectrogram of each cycle.

    Args:
        options: Size of the picture.
    """

    def __init__(self, options: LungRNOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a picture."""
        return self.options.shape

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> Tensor:
        """Turn the cycles of a recording into pictures.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (cycles, rows, columns) float32, 0..1; row 0 is the highest frequency.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        waves = _waves(wave, rate, spans, name)
        return _stacked(lambda cycle: stft_drawing(cycle, rate), waves, self.options.stft_size)


class LungBRNFrontEnd:
    """Makes a picture of the spectrogram and one of the wavelet decomposition of each cycle.

    Args:
        options: Sizes of the pictures.
    """

    def __init__(self, options: LungBRNOptions) -> None:
        self.options = options

    @property
    def shape(self) -> dict[str, tuple[int, int, int]]:
        """(1, rows, columns) of each picture, by its name."""
        return self.options.shape

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> dict[str, Tensor]:
        """Turn the cycles of a recording into pictures.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            ``stft`` and ``wavelet``, (cycles, 1, rows, columns) float32 each, 0..1.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        waves = _waves(wave, rate, spans, name)
        spectrograms = _stacked(lambda cycle: stft_drawing(cycle, rate), waves, self.options.stft_size)
        wavelets = _stacked(wavelet_drawing, waves, self.options.wavelet_size)
        return {"stft": spectrograms[:, None], "wavelet": wavelets[:, None]}
