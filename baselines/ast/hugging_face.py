"""AST checkpoints of Hugging Face transformers: names of their tensors, in version 5 and before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.ast import config as ast_config
from baselines.ast.position_grids import AUDIOSET_ROWS, grid_rows_by_length
from baselines.state_dicts import CheckpointLayout

_PREFIX = "audio_spectrogram_transformer."
_POSITIONS = "embeddings.position_embeddings"
_CLASS_TOKENS = 2
_TRUNK = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "pos_embed": _POSITIONS,
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}

# Parts of a block; transformers has one projection each for query, key and value.
_BLOCK_BEFORE_5 = {
    "norm1": ("layernorm_before",),
    "norm2": ("layernorm_after",),
    "attn.qkv": tuple(f"attention.attention.{each}" for each in ("query", "key", "value")),
    "attn.proj": ("attention.output.dense",),
    "mlp.fc1": ("intermediate.dense",),
    "mlp.fc2": ("output.dense",),
}
_BLOCK_OF_5 = {
    "norm1": ("layernorm_before",),
    "norm2": ("layernorm_after",),
    "attn.qkv": tuple(f"attention.{each}_proj" for each in ("q", "k", "v")),
    "attn.proj": ("attention.o_proj",),
    "mlp.fc1": ("mlp.fc1",),
    "mlp.fc2": ("mlp.fc2",),
}


def _transformers_names(
    prefix: str, layers: str, block: Mapping[str, tuple[str, ...]]
) -> Callable[[str], tuple[str, ...]]:
    """Names of transformers' AST for ours."""

    def sources(name: str) -> tuple[str, ...]:
        if not name.startswith("trunk."):
            return ()
        stem, _, kind = name.removeprefix("trunk.").rpartition(".")
        if not stem.startswith("blocks."):
            return (f"{prefix}{_TRUNK[stem]}.{kind}",) if stem else (prefix + _TRUNK[kind],)
        _, index, part = stem.split(".", 2)
        return tuple(f"{prefix}{layers}{index}.{each}.{kind}" for each in block[part])

    return sources


def with_grid(
    positions: str,
    is_transformers: bool,
    layout: CheckpointLayout,
    model: Any,
    tensors: Mapping[str, Tensor],
    path: Path,
) -> tuple[CheckpointLayout, Mapping[str, Tensor]]:
    """Find the grid of a file's position table: by the ``config.json`` beside the weights, or by a known length.

    Args:
        positions: Name of the table.
        is_transformers: Whether transformers wrote the file, whose configuration then describes the architecture
            too; beside other files it need only say the geometry.
        layout: The layout that was recognised.
        model: The model that is filled, with ``options`` and ``patch_grid``.
        tensors: The file's tensors.
        path: The file.

    Raises:
        WeightsError: If the grid is not known, or the configuration does not fit.
    """
    table = tensors.get(positions)
    if table is None or table.ndim != 3 or table.shape[1] <= _CLASS_TOKENS:
        return layout, tensors  # named as missing, or by its shape
    places = table.shape[1] - _CLASS_TOKENS
    beside = ast_config.config_beside(path)
    if beside is None or not (is_transformers or ast_config.is_ast(beside)):
        return replace(
            layout, grid_rows=grid_rows_by_length(places, model.patch_grid, model.options.patch_size, path)
        ), tensors
    config = ast_config.read_config(beside)
    if is_transformers:
        ast_config.check_architecture(config, model.options, beside)
    return replace(layout, grid_rows=ast_config.grid_rows(config, places, beside)), tensors


def _layout(title: str, prefix: str, layers: str, block: Mapping[str, tuple[str, ...]]) -> CheckpointLayout:
    return CheckpointLayout(
        title=title,
        sources=_transformers_names(prefix, layers, block),
        unused=("classifier.",),
        grid_rows=AUDIOSET_ROWS,
        prepare=partial(with_grid, prefix + _POSITIONS, True),
    )


LAYOUTS = (
    _layout("Hugging Face AST", _PREFIX, "encoder.layer.", _BLOCK_BEFORE_5),
    _layout("Hugging Face AST without classifier", "", "encoder.layer.", _BLOCK_BEFORE_5),
    _layout("Hugging Face AST of transformers 5", _PREFIX, "layers.", _BLOCK_OF_5),
    _layout("Hugging Face AST of transformers 5 without classifier", "", "layers.", _BLOCK_OF_5),
)
"""Of ``ASTForAudioClassification`` and of the bare ``ASTModel``."""
