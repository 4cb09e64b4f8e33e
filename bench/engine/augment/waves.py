"""Waveforms of several lengths in one tensor, and how their rows are moved about on a device.

Lengths stay on the CPU: how wide a result is must be known there, and asking a device for it would wait for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Waves(NamedTuple):
    """Unit waveforms of a batch.

    Attributes:
        samples: (units, longest) float32, any device, zero beyond each unit's length.
        lengths: (units,) int64 on the CPU, samples, each at least 1.
    """

    samples: Tensor
    lengths: Tensor


def column(values: Tensor, samples: Tensor) -> Tensor:
    """Move one value per unit to the device of the samples, as (units, 1)."""
    return values.to(samples.device, non_blocking=True)[:, None]


def positions(samples: Tensor, count: int) -> Tensor:
    """(1, count) int64 on the device of the samples: 0, 1, 2, ..."""
    return torch.arange(count, device=samples.device)[None]


def blanked(samples: Tensor, lengths: Tensor) -> Waves:
    """Make waves of samples: what lies beyond the longest unit is cut off, what lies beyond each unit is zero.

    Args:
        samples: (units, at least the longest length).
        lengths: (units,) int64 on the CPU.
    """
    samples = samples[:, : int(lengths.max())]
    inside = positions(samples, samples.shape[1]) < column(lengths, samples)
    return Waves(torch.where(inside, samples, 0.0), lengths)


def taken(waves: Waves, source: Tensor, lengths: Tensor) -> Waves:
    """Gather samples: sample j of a unit becomes what stands at ``source[unit, j]`` of it.

    Args:
        waves: The units.
        source: (units, new longest) int64 on their device; places outside of the tensor are read at its nearest end.
        lengths: (units,) new lengths, on the CPU.
    """
    last = waves.samples.shape[1] - 1
    return blanked(waves.samples.gather(1, source.clamp(0, last)), lengths)


def part(waves: Waves, starts: Tensor, lengths: Tensor) -> Waves:
    """Cut a part out of each unit.

    Args:
        waves: The units.
        starts: (units,) first samples, on the CPU.
        lengths: (units,) samples of the parts, on the CPU; 0 gives an empty one.
    """
    places = positions(waves.samples, int(lengths.max())) + column(starts, waves.samples)
    return taken(waves, places, lengths)


def rows_of(waves: Waves, rows: np.ndarray) -> Waves:
    """Take some of the units, as wide as the longest of them.

    Args:
        waves: The units.
        rows: (some,) int64, at least one.
    """
    places = torch.from_numpy(rows)
    samples = waves.samples.index_select(0, places.to(waves.samples.device, non_blocking=True))
    lengths = waves.lengths[places]
    return Waves(samples[:, : int(lengths.max())], lengths)


def with_rows(waves: Waves, rows: np.ndarray, changed: Waves) -> Waves:
    """Put units in the place of others, out of place; the tensor becomes as wide as is needed.

    Args:
        waves: The units.
        rows: (some,) int64, which units are replaced.
        changed: What replaces them, as many.
    """
    places = torch.from_numpy(rows)
    lengths = waves.lengths.index_copy(0, places, changed.lengths)
    longest = int(lengths.max())
    samples = waves.samples.new_zeros(len(lengths), longest)
    kept = min(longest, waves.samples.shape[1])
    samples[:, :kept] = waves.samples[:, :kept]
    new = changed.samples.new_zeros(len(rows), longest)
    new[:, : changed.samples.shape[1]] = changed.samples
    return Waves(samples.index_copy(0, places.to(samples.device, non_blocking=True), new), lengths)


def joined(first: Waves, second: Waves, overlap: Tensor | None = None) -> Waves:
    """Add units up, the second beginning where the first ends or ``overlap`` samples before.

    Args:
        first: Units.
        second: As many units; one without samples adds nothing.
        overlap: (units,) int64 on the CPU, at most the shorter of the two lengths; None for no overlap.
    """
    starts = first.lengths if overlap is None else first.lengths - overlap
    lengths = starts + second.lengths
    longest = int(lengths.max())
    samples = torch.nn.functional.pad(first.samples, (0, longest - first.samples.shape[1]))
    if second.samples.shape[1] == 0:
        return Waves(samples, lengths)
    places = positions(samples, longest) - column(starts, samples)
    inside = (places >= 0) & (places < column(second.lengths, samples))
    late = second.samples.gather(1, places.clamp(0, second.samples.shape[1] - 1))
    return Waves(samples + torch.where(inside, late, 0.0), lengths)


def power(waves: Waves) -> Tensor:
    """(units, 1) float32 on their device: the mean square of each unit, 0 for one without samples."""
    return waves.samples.square().sum(1, keepdim=True) / column(waves.lengths, waves.samples).clamp(min=1)
