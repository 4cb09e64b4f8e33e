"""The encoder of BEATs (Chen et al. 2023): patches, a transformer with gated relative positions and deep norms.

Source: microsoft/unilm at 9102ed9, ``beats/BEATs.py`` and ``beats/backbone.py``; names of parameters are those of the
published checkpoints.

Shapes: B batch, T frames, F mels, N patches, C width, H heads.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

GATES = 8
"""Numbers that the gate of a relative position is computed from: two sums of four."""


@dataclass(frozen=True, kw_only=True)
class BEATsConfig:
    """What the ``cfg`` of a checkpoint says of the encoder; the defaults are those of the published checkpoints.

    Raises:
        ValueError: If it is of a form that no published checkpoint has.
    """

    input_patch_size: int = 16
    embed_dim: int = 512
    conv_bias: bool = False
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    activation_fn: str = "gelu"
    layer_norm_first: bool = False
    deep_norm: bool = True
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    dropout_input: float = 0.0
    conv_pos: int = 128
    conv_pos_groups: int = 16
    relative_position_embedding: bool = True
    num_buckets: int = 320
    max_distance: int = 800
    gru_rel_pos: bool = True

    def __post_init__(self) -> None:
        known = {
            "activation_fn": "gelu",
            "layer_norm_first": False,
            "relative_position_embedding": True,
            "gru_rel_pos": True,
        }
        for name, value in known.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but published checkpoints have {value!r}")
        if self.encoder_embed_dim % self.encoder_attention_heads:
            raise ValueError("encoder_attention_heads does not divide encoder_embed_dim")

    @property
    def hidden_size(self) -> int:
        """Width of the encoder."""
        return self.encoder_embed_dim

    @property
    def num_hidden_layers(self) -> int:
        """Number of layers."""
        return self.encoder_layers

    def to_json_string(self, use_diff: bool = False) -> str:
        """All fields as JSON, as configurations of transformers give them."""
        return json.dumps(dataclasses.asdict(self))


class GatedAttention(nn.Module):
    """Self-attention to which relative positions add as much as the query lets them.

    Args:
        config: Widths, heads and dropout.
        has_positions: Whether it holds the table of relative positions, which all layers share.
    """

    def __init__(self, config: BEATsConfig, has_positions: bool) -> None:
        super().__init__()
        width, self.heads = config.encoder_embed_dim, config.encoder_attention_heads
        self.dropout = config.attention_dropout
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.grep_linear = nn.Linear(width // self.heads, GATES)
        self.grep_a = nn.Parameter(torch.ones(1, self.heads, 1, 1))
        if has_positions:
            self.relative_attention_bias = nn.Embedding(config.num_buckets, self.heads)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Map tokens (B, N, C) and the share of each relative position (H, N, N) to tokens (B, N, C)."""
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        reset, update = self.grep_linear(q).unflatten(3, (2, GATES // 2)).sum(-1).sigmoid().chunk(2, dim=-1)
        gate = reset * (update * self.grep_a - 1) + 2
        dropout = self.dropout if self.training else 0.0
        # The authors subtract each row's largest score before the softmax, which changes nothing but overflow in fp16.
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=(gate * positions).to(q), dropout_p=dropout)
        attended: Tensor = self.out_proj(seen.transpose(1, 2).flatten(2))
        return attended


class Layer(nn.Module):
    """A layer whose residuals weigh more the deeper the encoder is (deep norm), each followed by a layer norm.

    Args:
        config: Widths, depth and dropout.
        has_positions: Whether its attention holds the table of relative positions.
    """

    def __init__(self, config: BEATsConfig, has_positions: bool) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.alpha = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0
        self.self_attn = GatedAttention(config, has_positions)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.encoder_ffn_embed_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_embed_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout, self.inner_dropout = nn.Dropout(config.dropout), nn.Dropout(config.activation_dropout)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Map tokens (B, N, C) and relative positions (H, N, N) to tokens (B, N, C)."""
        x = self.self_attn_layer_norm(self.alpha * x + self.dropout(self.self_attn(x, positions)))
        inner = self.fc2(self.inner_dropout(functional.gelu(self.fc1(x))))
        found: Tensor = self.final_layer_norm(self.alpha * x + self.dropout(inner))
        return found


class Transformer(nn.Module):
    """Convolutional positions, then layers with relative ones.

    Args:
        config: The configuration.
    """

    def __init__(self, config: BEATsConfig) -> None:
        super().__init__()
        self.config, width = config, config.encoder_embed_dim
        conv = nn.Conv1d(width, width, config.conv_pos, padding=config.conv_pos // 2, groups=config.conv_pos_groups)
        nn.init.normal_(conv.weight, std=math.sqrt(4 / (config.conv_pos * width)))
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        # A sequence for its name alone: checkpoints have `pos_conv.0`.
        self.pos_conv = nn.Sequential(weight_norm(conv, dim=2))
        self.layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config, has_positions=place == 0) for place in range(config.encoder_layers))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map tokens (B, N, C) to those that enter the first layer, and those that leave each."""
        # An even kernel gives one more place than there are tokens.
        convolved = functional.gelu(self.pos_conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        found = [self.dropout(self.layer_norm(x + convolved))]
        positions = self._relative_positions(x.shape[1], x.device)
        for layer in self.layers:
            found.append(layer(found[-1], positions))
        return found

    def _relative_positions(self, tokens: int, device: torch.device) -> Tensor:
        """What the distance of each pair of tokens adds to their scores, (H, N, N)."""
        places = torch.arange(tokens, device=device)
        buckets = _buckets(places[None] - places[:, None], self.config.num_buckets, self.config.max_distance)
        table: Any = self.layers[0].self_attn.relative_attention_bias  # type: ignore[union-attr]
        shares: Tensor = table(buckets).permute(2, 0, 1)
        return shares


def _buckets(distances: Tensor, buckets: int, longest: int) -> Tensor:
    """The bucket of each distance: half of them for each direction; short ones have their own, longer ones share."""
    half = buckets // 2
    exact = half // 2
    size = distances.abs()
    # From 1: the logarithm of distances that have a bucket of their own is not used.
    share = (size.clamp_min(1).float() / exact).log() / math.log(longest / exact)
    far = (exact + (share * (half - exact)).long()).clamp_max(half - 1)
    return (distances > 0).long() * half + torch.where(size < exact, size, far)


class BEATsEncoder(nn.Module):
    """Patches of a filter bank, and the transformer over them; its weights are drawn by the authors' laws.

    Args:
        config: The configuration.
    """

    def __init__(self, config: BEATsConfig) -> None:
        super().__init__()
        self.config, size = config, config.input_patch_size
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, size, size, bias=config.conv_bias)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        is_wider = config.embed_dim != config.encoder_embed_dim
        self.post_extract_proj = nn.Linear(config.embed_dim, config.encoder_embed_dim) if is_wider else nn.Identity()
        self.dropout_input = nn.Dropout(config.dropout_input)
        self.encoder = Transformer(config)
        _initialise(self.encoder, config)

    def forward(self, input_values: Tensor, output_hidden_states: bool = False) -> SimpleNamespace:
        """Encode filter banks.

        Args:
            input_values: (B, T, F), as the authors' ``preprocess`` makes them.
            output_hidden_states: Whether what enters the first layer and leaves each is wanted too.

        Returns:
            ``last_hidden_state`` (B, N, C) and ``hidden_states``, a tuple of such or None.
        """
        # Patches row by row: those of one time follow one another.
        patches = self.patch_embedding(input_values[:, None]).flatten(2).transpose(1, 2)
        found = self.encoder(self.dropout_input(self.post_extract_proj(self.layer_norm(patches))))
        return SimpleNamespace(
            last_hidden_state=found[-1], hidden_states=tuple(found) if output_hidden_states else None
        )

    @classmethod
    def from_pretrained(
        cls, _name: None, *, config: BEATsConfig, state_dict: Mapping[str, Tensor], output_loading_info: bool
    ) -> tuple[BEATsEncoder, dict[str, set[str]]]:
        """Build an encoder from a checkpoint's tensors, as models of transformers are.

        Args:
            config: The configuration.
            state_dict: Tensors by the names of the published checkpoints; what is not the encoder's is left.
            output_loading_info: Given by callers of transformers; what is missing is always told.

        Returns:
            The encoder, and ``missing_keys``, the names of what it lacks.

        Raises:
            RuntimeError: If a tensor has another shape.
        """
        encoder = cls(config)
        result = encoder.load_state_dict(dict(state_dict), strict=False)
        return encoder, {"missing_keys": set(result.missing_keys)}


def _initialise(transformer: Transformer, config: BEATsConfig) -> None:
    """Draw linear layers and the table of positions as the authors do; by the depth where norms are deep."""
    for module in transformer.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    if not config.deep_norm:
        return
    beta = (8 * config.encoder_layers) ** -0.25
    for layer in transformer.layers:
        attention: Any = layer.self_attn
        gains = {attention.k_proj: 1.0, attention.q_proj: 1.0}
        gains |= dict.fromkeys((attention.v_proj, attention.out_proj, layer.fc1, layer.fc2), beta)
        for linear, gain in gains.items():
            nn.init.xavier_normal_(linear.weight, gain=gain)
