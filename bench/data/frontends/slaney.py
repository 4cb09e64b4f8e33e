"""Triangular filters on Slaney's mel scale, as librosa has them: linear below 1 kHz, 27 mels for a factor of 6.4 above.

In double precision: torchaudio makes them in single precision, in which edges of triangles are off by a thousandth of
their height, and expects a bin at half of the rate, which a frame of odd length does not have.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_KNEE_HZ, _HZ_PER_MEL = 1000.0, 200 / 3
_KNEE, _STEP = _KNEE_HZ / _HZ_PER_MEL, math.log(6.4) / 27

Array = NDArray[np.float64]


def slaney_corners(bands: int, lowest: float, highest: float) -> Array:
    """Where the filters begin, peak and end, Hz: (bands + 2,) float64.

    Args:
        bands: Number of filters.
        lowest: Where the first one begins, Hz.
        highest: Where the last one ends, Hz.
    """
    mels = np.linspace(_mel(lowest), _mel(highest), bands + 2)
    above = _KNEE_HZ * np.exp(_STEP * (mels - _KNEE))
    corners: Array = np.where(mels < _KNEE, mels * _HZ_PER_MEL, above)
    return corners


def slaney_triangles(frequencies: Array, corners: Array) -> Array:
    """Triangles of height 1: (bins, bands) float64; :func:`slaney_heights` gives each the area 1.

    Args:
        frequencies: (bins,) Hz.
        corners: From :func:`slaney_corners`.
    """
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (frequencies[:, None] - low) / (middle - low)
    falling = (high - frequencies[:, None]) / (high - middle)
    return np.minimum(rising, falling).clip(min=0)


def slaney_heights(corners: Array) -> Array:
    """The heights of triangles whose area is 1, per Hz: (bands,) float64.

    Args:
        corners: From :func:`slaney_corners`.
    """
    heights: Array = 2 / (corners[2:] - corners[:-2])
    return heights


def _mel(hertz: float) -> float:
    return hertz / _HZ_PER_MEL if hertz < _KNEE_HZ else _KNEE + math.log(hertz / _KNEE_HZ) / _STEP
