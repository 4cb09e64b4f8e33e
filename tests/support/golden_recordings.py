"""Recordings that a golden set's rules generate, and how they are written as WAV files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from golden_rules import rng


def pretend_recording(seed: int, name: str, rate: int, bits: int, count: int) -> np.ndarray:
    """A pretend recording by the set's rule (README, section 1), as integers of ``bits`` bits."""
    return pretend_samples(rng(seed, f"synth:{name}"), rate, bits, count)


def pretend_samples(g: np.random.Generator, rate: int, bits: int, count: int) -> np.ndarray:
    """The samples of a pretend recording that a generator gives, as integers of ``bits`` bits."""
    frequency, amplitude, modulation = g.uniform(80, 0.45 * rate, 6), g.uniform(0.02, 0.12, 6), g.uniform(0.2, 1.5, 6)
    phase, noise = g.uniform(0, 2 * np.pi, 6), g.standard_normal(count)
    t = np.arange(count) / rate
    x = 0.03 * noise
    for k in range(6):
        swell = 0.5 + 0.5 * np.sin(2 * np.pi * modulation[k] * t)
        x = x + amplitude[k] * swell * np.sin(2 * np.pi * frequency[k] * t + phase[k])
    full = 2 ** (bits - 1)
    q = np.clip(np.rint(x * (full - 1)), -full, full - 1).astype(np.int32)
    q[int(0.55 * count) : int(0.60 * count)] = 0
    return q


def write_wav(path: Path, integers: np.ndarray, rate: int, bits: int) -> Path:
    """Write integers of ``bits`` bits; soundfile takes the upper bits of 32."""
    soundfile.write(path, integers.astype(np.int32) << (32 - bits), rate, subtype=f"PCM_{bits}")
    return path
