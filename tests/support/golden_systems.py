"""The rules by which the golden sets of the earlier systems generate weights and pictures: numpy only.

They are those of :mod:`golden_rules` and the additions of each set's README, section 1.
"""

from __future__ import annotations

import numpy as np
from golden_rules import rng

__all__ = ["grey_picture", "pictures", "positions", "rng"]


def positions(seed: int, name: str, size: int, count: int) -> np.ndarray:
    """Flat indices (C order) into an array of ``size`` values: ``count`` of them, ascending."""
    return np.sort(rng(seed, name).choice(size, size=count, replace=False))


def pictures(seed: int, name: str, batch: int, channels: int, height: int, width: int) -> np.ndarray:
    """Pretend pictures (batch, channels, height, width) in 0..1, float32 (README A, section 1, ``pic``)."""
    made = np.empty((batch, channels, height, width), dtype=np.float32)
    for i in range(batch):
        g = rng(seed, f"{name}:{i}")
        for c in range(channels):
            u, v = g.standard_normal((4, height)), g.standard_normal((4, width))
            x = 0.45 + 0.1 * g.standard_normal((height, width))
            made[i, c] = np.clip(x + 0.08 * sum(np.outer(u[r], v[r]) for r in range(4)), 0, 1)
    return made


def grey_picture(seed: int, name: str) -> np.ndarray:
    """A pretend drawn picture (480, 640), uint8 (README A, section 1, ``picL``)."""
    picture = pictures(seed, name, 1, 1, 480, 640)[0, 0].astype(np.float64)
    return np.floor(200 * picture + 30).astype(np.uint8)
