"""AST checkpoints of Hugging Face transformers: names of their tensors, and the geometry in their ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.state_dicts import Layout
from bench.errors import WeightsError

AUDIOSET_ROWS = 12
"""Rows (frequency) of the position grid that AudioSet's checkpoints have: 128 mel bins, patches of 16 at stride 10."""

_MODEL_TYPE = "audio-spectrogram-transformer"
_PREFIX = "audio_spectrogram_transformer."
_POSITIONS = "embeddings.position_embeddings"
_TRUNK = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "pos_embed": _POSITIONS,
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
_BLOCK = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}

# What transformers' ASTConfig has where the file leaves a field out.
_DEFAULTS: Mapping[str, Any] = {
    "model_type": _MODEL_TYPE,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 16,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "qkv_bias": True,
    "frequency_stride": 10,
    "time_stride": 10,
    "max_length": 1024,
    "num_mel_bins": 128,
}
_OPTIONS = {
    "hidden_size": "embed_dim",
    "num_hidden_layers": "depth",
    "num_attention_heads": "heads",
    "patch_size": "patch_size",
}
"""The fields that must equal the model's options, by name."""


def _names(prefix: str) -> Callable[[str], tuple[str, ...]]:
    """Names of transformers' AST for ours: it has one projection each for query, key and value."""

    def sources(name: str) -> tuple[str, ...]:
        if not name.startswith("trunk."):
            return ()
        stem, _, kind = name.removeprefix("trunk.").rpartition(".")
        if not stem.startswith("blocks."):
            return (f"{prefix}{_TRUNK[stem]}.{kind}",) if stem else (prefix + _TRUNK[kind],)
        _, index, part = stem.split(".", 2)
        layer = f"{prefix}encoder.layer.{index}."
        if part == "attn.qkv":
            return tuple(f"{layer}attention.attention.{each}.{kind}" for each in ("query", "key", "value"))
        return (f"{layer}{_BLOCK[part]}.{kind}",)

    return sources


def _read_config(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"Cannot read {path}: {error}.", "Fetch it again.") from error
    if not isinstance(document, dict):
        raise WeightsError(f"{path} holds no configuration.", "Fetch it again.")
    config = {name: document.get(name, default) for name, default in _DEFAULTS.items()}
    for name, default in _DEFAULTS.items():
        if type(config[name]) is not type(default):
            raise WeightsError(f"{path}: {name} is {config[name]!r}, which cannot be.", "Fetch it again.")
    return config


def _check_geometry(config: Mapping[str, Any], options: Any, path: Path) -> None:
    """Compare the file's geometry with the model's.

    Raises:
        WeightsError: If they differ; the fields, and the options to set, are named.
    """
    fixed = {
        "model_type": _MODEL_TYPE,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "intermediate_size": 4 * config["hidden_size"],
    }
    for field, needed in fixed.items():
        if config[field] != needed:
            raise WeightsError(
                f"{path} says {field} {config[field]}, but the model can only have {needed}.",
                "Give an AST checkpoint of the published form.",
            )
    wrong = {field: option for field, option in _OPTIONS.items() if config[field] != getattr(options, option)}
    if wrong:
        differences = (
            f"{field} {config[field]} (the model has {getattr(options, option)})" for field, option in wrong.items()
        )
        settings = " ".join(f"--set model.{option}={config[field]}" for field, option in wrong.items())
        raise WeightsError(f"{path} says {', '.join(differences)}.", f"Build the model so: {settings}.")


def _grid_rows(config: Mapping[str, Any], places: int, path: Path) -> int:
    """Rows of the file's position grid, which must have as many places as the file's table."""
    rows, columns = (
        (config[size] - config["patch_size"]) // max(config[stride], 1) + 1
        for size, stride in (("num_mel_bins", "frequency_stride"), ("max_length", "time_stride"))
    )
    if rows * columns != places:
        raise WeightsError(
            f"{path} says {rows} x {columns} patches (num_mel_bins, max_length and strides), but the weights beside it "
            f"have positions for {places}.",
            "Bring the weights and the config.json of one checkpoint together.",
        )
    return int(rows)


def _with_config(
    prefix: str, layout: Layout, model: Any, tensors: Mapping[str, Tensor], path: Path
) -> tuple[Layout, Mapping[str, Tensor]]:
    """Take the position grid from the ``config.json`` beside the weights; a lone file has AudioSet's grid."""
    beside = path.parent / "config.json"
    table = tensors.get(prefix + _POSITIONS)
    if not beside.is_file() or table is None or table.ndim != 3:
        return layout, tensors
    config = _read_config(beside)
    _check_geometry(config, model.options, beside)
    return replace(layout, grid_rows=_grid_rows(config, table.shape[1] - 2, beside)), tensors


def _layout(title: str, prefix: str) -> Layout:
    return Layout(
        title=title,
        sources=_names(prefix),
        unused=("classifier.",),
        grid_rows=AUDIOSET_ROWS,
        prepare=partial(_with_config, prefix),
    )


LAYOUTS = (_layout("Hugging Face AST", _PREFIX), _layout("Hugging Face AST without classifier", ""))
"""Of ``ASTForAudioClassification`` and of the bare ``ASTModel``."""
