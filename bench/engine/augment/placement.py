"""Where a sound lies in its unit: circular shift, crop, and filling up."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.engine.augment.waves import Waves, column, part, positions, taken


def _drawn_place(draws: Tensor, choices: Tensor) -> Tensor:
    """Whole numbers from 0 to ``choices`` - 1, by draws in [0, 1)."""
    # The product of a draw just below 1 may round to the number of choices itself.
    return torch.minimum((draws * choices).long(), choices - 1)


def roll(waves: Waves, draws: Tensor) -> Waves:
    """Shift each unit circularly within its length, to the right by 0 to length - 1 samples.

    Args:
        waves: The units.
        draws: (units,) float64 in [0, 1): the shift as a share of the length, rounded down.
    """
    shifts = _drawn_place(draws, waves.lengths)
    place = positions(waves.samples, waves.samples.shape[1]) - column(shifts, waves.samples)
    return taken(waves, place.remainder(column(waves.lengths, waves.samples)), waves.lengths)


def gap(waves: Waves, draws: Tensor, hop: int) -> Waves:
    """Leave out what is missing of a tenth of each unit once it is cut to whole hops; the rest moves up.

    That is all that the vocal tract perturbation of nlpaug 0.0.14 does to a sound: it moves Fourier frames of a tenth
    of it in time by as much as nothing, and gets back whole hops.

    Args:
        waves: The units.
        draws: (units,) float64 in [0, 1): where the tenth begins, among all places with room behind them.
        hop: Samples from one Fourier frame to the next.
    """
    tenth = waves.lengths // 10
    first = _drawn_place(draws, (waves.lengths - tenth).clamp(min=1)) + tenth // hop * hop
    missing = torch.where(tenth >= hop, tenth % hop, 0)
    place = positions(waves.samples, waves.samples.shape[1])
    source = place + torch.where(place >= column(first, waves.samples), column(missing, waves.samples), 0)
    return taken(waves, source, waves.lengths - missing)


def crop(waves: Waves, draws: Tensor, samples: int) -> Waves:
    """Cut units that are longer at a random place; the others stay.

    Args:
        waves: The units.
        draws: (units,) float64 in [0, 1): where the cut begins, among all places with room behind them.
        samples: Samples that are left.
    """
    lengths = waves.lengths.clamp(max=samples)
    return part(waves, _drawn_place(draws, waves.lengths - lengths + 1), lengths)


def pad(waves: Waves, draws: Tensor, samples: int, *, fill: str = "zeros", place: str = "anywhere") -> Waves:
    """Fill up units that are shorter, with the unit itself at a random place; the others stay.

    Args:
        waves: The units.
        draws: (units,) float64 in [0, 1): how much of what is filled up comes before the unit.
        samples: Samples that shorter units are brought to.
        fill: ``zeros``, or ``copies`` of the unit, so that it goes on without a seam in both directions.
        place: ``anywhere``, or ``side``: all before it (draws below one half) or all after it, as RespireNet does.
    """
    lengths = waves.lengths.clamp(min=samples)
    missing = lengths - waves.lengths
    before = _drawn_place(draws, missing + 1) if place == "anywhere" else torch.where(draws < 0.5, missing, 0)
    source = positions(waves.samples, int(lengths.max())) - column(before, waves.samples)
    given = column(waves.lengths, waves.samples)
    if fill == "copies":
        return taken(waves, source.remainder(given), lengths)
    found = taken(waves, source, lengths)
    return Waves(torch.where((source >= 0) & (source < given), found.samples, 0.0), lengths)
