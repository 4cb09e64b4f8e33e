"""Noise and gain."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.engine.augment.waves import Waves, blanked, column, joined, part, power


def add_noise(
    waves: Waves,
    ratios: Tensor,
    *,
    seeds: np.ndarray,
    places: Tensor,
    zone: float = 1.0,
    deviation: float = 0.0,
    kind: str = "white",
) -> Waves:
    """Add white noise to a stretch of each unit.

    Noise is drawn on the CPU, from a seed of each unit: it is the same on every device and in every batch.

    Args:
        waves: The units.
        ratios: (units,) float64, signal-to-noise ratios in dB: the mean square of the stretch to that of the noise.
            A silent stretch stays silent.
        seeds: (units,) int64.
        places: (units,) in [0, 1), where in the unit the stretch begins: 0 at its start, nearly 1 at its end.
        zone: Share of the unit that the stretch has.
        deviation: Standard deviation of the noise, for noise that does not depend on the unit; 0 to use the ratios.
        kind: ``white``, or ``mirrored``: the second half of it is the first in reverse.
    """
    sizes = (waves.lengths * zone).long().clamp(min=1)
    starts = (places * (waves.lengths - sizes + 1)).long()
    noise = _unit_noise(seeds, sizes, kind).to(waves.samples.device, non_blocking=True)
    if deviation > 0:
        scale = torch.full_like(noise[:, :1], deviation)
    else:
        wanted = power(part(waves, starts, sizes)) / column(10 ** (ratios / 10), waves.samples).float()
        scale = (wanted / power(Waves(noise, sizes))).sqrt()
    silence = Waves(torch.zeros_like(waves.samples[:, :0]), starts)
    return Waves(waves.samples + _widened(joined(silence, Waves(noise * scale, sizes)), waves), waves.lengths)


def _unit_noise(seeds: np.ndarray, sizes: Tensor, kind: str) -> Tensor:
    """(units, longest size) float32 of unit deviation, zero beyond each size."""
    noise = np.zeros((len(seeds), int(sizes.max())), np.float32)
    for row, seed, size in zip(noise, seeds, sizes.tolist(), strict=True):
        rng = np.random.default_rng(int(seed))
        if kind == "mirrored":
            row[:size] = mirrored_noise(rng.standard_normal(size // 2 + 1), size)
        else:
            row[:size] = rng.standard_normal(size, np.float32)
    return torch.from_numpy(noise)


def mirrored_noise(spectrum: np.ndarray, size: int) -> np.ndarray:
    """Make the noise whose spectrum is real, as nlpaug 0.0.14 makes it: its samples are the same in reverse.

    Args:
        spectrum: (size // 2 + 1,) normal draws, the strength of each frequency.
        size: Samples.

    Returns:
        (size,) float64, of about unit deviation.
    """
    # An odd number of samples has one frequency less, and a single sample none.
    made = np.fft.irfft(spectrum, n=size) if size > 1 else spectrum[:1]
    noise: np.ndarray = made * np.sqrt(size)
    return noise


def _widened(added: Waves, waves: Waves) -> Tensor:
    width = waves.samples.shape[1] - added.samples.shape[1]
    return torch.nn.functional.pad(added.samples, (0, width))


def change_gain(waves: Waves, gains: Tensor, *, scale: str = "decibel") -> Waves:
    """Change the loudness of each unit.

    Args:
        waves: The units.
        gains: (units,) float64, decibels or factors.
        scale: ``decibel`` or ``factor``.
    """
    factors = 10 ** (gains / 20) if scale == "decibel" else gains
    return blanked(waves.samples * column(factors, waves.samples).float(), waves.lengths)
