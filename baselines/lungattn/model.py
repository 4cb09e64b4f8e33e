"""The network of LungAttn (``resnet-att``).

Source: SJTU-YONGFU-RESEARCH-GRP/LungAttn @ 8a7972b, ``model/LungAttn.py``.

Shapes: B batch, H by W the pictures, rows are frequency.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import relu

from baselines.lungattn.attention import AttentionAugmentedConv2d, AttentionShape
from baselines.lungattn.card import ResNetAttOptions
from baselines.lungsys.blocks import GROUPS, PreActivationBlock
from baselines.state_dicts import CheckpointLayout, own_layout

CHANNELS, PICTURES = 64, 3
DOWN_BLOCKS, BLOCKS, AUGMENTED_BLOCK = 2, 7, 6
"""Blocks that halve the map, those that follow, and which of these, counted from 1, has the attention."""

ATTENTION = AttentionShape(keys=20, values=4, heads=2)

_AUGMENTED = f"layers.block{AUGMENTED_BLOCK}.conv1."

OFFICIAL_NAMES: Mapping[str, str] = {
    "stem.0.": "conv1.0.",
    "stem.1.": "conv1.1.",
    **{f"layers.down{i + 1}.": f"ResNet_0_{i}." for i in range(DOWN_BLOCKS)},
    f"{_AUGMENTED}convolution.": f"ResNet_{AUGMENTED_BLOCK - 1}.conv1.conv_out.",
    f"{_AUGMENTED}projection.": f"ResNet_{AUGMENTED_BLOCK - 1}.conv1.qkv_conv.",
    f"{_AUGMENTED}mixing.": f"ResNet_{AUGMENTED_BLOCK - 1}.conv1.attn_out.",
    f"{_AUGMENTED}row_positions": f"ResNet_{AUGMENTED_BLOCK - 1}.conv1.key_rel_h",
    f"{_AUGMENTED}column_positions": f"ResNet_{AUGMENTED_BLOCK - 1}.conv1.key_rel_w",
    **{f"layers.block{i + 1}.": f"ResNet_{i}." for i in range(BLOCKS)},
    "norm.": "norm0.",
    "reduction.": "linear1.",
    "classifier.1.": "linear2.",
}
"""Beginnings of names in our state dict and what they are in the authors'; the first that fits is the one."""


def official_name(name: str) -> str:
    """The authors' name for a tensor of our state dict."""
    ours = next(prefix for prefix in OFFICIAL_NAMES if name.startswith(prefix))
    return OFFICIAL_NAMES[ours] + name.removeprefix(ours)


LAYOUTS = (
    own_layout(),
    CheckpointLayout(title="LungAttn", sources=lambda name: (official_name(name),), fitted=True),
)


def map_size(side: int) -> int:
    """Rows or columns of the maps that the attention sees, of pictures of ``side`` rows or columns."""
    for _ in range(2 + DOWN_BLOCKS):
        side = (side + 1) // 2
    return side


def _layers(options: ResNetAttOptions) -> nn.Sequential:
    size = map_size(options.frames), map_size(options.mels)
    augmented = AttentionAugmentedConv2d(CHANNELS, CHANNELS, size, ATTENTION, in_place=options.attention_in_place)
    layers = nn.Sequential()
    for i in range(1, DOWN_BLOCKS + 1):
        layers.add_module(f"down{i}", PreActivationBlock(CHANNELS, options.dropout, stride=2))
    for i in range(1, BLOCKS + 1):
        first = augmented if i == AUGMENTED_BLOCK else None
        layers.add_module(f"block{i}", PreActivationBlock(CHANNELS, options.dropout, first=first))
    return layers


class ResNetAtt(nn.Module):
    """A residual network with one attention-augmented convolution, and a linear classifier with dropout around it.

    Args:
        options: Size of the pictures, and rates of dropout.
        num_classes: Outputs of the classifier.
    """

    layouts = LAYOUTS
    feature_dim = CHANNELS

    def __init__(self, options: ResNetAttOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(PICTURES, CHANNELS, 7, 2, padding=3),
            nn.GroupNorm(GROUPS, CHANNELS),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        )
        self.layers = _layers(options)
        self.norm = nn.GroupNorm(GROUPS, CHANNELS)
        self.reduction = nn.Linear(CHANNELS, CHANNELS)
        self.classifier = nn.Sequential(
            nn.Dropout(options.feature_dropout), nn.Linear(CHANNELS, num_classes), nn.Dropout(options.logit_dropout)
        )

    def features(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) to features (B, 64); a single picture (B, 1, H, W) stands for all three."""
        pictures = x.expand(-1, PICTURES, -1, -1)
        pooled = relu(self.norm(self.layers(self.stem(pictures)))).mean(dim=(2, 3))
        features: Tensor = self.reduction(pooled)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, H, W) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The residual blocks."""
        return list(self.layers)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor, whose geometry is this one."""
        return tensor
