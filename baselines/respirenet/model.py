"""RespireNet's network (Gairola et al. 2021; microsoft/RespireNet @ 5e3f41a, ``models.py``).

Shapes: B batch, R rows (mels, the highest first), C columns (time).
"""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor, nn

from baselines.respirenet.card import RespireNetOptions
from baselines.state_dicts import CheckpointLayout, own_layout, renamed_sources
from baselines.timm.blocks import repeated_blocks

TRUNK_WIDTH, HIDDEN = 512, 128
"""Width of both hidden layers of the classifier."""

OFFICIAL_NAMES = {"trunk.": "model_ft.", "head.": "model_ft.fc.", "classifier.": "cls_fc."}
"""Beginnings of our names of tensors, and those that the authors' files have in their place."""


def _official_sources(name: str) -> tuple[str, ...]:
    ours = next(prefix for prefix in OFFICIAL_NAMES if name.startswith(prefix))
    return (OFFICIAL_NAMES[ours] + name.removeprefix(ours),)


LAYOUTS = (
    own_layout(),
    CheckpointLayout(title="timm or torchvision", sources=renamed_sources("trunk.", ""), unused=("fc.",)),
    CheckpointLayout(title="RespireNet", sources=_official_sources, fitted=True),
)


class RespireNet(nn.Module):
    """ResNet34 (He et al. 2016) with two hidden layers before the classifier.

    Args:
        options: Dropout.
        num_classes: Outputs of the classifier.
    """

    layouts = LAYOUTS
    feature_dim = HIDDEN

    def __init__(self, options: RespireNetOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.trunk: Any = timm.create_model("resnet34", num_classes=0, zero_init_last=False)
        self.head = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(TRUNK_WIDTH, HIDDEN),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(HIDDEN, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, R, C), or grey ones (B, 1, R, C), to features (B, 128)."""
        found: Tensor = self.head(self.trunk(x.expand(-1, 3, -1, -1)))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, R, C), or grey ones (B, 1, R, C), to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The residual blocks."""
        return repeated_blocks(self.trunk)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Take a file's tensor as it is: the network has the colours of a photograph."""
        return tensor
