"""Audio Spectrogram Transformer (Gong et al. 2021) in the form of the official Patch-Mix code, models/ast.py.

Shapes: B batch, T frames, F mels, R patch rows (frequency), C patch columns (time), N = R * C patches, D width.
Tokens are frequency-major: patch (r, c) is token r * C + c; class and distillation token stand before them.
"""

from __future__ import annotations

from functools import partial
from math import isqrt
from typing import Any

import torch
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention

from baselines.ast import hugging_face
from baselines.ast.card import ASTOptions
from baselines.ast.position_grids import AUDIOSET_ROWS
from baselines.state_dicts import CheckpointLayout, own_layout, renamed_sources, with_classifier_sources
from baselines.transformer_blocks import TransformerBlock
from bench.core.errors import SpecError, WeightsError

CLASS_TOKENS = 2
_OFFICIAL_HEADS = ("v.head.", "v.head_dist.", "mlp_head.")

LAYOUTS = (
    own_layout(),
    CheckpointLayout(title="timm DeiT", sources=renamed_sources("trunk.", ""), unused=("head.", "head_dist.")),
    CheckpointLayout(
        title="official AST",
        sources=renamed_sources("trunk.", "v."),
        unused=_OFFICIAL_HEADS,
        grid_rows=AUDIOSET_ROWS,
        prepare=partial(hugging_face.with_grid, "v.pos_embed", False),
    ),
    *hugging_face.LAYOUTS,
    CheckpointLayout(
        title="Patch-Mix",
        sources=with_classifier_sources(renamed_sources("trunk.", "v.")),
        unused=_OFFICIAL_HEADS,
        fitted=True,
    ),
)


class StridedPatches(nn.Module):
    """Cuts a picture into patches that may overlap, each mapped to a token; the form that timm's trunk asks for.

    Args:
        img_size: Rows and columns of the picture (mels, frames).
        patch_size: Side of a patch.
        in_chans: Channels of the picture.
        embed_dim: Width D of a token.
        stride: Distance between patches.
        **unused: What timm passes to patch embeddings of other kinds.
    """

    def __init__(
        self,
        img_size: tuple[int, int],
        patch_size: int,
        in_chans: int,
        embed_dim: int,
        stride: int,
        **unused: Any,
    ) -> None:
        super().__init__()
        rows, columns = ((size - patch_size) // stride + 1 for size in img_size)
        self.grid_size = (rows, columns)
        self.num_patches = rows * columns
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, stride)

    def forward(self, picture: Tensor) -> Tensor:
        """Map pictures (B, channels, F, T) to tokens (B, N, D), row by row."""
        tokens: Tensor = self.proj(picture).flatten(2).transpose(1, 2)
        return tokens


class AST(nn.Module):
    """AST with the classifier of the official Patch-Mix code; no dropout, no unused heads.

    Args:
        options: Geometry and initialisation.
        num_classes: Outputs of the classifier.

    Raises:
        SpecError: If the geometry is impossible.
    """

    layouts = LAYOUTS

    def __init__(self, options: ASTOptions, num_classes: int = 4) -> None:
        super().__init__()
        _check_geometry(options)
        self.options = options
        self.feature_dim = options.embed_dim
        self.trunk: Any
        self.trunk = VisionTransformerDistilled(  # type: ignore[no-untyped-call]
            img_size=(options.mels, options.frames),
            patch_size=options.patch_size,
            in_chans=1,
            num_classes=0,
            embed_dim=options.embed_dim,
            depth=options.depth,
            num_heads=options.heads,
            embed_layer=partial(StridedPatches, stride=options.stride),
            weight_init="skip",
            block_fn=TransformerBlock,
        )
        self.classifier = nn.Sequential(nn.LayerNorm(options.embed_dim), nn.Linear(options.embed_dim, num_classes))
        self._initialise()

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Rows (frequency) and columns (time) of the patches."""
        rows, columns = self.trunk.patch_embed.grid_size
        return rows, columns

    def embed_patches(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to patch tokens (B, N, D), before positions and class tokens.

        Raises:
            SpecError: If the spectrograms are not of the size that the model was built for.
        """
        needed = (1, self.options.frames, self.options.mels)
        if x.ndim != 4 or tuple(x.shape[1:]) != needed:
            raise SpecError(
                f"The model takes spectrograms of the shape (batch, 1, {needed[1]} frames, {needed[2]} mels), "
                f"but got {tuple(x.shape)}.",
                "Set the model's options frames and mels to the front-end's output.",
            )
        tokens: Tensor = self.trunk.patch_embed(x.transpose(2, 3))
        return tokens

    def encode(self, tokens: Tensor) -> Tensor:
        """Map patch tokens (B, N, D) to features (B, D): the mean of both class tokens after the final norm."""
        trunk, batch = self.trunk, tokens.shape[0]
        starts = (trunk.cls_token.expand(batch, -1, -1), trunk.dist_token.expand(batch, -1, -1))
        x = torch.cat((*starts, tokens), dim=1) + trunk.pos_embed
        for block in trunk.blocks[:-1]:
            x = block(x)
        x = trunk.norm(_class_tokens_after(trunk.blocks[-1], x))
        feature: Tensor = (x[:, 0] + x[:, 1]) / 2
        return feature

    def features(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to features (B, D); raises as :meth:`embed_patches` does."""
        return self.encode(self.embed_patches(x))

    def forward(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to logits (B, num_classes); raises as :meth:`embed_patches` does."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The transformer's blocks; the last one, of which two tokens are computed, is never called as a whole."""
        return list(self.trunk.blocks)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Lay a pretrained position table on this geometry, and sum a patch projection over its colours."""
        if name == "trunk.pos_embed":
            return fit_positions(tensor, layout.grid_rows, self.patch_grid, self.options.pos_embed)
        # A grey picture on three equal channels gives the same as one channel under the sum of the kernels.
        if name == "trunk.patch_embed.proj.weight" and tensor.ndim == 4 and tensor.shape[1] == 3:
            return tensor.sum(dim=1, keepdim=True)
        return tensor

    def _initialise(self) -> None:
        """Draw the weights.

        ``timm`` is the law of timm 0.4.5, which the official code asks for: truncated normal of 0.02 for tokens,
        positions and the trunk's linear layers, torch's default for the patch projection and the classifier.
        ``xavier`` is uniform by fan-in and fan-out for all of these layers, which lets a small net learn quickly.
        """
        xavier = self.options.initialisation == "xavier"
        for table in (self.trunk.cls_token, self.trunk.dist_token, self.trunk.pos_embed):
            nn.init.trunc_normal_(table, std=0.02)
        if xavier:
            nn.init.xavier_uniform_(self.trunk.patch_embed.proj.weight.data.flatten(1))
        for module in (self if xavier else self.trunk).modules():
            if isinstance(module, nn.Linear):
                if xavier:
                    nn.init.xavier_uniform_(module.weight)
                else:
                    nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


def _check_geometry(options: ASTOptions) -> None:
    if options.embed_dim % options.heads:
        raise SpecError(
            f"embed_dim is {options.embed_dim}, which is not a multiple of heads, {options.heads}.",
            "Choose an embed_dim that the heads divide.",
        )
    smaller = min(options.frames, options.mels)
    if options.patch_size > smaller:
        raise SpecError(
            f"patch_size is {options.patch_size}, but the spectrogram is {options.frames} frames by "
            f"{options.mels} mels.",
            f"Choose a patch_size of at most {smaller}.",
        )


def _class_tokens_after(block: Any, x: Tensor) -> Tensor:
    """The two class tokens (B, 2, D) after a block that reads tokens x (B, 2 + N, D).

    Nothing else of the last block is ever read, so queries and the MLP are computed for these two alone.
    """
    attention, width = block.attn, x.shape[-1]
    weight, bias = attention.qkv.weight, attention.qkv.bias
    normed = block.norm1(x)
    query = linear(normed[:, :CLASS_TOKENS], weight[:width], bias[:width])
    key, value = linear(normed, weight[width:], bias[width:]).chunk(2, dim=-1)
    heads = (x.shape[0], -1, attention.num_heads, attention.head_dim)
    q, k, v = (each.reshape(heads).transpose(1, 2) for each in (query, key, value))
    mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x[:, :CLASS_TOKENS] + attention.proj(mixed)
    after: Tensor = x + block.mlp(block.norm2(x))
    return after


def fit_positions(table: Tensor, source_rows: int | None, grid: tuple[int, int], law: str) -> Tensor:
    """Lay a pretrained position table on another grid of patches (SYSTEMS D1).

    Args:
        table: (1, 2 + patches, D), class and distillation token first.
        source_rows: Rows (frequency) of its grid; ``None`` for a square grid.
        grid: Rows and columns of the model's grid.
        law: ``corrected`` fits frequency to frequency and time to time. ``official`` fits the grid as if rows and
            columns were exchanged and lays it out so, because the official call passes both sizes exchanged.

    Returns:
        (1, 2 + rows * columns, D).

    Raises:
        WeightsError: If the table holds no such grid.
    """
    count = table.shape[1] - CLASS_TOKENS if table.ndim == 3 else 0
    side = source_rows or isqrt(max(count, 0))
    if count < 1 or count % side or (source_rows is None and count != side * side):
        wanted = f"{source_rows} rows" if source_rows else "a square"
        raise WeightsError(f"A position table of the shape {tuple(table.shape)} holds no grid of {wanted}.")
    # The official call gives the position grid its sizes in the wrong order, so that the grid is cut and stretched
    # along the wrong axes; kept as the default because the published numbers were made with it.
    rows, columns = grid if law == "corrected" else grid[::-1]
    picture = table[:, CLASS_TOKENS:].transpose(1, 2).reshape(1, -1, side, count // side)
    fitted = _fit_axis(_fit_axis(picture, 3, columns), 2, rows)
    return torch.cat((table[:, :CLASS_TOKENS], fitted.flatten(2).transpose(1, 2)), dim=1)


def _fit_axis(picture: Tensor, axis: int, size: int) -> Tensor:
    """Cut the middle out of a longer axis of (1, D, rows, columns), or stretch a shorter one bilinearly."""
    length = picture.shape[axis]
    if size <= length:
        return picture.narrow(axis, length // 2 - size // 2, size)
    shape = [picture.shape[2], picture.shape[3]]
    shape[axis - 2] = size
    return interpolate(picture, size=shape, mode="bilinear", align_corners=False)
