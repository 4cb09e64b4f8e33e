"""A small inception network for spectrograms, trained from scratch (Pham et al. 2022), as far as an abstract tells it.

Shapes: B batch, T frames, F mels; maps have T rows and F columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from baselines.state_dicts import CheckpointLayout, own_layout
from bench.core.cards import NoOptions

WIDTHS = (64, 128, 256)
"""Channels after each block."""

FEATURES = 1024


class InceptionLayer(nn.Module):
    """Four parallel paths of equal width, joined, with batch norm and ReLU.

    The paths are a 3 x 3 convolution, a 1 x 1 convolution, a convolution of 4 bins along frequency, and the maximum of
    3 x 3 before a 1 x 1 convolution.

    Args:
        inputs: Channels before.
        outputs: Channels after, a multiple of 4.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = outputs // 4
        self.square = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.point = nn.Conv2d(inputs, width, 1, bias=False)
        # Four bins have no middle: one is padded below and two above.
        self.tall = nn.Sequential(nn.ZeroPad2d((1, 2, 0, 0)), nn.Conv2d(inputs, width, (1, 4), bias=False))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), nn.Conv2d(inputs, width, 1, bias=False))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, F) to (B, outputs, T, F)."""
        paths = (self.square, self.point, self.tall, self.pooled)
        joined: Tensor = self.norm(torch.cat([path(x) for path in paths], dim=1))
        return joined.relu()


class InceptionBlock(nn.Sequential):
    """Two inception layers of one width; mean pooling of 2 x 2 follows in the network.

    Args:
        inputs: Channels before.
        outputs: Channels after.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(InceptionLayer(inputs, outputs), InceptionLayer(outputs, outputs))


class SmallInception(nn.Module):
    """Batch norm of the picture, three double inception blocks, global mean, a hidden layer and a linear classifier.

    Args:
        options: None there are.
        num_classes: Outputs of the classifier.
    """

    layouts: tuple[CheckpointLayout, ...] = (own_layout(),)

    def __init__(self, options: NoOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.options = options
        self.norm = nn.BatchNorm2d(1)
        self.blocks = nn.ModuleList(map(InceptionBlock, (1, *WIDTHS), WIDTHS))
        self.feature_dim = FEATURES
        self.hidden = nn.Linear(WIDTHS[-1], FEATURES)
        self.classifier = nn.Linear(FEATURES, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to features (B, feature_dim)."""
        x = self.norm(x)
        for block in self.blocks:
            x = avg_pool2d(block(x), 2)
        features: Tensor = self.hidden(x.mean(dim=(2, 3))).relu()
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The double inception blocks."""
        return list(self.blocks)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor: only files of this model are known."""
        return tensor
