"""A pretrained audio encoder, pooled, with a linear classifier; transformers fits its checkpoints, but for BEATs.

Shapes: B batch, T frames or stretches of time, F mels, S samples, C width of the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baselines.downloads import one_line
from baselines.hugging_face.calls import CALLS, pooled_features
from baselines.hugging_face.card import EncoderKind, EncoderOptions
from baselines.hugging_face.checkpoint import kind_of
from baselines.hugging_face.library import FAULTS, build_config, class_named, quiet_library
from baselines.state_dicts import CheckpointLayout, own_layout, renamed_sources
from bench.core.errors import SpecError, WeightsError
from bench.core.inputs import OneOrNamed
from bench.core.text import echoed

_SHOWN = 4


class FoundationEncoder(nn.Module):
    """An encoder with a linear classifier; its weights are drawn by transformers' laws.

    Args:
        name: The kind of encoder, or a checkpoint of it, as in ``hf:NAME``.
        options: Its configuration, and what becomes the features.
        num_classes: Outputs of the classifier.

    Raises:
        RegistryError: If there is no such checkpoint, or transformers is not installed.
        SpecError: If the options are not those of such an encoder.
    """

    def __init__(self, name: str, options: EncoderOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.kind, self.options = kind_of(name), options
        config = build_config(self.kind, options.config)
        self.layer = _layer(options, config)
        self.trunk = _built(self.kind, config)
        self.feature_dim = int(config.hidden_size)
        self.classifier = nn.Linear(self.feature_dim, num_classes)
        self.layouts = (
            own_layout(),
            CheckpointLayout(
                title="transformers",
                sources=renamed_sources("trunk.", ""),
                prepare=_fitted_by_transformers,
                catch_all=True,
            ),
        )

    def features(self, x: OneOrNamed[Tensor]) -> Tensor:
        """Map what the front-end makes, (B, 1, T, F), (B, S) or named inputs, to features (B, feature_dim)."""
        outputs = CALLS[self.kind.id](self.trunk, x, self.layer > 0)
        return pooled_features(self.kind, self.trunk.config, outputs, x, self.layer, self.options)

    def forward(self, x: OneOrNamed[Tensor]) -> Tensor:
        """Map what the front-end makes to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor, which transformers has fitted already."""
        return tensor


def _layer(options: EncoderOptions, config: Any) -> int:
    """The layer whose output is pooled; 0 for the model's own end.

    Raises:
        SpecError: If there are not so many.
    """
    layer, layers = getattr(options, "layer", 0), int(config.num_hidden_layers)
    if layer > layers:
        raise SpecError(f"model.layer is {layer}, but the encoder has {layers} layers.")
    return int(layer)


def _built(kind: EncoderKind, config: Any) -> nn.Module:
    try:
        with quiet_library():
            trunk: nn.Module = class_named(kind.model_class)(config)
    except FAULTS as error:
        raise SpecError(
            f"The configuration of {kind.title} cannot be built: {one_line(error)}.",
            "Leave model.config to the checkpoint: --model hf:OWNER/NAME or hf:FOLDER.",
        ) from error
    # Speech recognition masks a stretch by this; without masks nothing would reach it.
    for name, parameter in trunk.named_parameters():
        if name == "masked_spec_embed":
            parameter.requires_grad_(False)
    return trunk


def _fitted_by_transformers(
    layout: CheckpointLayout, model: FoundationEncoder, tensors: Mapping[str, Tensor], path: Path
) -> tuple[CheckpointLayout, Mapping[str, Tensor]]:
    """Let transformers fit a file: names of other versions, the encoder as a part of a larger model, other heads.

    Raises:
        WeightsError: If a tensor of the encoder is missing, or of another shape.
    """
    own = _of_encoder(model.kind, tensors)
    kind = class_named(model.kind.model_class)
    try:
        with quiet_library(), torch.device("cpu"):
            fitted, report = kind.from_pretrained(
                None, config=model.trunk.config, state_dict=dict(own), output_loading_info=True
            )
    except FAULTS as error:
        raise WeightsError(
            f"{path} does not fit {model.kind.title}: {' '.join(str(error).split())[:300]}.", _other_weights(model.kind)
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        shown = ", ".join(f"'{echoed(name)}'" for name in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise WeightsError(
            f"{path} does not fit {model.kind.title}: it lacks {shown}{more}.", _other_weights(model.kind)
        )
    # Files in half precision are as the model is built: in single precision.
    return layout, {
        name: each.float() if each.is_floating_point() else each for name, each in fitted.state_dict().items()
    }


def _other_weights(kind: EncoderKind) -> str:
    return f"Give weights of the model type {kind.id} and of this configuration, or use --pretrain none."


def _of_encoder(kind: EncoderKind, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of the encoder, where the file is of a larger model."""
    for prefix in kind.prefixes:
        found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        if found:
            return found
    return tensors
