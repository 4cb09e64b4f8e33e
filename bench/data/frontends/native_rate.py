"""Signal steps of front-ends that leave each recording at its own rate: cut, scaling, band-pass, STFT in decibels.

Source: SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I @ 83f3d17, ``pre-processing/stft.py``, and
LungAttn @ 8a7972b, ``pre-processing/tqwt_stft.py``, with what pydub 0.23, scipy 1.3 and librosa 0.7 do for them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal import butter, get_window, lfilter

from bench.core.errors import DataError

DECIBELS = 80.0
"""Decibels below the loudest cell at which an STFT is cut off."""

LEAST_POWER = 1e-10
"""Smallest power that a logarithm is taken of."""

Wave = NDArray[np.float64]


def cut_cycles(
    wave: NDArray[np.float32], rate: int, spans: Sequence[tuple[float, float]], name: str = "the recording"
) -> list[NDArray[np.float32]]:
    """Cut cycles from a recording as pydub does.

    Times are cut to whole samples. They are first clamped to the recording's length in whole milliseconds: the last
    cycle may lose half a millisecond, or get as much of zeros.

    Args:
        wave: (samples,).
        rate: Sampling rate of ``wave``, Hz.
        spans: Start and end of each cycle, seconds.
        name: Name by which messages call the recording.

    Returns:
        (samples,) of each cycle.

    Raises:
        DataError: If a cycle holds no sample of the recording.
    """
    longest = round(1000 * len(wave) / rate)
    cycles = []
    for index, (start, end) in enumerate(spans):
        first, last = (int(min(seconds * 1000, longest) * (rate / 1000.0)) for seconds in (start, end))
        cycle = wave[first:last]
        if not len(cycle):
            raise DataError(
                f"Cycle {index} of {name} ({start} s to {end} s) holds no sample of a recording of "
                f"{len(wave) / rate:.3f} s.",
                "Run 'bench data verify': the annotation or the audio file is not the official one.",
            )
        cycles.append(np.pad(cycle, (0, last - first - len(cycle))))
    return cycles


def with_low_byte(wave: NDArray[np.float32]) -> Wave:
    """Widen samples of 24 bits to 32 as pydub does: the lowest byte of a negative one is 255, of another one 0.

    Args:
        wave: (samples,), −1..1; of 16 bits where all are multiples of 2^-15, which stay as they are.

    Returns:
        (samples,).
    """
    wide = wave.astype(np.float64)
    in_16_bits = wide * 2.0**15
    if np.array_equal(in_16_bits, np.rint(in_16_bits)):
        return wide
    return np.where(wide < 0, wide + 255 * 2.0**-31, wide)


def scaled_to_unit(values: NDArray[Any]) -> Wave:
    """Bring numbers to 0..1 by their smallest and largest; all become 0 where there is no difference.

    Args:
        values: Any shape.

    Returns:
        The same shape, float64.
    """
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


@functools.lru_cache(maxsize=32)
def _band_pass_coefficients(rate: int, low: float, high: float, order: int) -> tuple[Wave, Wave]:
    numerator, denominator = butter(order, (low, high), btype="bandpass", fs=rate)
    return numerator, denominator


def band_pass(wave: Wave, rate: int, low: float, high: float, order: int = 3) -> Wave:
    """Filter a waveform by a causal Butterworth band-pass, which starts at rest.

    Args:
        wave: (samples,).
        rate: Sampling rate, Hz; more than twice ``high``.
        low: Lower edge, Hz.
        high: Upper edge, Hz.
        order: Order of the low-pass that it is made of; the band-pass has twice as many poles.

    Returns:
        (samples,).
    """
    # By the two polynomials, as the authors do: second-order sections would move the output by 4e-4 at a 1 Hz edge.
    filtered: Wave = lfilter(*_band_pass_coefficients(rate, low, high, order), wave)
    return filtered


def stft_decibels(wave: Wave, window: int, hop: int, rows: int) -> NDArray[np.float32]:
    """Power of a short-time Fourier transform in decibels below its loudest cell, 80 at most.

    Frames are centred on every ``hop``-th sample, beyond the ends the waveform is reflected.

    Args:
        wave: (samples,).
        window: Samples of the periodic Hann window.
        hop: Samples from one frame to the next.
        rows: Number of frequencies that are kept, from 0 Hz; the loudest cell is looked for among these.

    Returns:
        (rows, frames), 1 + samples // hop frames; row 0 is 0 Hz.
    """
    padded = np.pad(wave, window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    # Single precision before the power, as librosa 0.7 has it.
    spectrum = rfft(frames * get_window("hann", window), axis=1)[:, :rows].astype(np.complex64)
    power = np.square(np.abs(spectrum))
    decibels = 10 * np.log10(np.maximum(power, np.float32(LEAST_POWER)))
    decibels -= 10 * np.log10(max(power.max(), np.float32(LEAST_POWER)))
    cut_off: NDArray[np.float32] = np.maximum(decibels, decibels.max() - np.float32(DECIBELS))
    return cut_off.T
