"""A convolution that self-attention augments (Bello et al. 2019), as LungAttn has it.

Source: SJTU-YONGFU-RESEARCH-GRP/LungAttn @ 8a7972b, ``model/LungAttn.py``.

Shapes: B batch, C channels, N heads, H by W the map, D channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core.errors import SpecError


@dataclass(frozen=True)
class AttentionShape:
    """The sizes of an attention.

    Attributes:
        keys: Channels of all heads' keys, and of their queries.
        values: Channels of all heads' values: what the attention adds to the convolution's channels.
        heads: Number of heads, by which both can be divided.
    """

    keys: int
    values: int
    heads: int


def _by_distance(table: Tensor, size: int) -> Tensor:
    """What a table (2 * most - 1, D) of relative positions has for each query and key of a map, (size, size, D).

    Raises:
        SpecError: If the map has more rows, or columns, than the table was made for.
    """
    most = (len(table) + 1) // 2
    if size > most:
        raise SpecError(
            f"A map of the attention has {size} rows or columns, but its positions are laid out for {most}.",
            "Set the model's options frames and mels to the rows and columns of the pictures.",
        )
    places = torch.arange(size, device=table.device)
    return table[places - places[:, None] + most - 1]


class AttentionAugmentedConv2d(nn.Module):
    """A 3 x 3 convolution, some of whose output channels come from self-attention over the whole map.

    Args:
        inputs: Channels before.
        outputs: Channels after, those of the attention last.
        size: Rows and columns of the largest maps.
        shape: Sizes of the attention.
        in_place: Whether the result for a place is put there. The authors reshape (places, channels) of a head to
            (channels, H, W) without exchanging the axes first.
    """

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], shape: AttentionShape, *, in_place: bool = False
    ) -> None:
        super().__init__()
        self.shape, self.in_place = shape, in_place
        self.convolution = nn.Conv2d(inputs, outputs - shape.values, 3, padding=1)
        self.projection = nn.Conv2d(inputs, 2 * shape.keys + shape.values, 3, padding=1)
        self.mixing = nn.Conv2d(shape.values, shape.values, 1)
        rows, columns, width = *size, shape.keys // shape.heads
        self.row_positions = nn.Parameter(torch.randn(2 * rows - 1, width))
        self.column_positions = nn.Parameter(torch.randn(2 * columns - 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        queries, keys, values = self._projected(x)
        found = self.weights(queries, keys) @ values  # (B, N, HW, D)
        maps = (found.mT if self.in_place else found).reshape(x.shape[0], self.shape.values, *x.shape[2:])
        return torch.cat([self.convolution(x), self.mixing(maps)], dim=1)

    def attention(self, x: Tensor) -> Tensor:
        """The weights by which each place looks at the others, (B, N, HW query, HW key), of an input as forward's."""
        queries, keys, _ = self._projected(x)
        return self.weights(queries, keys)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, N, H, W, D), scaled, and keys and values (B, N, HW, D)."""
        heads = (self.shape.heads, -1)
        sizes = [self.shape.keys, self.shape.keys, self.shape.values]
        queries, keys, values = (part.unflatten(1, heads) for part in self.projection(x).split(sizes, dim=1))
        queries = queries.permute(0, 1, 3, 4, 2) * queries.shape[2] ** -0.5
        return queries, keys.flatten(3).mT, values.flatten(3).mT

    def weights(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Soft-max over keys of likeness and relative position.

        Args:
            queries: (B, N, H, W, D), scaled.
            keys: (B, N, HW, D).

        Returns:
            (B, N, HW, HW).

        Raises:
            SpecError: If the maps are larger than the tables of positions.
        """
        rows = _by_distance(self.row_positions, queries.shape[2])
        columns = _by_distance(self.column_positions, queries.shape[3])
        by_row = torch.einsum("bnijd,ikd->bnijk", queries, rows)[..., None]
        by_column = torch.einsum("bnijd,jld->bnijl", queries, columns)[..., None, :]
        relative = (by_row + by_column).flatten(4).flatten(2, 3)
        return torch.softmax(queries.flatten(2, 3) @ keys.mT + relative, dim=-1)
