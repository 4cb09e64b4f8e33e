"""ResNet18 with squeeze-and-excitation and spatial attention (Yang et al. 2020), as far as others tell it.

Shapes: B batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor, nn

from baselines.attention import PointAttention, SpatialAttention, SqueezeExcitation, draw_gates
from baselines.se_sa.card import SESAOptions
from baselines.state_dicts import own_layout
from baselines.timm.cnn import TimmCNN
from baselines.timm.cnn_card import StemOptions

REDUCTION, KERNEL = 16, 7


class ParallelAttention(nn.Module):
    """The map under its channel gate plus the map under its spatial gate (Roy et al. 2018, section 2.3).

    Args:
        channels: Channels of the map.
        **more: Device and type of the weights, which timm hands on.
    """

    def __init__(self, channels: int, **more: Any) -> None:
        super().__init__()
        self.channel = SqueezeExcitation(channels, REDUCTION)
        self.spatial = PointAttention(channels)
        self.to(**more)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W), weighted."""
        weighted: Tensor = x * self.channel(x) + x * self.spatial(x)
        return weighted


class SerialAttention(nn.Module):
    """Squeeze-and-excitation, then a 7 x 7 spatial gate of what it leaves, as CBAM has it (Woo et al. 2018).

    Args:
        channels: Channels of the map.
        **more: Device and type of the weights, which timm hands on.
    """

    def __init__(self, channels: int, **more: Any) -> None:
        super().__init__()
        self.channel = SqueezeExcitation(channels, REDUCTION)
        self.spatial = SpatialAttention(KERNEL)
        self.to(**more)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W), weighted."""
        x = x * self.channel(x)
        weighted: Tensor = x * self.spatial(x)
        return weighted


ATTENTION = {"parallel": ParallelAttention, "serial": SerialAttention}


def resnet18_se_sa(options: SESAOptions, num_classes: int = 4) -> TimmCNN:
    """Build the network: timm's ResNet18, in whose blocks attention stands after the second batch norm.

    Args:
        options: How the two kinds of attention are arranged.
        num_classes: Outputs of the classifier.
    """
    trunk = timm.create_model(
        "resnet18",
        in_chans=1,
        num_classes=0,
        zero_init_last=False,
        block_args={"attn_layer": ATTENTION[options.attention]},
    )
    model = TimmCNN(trunk, "conv1", StemOptions(), (own_layout(),), num_classes)
    draw_gates(model)
    return model
