"""C-DNN and CNN-MoE (Pham et al. 2021) after two re-implementations by third parties.

Shapes: B batch, T frames, F bands, K experts, C classes. The nets know no direction of a picture: patches have as many
frames as bands, and weights are learnt from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baselines.experts.card import BackboneOptions, CDNNOptions, CNNMoEOptions
from baselines.state_dicts import CheckpointLayout, own_layout

WIDTHS = (64, 128, 256, 256, 512, 512)
"""Channels after each block."""


@dataclass(frozen=True)
class Blocks:
    """One reading of the six blocks.

    Attributes:
        pooled: Whether each block ends in a mean pooling of 2 x 2.
        dropped: Share of the channels that each block drops.
        normed_twice: Whether batch norm follows the ReLU as well.
    """

    pooled: tuple[bool, ...]
    dropped: tuple[float, ...]
    normed_twice: bool


READINGS: Mapping[str, Blocks] = {
    "sadaco": Blocks((True, True, False, True, False, False), (0.1, 0.15, 0.2, 0.2, 0.25, 0.0), True),
    "zffun": Blocks((True, True, True, True, True, False), (0.0,) * 6, False),
}
"""Blocks of dlrudco/SADACO @ 2134fd9 (``cnn_moe.py``) and of ZFFun/Cnn_Moe_Sprsound @ 086a1c0."""

# SADACO's blocks are one flat list, in which those that do not pool are shorter by a layer.
_FIRST_LAYERS = (0, 6, 12, 17, 23, 28)

OFFICIAL_NAMES: Mapping[str, Mapping[str, str]] = {
    "sadaco": {
        **{
            f"trunk.{block}.{part}.": f"cnn.features.{first + place}."
            for block, first in enumerate(_FIRST_LAYERS)
            for part, place in (("norm_in", 0), ("conv", 1), ("norm_out", 3))
        },
        "classifier.experts.": "experts.",
        "classifier.gate.": "softmax_gate.",
    },
    "zffun": {
        **{
            f"trunk.{block}.{part}.": f"backbone.features.{block}.{place}."
            for block in range(len(WIDTHS))
            for part, place in (("norm_in", 0), ("conv", 1))
        },
        "classifier.": "head.",
    },
}
"""Beginnings of our names, and of the same tensors' names in the files of either code. SADACO's backbone by itself has
``features.`` for ``cnn.features.``."""


def _renamed(names: Mapping[str, str]) -> Callable[[str], tuple[str, ...]]:
    def sources(name: str) -> tuple[str, ...]:
        return tuple(theirs + name.removeprefix(ours) for ours, theirs in names.items() if name.startswith(ours))

    return sources


LAYOUTS = (
    own_layout(),
    CheckpointLayout(title="SADACO", sources=_renamed(OFFICIAL_NAMES["sadaco"]), fitted=True),
    CheckpointLayout(title="ZFFun", sources=_renamed(OFFICIAL_NAMES["zffun"]), fitted=True),
)


class Block(nn.Module):
    """Batch norm, 3 x 3 convolution with bias, ReLU, perhaps a second batch norm, mean pooling, channel dropout.

    Args:
        inputs: Channels before.
        outputs: Channels after.
        pool: Whether the sides are halved at the end.
        dropout: Share of the channels that is dropped.
        normed_twice: Whether there is a second batch norm.
    """

    def __init__(self, inputs: int, outputs: int, pool: bool, dropout: float, normed_twice: bool) -> None:
        super().__init__()
        self.norm_in = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm_out = nn.BatchNorm2d(outputs) if normed_twice else nn.Identity()
        self.pool = nn.AvgPool2d(2) if pool else nn.Identity()
        # Whole channels, as SADACO has it; the paper speaks of dropout alone.
        self.drop = nn.Dropout2d(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, T, F) to (B, outputs, T, F), or half of T and F."""
        x = self.norm_out(torch.relu(self.conv(self.norm_in(x))))
        dropped: Tensor = self.drop(self.pool(x))
        return dropped


class MixtureOfExperts(nn.Module):
    """Linear experts with ReLU, weighed by a softmax gate: sum_k softmax(gate(x))_k relu(expert_k(x)).

    Args:
        width: Width of the features.
        experts: Number of experts.
        num_classes: Outputs of each expert.
    """

    def __init__(self, width: int, experts: int, num_classes: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(width, num_classes), nn.ReLU()) for _ in range(experts))
        self.gate = nn.Linear(width, experts)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, width) to logits (B, C), none of them negative."""
        said = torch.stack([expert(x) for expert in self.experts], dim=1)
        logits: Tensor = (self.gate(x).softmax(dim=1)[..., None] * said).sum(dim=1)
        return logits


def _plain_head(width: int, options: CDNNOptions, num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, options.hidden), nn.ReLU(), nn.Dropout(options.dropout), nn.Linear(options.hidden, num_classes)
    )


class ExpertNet(nn.Module):
    """Six blocks, the global mean, and the head that the options describe.

    Args:
        options: Reading of the blocks, and the head.
        num_classes: Outputs of the classifier.
    """

    layouts = LAYOUTS
    feature_dim = WIDTHS[-1]

    def __init__(self, options: CDNNOptions | CNNMoEOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.options = options
        self.trunk = _trunk(options)
        self.classifier = (
            MixtureOfExperts(self.feature_dim, options.experts, num_classes)
            if isinstance(options, CNNMoEOptions)
            else _plain_head(self.feature_dim, options, num_classes)
        )

    def features(self, x: Tensor) -> Tensor:
        """Map patches (B, 1, T, F) to features (B, 512)."""
        features: Tensor = self.trunk(x).mean(dim=(2, 3))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map patches (B, 1, T, F) to logits (B, C)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The convolution blocks."""
        return list(self.trunk)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor: the files of both codes have these shapes already."""
        return tensor


def _trunk(options: BackboneOptions) -> nn.Sequential:
    blocks = READINGS[options.blocks]
    inputs = (1, *WIDTHS)
    return nn.Sequential(
        *(
            Block(inputs[i], WIDTHS[i], blocks.pooled[i], blocks.dropped[i], blocks.normed_twice)
            for i in range(len(WIDTHS))
        )
    )
