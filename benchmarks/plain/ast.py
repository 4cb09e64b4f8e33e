"""AST in the plainest form: attention as three products with its whole matrix of weights, every token in every block.

Its parts carry the names of the project's model, so that both can hold the same parameters.
Shapes: B batch, T frames, F mels, N patches, D width, H heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

EPSILON = 1e-6
"""Of the trunk's layer norms (timm)."""


class PlainAttention(nn.Module):
    """Self-attention whose weights (B, H, N, N) are formed, kept and read again."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1)) * (width // self.heads) ** -0.5
        mixed = (weights.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, tokens, width)
        result: Tensor = self.proj(mixed)
        return result


class PlainBlock(nn.Module):
    """A transformer's block: attention and two layers, each after a norm and added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = PlainAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        hidden = nn.functional.gelu(self.mlp["fc1"](self.norm2(x)))
        return x + self.mlp["fc2"](hidden)


class PlainTrunk(nn.Module):
    """Patches, class tokens, positions, blocks and the last norm; ``options`` are those of the project's model."""

    def __init__(self, options: Any) -> None:
        super().__init__()
        width, side, stride = options.embed_dim, options.patch_size, options.stride
        count = ((options.mels - side) // stride + 1) * ((options.frames - side) // stride + 1)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, width, side, stride)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, count + 2, width))
        self.blocks = nn.ModuleList(PlainBlock(width, options.heads) for _ in range(options.depth))
        self.norm = nn.LayerNorm(width, eps=EPSILON)


class PlainAST(nn.Module):
    """The whole net.

    Args:
        options: Geometry, as the project's model has it.
        num_classes: Outputs of the classifier.
    """

    def __init__(self, options: Any, num_classes: int = 4) -> None:
        super().__init__()
        self.trunk = PlainTrunk(options)
        self.classifier = nn.Sequential(nn.LayerNorm(options.embed_dim), nn.Linear(options.embed_dim, num_classes))

    def embed_patches(self, x: Tensor) -> Tensor:
        """(B, 1, T, F) -> (B, N, D)."""
        tokens: Tensor = self.trunk.patch_embed["proj"](x.transpose(2, 3)).flatten(2).transpose(1, 2)
        return tokens

    def encode(self, tokens: Tensor) -> Tensor:
        """(B, N, D) -> (B, D), the mean of both class tokens."""
        trunk, batch = self.trunk, len(tokens)
        first, second = trunk.cls_token.expand(batch, -1, -1), trunk.dist_token.expand(batch, -1, -1)
        x = torch.cat((first, second, tokens), dim=1) + trunk.pos_embed
        for block in trunk.blocks:
            x = block(x)
        x = trunk.norm(x)
        feature: Tensor = (x[:, 0] + x[:, 1]) / 2
        return feature

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, T, F) -> (B, D)."""
        return self.encode(self.embed_patches(x))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, T, F) -> logits (B, classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
