"""Prototypes, and six ways to say how similar a map is to them (Ren et al. 2022, section 2).

The authors compute them in loops over batch and prototypes (L3S/PrototypeSound @ 5116de7, ``models_pytorch.py``); here
each is a product of tensors.

Shapes: B batch, P prototypes, D channels, N cells of a map, M cells of a prototype (as many).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

FLOOR = 1e-8
"""Smallest product of two lengths that a cosine is divided by."""


def _whole_precision(x: Tensor) -> AbstractContextManager[object]:
    """Leave autocast, in whose half precision squares of lengths would overflow; tensors without numbers know none."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def vector_cosines(x: Tensor, prototypes: Tensor) -> Tensor:
    """Cosines (B, P) of vectors (B, D) and prototypes (P, D)."""
    lengths: Tensor = torch.outer(x.norm(dim=1), prototypes.norm(dim=1))
    return x @ prototypes.T / lengths.clamp(min=FLOOR)


def same_cell_cosines(x: Tensor, prototypes: Tensor) -> Tensor:
    """Cosines (B, P, N) of each cell of maps (B, D, N) and the prototypes' cell (P, D, N) in its place."""
    lengths: Tensor = x.norm(dim=1)[:, None] * prototypes.norm(dim=1)
    return torch.einsum("bdn,pdn->bpn", x, prototypes) / lengths.clamp(min=FLOOR)


def all_cell_cosines(x: Tensor, prototypes: Tensor) -> Tensor:
    """Cosines (B, P, N, M) of each cell of maps (B, D, N) and each cell of the prototypes (P, D, M)."""
    lengths: Tensor = x.norm(dim=1)[:, None, :, None] * prototypes.norm(dim=1)[:, None]
    return torch.einsum("bdn,pdm->bpnm", x, prototypes) / lengths.clamp(min=FLOOR)


def mean_cosines(x: Tensor, prototypes: Tensor) -> Tensor:
    """Of each cell, the mean cosine to all cells of a prototype: (B, P, N)."""
    return all_cell_cosines(x, prototypes).mean(3)


def largest_cosines(x: Tensor, prototypes: Tensor) -> Tensor:
    """Of each cell, the cosine to the most similar cell of a prototype: (B, P, N)."""
    return all_cell_cosines(x, prototypes).amax(3)


def attended_products(x: Tensor, prototypes: Tensor) -> Tensor:
    """Products of cells in one place, (B, P, D), weighted by a softmax of their cosines over all places."""
    attention = same_cell_cosines(x, prototypes).softmax(2)
    return torch.einsum("bpn,bdn,pdn->bpd", attention, x, prototypes)


def attended_best_products(x: Tensor, prototypes: Tensor) -> Tensor:
    """As :func:`attended_products`, each cell with the most similar cell of a prototype in place of that in its own."""
    cosines, best = all_cell_cosines(x, prototypes).max(3)
    rows = torch.arange(len(prototypes), device=best.device)[:, None]
    partners = prototypes.transpose(1, 2)[rows, best]  # (B, P, N, D)
    return torch.einsum("bpn,bdn,bpnd->bpd", cosines.softmax(2), x, partners)


COSINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vector2d": same_cell_cosines,
    "vector2d_avgp": mean_cosines,
    "vector2d_maxp": largest_cosines,
}
PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "vector2d_att": attended_products,
    "vector2d_maxp_att": attended_best_products,
}


class PrototypeLayer(nn.Module):
    """Prototypes that are learnt, and the similarity of a map to each.

    ``vector1d`` compares the maximum over the map with prototypes that are vectors. Those of all other forms are maps:
    cosines of cells are averaged, after a batch normalisation in ``vector2d`` and ``vector2d_avgp``; products of cells
    go through a linear layer and a ReLU, so that a similarity may be 0 and then has no gradient.

    Args:
        form: Name of the form.
        count: Number of prototypes.
        channels: Channels of a map.
        cells: Rows and columns of a map.
    """

    def __init__(self, form: str, count: int, channels: int, cells: tuple[int, int]) -> None:
        super().__init__()
        self.form = form
        # Flat where the authors' are, so that their files fit.
        places = {"vector1d": ()}.get(form, (cells[0] * cells[1],) if form in PRODUCTS else cells)
        self.prototypes = nn.Parameter(torch.empty(count, channels, *places))
        nn.init.xavier_uniform_(self.prototypes)
        if form == "vector1d":
            self.norm: nn.Module = nn.LayerNorm(count)
        elif form in ("vector2d", "vector2d_avgp"):
            self.norm = nn.BatchNorm1d(count)
        elif form in PRODUCTS:
            self.linear = nn.Linear(channels, 1)
            nn.init.xavier_uniform_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, D, rows, columns) to similarities (B, P), in the prototypes' precision."""
        with _whole_precision(maps):
            return self._similarities(maps.to(self.prototypes.dtype))

    def _similarities(self, maps: Tensor) -> Tensor:
        if self.form == "vector1d":
            similarities: Tensor = self.norm(vector_cosines(maps.amax((2, 3)), self.prototypes))
            return similarities
        x, prototypes = maps.flatten(2), self.prototypes.flatten(2)
        if self.form in PRODUCTS:
            found: Tensor = self.linear(PRODUCTS[self.form](x, prototypes))
            return found[:, :, 0].relu()
        cosines = COSINES[self.form](x, prototypes)
        # The maximum needs none: the authors leave it out.
        return (cosines if self.form == "vector2d_maxp" else self.norm(cosines)).mean(2)


def prototype_likeness(prototypes: Tensor, classes: int, *, ratio: bool = False) -> Tensor:
    """How alike prototypes of different classes are: the mean cosine of their pairs, which may be negative.

    Args:
        prototypes: (P, ...), those of the first class first.
        classes: Number of classes; P is a multiple of it.
        ratio: Whether it is divided by the mean cosine of pairs of one class, where there are such, as the authors do.

    Returns:
        Scalar.
    """
    flat = prototypes.flatten(1)
    with _whole_precision(flat):
        cosines = vector_cosines(flat, flat)
    owner = torch.arange(len(flat), device=flat.device) // (len(flat) // classes)
    alike = owner[:, None] == owner[None, :]
    # Counted, not asked for: a GPU would have to be waited for.
    own, count = len(flat) // classes, len(flat)
    between = cosines.masked_fill(alike, 0).sum() / (count * (count - own))
    if not ratio or own == 1:
        return between
    itself = torch.eye(count, dtype=torch.bool, device=flat.device)
    return between / (cosines.masked_fill(~alike | itself, 0).sum() / (count * (own - 1)))
