"""Gammatone filters as weights over a power spectrum.

A gammatone filter of order n = 4 with centre c and bandwidth b has the impulse response

    g(t) = t^(n - 1) exp(-2 pi b t) cos(2 pi c t),

and so, but for the share of negative frequencies, the power response (1 at the centre)

    |H(f)|^2 = [1 + ((f - c) / b)^2]^(-n).

Its equivalent rectangular bandwidth is b pi (2n - 2)! 2^(2 - 2n) / (n - 1)!^2 = 0.982 b. With b = 1.019 ERB(c) it is
that of the ear, ERB(c) = 24.7 + c / 9.26449 Hz (Patterson et al. 1992; Glasberg & Moore 1990).
"""

from __future__ import annotations

import numpy as np

EAR_Q, NARROWEST_HZ = 9.26449, 24.7
"""Centre divided by bandwidth of high filters, and bandwidth of the lowest; Glasberg & Moore 1990."""

ORDER, WIDENING = 4, 1.019


def equivalent_rectangular_bandwidth(centres: np.ndarray) -> np.ndarray:
    """Bandwidth of the ear's filters.

    Args:
        centres: Any shape, Hz.

    Returns:
        The same shape, Hz.
    """
    bandwidths: np.ndarray = NARROWEST_HZ + centres / EAR_Q
    return bandwidths


def erb_spaced_centres(lowest: float, highest: float, bands: int) -> np.ndarray:
    """Centres that are equally far from one another in units of the ear's bandwidth.

    Args:
        lowest: Centre of the first filter, Hz.
        highest: Frequency one step above the last filter, Hz.
        bands: Number of filters.

    Returns:
        (bands,) Hz, ascending.
    """
    # The number of bandwidths below a frequency is proportional to log(f + constant): the integral of 1 / ERB(f).
    constant = EAR_Q * NARROWEST_HZ
    steps = np.linspace(np.log(lowest + constant), np.log(highest + constant), bands, endpoint=False)
    centres: np.ndarray = np.exp(steps) - constant
    return centres


def gammatone_responses(frequencies: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Power responses of gammatone filters of fourth order.

    Args:
        frequencies: (bins,) Hz.
        centres: (bands,) Hz.

    Returns:
        (bins, bands) float64, 1 at the centre.
    """
    bandwidths = WIDENING * equivalent_rectangular_bandwidth(centres)
    responses: np.ndarray = (1 + ((frequencies[:, None] - centres) / bandwidths) ** 2) ** -ORDER
    return responses
