"""The tunable-Q wavelet transform (Selesnick 2011, IEEE Trans. Signal Process. 59(8)) of real signals.

Each stage divides a signal into a low band, scaled by alpha in frequency, which the next stage divides again, and a
high band, scaled by beta. All stages act on the signal's spectrum alone, so that a sub-band is some of its bins, each
with a weight, and its coefficients are their inverse transform: one real Fourier transform for each sub-band.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Real: TypeAlias = NDArray[np.float64]
Spectrum: TypeAlias = NDArray[np.complex128]


@dataclass(frozen=True, kw_only=True)
class Wavelet:
    """The shape of a tunable-Q wavelet.

    Attributes:
        q: Quality factor, centre frequency by bandwidth; 1 or more.
        redundancy: Coefficients by samples with unlimited stages; above 1.
        stages: Number of high bands; one low band is left.
    """

    q: float
    redundancy: float
    stages: int

    @property
    def beta(self) -> float:
        """Share of the spectrum that the high band of a stage keeps."""
        return 2 / (self.q + 1)

    @property
    def alpha(self) -> float:
        """Share of the spectrum that the low band of a stage keeps."""
        return 1 - self.beta / self.redundancy

    def most_stages(self, length: int) -> int:
        """The number of stages that a signal has room for.

        Args:
            length: Samples of the signal, an even number.
        """
        room = self.beta * length / 8
        return max(0, math.floor(math.log(room) / -math.log(self.alpha))) if room > 0 else 0

    @property
    def shortest(self) -> int:
        """The smallest even number of samples that has room for all stages."""
        near = 2 * math.ceil(4 / (self.beta * self.alpha**self.stages))
        # The logarithms of `most_stages` may round the other way.
        return next(
            length for length in range(max(2, near - 4), near + 6, 2) if self.stages <= self.most_stages(length)
        )


@dataclass(frozen=True)
class Band:
    """A sub-band: bins of the signal's spectrum and their weights.

    Attributes:
        first: The bin of the signal that is bin 0 of the sub-band.
        length: Number of coefficients, even.
        weights: (length / 2 + 1,) weight of each bin.
    """

    first: int
    length: int
    weights: Real

    @property
    def bins(self) -> slice:
        """The bins of the signal's spectrum that the sub-band is made of."""
        return slice(self.first, self.first + len(self.weights))

    @property
    def norm(self) -> float:
        """Euclidean norm of the signal that a single coefficient of 1 stands for, the same for each coefficient."""
        energy = self.weights**2
        # Bins between the first and the last stand for two of the full spectrum.
        return math.sqrt((2 * energy.sum() - energy[0] - energy[-1]) / self.length)


def spectrum(signal: Real) -> Spectrum:
    """Unitary discrete Fourier transform of a real signal, without the bins of negative frequencies."""
    found: Spectrum = fft.rfft(signal, norm="ortho")
    return found


def signal(bins: Spectrum, length: int) -> Real:
    """The real signal of ``length`` samples that has a spectrum; the inverse of :func:`spectrum`."""
    found: Real = fft.irfft(bins, length, norm="ortho")
    return found


def _transition(bins: int) -> Real:
    """Weights of the low band where it fades into the high band: those of Daubechies' filter of two moments."""
    v = np.pi * np.arange(1, bins + 1) / (bins + 1)
    fading: Real = (1 + np.cos(v)) * np.sqrt(2 - np.cos(v)) / 2
    return fading


def _divide(low: Real, length: int, kept: int, high_length: int) -> tuple[Real, Band]:
    """Divide a low band once more.

    Args:
        low: (length / 2 + 1,) weights of its bins in the signal.
        length: Its coefficients.
        kept: Coefficients of the next low band.
        high_length: Coefficients of the high band.

    Returns:
        (kept / 2 + 1,) weights of the next low band, and the high band.
    """
    untouched = (length - high_length) // 2
    fading = _transition((kept + high_length - length) // 2 - 1)
    shared = slice(untouched + 1, untouched + 1 + len(fading))
    next_low, high = low[: kept // 2 + 1].copy(), low.copy()
    next_low[shared] *= fading
    next_low[-1] = 0
    high[shared] *= fading[::-1]
    high[untouched] = 0
    return next_low, Band(untouched, high_length, high[untouched:])


def sub_bands(wavelet: Wavelet, length: int) -> tuple[Band, ...]:
    """Lay out the sub-bands of signals of one length.

    Args:
        wavelet: The wavelet.
        length: Samples of the signals, an even number.

    Returns:
        The high bands from the highest frequencies down, then the low band that is left.

    Raises:
        ValueError: If the length is odd, or has no room for all stages.
    """
    room = wavelet.most_stages(length)
    if length % 2 or wavelet.stages > room:
        raise ValueError(f"{length} samples do not have an even number or room for {wavelet.stages} stages ({room})")
    bands, low, now = [], np.ones(length // 2 + 1), length
    for stage in range(1, wavelet.stages + 1):
        # `round` rounds halves to even numbers, as the authors' code does.
        kept = 2 * round(wavelet.alpha**stage * length / 2)
        high_length = 2 * round(wavelet.beta * wavelet.alpha ** (stage - 1) * length / 2)
        low, high = _divide(low, now, kept, high_length)
        bands.append(high)
        now = kept
    return (*bands, Band(0, now, low))


def analyse(samples: Real, bands: Sequence[Band]) -> list[Real]:
    """Transform a signal into coefficients.

    Args:
        samples: (n,) the signal.
        bands: Sub-bands of signals of n samples.

    Returns:
        (length,) coefficients of each sub-band. The sum of their squares is that of the signal's samples.
    """
    bins = spectrum(samples)
    return [signal(bins[band.bins] * band.weights, band.length) for band in bands]


def synthesise(coefficients: Sequence[Real], bands: Sequence[Band], length: int) -> Real:
    """Make the signal of coefficients; the inverse and the transpose of :func:`analyse`.

    Args:
        coefficients: (length,) those of each sub-band.
        bands: Sub-bands of signals of ``length`` samples.
        length: Samples of the signal.

    Returns:
        (length,) the signal.
    """
    bins = np.zeros(length // 2 + 1, np.complex128)
    for values, band in zip(coefficients, bands, strict=True):
        bins[band.bins] += spectrum(values) * band.weights
    return signal(bins, length)
