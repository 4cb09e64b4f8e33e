"""Front-end ``lungattn``: pictures of the oscillations, the transients and the residual of a cycle.

Each recording stays at its own rate, so the pictures are made of whole recordings in one go.

Source: SJTU-YONGFU-RESEARCH-GRP/LungAttn @ 8a7972b (Li et al. 2021), ``pre-processing/tqwt_stft.py``, as libraries of
its time drew them (librosa 0.7, matplotlib 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor

from bench.data.frontends.drawn_pictures import Grey, drawn_picture, log_frequency_edges, network_picture
from bench.data.frontends.lungattn.card import LungAttnOptions
from bench.data.frontends.lungattn.dual_q import HIGH_Q, LOW_Q, decompose
from bench.data.frontends.native_rate import Wave, band_pass, cut_cycles, scaled_to_unit, stft_decibels, with_low_byte

LOWEST_HZ, HIGHEST_HZ = 50.0, 2000.0
"""Edges of the band-pass, and the frequency up to which pictures are drawn, Hz."""

FILTERED_ABOVE = 4000
"""Sampling rate above which cycles are filtered, Hz."""

WINDOWS = {"original": 0.02, "low": 0.02, "high": 0.08, "residual": 0.2}
"""Length of the STFT's window for each waveform of a cycle, seconds; windows overlap by half."""

SHORTEST = max(HIGH_Q.shortest, LOW_Q.shortest)


def resampled(wave: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Bring a waveform (samples,) to another rate; what that cannot hold is filtered away."""
    common = math.gcd(rate, wanted)
    found: NDArray[np.float32] = resample_poly(wave, wanted // common, rate // common)
    return found


def cycle_wave(cycle: NDArray[np.float32], rate: int) -> Wave:
    """Bring a cycle to 0..1, and filter it where its rate allows.

    Args:
        cycle: (samples,).
        rate: Hz.

    Returns:
        (samples,).
    """
    unit = scaled_to_unit(with_low_byte(cycle))
    return band_pass(unit, rate, LOWEST_HZ, HIGHEST_HZ) if rate > FILTERED_ABOVE else unit


def with_room(wave: Wave) -> Wave:
    """Append zeros where the samples are odd in number, or too few to be decomposed."""
    return np.pad(wave, (0, max(len(wave) % 2, SHORTEST - len(wave))))


def cycle_parts(wave: Wave, iterations: int = 100) -> dict[str, Wave]:
    """Take a cycle apart.

    Args:
        wave: (samples,), from :func:`cycle_wave`.
        iterations: Iterations of the search.

    Returns:
        The waveforms ``original`` (the cycle itself), and ``high``, ``low`` and ``residual`` with the zeros of
        :func:`with_room`.
    """
    return {"original": wave, **vars(decompose(with_room(wave), iterations))}


def part_decibels(wave: Wave, rate: int, part: str) -> NDArray[np.float32]:
    """STFT of a part of a cycle in decibels, with the window of that part, up to 2 kHz.

    Args:
        wave: (samples,).
        rate: Hz.
        part: A name of :data:`WINDOWS`.

    Returns:
        (rows, frames); row 0 is 0 Hz.
    """
    window, hop = int(WINDOWS[part] * rate), int(WINDOWS[part] / 2 * rate)
    rows = window // 2 + 1
    return stft_decibels(wave, window, hop, int(rows * 2 * HIGHEST_HZ / rate))


def part_drawing(decibels: NDArray[np.float32], rate: int) -> Grey:
    """Draw a spectrogram; its axis is labelled up to half the rate whatever it shows, as the authors' is.

    Args:
        decibels: (rows, frames), from :func:`part_decibels`.
        rate: Hz.

    Returns:
        (480, 640).
    """
    return drawn_picture(decibels, log_frequency_edges(len(decibels), rate / 2))


class LungAttnFrontEnd:
    """Makes three pictures of each cycle.

    Args:
        options: Size of the pictures, iterations, and what they show.
    """

    def __init__(self, options: LungAttnOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, rows, columns) of the pictures of a cycle."""
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
            (cycles, 3, rows, columns) float32, 0..1; row 0 is the highest frequency.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        pictures, samples = torch.empty(len(spans), *self.shape), wave.numpy()
        if self.options.rate:
            samples, rate = resampled(samples, rate, self.options.rate), self.options.rate
        for cycle, out in zip(cut_cycles(samples, rate, spans, name), pictures, strict=True):
            out.copy_(torch.from_numpy(self._pictures(cycle, rate)))
        return pictures

    def _pictures(self, cycle: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """(3, rows, columns) of one cycle."""
        parts = cycle_parts(cycle_wave(cycle, rate), self.options.iterations)
        drawings = (
            part_drawing(part_decibels(parts[part], rate, part), rate) for part in self.options.channels.split("-")
        )
        return np.stack([network_picture(drawing, self.options.size) for drawing in drawings])
