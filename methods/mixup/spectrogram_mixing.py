"""Mixing of spectrograms: what is drawn for a global batch, and Mixup and CutMix themselves, for any model.

Bae et al. 2023 argue against both for spectrograms but give neither code nor numbers, so how they are set here is a
reconstruction: one lambda and one permutation for the whole batch, as in Patch-Mix, on the normalised and augmented
spectrograms. A clip may be its own partner.

What is drawn knows no size of a picture: places are drawn as fractions and become indices where they are used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from methods.mixing import draw_lambda


@dataclass(frozen=True)
class Mixup:
    """The random choices of one step of Mixup, for the global batch.

    Attributes:
        lam: A clip's own share, 0..1.
        permutation: (batch,) int64; row i is mixed with row ``permutation[i]``.
    """

    lam: float
    permutation: np.ndarray


@dataclass(frozen=True)
class CutMix:
    """The random choices of one step of CutMix, for the global batch.

    Attributes:
        drawn: Lambda as drawn, 0..1; the rectangle would cover 1 - ``drawn`` if no edge clipped it.
        permutation: (batch,) int64; row i takes the rectangle from row ``permutation[i]``.
        centre: Centre of the rectangle in time and in frequency, as shares of the picture's sides, 0..1.
    """

    drawn: float
    permutation: np.ndarray
    centre: tuple[float, float]


@dataclass(frozen=True)
class RowMixup:
    """The random choices of one step of Mixup whose rows have shares of their own, for the global batch.

    Attributes:
        lam: (batch,) float64, each clip's own share, 0..1; 1 where it is not mixed.
        permutation: (batch,) int64; row i is mixed with row ``permutation[i]``.
    """

    lam: np.ndarray
    permutation: np.ndarray


def draw_row_mixup(batch: int, beta: float, probability: float, shared: bool, rng: np.random.Generator) -> RowMixup:
    """Draw shares, which rows are mixed, and partners, in this order.

    Args:
        batch: Rows of the global batch.
        beta: Shares are drawn from Beta(beta, beta).
        probability: How likely a row is mixed, 0..1.
        shared: Whether one share serves all rows that are mixed.
        rng: Generator; draws as many numbers whatever comes out.
    """
    drawn = np.broadcast_to(rng.beta(beta, beta, 1 if shared else batch), batch)
    mixed = rng.random(batch) < probability
    return RowMixup(np.where(mixed, drawn, 1.0), rng.permutation(batch))


def draw_mixup(batch: int, beta: float, rng: np.random.Generator) -> Mixup:
    """Draw lambda and permutation, in this order.

    Args:
        batch: Rows of the global batch.
        beta: Lambda is drawn from Beta(beta, beta); 0 means 1, so that nothing is mixed.
        rng: Generator.
    """
    return Mixup(draw_lambda(beta, rng), rng.permutation(batch))


def draw_cutmix(batch: int, beta: float, rng: np.random.Generator) -> CutMix:
    """Draw lambda, permutation and the centre in time and in frequency, in this order.

    Args:
        batch: Rows of the global batch.
        beta: Lambda is drawn from Beta(beta, beta); 0 means 1, so that nothing is mixed.
        rng: Generator.
    """
    drawn, permutation = draw_lambda(beta, rng), rng.permutation(batch)
    return CutMix(drawn, permutation, (float(rng.random()), float(rng.random())))


def mix_up(x: Tensor, partners: Tensor, lam: float | Tensor) -> Tensor:
    """Blend spectrograms with their partners: lam x + (1 - lam) partners.

    Args:
        x: (batch, 1, frames, mels).
        partners: (batch, 1, frames, mels), row i being row i's partner.
        lam: Share of ``x``, 0..1; or (batch, 1, 1, 1), that of each row.

    Returns:
        (batch, 1, frames, mels), new.

    Source: Zhang et al. 2018, section 2.
    """
    return torch.lerp(partners, x, lam)


def cut_interval(centre: float, share: float, size: int) -> slice:
    """Indices of an interval of int(share * size) cells around a centre, clipped at both ends.

    Args:
        centre: Place of the centre, as a share of the size, at least 0 and below 1.
        share: Length as a share of the size, 0..1.
        size: Cells there are.
    """
    length = int(share * size)
    start = int(centre * size) - length // 2
    return slice(max(start, 0), min(start + length, size))


def cut_mix(x: Tensor, partners: Tensor, cut: CutMix) -> tuple[Tensor, float]:
    """Replace one rectangle of all spectrograms, its sides both sqrt(1 - drawn) of the picture's, by the partners'.

    Args:
        x: (batch, 1, frames, mels).
        partners: (batch, 1, frames, mels), row i being row i's partner.
        cut: Lambda and centre that were drawn.

    Returns:
        The mixed spectrograms, (batch, 1, frames, mels), new; and lambda, the share of the area that is their own.

    Source: Yun et al. 2019, section 3.1 (uniform centre, clipped, lambda reset to the area that is left).
    """
    frames, mels = x.shape[2:]
    side = math.sqrt(1 - cut.drawn)
    rows, columns = cut_interval(cut.centre[0], side, frames), cut_interval(cut.centre[1], side, mels)
    mixed = x.clone()
    mixed[:, :, rows, columns] = partners[:, :, rows, columns]
    # By the area that was replaced: at an edge the rectangle is smaller than was drawn.
    taken = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - taken / (frames * mels)
