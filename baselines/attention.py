"""Attention over the channels and the places of a map, as several families of residual networks use it.

Shapes: B batch, C channels, H rows, W columns. Every gate is a map of 0..1 that its caller multiplies by.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """A gate for each channel from the mean of its map: two layers with biases, sigmoid (Hu et al. 2018, section 3).

    Args:
        channels: Channels of the map.
        reduction: How many times narrower the layer in between is.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // reduction, 1)
        self.expand = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the gate (B, C, 1, 1)."""
        return torch.sigmoid(self.expand(self.reduce(x.mean(dim=(2, 3), keepdim=True)).relu()))


class ChannelAttention(nn.Module):
    """A gate for each channel from the mean and the maximum of its map (Woo et al. 2018, section 3, equation 2).

    Both go through the same two layers, which have no bias, and are added before the sigmoid.

    Args:
        channels: Channels of the map.
        reduction: How many times narrower the layer in between is.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        narrow = channels // reduction
        self.shared = nn.Sequential(
            nn.Conv2d(channels, narrow, 1, bias=False), nn.ReLU(), nn.Conv2d(narrow, channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the gate (B, C, 1, 1)."""
        mean, maximum = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.shared(mean) + self.shared(maximum))


class SpatialAttention(nn.Module):
    """A gate for each place from the mean and the maximum over channels (Woo et al. 2018, section 3, equation 3).

    Args:
        kernel: Side of the convolution, which is odd and has no bias.
    """

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the gate (B, 1, H, W)."""
        seen = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return torch.sigmoid(self.conv(seen))


class PointAttention(nn.Module):
    """A gate for each place from the channels there: a 1 x 1 convolution without bias (Roy et al. 2018, section 2.2).

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the gate (B, 1, H, W)."""
        return torch.sigmoid(self.conv(x))


def draw_gates(network: nn.Module) -> None:
    """Draw the weights of all gates of a network anew, by torch's own law, which follows the number of inputs.

    He's law follows the number of outputs, of which a gate may have one for hundreds of inputs: it would be shut or
    open from the start.

    Args:
        network: Any network; layers outside of gates stay as they are.
    """
    for gate in network.modules():
        if isinstance(gate, SqueezeExcitation | ChannelAttention | SpatialAttention | PointAttention):
            for layer in gate.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.reset_parameters()


class CBAM(nn.Module):
    """Channel attention, then spatial attention of what it leaves (Woo et al. 2018, equation 1).

    Args:
        channels: Channels of the map.
        reduction: How many times narrower the layer in between is.
        kernel: Side of the spatial convolution.
    """

    def __init__(self, channels: int, reduction: int, kernel: int) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W), weighted."""
        x = x * self.channel(x)
        weighted: Tensor = x * self.spatial(x)
        return weighted
