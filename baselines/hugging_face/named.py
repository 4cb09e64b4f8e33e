"""Cards of the models that are asked for as ``hf:NAME``: of a kind of encoder, or of a checkpoint with its input."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import torch

from baselines.hugging_face.card import BEATS, GAPS, KINDS, PREFIX, RECIPES, EncoderKind
from baselines.hugging_face.checkpoint import Checkpoint, find_checkpoint
from baselines.hugging_face.library import own_settings
from bench.core.cards import ModelCard, Recipes


def card(name: str) -> ModelCard:
    """Make the card of a NAME: a kind (``wav2vec2``), a folder, or OWNER/NAME on the hub.

    Raises:
        RegistryError: If there is no such checkpoint, or its encoder cannot be used here.
        WeightsError: If the hub cannot be asked.
    """
    return _card_of_kind(KINDS[name]) if name in KINDS else _card_of_checkpoint(find_checkpoint(name))


def _card_of_kind(kind: EncoderKind) -> ModelCard:
    return ModelCard(
        id=f"{PREFIX}:{kind.id}",
        title=kind.title,
        summary=f"{kind.title}; features are {kind.pooled}; a linear classifier.",
        source=kind.source
        if kind.id == BEATS
        else f"{kind.source}; transformers, {kind.model_class.rpartition('.')[2]}",
        fidelity="third-party code",
        gaps=GAPS,
        citation=kind.citation,
        options=kind.options,
        recipes=_recipes(kind, kind.frontend_settings({})),
        frontend=kind.frontend,
    )


def _card_of_checkpoint(checkpoint: Checkpoint) -> ModelCard:
    kind = checkpoint.kind
    settings = kind.frontend_settings(checkpoint.extractor)
    config = json.dumps(own_settings(kind, checkpoint.config), sort_keys=True, separators=(",", ":"))
    width, parameters = _size(kind.id, config)
    base = _card_of_kind(kind)
    return dataclasses.replace(
        base,
        title=f"{kind.title} ({checkpoint.name})",
        summary=f"{kind.title} as in {checkpoint.name}: {width} features, which are {kind.pooled}; a "
        f"linear classifier. Front-end {kind.frontend} at {settings['rate']:,} Hz. Licence: {checkpoint.licence}.",
        options=_with_config(kind.options, config),
        recipes=_recipes(kind, settings),
        parameters=parameters,
        weights=checkpoint.weights,
        default_pretrain=checkpoint.pretrain,
        pretrained_in_demo=True,
    )


def _recipes(kind: EncoderKind, settings: dict[str, Any]) -> Recipes:
    frontend = {f"frontend.{name}": value for name, value in settings.items()}
    return {profile: {**recipe, **kind.recipe, **frontend} for profile, recipe in RECIPES.items()}


@functools.cache
def _with_config(options: type, config: str) -> type:
    """An options class whose default configuration is that of a checkpoint."""
    declared = options.__dataclass_fields__["config"]  # type: ignore[attr-defined]
    default = dataclasses.field(default=config, metadata=declared.metadata)
    return dataclasses.make_dataclass(
        options.__name__, [("config", str, default)], bases=(options,), frozen=True, kw_only=True
    )


@functools.cache
def _size(kind: str, config: str) -> tuple[int, int]:
    """Width of the features, and trainable numbers with a classifier of 4 classes."""
    from baselines.hugging_face.encoder import FoundationEncoder

    with torch.device("meta"):
        model = FoundationEncoder(kind, KINDS[kind].options(config=config))
    return model.feature_dim, sum(each.numel() for each in model.parameters() if each.requires_grad)
