"""From waveforms of one length to grey pictures: mel spectrograms in decibels, as whole numbers from 0 to 255.

In double precision: the numbers are cut off to whole ones, so that rounding may not depend on the batch.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from bench.data.frontends.respirenet.card import HOP, MELS, SAMPLE_RATE, WINDOW

LOWEST_HZ, HIGHEST_HZ = 50.0, 2000.0
FLOOR, RANGE = 1e-10, 80.0
"""Smallest power that a logarithm is taken of, and decibels below the loudest that are kept."""


@functools.lru_cache(maxsize=4)
def mel_filters(device: torch.device) -> Tensor:
    """Triangular filters of equal area on Slaney's mel scale: (mels, bins) float64.

    torchaudio makes them in single precision, in which edges of triangles are off by a thousandth of their height.

    Args:
        device: Where they are wanted.
    """
    edges = _hertz(torch.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MELS + 2, dtype=torch.float64))[:, None]
    bins = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)[None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clamp(min=0)
    return (triangles * 2 / (high - low)).to(device)


# Slaney's scale: a mel is 200 / 3 Hz below 1 kHz, and 27 of them make a factor of 6.4 above it.
_HERTZ, _CORNER, _STEP = 200 / 3, 1000.0, math.log(6.4) / 27


def _mel(hertz: float) -> float:
    return hertz / _HERTZ if hertz < _CORNER else _CORNER / _HERTZ + math.log(hertz / _CORNER) / _STEP


def _hertz(mels: Tensor) -> Tensor:
    above = _CORNER * torch.exp(_STEP * (mels - _CORNER / _HERTZ))
    return torch.where(mels < _CORNER / _HERTZ, mels * _HERTZ, above)


def mel_power(waves: Tensor) -> Tensor:
    """Power in mel filters: Hann windows of 256 samples every 128, centred, the ends reflected.

    Args:
        waves: (units, samples) at 4 kHz.

    Returns:
        (units, mels, frames) float64, the lowest mel first.
    """
    window = torch.hann_window(WINDOW, dtype=torch.float64, device=waves.device)
    spectrum = torch.stft(waves.double(), WINDOW, HOP, window=window, center=True, return_complex=True)
    return mel_filters(waves.device) @ spectrum.abs().square()


def decibels(power: Tensor) -> Tensor:
    """Decibels below the loudest cell of each picture, at most 80.

    Args:
        power: (units, mels, frames).

    Returns:
        The same shape, -80..0.
    """
    levels = 10 * power.clamp(min=FLOOR).log10()
    return (levels - levels.amax(dim=(1, 2), keepdim=True)).clamp(min=-RANGE)


def grey_levels(levels: Tensor) -> Tensor:
    """Bring each picture to 0..255 by its smallest and largest value, cut off to whole numbers.

    Args:
        levels: (units, mels, frames).

    Returns:
        The same shape, int64; 0 throughout where a picture has no difference, as in silence.
    """
    low, high = levels.amin(dim=(1, 2), keepdim=True), levels.amax(dim=(1, 2), keepdim=True)
    span = torch.where(high > low, high - low, 1.0)
    return ((levels - low) / span * 255).long()
