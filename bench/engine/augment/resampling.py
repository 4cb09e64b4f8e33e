"""Speed: each unit of a batch is resampled by a factor of its own.

torchaudio's resampling has one rational factor for a batch and a kernel per phase; a factor that is drawn may be any
number, and each unit has another. So the filter is evaluated where each sample falls; the numbers are torchaudio's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.engine.augment.waves import Waves, blanked, column, positions, rows_of, with_rows


class Filter(NamedTuple):
    """A windowed sinc.

    Attributes:
        crossings: Half its width, in zero crossings of the sinc.
        rolloff: Cut-off, a share of the lower of the two Nyquist frequencies.
        beta: Shape of its Kaiser window; None for a Hann window.
    """

    crossings: int
    rolloff: float
    beta: float | None


TABLE = 8192
"""Entries of the table of a Kaiser window, from its middle to its end."""

FILTERS = {
    "hann": Filter(6, 0.99, None),
    "kaiser-best": Filter(64, 0.9475937167399596, 14.769656459379492),
}
"""torchaudio's default, and the one of librosa before 0.10, which takes ten times as long."""


def change_speed(waves: Waves, factors: Tensor, kind: str = "hann") -> Waves:
    """Play each unit faster or slower: its length is divided by the factor, its frequencies are multiplied by it.

    What would lie above the Nyquist frequency is filtered out. A unit whose factor is 1 stays as it is.

    Args:
        waves: The units.
        factors: (units,) float64, above 0.
        kind: A name of :data:`FILTERS`.

    Returns:
        Units of ceil(length / factor) samples.
    """
    rows = torch.nonzero(factors != 1)[:, 0].numpy()
    if len(rows) < len(factors):
        return with_rows(waves, rows, change_speed(rows_of(waves, rows), factors[rows], kind)) if len(rows) else waves
    # A division that should be exact may end a hair above the whole number.
    lengths = torch.ceil(waves.lengths / factors - 1e-9).long().clamp(min=1)
    place = positions(waves.samples, int(lengths.max())) * column(factors, waves.samples)
    whole = place.floor()
    return blanked(_filtered(waves.samples, whole.long(), (place - whole).float(), factors, FILTERS[kind]), lengths)


def _filtered(samples: Tensor, whole: Tensor, fraction: Tensor, factors: Tensor, shape: Filter) -> Tensor:
    """The low-passed signal at ``whole + fraction``: (units, places)."""
    cutoffs = shape.rolloff / factors.clamp(min=1.0)
    reach = math.ceil(shape.crossings / float(cutoffs.min()))
    padded = torch.nn.functional.pad(samples, (reach, reach + 1))
    window = _hann if shape.beta is None else _kaiser(shape.beta, samples)
    cutoff, last = column(cutoffs, samples).float(), padded.shape[1] - 1
    found = torch.zeros_like(fraction)
    # Tap by tap: all taps at once would need the memory of dozens of batches.
    for tap in range(-reach, reach + 2):
        time = (tap - fraction) * cutoff
        weight = torch.sinc(time) * window(time / shape.crossings) * cutoff
        found += padded.gather(1, (whole + (tap + reach)).clamp(max=last)) * weight
    return found


def _hann(place: Tensor) -> Tensor:
    """Weights of a Hann window at places -1..1, and 0 outside."""
    return torch.cos(place.clamp(-1, 1) * (math.pi / 2)).square()


def _kaiser(beta: float, samples: Tensor) -> Callable[[Tensor], Tensor]:
    """Weights of a Kaiser window, read between the entries of a table: its Bessel function is slow."""
    places = torch.linspace(0, 1, TABLE + 1, dtype=torch.float64)
    weights = torch.special.i0(beta * (1 - places.square()).sqrt())
    table = (weights / weights[0]).float().to(samples.device, non_blocking=True)

    def window(place: Tensor) -> Tensor:
        entry = place.abs() * TABLE
        below = entry.long().clamp(max=TABLE - 1)
        found = torch.lerp(table[below], table[below + 1], entry - below)
        return torch.where(entry < TABLE, found, 0.0)

    return window
