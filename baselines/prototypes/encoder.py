"""The encoders: four blocks of two 3 x 3 convolutions, pooled, dilated, or dilated and residual.

Source: L3S/PrototypeSound @ 5116de7 and glam-imperial/SoundPrototypeCriticism @ 968edb4, ``models_pytorch.py``.

Shapes: B batch, T frames, F mels, D channels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

CHANNELS = 3
"""Channels of a picture: decibels, their first and their second differences."""

DROPOUT = 0.2
DILATIONS = (1, 2, 4, 8)

Kind = Literal["pooled", "dilated", "residual"]


def _convolution(inputs: int, outputs: int, side: int, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (side // 2)
    convolution = nn.Conv2d(inputs, outputs, side, padding=padding, dilation=dilation, bias=False)
    nn.init.xavier_uniform_(convolution.weight)
    return convolution


class Block(nn.Module):
    """Two convolutions with batch normalisation and ReLU, then pooling or none, and dropout.

    Args:
        inputs: Channels before.
        outputs: Channels after.
        dilation: Distance between the cells that a convolution sees, in both directions.
        pool: Side of the maximum pooling; 1 for none.
        residual: Whether a 1 x 1 convolution of the input is added before the last ReLU.
    """

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1, pool: int = 1, residual: bool = False) -> None:
        super().__init__()
        self.pool, self.residual = pool, residual
        self.conv1 = _convolution(inputs, outputs, 3, dilation)
        self.conv2 = _convolution(outputs, outputs, 3, dilation)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        if residual:
            self.conv3 = _convolution(inputs, outputs, 1)
            self.bn3 = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, F) to (B, outputs, T // pool, F // pool)."""
        # In place: the gradients of ReLU and batch normalisation need no second copy of these maps.
        inner = relu(self.bn1(self.conv1(x)), inplace=True)
        inner = self.bn2(self.conv2(inner))
        if self.residual:
            inner = inner + self.bn3(self.conv3(x))
        inner = relu(inner, inplace=True)
        dropped: Tensor = self.dropout(max_pool2d(inner, self.pool) if self.pool > 1 else inner)
        return dropped


class Encoder(nn.Module):
    """Batch normalisation over mels, then four blocks, each with twice as many channels as the one before.

    The first normalisation has one mean and one deviation for each mel band, over the three channels of the picture
    together: decibels and differences share them, as in the authors' code.

    Args:
        kind: ``pooled`` (CNN8), ``dilated`` (CNN8-dilated) or ``residual`` (ResNet-dilated).
        mels: Mel bands of a picture.
        width: Channels of the first block.
    """

    def __init__(self, kind: Kind, mels: int, width: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(mels)
        inputs = CHANNELS
        for number, dilation in enumerate(DILATIONS, start=1):
            outputs = width * 2 ** (number - 1)
            reach = {"pool": 2} if kind == "pooled" else {"dilation": dilation}
            self.add_module(f"conv{number}", Block(inputs, outputs, residual=kind == "residual", **reach))
            inputs = outputs
        self.channels = inputs

    def blocks(self) -> list[nn.Module]:
        """The four blocks in their order."""
        return [self.get_submodule(f"conv{number}") for number in range(1, len(DILATIONS) + 1)]

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to maps (B, D, T // 16, F // 16); (B, D, T, F) with dilations."""
        # Mels take the place of channels, over which the layer has its statistics.
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        for block in self.blocks():
            x = block(x)
        return x
