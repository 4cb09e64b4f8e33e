"""Mel pictures of a cycle's middle, as dlrudco/SADACO @ 2134fd9 makes them of a file.

They resample by soxr; here it is done as in all front-ends of the house, on the whole recording.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.data.frontends.options import SAMPLE_RATE
from bench.data.frontends.sadaco.card import SadacoOptions
from bench.data.frontends.slaney import slaney_corners, slaney_heights, slaney_triangles
from bench.data.frontends.waveform import cycles_of
from bench.data.units import UnitWaves

# Power below which there is silence, as in librosa's decibels.
SILENCE = 1e-10


@functools.lru_cache(maxsize=8)
def _filters(bands: int, device: torch.device) -> Tensor:
    """The filters over the bins of a frame, (bins, bands) float32."""
    frequencies = np.fft.rfftfreq(SadacoOptions.WINDOW, 1 / SAMPLE_RATE)
    corners = slaney_corners(bands, 0.0, SAMPLE_RATE / 2)
    return torch.from_numpy(slaney_triangles(frequencies, corners) * slaney_heights(corners)).float().to(device)


def unit_decibels(wave: Tensor, bands: int) -> Tensor:
    """Mel powers in decibels, at most 80 below the loudest, brought to 0..1.

    Args:
        wave: (samples,) at 16 kHz.
        bands: Number of mel filters.

    Returns:
        (1 + samples // 160, bands); 0 throughout where all values are equal.
    """
    window, hop = SadacoOptions.WINDOW, SadacoOptions.HOP
    padded = functional.pad(wave, (window // 2, window // 2))
    frames = padded.unfold(0, window, hop) * torch.hann_window(window, device=wave.device)
    power = torch.fft.rfft(frames).abs().square() @ _filters(bands, wave.device)
    decibels = 10 * power.clamp_min(SILENCE).log10()
    decibels = (decibels - decibels.max()).clamp_min(-SadacoOptions.RANGE)
    span = -decibels.min()
    # The smallest normal number in place of zero: silence has no range, and 0 / 0 is not a number.
    unit: Tensor = (decibels + span) / span.clamp_min(torch.finfo(decibels.dtype).tiny)
    return unit


def middle(picture: Tensor, frames: int) -> Tensor:
    """Cut the middle out of a picture (given, bands), or append zeros: (frames, bands)."""
    given = len(picture)
    if given <= frames:
        return functional.pad(picture, (0, 0, 0, frames - given))
    start = (given - frames) // 2
    return picture[start : start + frames]


class SadacoFrontEnd:
    """The front-end of a third party's CNN-MoE.

    Args:
        options: Size of the pictures.
    """

    def __init__(self, options: SadacoOptions) -> None:
        self.options = options

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, bands) of one cycle."""
        return self.options.shape

    sample_rate = SAMPLE_RATE

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into its cycles at 16 kHz.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        return cycles_of(wave, rate, spans, name)

    def picture(self, units: UnitWaves) -> Tensor:
        """Turn cycles into pictures.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            (units, frames, bands) float32, 0..1.
        """
        options = self.options
        return torch.stack([middle(unit_decibels(wave, options.bands), options.frames) for wave in units.waves()])
