"""From waveforms of one length to grey pictures: mel spectrograms in decibels, as whole numbers from 0 to 255.

In double precision: the numbers are cut off to whole ones, so that rounding may not depend on the batch.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from bench.data.frontends.respirenet.card import HOP, MELS, SAMPLE_RATE, WINDOW
from bench.data.frontends.slaney import slaney_corners, slaney_heights, slaney_triangles

LOWEST_HZ, HIGHEST_HZ = 50.0, 2000.0
FLOOR, RANGE = 1e-10, 80.0
"""Smallest power that a logarithm is taken of, and decibels below the loudest that are kept."""


@functools.lru_cache(maxsize=4)
def mel_filters(device: torch.device) -> Tensor:
    """Triangular filters of equal area on Slaney's mel scale: (mels, bins) float64.

    Args:
        device: Where they are wanted.
    """
    bins = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    corners = slaney_corners(MELS, LOWEST_HZ, HIGHEST_HZ)
    return torch.from_numpy((slaney_triangles(bins, corners) * slaney_heights(corners)).T.copy()).to(device)


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
