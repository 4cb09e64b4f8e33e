"""Blocks of LungSys' residual networks: pre-activation residuals and non-local blocks.

Shapes: B batch, C channels, H by W the map, N = H W places.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention

from bench.core.errors import SpecError

GROUPS = 32
"""Groups of every group normalisation."""


class PreActivationBlock(nn.Module):
    """Two times group normalisation, ReLU, 3 x 3 convolution and dropout, added to the input.

    Args:
        channels: Channels before and after.
        dropout: Rate after each convolution.
        stride: 2 halves the map; the shortcut is then a 1 x 1 convolution of the activated input.
        first: What stands in the place of the first convolution; such a convolution by default.
    """

    def __init__(self, channels: int, dropout: float, stride: int = 1, first: nn.Module | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, channels), nn.GroupNorm(GROUPS, channels)
        self.conv1 = first or nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample = nn.Conv2d(channels, channels, 1, stride, bias=False) if stride > 1 else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / stride, W / stride), rounded up."""
        active = relu(self.norm1(x))
        shortcut = x if self.downsample is None else self.downsample(active)
        y = self.dropout(self.conv1(active))
        y = self.dropout(self.conv2(relu(self.norm2(y))))
        summed: Tensor = y + shortcut
        return summed


class NonLocalBlock(nn.Module):
    """Adds to each place a mean over all places, weighted by how alike they are (Wang et al. 2018, embedded Gaussian).

    Args:
        channels: Channels before and after.
        inner: Channels in which places are compared and averaged.
        softmax: ``row``: the weights of each place sum to 1. ``global``: those of all pairs of places do, as in the
            authors' code (LungSys-I @ 6450040), so that the mean becomes smaller by about the number of places.
        transpose: Whether the means come back with rows and columns exchanged, as in the authors' code.
    """

    def __init__(self, channels: int, inner: int, softmax: str = "row", transpose: bool = False) -> None:
        super().__init__()
        self.softmax, self.transpose = softmax, transpose
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.final = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape.

        Raises:
            SpecError: If maps are to be transposed that are not square.
        """
        theta, phi, values = (conv(x).flatten(2).mT for conv in (self.theta, self.phi, self.g))  # (B, N, inner)
        means = self._means(phi, theta, values).mT.reshape(x.shape[0], -1, *x.shape[2:])
        added: Tensor = self.final(self._turned(means))
        return x + added

    def _means(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Weighted sums of the values, (B, N, inner)."""
        if self.softmax == "row":
            return scaled_dot_product_attention(queries, keys, values, scale=1.0)
        similarity = queries @ keys.mT
        return torch.softmax(similarity.flatten(1), dim=1).view_as(similarity) @ values

    def _turned(self, maps: Tensor) -> Tensor:
        if not self.transpose:
            return maps
        height, width = maps.shape[2:]
        if height != width:
            raise SpecError(
                f"nl_transpose is true, but a map of the non-local block is {height} by {width}, not square.",
                "Use a front-end that makes square pictures, e.g. lungrn-nl, or --set model.nl_transpose=false.",
            )
        return maps.mT
