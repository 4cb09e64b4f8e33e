"""Unit waveforms of several lengths for tests: packed, unpacked, and sounds whose spectra are known."""

from __future__ import annotations

import numpy as np
import torch

from bench.engine.augment.waves import Waves


def packed(*units: np.ndarray, spare: int = 0) -> Waves:
    """Pack units, zero beyond their lengths, with some columns that no unit reaches."""
    samples = torch.zeros(len(units), max(len(unit) for unit in units) + spare)
    for row, unit in zip(samples, units, strict=True):
        row[: len(unit)] = torch.from_numpy(np.asarray(unit, np.float32))
    return Waves(samples, torch.tensor([len(unit) for unit in units]))


def unpacked(waves: Waves) -> list[np.ndarray]:
    """The units of waves, after a check that beyond their lengths there is nothing but zeros."""
    samples, lengths = waves.samples.numpy(), waves.lengths.tolist()
    assert samples.shape[1] >= max(lengths)
    assert samples.dtype == np.float32
    for row, length in zip(samples, lengths, strict=True):
        assert not row[length:].any()
    return [row[:length] for row, length in zip(samples, lengths, strict=True)]


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32) * 0.1


def tone(frequency: float, length: int, rate: int, amplitude: float = 0.5) -> np.ndarray:
    """A cosine: reflected at its start it goes on as itself, so that the first Fourier frame holds one tone alone."""
    return (amplitude * np.cos(2 * np.pi * frequency * np.arange(length) / rate)).astype(np.float32)


def peak_frequency(unit: np.ndarray, rate: int) -> float:
    """Frequency of the strongest line of a spectrum, Hz, between bins by a parabola of the logarithms."""
    spectrum = np.abs(np.fft.rfft(unit * np.hanning(len(unit)), 8 * len(unit)))
    k = int(spectrum.argmax())
    below, at, above = np.log(spectrum[k - 1 : k + 2])
    return float((k + (below - above) / 2 / (below - 2 * at + above)) * rate / (8 * len(unit)))


def amounts(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)
