"""Speed: each unit of a batch is resampled by a factor of its own.

torchaudio's resampling has one rational factor for a batch and a kernel per phase; a factor that is drawn may be any
number, and each unit has another. So the filter is evaluated where each sample falls; the numbers are torchaudio's.
"""

from __future__ import annotations

import math
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
    cutoff, last = column(cutoffs, samples).float(), padded.shape[1] - 1
    found = torch.zeros_like(fraction)
    # Tap by tap: all taps at once would need the memory of dozens of batches.
    for tap in range(-reach, reach + 2):
        time = (tap - fraction) * cutoff
        weight = torch.sinc(time) * _window(time / shape.crossings, shape.beta) * cutoff
        found += padded.gather(1, (whole + (tap + reach)).clamp(max=last)) * weight
    return found


def _window(place: Tensor, beta: float | None) -> Tensor:
    """Weights of a window at places -1..1, and 0 outside."""
    if beta is None:
        return torch.cos(place.clamp(-1, 1) * (math.pi / 2)).square()
    inner = (1 - place.square()).clamp(min=0).sqrt()
    highest = torch.special.i0(torch.tensor(beta, dtype=torch.float64)).item()
    return torch.where(place.abs() < 1, torch.special.i0(beta * inner) / highest, 0.0)
