"""Transformers, where it is installed: an extra that is imported when a model needs it, and says nothing on its own."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import torch

from baselines.downloads import one_line
from baselines.hugging_face.card import EncoderKind
from bench.core.errors import RegistryError, SpecError

# What configurations and models raise on values that they cannot take; they promise no single class.
FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, NotImplementedError)

_SAYS_NOTHING = frozenset(
    {
        *("architectures", "model_type", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id"),
        *("num_labels", "problem_type", "finetuning_task", "task_specific_params", "return_dict", "use_cache"),
        *("output_attentions", "output_hidden_states", "output_scores", "chunk_size_feed_forward", "vocab_size"),
        *("suppress_tokens", "begin_suppress_tokens", "forced_decoder_ids", "tie_word_embeddings", "pad_token_id"),
        *("bos_token_id", "eos_token_id", "decoder_start_token_id", "initializer_range", "initializer_factor"),
    }
)
"""Fields of a configuration that change nothing in what an encoder computes from its weights."""


def transformers_library() -> ModuleType:
    """The library.

    Raises:
        RegistryError: If it is not installed; the command that installs it is named.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise RegistryError(
            f"Models hf:… need transformers, which cannot be imported: {one_line(error)}.",
            "Install it: pip install 'lungbench[transformers]'.",
        ) from error


@contextlib.contextmanager
def quiet_library() -> Iterator[None]:
    """Keep transformers from drawing bars and reports while the block runs; what is not imported says nothing."""
    if "transformers" not in sys.modules:
        yield
        return
    logging = transformers_library().utils.logging
    level, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()


def class_named(name: str) -> Any:
    """A class of transformers by its name, with its module where it has no place above; or one of ours.

    Args:
        name: As :class:`baselines.hugging_face.card.EncoderKind` has it; ours as ``module:name``.
    """
    own, colon, attribute = name.partition(":")
    if colon:
        return getattr(importlib.import_module(own), attribute)
    module, _, attribute = name.rpartition(".")
    # Modules are imported on the way, and hold tensors: whatever device a model is built on, those are real.
    with torch.device("cpu"):
        library = transformers_library()
        return getattr(importlib.import_module(f"transformers.{module}") if module else library, attribute)


def own_settings(kind: EncoderKind, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``config.json`` says of an encoder that transformers' defaults do not.

    Args:
        kind: The kind of encoder.
        config: The part of the file that describes it.
    """
    defaults = json.loads(class_named(kind.config_class)().to_json_string(use_diff=False))
    read = defaults.keys() - _SAYS_NOTHING - kind.fixed.keys()
    return {name: config[name] for name in sorted(read & config.keys()) if config[name] != defaults[name]}


def build_config(kind: EncoderKind, text: str) -> Any:
    """The configuration of an encoder.

    Args:
        kind: The kind of encoder.
        text: The option ``config``.

    Raises:
        SpecError: If it is no JSON object, or transformers refuses it.
    """
    try:
        return class_named(kind.config_class)(**{**json.loads(text), **kind.fixed})
    except FAULTS as error:
        raise SpecError(
            f"The option model.config is no configuration of {kind.title}: {one_line(error)}.",
            f"Leave it to the checkpoint: --model hf:OWNER/NAME or hf:FOLDER, of the model type {kind.id}.",
        ) from error
