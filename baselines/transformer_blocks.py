"""Transformer blocks: timm's parameters under timm's names, with arithmetic that suits the processor.

On a GPU and in single precision a block computes as timm's does, its attention in torch's fused kernel (SDPA). In
bfloat16 on a CPU the backward pass of that kernel takes half of a training step; :class:`_PackedAttention` computes it
as a few large matrix products, which a processor with AMX or AVX512-BF16 does at twice the speed.

Shapes: B batch, N tokens, H heads, D width of a head, G = B * H all heads of a batch, P = N padded for alignment.
"""

from __future__ import annotations

from functools import cache
from math import e, log2
from typing import Any

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

_ALIGNED_TOKENS = 32
"""Tokens are padded to a multiple of it: rows that begin on cache lines are multiplied a quarter faster."""

_SCORES_PER_THREAD = 2 * 960 * 960
"""Scores that a thread holds at a time, as many as two heads of an AST have: more of them leave the cache."""

_LOG2_E = log2(e)


class SelfAttention(Attention):
    """timm's attention without masks, gates, norms and dropout of its own."""

    def forward(self, x: Tensor, *unused: Any, **options: Any) -> Tensor:
        """Map tokens (B, N, H * D) to tokens of the same shape."""
        return linear(self.proj, self_attention(linear(self.qkv, x), self.num_heads))


class TransformerBlock(Block):
    """timm's block with pre-normalisation, without dropout, stochastic depth and scaled layers."""

    mlp: Any

    def __init__(self, *inputs: Any, **options: Any) -> None:
        super().__init__(*inputs, **{**options, "attn_layer": SelfAttention})

    def forward(self, x: Tensor, *unused: Any, **options: Any) -> Tensor:
        """Map tokens (B, N, H * D) to tokens of the same shape."""
        x = x + self.attn(self.norm1(x))
        hidden = self.mlp.act(linear(self.mlp.fc1, self.norm2(x)))
        return x + linear(self.mlp.fc2, hidden)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """Apply a layer with a bias; in bfloat16 on a CPU the bias is added within the matrix product.

    Args:
        layer: The layer.
        x: (B, N, inputs).

    Returns:
        (B, N, outputs), in bfloat16 under such an autocast.
    """
    if x.device.type == "cpu" and _autocasts_to_bfloat16() and _has_bfloat16_products():
        mapped: Tensor = _BiasedProduct.apply(x.to(torch.bfloat16), layer.weight, layer.bias)
        return mapped
    plain: Tensor = layer(x)
    return plain


def _autocasts_to_bfloat16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


@cache
def _has_bfloat16_products() -> bool:
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(available and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _BiasedProduct(torch.autograd.Function):
    """A linear layer in bfloat16 (CPU): torch's own first copies the bias into every row of the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        matrix = weight.to(x.dtype)
        ctx.save_for_backward(x, matrix)
        ctx.kept_as = weight.dtype
        mapped: Tensor = torch.ops.mkldnn._linear_pointwise(x, matrix, bias.to(x.dtype), "none", [], "")
        return mapped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        dx = gradient @ matrix if of_x else None
        dweight = (rows.t() @ x.flatten(0, -2)).to(ctx.kept_as) if of_weight else None
        # A product with ones adds up the rows at twice the speed of a sum.
        dbias = (rows.new_ones(1, len(rows)) @ rows)[0].to(ctx.kept_as) if of_bias else None
        return dx, dweight, dbias


def self_attention(qkv: Tensor, heads: int) -> Tensor:
    """Softmax attention of tokens to one another, scaled by the root of a head's width.

    Args:
        qkv: (B, N, 3 * H * D), queries, keys and values of all heads, in this order.
        heads: Number of heads H.

    Returns:
        (B, N, H * D).
    """
    if qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16 and qkv.requires_grad and torch.is_grad_enabled():
        mixed: Tensor = _PackedAttention.apply(qkv, heads)
        return mixed
    return scaled_dot_product_attention(*_by_head(qkv, heads)).transpose(1, 2).flatten(2)


def _by_head(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, each (B, H, N, D), as views of (B, N, 3 * H * D)."""
    batch, tokens = qkv.shape[:2]
    q, k, v = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


class _PackedAttention(torch.autograd.Function):
    """Attention whose backward pass computes the scores of a few heads at a time by matrix products (CPU, bfloat16).

    The softmax is computed from its saved logarithmic sums, as in Dao et al. 2022 (FlashAttention), section B.4: with
    S = scale * Q K^T, P = exp(S - lse), dP = dO V^T and delta = rowsum(dO * O), the gradients are dV = P^T dO,
    dQ = scale * dS K and dK = scale * dS^T Q, where dS = P * (dP - delta). Both differences come out of the matrix
    products themselves: Q and dO carry what is subtracted in two more columns, against columns of ones in K and V.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        mixed, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*_by_head(qkv, heads))
        ctx.save_for_backward(qkv, mixed, sums)
        tokens: Tensor = mixed.transpose(1, 2).flatten(2)
        return tokens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        qkv, mixed, sums = ctx.saved_tensors
        heads, tokens, width = mixed.shape[1:]
        q, k, v = _by_head(qkv, heads)
        g = gradient.reshape(-1, tokens, heads, width).transpose(1, 2)
        delta = (g * mixed).sum(-1, dtype=torch.float32)
        scale = width**-0.5
        packed = (_with_columns(q, -sums / scale), _with_columns(k), _with_columns(v), _with_columns(g, -delta))
        into = torch.empty_like(qkv)
        found = _packed_gradients(*packed, scale)
        for part, value in zip(_by_head(into, heads), found, strict=True):
            part.copy_(value.view(len(qkv), heads, -1, width)[:, :, :tokens])
        return into, None


def _with_columns(x: Tensor, last: Tensor | None = None) -> Tensor:
    """Pack (B, H, N, D) into (G, P, D + 2): two columns more that add up to ``last`` (B, H, N), or two of ones.

    Two bfloat16 numbers, of which the second is what the first leaves, hold twice the digits of one. Rows that pad the
    tokens are zero throughout: they give nothing to any gradient.
    """
    batch, heads, tokens, width = x.shape
    packed = x.new_empty(batch, heads, tokens + -tokens % _ALIGNED_TOKENS, width + 2)
    packed[:, :, tokens:] = 0
    packed[:, :, :tokens, :width] = x
    if last is None:
        packed[:, :, :tokens, width:] = 1
    else:
        rounded = last.to(x.dtype)
        packed[:, :, :tokens, width] = rounded
        packed[:, :, :tokens, width + 1] = last - rounded
    return packed.flatten(0, 1)


def _packed_gradients(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values, each (G, P, D), of what :func:`_with_columns` packed, (G, P, D + 2)."""
    heads, padded, width = q.shape[0], q.shape[1], q.shape[2] - 2
    found = tuple(q.new_empty(heads, padded, width) for _ in range(3))
    at_once = min(heads, max(1, torch.get_num_threads() * _SCORES_PER_THREAD // padded**2))
    # Memory that is written again and again stays in the cache, where fresh memory would have to be filled.
    memory = tuple(q.new_empty(at_once, padded, padded) for _ in range(2))
    # Split once: a step takes thousands of views otherwise.
    parts = (torch.split(x, at_once) for x in (q, k, v, g, *found))
    for some in zip(*parts, strict=True):
        _gradients_of_heads(some[:4], some[4:], tuple(scores[: len(some[0])] for scores in memory), scale)
    dq, dk, dv = found
    return dq, dk, dv


def _gradients_of_heads(
    packed: tuple[Tensor, ...], into: tuple[Tensor, ...], memory: tuple[Tensor, ...], scale: float
) -> None:
    """Write the gradients of a few heads; arguments as in :func:`_packed_gradients`, for these heads alone.

    Scores have a row for each key: of the three products with them, one alone needs them transposed, which is slower.
    """
    (q, k, v, g), (dq, dk, dv), (p, ds) = packed, into, memory
    width = dq.shape[-1]
    # Powers of two are computed quicker than those of e.
    torch.baddbmm(p, k, q.transpose(1, 2), beta=0, alpha=scale * _LOG2_E, out=p).exp2_()
    torch.bmm(p, g[:, :, :width], out=dv)
    torch.bmm(v, g.transpose(1, 2), out=ds).mul_(p)
    torch.baddbmm(dq, ds.transpose(1, 2), k[:, :, :width], beta=0, alpha=scale, out=dq)
    torch.baddbmm(dk, ds, q[:, :, :width], beta=0, alpha=scale, out=dk)
