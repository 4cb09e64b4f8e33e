"""The ``config.json`` that transformers writes beside an AST checkpoint: the geometry that its tensors do not say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baselines.ast.position_grids import PUBLISHED, Grid, grid_size
from baselines.json_objects import read_json_object
from bench.core.errors import WeightsError
from bench.core.text import echoed

NAME = "config.json"
MODEL_TYPE = "audio-spectrogram-transformer"
MAX_BYTES = 1 << 20

# What transformers' ASTConfig has where the file leaves a field out.
_DEFAULTS: Mapping[str, Any] = {
    "model_type": MODEL_TYPE,
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


def config_beside(weights: Path) -> Path | None:
    """The configuration in the folder of a file of weights, if there is one."""
    path = weights.parent / NAME
    return path if path.is_file() else None


def is_ast(path: Path) -> bool:
    """Whether a ``config.json`` says that it is of an AST; false for those of other models, and what is none."""
    try:
        return bool(_read_document(path).get("model_type") == MODEL_TYPE)
    except WeightsError:
        return False


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration, with transformers' defaults for what it leaves out.

    Raises:
        WeightsError: If it is no configuration, or a field has a value that cannot be.
    """
    document = _read_document(path)
    config = {name: document.get(name, default) for name, default in _DEFAULTS.items()}
    for name, default in _DEFAULTS.items():
        if type(config[name]) is not type(default):
            raise WeightsError(f"{path}: {name} is {echoed(repr(config[name]))}, which cannot be.", "Fetch it again.")
    return config


def _read_document(path: Path) -> dict[str, Any]:
    return read_json_object(path, MAX_BYTES, "configuration", WeightsError)


def patch_grid(config: Mapping[str, Any]) -> Grid:
    """Rows and columns of the patches that a configuration describes."""
    strides = (config["frequency_stride"], config["time_stride"])
    return grid_size(config["num_mel_bins"], config["max_length"], config["patch_size"], strides)


def unusual_grid(weights: Path) -> Grid | None:
    """The grid that decides how a file is read, where that is another than the file would be read on alone.

    ``None`` without a configuration, and where the grid is a published one, which the table's length tells as well.
    """
    path = config_beside(weights)
    if path is None:
        return None
    try:
        found = patch_grid(read_config(path))
    except WeightsError:
        # What is none decides nothing: reading the weights says so, where the model asks for it.
        return None
    return None if found in PUBLISHED else found


def check_architecture(config: Mapping[str, Any], options: Any, path: Path) -> None:
    """Compare the file's architecture with the model's.

    Raises:
        WeightsError: If they differ; the fields, and the options to set, are named.
    """
    fixed = {
        "model_type": MODEL_TYPE,
        "hidden_act": "gelu",
        "qkv_bias": True,
        "intermediate_size": 4 * config["hidden_size"],
    }
    for field, needed in fixed.items():
        if config[field] != needed:
            raise WeightsError(
                f"{path} says {field} {echoed(config[field])}, but the model can only have {needed}.",
                "Give an AST checkpoint of the published form.",
            )
    wrong = {field: option for field, option in _OPTIONS.items() if config[field] != getattr(options, option)}
    if wrong:
        differences = (
            f"{field} {config[field]} (the model has {getattr(options, option)})" for field, option in wrong.items()
        )
        settings = " ".join(f"--set model.{option}={config[field]}" for field, option in wrong.items())
        raise WeightsError(f"{path} says {', '.join(differences)}.", f"Build the model so: {settings}.")


def grid_rows(config: Mapping[str, Any], places: int, path: Path) -> int:
    """Rows of the file's position grid.

    Raises:
        WeightsError: If the grid has not as many places as the file's table.
    """
    high, wide = patch_grid(config)
    if min(high, wide) < 1 or high * wide != places:
        raise WeightsError(
            f"{path} says {high} x {wide} patches (num_mel_bins, max_length and strides), but the weights beside it "
            f"have positions for {places}.",
            "Bring the weights and the config.json of one checkpoint together.",
        )
    return high
