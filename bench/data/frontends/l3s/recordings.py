"""What is done to a whole recording: resampling to 4 kHz, band-pass, and the 16 bits in which its cycles are kept.

All of it is computed in float64, as the authors do it (L3S/PrototypeSound @ 5116de7, ``preprocessing.py``).
"""

from __future__ import annotations

import functools
import math
from typing import Any, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, resample_poly

from bench.data.frontends.l3s.card import RATE

Wave: TypeAlias = NDArray[np.float64]

ORDER, PASS_BAND = 5, (100.0, 1800.0)

# Resampy's filter before 0.3, on which librosa's kaiser_best rested: half its width in zero crossings, cut-off as a
# share of the lower Nyquist frequency, and shape of its Kaiser window. It is a table of so many entries for a crossing.
ZERO_CROSSINGS, ROLL_OFF, BETA, ENTRIES = 64, 0.9475937167399596, 14.769656459379492, 512

FULL_SCALE = 2**15


def resampled(wave: Wave, rate: int, resampler: str) -> Wave:
    """Resample a whole recording to 4 kHz.

    Args:
        wave: (samples,) at ``rate``.
        rate: Hz.
        resampler: ``soxr-hq`` or ``kaiser-best``, see the front-end's options.

    Returns:
        (ceil(samples * 4000 / rate),).
    """
    if rate == RATE:
        return wave
    length = -(-len(wave) * RATE // rate)
    if resampler == "soxr-hq":
        found: Wave = soxr.resample(wave, rate, RATE, quality="HQ")
    else:
        common = math.gcd(rate, RATE)
        up, down = RATE // common, rate // common
        found = resample_poly(wave, up, down, window=_kaiser_sinc(up, down))
    # Libraries round the length each in their own way; librosa cuts or fills up to it.
    return np.pad(found[:length], (0, max(0, length - len(found))))


@functools.lru_cache(maxsize=8)
def _kaiser_sinc(up: int, down: int) -> Wave:
    """Low-pass that ``resample_poly`` applies at ``up`` times the rate; it multiplies it by ``up`` itself."""
    scale = min(1.0, up / down)
    # Resampy goes through its table in whole entries, and so a little too slowly.
    step = int(scale * ENTRIES) / ENTRIES
    reach = math.ceil(ZERO_CROSSINGS / step) * up
    whole, rest = np.divmod(np.abs(np.arange(-reach, reach + 1)), up)
    crossings = rest / up * scale + whole * step
    inside = np.clip(1 - (crossings / ZERO_CROSSINGS) ** 2, 0, None)
    window = np.where(crossings < ZERO_CROSSINGS, np.i0(BETA * np.sqrt(inside)) / np.i0(BETA), 0)
    taps: Wave = ROLL_OFF * scale / up * np.sinc(ROLL_OFF * crossings) * window
    return taps


@functools.lru_cache(maxsize=1)
def band_pass() -> tuple[Wave, Wave]:
    """Coefficients (11,) and (11,) of the Butterworth band-pass at 4 kHz, numerator and denominator."""
    edges = [edge / (RATE / 2) for edge in PASS_BAND]
    numerator, denominator = butter(ORDER, edges, "bandpass")
    return numerator, denominator


def filtered(wave: Wave) -> Wave:
    """Band-pass a whole recording at 4 kHz, forwards alone and from rest.

    Args:
        wave: (samples,).
    """
    found: Wave = lfilter(*band_pass(), wave)
    return found


def stored(wave: Wave, storage: str) -> NDArray[np.float32]:
    """Keep a cycle as its file would.

    libsndfile scales to 32 bits and takes the upper 16, which rounds down; a plain conversion rounds to the nearest.

    Args:
        wave: (samples,), full scale 1.
        storage: ``16-bit-down``, ``16-bit-nearest`` or ``float``, see the front-end's options.

    Returns:
        (samples,) float32.
    """
    if storage == "float":
        return wave.astype(np.float32)
    steps: Any = np.floor(np.rint(wave * 2.0**31) / 2.0**16) if storage == "16-bit-down" else np.rint(wave * FULL_SCALE)
    kept: NDArray[np.float32] = (np.clip(steps, -FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE).astype(np.float32)
    return kept
