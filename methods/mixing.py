"""Patch mixing: what is drawn for a global batch, and the mixing of tokens itself; and what all mixing methods share.

Source: Bae et al. 2023, section 2.2; official code @ 836b09f, ``models/ast.py``: one lambda, one permutation and one
set of patches for the whole batch, mixed before positions and class tokens are added. A clip may be its own partner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import SpecError
from bench.engine.host_arrays import array_on
from methods.base import Batch
from methods.losses import label_mixing_loss
from methods.patchmix.card import MIX_MODES


@dataclass(frozen=True)
class PatchMix:
    """The random choices of one step of a patch-mixing method, for the global batch.

    Attributes:
        lam: Share of a clip's patches that stay its own, 0..1.
        permutation: (batch,) int64; row i takes patches from row ``permutation[i]``.
        mask: (masked,) int64, indices of the tokens that are taken from the partner.
    """

    lam: float
    permutation: np.ndarray
    mask: np.ndarray


def draw_lambda(beta: float, rng: np.random.Generator) -> float:
    """Draw the share that stays a clip's own from Beta(beta, beta); 1 where beta is 0, and then nothing is drawn."""
    return float(rng.beta(beta, beta)) if beta > 0 else 1.0


def masked_units(drawn: float, units: int) -> tuple[int, float]:
    """Count the patches (or columns) that a drawn lambda masks, and give the lambda that this number stands for.

    Args:
        drawn: Lambda as drawn, 0..1.
        units: Number of patches, or of time columns.

    Returns:
        The number of masked units, and the share of units that stay.
    """
    # Cut to a whole number, and lambda set to what that leaves, as the official code does.
    masked = int(units * (1 - drawn))
    return masked, 1 - masked / units


def column_tokens(columns: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Token indices of whole time columns.

    Args:
        columns: (chosen,) column indices.
        grid: Rows (frequency) and columns (time); tokens are frequency-major.

    Returns:
        (rows * chosen,) token indices.
    """
    rows, per_row = grid
    tokens: np.ndarray = np.arange(rows)[:, None] * per_row + columns[None, :]
    return tokens.reshape(-1)


def draw_patch_mix(batch: int, grid: tuple[int, int], beta: float, mode: str, rng: np.random.Generator) -> PatchMix:
    """Draw lambda, permutation and mask for a global batch.

    Args:
        batch: Rows of the global batch.
        grid: Rows (frequency) and columns (time) of the patch tokens.
        beta: Lambda is drawn from Beta(beta, beta); 0 means 1, so that nothing is mixed.
        mode: ``patch`` (any patches) or ``t-patch`` (time columns over all rows).
        rng: Generator; lambda, permutation and mask are drawn in this order.

    Raises:
        SpecError: If the mode is unknown.
    """
    if mode not in MIX_MODES:
        raise SpecError(f"mix is '{mode}', but must be one of {', '.join(MIX_MODES)}.")
    drawn = draw_lambda(beta, rng)
    permutation = rng.permutation(batch)
    units = grid[1] if mode == "t-patch" else grid[0] * grid[1]
    masked, lam = masked_units(drawn, units)
    # Columns too are chosen one by one: those of a T-Patch-Mix need not lie side by side.
    chosen = rng.permutation(units)[:masked]
    return PatchMix(lam, permutation, column_tokens(chosen, grid) if mode == "t-patch" else chosen)


def mix_tokens(tokens: Tensor, partners: Tensor, mask: np.ndarray | Tensor) -> Tensor:
    """Replace the masked tokens by the partners' tokens, out of place.

    Args:
        tokens: (batch, tokens, dim).
        partners: (batch, tokens, dim), row i being the tokens of row i's partner.
        mask: (masked,) indices of the tokens to replace.

    Returns:
        (batch, tokens, dim), new.
    """
    # A mask over all tokens has one shape whatever lambda is: no recompilation, and no wait for the device.
    taken = np.zeros(tokens.shape[1], dtype=bool)
    taken[np.asarray(mask)] = True
    return torch.where(array_on(tokens.device, taken)[:, None], partners, tokens)


def mix_batch(tokens: Tensor, batch: Batch, mix: PatchMix) -> Tensor:
    """Mix this process's tokens with those of their partners, wherever in the global batch these are.

    Args:
        tokens: (local, tokens, dim).
        batch: The global batch as this process sees it.
        mix: Lambda, permutation and mask that were drawn for the global batch.

    Returns:
        (local, tokens, dim), new.
    """
    return mix_tokens(tokens, partner_rows(tokens, batch, mix.permutation), mix.mask)


def partner_rows(rows: Tensor, batch: Batch, permutation: np.ndarray) -> Tensor:
    """The rows that this process's rows are mixed with, wherever in the global batch these are.

    Args:
        rows: (local, ...).
        batch: The global batch.
        permutation: (global,) int64, the partner of each row of the global batch.

    Returns:
        (local, ...).
    """
    # All rows are gathered: a partner may lie in any process.
    return batch.gather(rows)[index_on(permutation[batch.local], rows.device)]


def both_labels_loss(logits: Tensor, batch: Batch, permutation: np.ndarray, lam: float) -> Tensor:
    """Unweighted label-mixing cross-entropy of the global batch.

    Args:
        logits: (local, classes) of this process's mixed rows.
        batch: The global batch.
        permutation: (global,) int64, the partner of each row of the global batch.
        lam: Share of a row that is its own, 0..1.

    Returns:
        Scalar.
    """
    logits = batch.gather(logits)
    return label_mixing_loss(logits, batch.labels, index_on(permutation, logits.device), lam)


def index_on(index: np.ndarray, device: torch.device) -> Tensor:
    """Copy an index array to a device as an int64 tensor."""
    return array_on(device, np.asarray(index, dtype=np.int64))
