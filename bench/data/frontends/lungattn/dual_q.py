"""A signal in three parts: sustained oscillations, transients, and a residual.

Resonance-based decomposition with two tunable-Q wavelet transforms (Selesnick 2011, Signal Processing 91), whose
coefficients are found by SALSA, an augmented Lagrangian method with thresholding. LungAttn: wheezes are in the high-Q
part, crackles in the low-Q part (SJTU-YONGFU-RESEARCH-GRP/LungAttn @ 8a7972b, with jollyjonson/tqwt_tools @ e018373).

With S1, S2 the syntheses of both transforms, A the analyses, t the thresholds, c = 0 and w = A x, an iteration is

    u = soft(w + d, t) - d,   c = (x - S1 u1 - S2 u2) / (mu + 2),   d = A c,   w = d + u.

As S A = 1, S u = S y - c with y = soft(w + d, t): the signals stay spectra, and an iteration is

    v = A (2 c - c_before) + y,   y = soft(v, t),   c_next = (x - S1 y1 - S2 y2 + 2 c) / (mu + 2).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from bench.data.frontends.lungattn.tqwt import Band, Real, Spectrum, Wavelet, signal, spectrum, sub_bands

HIGH_Q = Wavelet(q=4, redundancy=3, stages=30)
"""The authors' wavelet of oscillations."""

LOW_Q = Wavelet(q=1, redundancy=3, stages=10)
"""The authors' wavelet of transients."""

SPARSITY, PENALTY = 0.1, 0.1
"""The authors' lambda, by which coefficients of both wavelets count in the cost, and mu, the weight of the penalty."""


@dataclass(frozen=True)
class Parts:
    """The parts of a signal; their sum is the signal.

    Attributes:
        high: (n,) what the high-Q wavelets make of it: oscillations.
        low: (n,) what the low-Q wavelets make of it: transients.
        residual: (n,) the rest, noise above all.
    """

    high: Real
    low: Real
    residual: Real


@dataclass
class _Coefficients:
    """The coefficients of one sub-band on their way.

    Attributes:
        band: The sub-band.
        threshold: What is taken of each coefficient's size.
        kept: What the last thresholding left of the coefficients; None where that is nothing.
    """

    band: Band
    threshold: float
    kept: Real | None = None

    def threshold_with(self, bins: Spectrum) -> None:
        """Add a signal's coefficients to what was left, and threshold anew.

        Args:
            bins: Spectrum of the signal.
        """
        part = bins[self.band.bins] * self.band.weights
        if self.kept is None:
            # No coefficient is larger than all bins together: most sub-bands above the band-pass end here, exactly.
            if 2 * np.abs(part).sum() <= self.threshold * np.sqrt(self.band.length):
                return
            values = signal(part, self.band.length)
        else:
            values = signal(part, self.band.length)
            values += self.kept
        values -= np.clip(values, -self.threshold, self.threshold)
        self.kept = values if values.any() else None

    def add_to(self, bins: Spectrum) -> None:
        """Add the signal of what was left to a spectrum."""
        if self.kept is not None:
            bins[self.band.bins] += spectrum(self.kept) * self.band.weights


@dataclass
class _Transform:
    """One of the two transforms on its way.

    Attributes:
        coefficients: Its sub-bands.
        kept: Spectrum of the signal of what thresholding left.
    """

    coefficients: list[_Coefficients]
    kept: Spectrum

    def threshold_with(self, bins: Spectrum) -> None:
        """Add a signal's coefficients to what was left, threshold anew, and synthesise that."""
        self.kept = np.zeros_like(bins)
        for coefficients in self.coefficients:
            coefficients.threshold_with(bins)
            coefficients.add_to(self.kept)

    def cost(self, change: Spectrum) -> float:
        """What the coefficients add to the cost; ``change`` is the spectrum of A's argument in w = A (...) + y."""
        total = 0.0
        for each in self.coefficients:
            values = signal(change[each.band.bins] * each.band.weights, each.band.length)
            total += each.threshold * float(np.abs(values if each.kept is None else values + each.kept).sum())
        return total


@functools.lru_cache(maxsize=8)
def _bands(wavelet: Wavelet, length: int) -> tuple[Band, ...]:
    return sub_bands(wavelet, length)


def _begin(wavelet: Wavelet, length: int) -> _Transform:
    factor = SPARSITY / (2 * PENALTY)
    coefficients = [_Coefficients(band, factor * band.norm) for band in _bands(wavelet, length)]
    return _Transform(coefficients, np.zeros(length // 2 + 1, np.complex128))


class DualQ:
    """The search for the parts of one signal.

    Args:
        samples: (n,) the signal, with an even number of samples.
        high: Wavelet of oscillations.
        low: Wavelet of transients.

    Raises:
        ValueError: If the number of samples is odd, or has no room for all stages.
    """

    def __init__(self, samples: Real, high: Wavelet = HIGH_Q, low: Wavelet = LOW_Q) -> None:
        self.samples, self._x = samples, spectrum(samples)
        self._high, self._low = _begin(high, len(samples)), _begin(low, len(samples))
        # c and what it was before the last iteration. The first one thresholds w = A x, as if c had been -x before.
        self._common, self._before = np.zeros_like(self._x), -self._x

    def iterate(self) -> None:
        """Take one iteration."""
        step = 2 * self._common - self._before
        for transform in (self._high, self._low):
            transform.threshold_with(step)
        missing = self._x - self._high.kept - self._low.kept + 2 * self._common
        self._before, self._common = self._common, missing / (PENALTY + 2)

    def parts(self) -> Parts:
        """The parts as the iterations so far have them; one at least must have been taken."""
        change, length = self._common - self._before, len(self.samples)
        high, low = signal(self._high.kept + change, length), signal(self._low.kept + change, length)
        return Parts(high, low, self.samples - high - low)

    def cost(self) -> float:
        """What the iterations make small: energy of the residual, and sizes of coefficients by their thresholds."""
        change = self._common - self._before
        sizes = self._high.cost(change) + self._low.cost(change)
        return float(np.square(self.parts().residual).sum()) + sizes


def decompose(samples: Real, iterations: int, high: Wavelet = HIGH_Q, low: Wavelet = LOW_Q) -> Parts:
    """Take a signal apart.

    Args:
        samples: (n,) the signal, with an even number of samples.
        iterations: Number of iterations, 1 or more; the authors take 100.
        high: Wavelet of oscillations.
        low: Wavelet of transients.

    Returns:
        Its parts.

    Raises:
        ValueError: If the number of samples is odd, or has no room for all stages.
    """
    search = DualQ(samples, high, low)
    for _ in range(iterations):
        search.iterate()
    return search.parts()
