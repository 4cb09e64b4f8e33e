"""How each kind of encoder is called, and what of its outputs becomes the features of a cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from baselines.hugging_face.card import EncoderKind, EncoderOptions
from bench.core.inputs import OneOrNamed

WAVE, LENGTH = "wave", "length"
"""The inputs of an encoder that is told how long a cycle is before the zeros (front-end ``waveform``)."""

CLASS_TOKENS = 2


def _call_on_fbank(trunk: nn.Module, x: OneOrNamed[Tensor], hidden: bool) -> Any:
    return trunk(input_values=cast(Tensor, x)[:, 0], output_hidden_states=hidden)


def _call_clap(trunk: nn.Module, x: OneOrNamed[Tensor], hidden: bool) -> Any:
    return trunk(input_features=x)


def _call_whisper(trunk: nn.Module, x: OneOrNamed[Tensor], hidden: bool) -> Any:
    # Whisper has mels before time.
    return trunk(input_features=cast(Tensor, x)[:, 0].transpose(1, 2), output_hidden_states=hidden)


def _call_on_waveform(trunk: nn.Module, x: OneOrNamed[Tensor], hidden: bool) -> Any:
    if not isinstance(x, Mapping):
        return trunk(input_values=x, output_hidden_states=hidden)
    # Transformers looks at the numbers of a mask; where shapes alone are asked for, there are none.
    mask = None if x[LENGTH].is_meta else _before(x[LENGTH], x[WAVE].shape[1])
    return trunk(input_values=x[WAVE], attention_mask=mask, output_hidden_states=hidden)


CALLS: Mapping[str, Callable[[nn.Module, OneOrNamed[Tensor], bool], Any]] = {
    "audio-spectrogram-transformer": _call_on_fbank,
    "beats": _call_on_fbank,
    "clap": _call_clap,
    "whisper": _call_whisper,
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm", "data2vec-audio"), _call_on_waveform),
}
"""How a kind of encoder is called, by its id: with the inputs, and whether the outputs of all layers are wanted."""


def pooled_features(
    kind: EncoderKind, config: Any, outputs: Any, x: OneOrNamed[Tensor], layer: int, options: EncoderOptions
) -> Tensor:
    """The features of a batch.

    Args:
        kind: The kind of encoder.
        config: Its configuration.
        outputs: What it gave.
        x: Its inputs.
        layer: The layer whose output is pooled, from 1; 0 for the last with the norm after it.
        options: What becomes the features.

    Returns:
        (B, C).
    """
    if kind.id == "clap":
        return cast(Tensor, outputs.pooler_output)
    # The first of the hidden states is what goes into the first layer.
    tokens: Tensor = outputs.hidden_states[layer] if layer else outputs.last_hidden_state
    pooling = getattr(options, "pooling", "")
    if pooling == "pooler":
        return tokens[:, :CLASS_TOKENS].mean(1)
    if pooling == "class":
        return tokens[:, 0]
    if pooling == "mean":
        return tokens[:, CLASS_TOKENS:].mean(1)
    if isinstance(x, Mapping):
        return _mean_before(tokens, _strides(x[LENGTH], config))
    return tokens.mean(1)


def _before(lengths: Tensor, size: int) -> Tensor:
    """(B, size) int64: 1 at the places before the length (B, 1) of each row."""
    return (torch.arange(size, device=lengths.device) < lengths).long()


def _mean_before(tokens: Tensor, lengths: Tensor) -> Tensor:
    """The mean of the tokens (B, T, C) that lie before a length (B, 1)."""
    kept = _before(lengths, tokens.shape[1])[:, :, None].to(tokens.dtype)
    return (tokens * kept).sum(1) / kept.sum(1)


def _strides(samples: Tensor, config: Any) -> Tensor:
    """How many stretches of time the convolutions make of so many samples, (B, 1), one at least."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = torch.div(samples - kernel, stride, rounding_mode="floor") + 1
    return samples.clamp_min(1)
