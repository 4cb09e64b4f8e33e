"""ARSC-Net's network (Xu et al. 2021), as far as an abstract tells it: two residual paths, fused by attention.

Shapes: B batch, T frames, F columns of an input; maps have T rows and F columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from baselines.arsc.card import BiResNetAttOptions
from baselines.attention import CBAM, draw_gates
from baselines.state_dicts import CheckpointLayout, own_layout

WIDTHS = (32, 64, 128, 256)
"""Channels after each stage of a path."""

INPUTS = ("mfcc", "mel")
"""Names of the inputs, each of which has a path of its own."""

KERNEL = 7
"""Side of the convolutions of spatial attention."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm, added to the input (He et al. 2016, figure 2).

    Args:
        inputs: Channels before.
        outputs: Channels after.
        stride: Stride of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, F) to (B, outputs, T / stride, F / stride), rounded up."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        added: Tensor = y + self.shortcut(x)
        return added.relu()


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class AttentionStage(nn.Module):
    """Two residual blocks, then residual attention: the map plus its own weighted copy.

    Args:
        inputs: Channels before.
        outputs: Channels after.
        stride: Stride of the first block.
        reduction: Reduction of the channel attention.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(ResidualBlock(inputs, outputs, stride), ResidualBlock(outputs, outputs, 1))
        self.attention = CBAM(outputs, reduction, KERNEL)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, F) to (B, outputs, T / stride, F / stride), rounded up."""
        x = self.blocks(x)
        attended: Tensor = x + self.attention(x)
        return attended


def _path(reduction: int) -> nn.Sequential:
    """The stem and the four stages of one input: from (B, 1, T, F) to (B, 256, T / 16, F / 16), rounded up."""
    stem = nn.Sequential(nn.Conv2d(1, WIDTHS[0], 3, 2, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
    stages = [
        AttentionStage(inputs, outputs, 1 if i == 0 else 2, reduction)
        for i, (inputs, outputs) in enumerate(zip(WIDTHS[:1] + WIDTHS, WIDTHS, strict=False))
    ]
    return nn.Sequential(stem, *stages)


class BiResNetAtt(nn.Module):
    """Two attention paths, fused by channel attention and then spatial attention, with a linear classifier.

    Args:
        options: Reduction and dropout.
        num_classes: Outputs of the classifier.
    """

    layouts: tuple[CheckpointLayout, ...] = (own_layout(),)

    def __init__(self, options: BiResNetAttOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.options = options
        self.paths = nn.ModuleDict({name: _path(options.reduction) for name in INPUTS})
        self.feature_dim = WIDTHS[-1] * len(INPUTS)
        self.fusion = CBAM(self.feature_dim, options.reduction, KERNEL)
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(self.feature_dim, num_classes)
        self.apply(_initialise)
        draw_gates(self)

    def features(self, x: Mapping[str, Tensor]) -> Tensor:
        """Map the inputs ``mfcc`` and ``mel``, each (B, 1, T, F), to features (B, feature_dim)."""
        maps = [self.paths[name](x[name]) for name in INPUTS]
        # Of 798 frames, both the 120 coefficients and the 128 mels end as 50 x 8; of others, the mels' grid counts.
        joined = torch.cat([adaptive_avg_pool2d(each, maps[-1].shape[2:]) for each in maps], dim=1)
        pooled: Tensor = self.dropout(self.fusion(joined).mean(dim=(2, 3)))
        return pooled

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        """Map the inputs to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The residual blocks of both paths."""
        return [part for part in self.paths.modules() if isinstance(part, ResidualBlock)]

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor: only files of this model are known."""
        return tensor


def _initialise(module: nn.Module) -> None:
    """Draw convolutions by He's law, as torchvision's residual networks do."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
