"""The rules by which a golden set generates inputs and weights (README of the sets, section 1): numpy only."""

from __future__ import annotations

import hashlib

import numpy as np


def rng(seed: int, name: str) -> np.random.Generator:
    """The set's generator for a text name (its README, section 1)."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little"))


def weight(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A generated weight for the official state-dict key ``name`` (README, section 1)."""
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, dtype=np.int64)
    n = rng(seed, name).standard_normal(shape)
    if last == "running_mean":
        value = 0.1 * n
    elif last == "running_var":
        value = 0.5 + np.abs(n)
    elif last in ("cls_token", "dist_token", "pos_embed"):
        value = 0.2 * n
    elif last == "bias":
        value = 0.02 * n
    elif len(shape) == 1:
        value = 1 + 0.1 * n
    else:
        value = n / np.sqrt(np.prod(shape[1:]))
    return value.astype(np.float32)


def spectrograms(seed: int, name: str, batch: int) -> np.ndarray:
    """Pretend spectrograms (batch, 1, 798, 128), float32 (README, section 1)."""
    images = []
    for i in range(batch):
        g = rng(seed, f"{name}:{i}")
        u, v = g.standard_normal((4, 798)), g.standard_normal((4, 128))
        e, c = g.standard_normal((798, 128)), g.standard_normal()
        x = 0.5 * e + 0.5 * c
        for r in range(4):
            x = x + 0.5 * u[r][:, None] * v[r][None, :]
        images.append(x)
    return np.stack(images)[:, None].astype(np.float32)
