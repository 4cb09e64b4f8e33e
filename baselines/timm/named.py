"""Any classification backbone of timm by its name, as a one-channel encoder; timm's own loader fits its weights.

Shapes: B batch, T frames, F mels; the picture has T rows and F columns.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_arch_name, get_pretrained_cfg
from torch import Tensor, nn

from baselines.downloads import one_line
from baselines.shared_recipes import CNN_RECIPES
from baselines.state_dicts import CheckpointLayout, kind_fault, own_layout, renamed_sources
from baselines.timm.blocks import repeated_blocks
from baselines.timm.named_card import TimmOptions
from bench.core.cards import ModelCard, WeightsCard
from bench.core.errors import RegistryError, SpecError, WeightsError
from bench.core.registry import suggestion

CITATION = """@misc{rw2019timm,
  title={{PyTorch} Image Models},
  author={Wightman, Ross},
  year={2019},
  howpublished={\\url{https://github.com/huggingface/pytorch-image-models}}
}"""

# What architectures raise on inputs or files that they cannot take; they promise no single class.
_FAULTS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError, NotImplementedError)


def _pretrained_config(name: str) -> PretrainedCfg:
    """Timm's description of a name's pretrained weights; an empty one where it has none.

    Raises:
        RegistryError: If timm has no such architecture, or the architecture no such weights.
    """
    architecture = get_arch_name(name)
    if not timm.is_model(architecture):
        raise RegistryError(
            f"timm has no architecture '{architecture}': {_nearest_name(architecture, timm.list_models())}"
        )
    tagged = timm.list_pretrained(f"{architecture}.*")
    if name != architecture and name not in tagged:
        raise RegistryError(f"timm has no weights '{name}': {_nearest_name(name, tagged)}")
    return get_pretrained_cfg(name) or PretrainedCfg()


def _nearest_name(name: str, known: list[str]) -> str:
    near = suggestion(name, known)
    return near if len(known) < 20 or near.startswith("did") else "see timm.list_models() for what there is"


def _build(name: str, options: TimmOptions, **more: Any) -> nn.Module:
    """Let timm build a one-channel network, for the spectrogram's size where the architecture has a fixed one."""
    if _pretrained_config(name).fixed_input_size:
        more["img_size"] = (options.frames, options.mels)
    network: nn.Module = timm.create_model(name, in_chans=1, **more)
    return network


@functools.cache
def feature_dim(name: str, options: TimmOptions) -> int:
    """Width of the pooled features of a spectrogram, found without computing a number.

    Raises:
        SpecError: If the architecture does not take a spectrogram of this size.
    """
    fixed = _pretrained_config(name).input_size[1:]
    try:
        with torch.device("meta"), torch.no_grad():
            features = _build(name, options, num_classes=0).eval()(torch.empty(2, 1, options.frames, options.mels))
        if features.ndim != 2:
            raise ValueError(f"it gives features of the shape {tuple(features.shape)}")
    except _FAULTS as error:
        refused = isinstance(error, TypeError) and "img_size" in str(error)
        reason = f"its input size is fixed to {fixed[0]} x {fixed[1]}" if refused else one_line(error)
        raise SpecError(
            f"timm's {name} does not take one-channel spectrograms of {options.frames} frames by {options.mels} mels: "
            f"{reason}.",
            "Choose another architecture, or another length of the clips (--set frontend.seconds=…).",
        ) from error
    return int(features.shape[1])


class TimmBackbone(nn.Module):
    """A backbone of timm, pooled as timm does, with a linear classifier; its weights are drawn by timm's laws.

    Args:
        name: Timm's name of the architecture, also with the tag of weights (``resnet50.a1_in1k``).
        options: What becomes of an RGB stem, and the size of a spectrogram.
        num_classes: Outputs of the classifier.

    Raises:
        RegistryError: If timm has no such name.
        SpecError: If the architecture does not take a spectrogram of this size.
    """

    def __init__(self, name: str, options: TimmOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.name, self.options = name, options
        self.feature_dim = feature_dim(name, options)
        self.trunk = _build(name, options, num_classes=0)
        self.classifier = nn.Linear(self.feature_dim, num_classes)
        self.layouts = (
            own_layout(),
            CheckpointLayout(
                title="timm",
                sources=renamed_sources("trunk.", ""),
                prepare=_fitted_by_timm,
                catch_all=True,
                head=next(iter(_as_tuple(_pretrained_config(name).classifier)), ""),
            ),
        )

    def features(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to features (B, feature_dim)."""
        pooled: Tensor = self.trunk(x)
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The residual blocks, or what the architecture has in their place."""
        return repeated_blocks(self.trunk)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor, which timm has fitted already."""
        return tensor


def _fitted_by_timm(
    layout: CheckpointLayout, model: TimmBackbone, tensors: Mapping[str, Tensor], path: Path
) -> tuple[CheckpointLayout, Mapping[str, Tensor]]:
    """Let timm fit a file to the geometry, every tensor of it: old names, position tables, stem, another head.

    Raises:
        WeightsError: If timm cannot.
    """
    config = _pretrained_config(model.name)
    classes = _head_outputs(config, tensors)
    overlay = {"state_dict": dict(tensors), "num_classes": classes}
    try:
        whole = _build(model.name, model.options, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=classes)
    except _FAULTS as error:
        raise WeightsError(
            f"{path} does not fit timm's {model.name}: {' '.join(str(error).split())[:300]}.",
            "Give weights of the same architecture, or use --pretrain none.",
        ) from error
    fresh, fitted = model.trunk.state_dict(), whole.state_dict()
    # Timm copies whole numbers into fractions without a word.
    faults = [fault for name in fresh if name in tensors and (fault := kind_fault(name, tensors[name], fresh[name]))]
    if faults:
        raise WeightsError(f"{path} does not fit timm's {model.name}: {faults[0]}.", "Give weights in float32.")
    state = {name: fitted[name] for name in fresh if name in fitted}
    if model.options.stem == "reinit":
        for name in (f"{stem}.weight" for stem in _as_tuple(config.first_conv)):
            if name not in tensors or tensors[name].shape != fresh[name].shape:
                state[name] = fresh[name]
    return layout, state


def _as_tuple(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def _head_outputs(config: PretrainedCfg, tensors: Mapping[str, Tensor]) -> int:
    """Outputs of the head in a file, which is built only so that timm demands every tensor."""
    heads = [tensors[f"{head}.weight"] for head in _as_tuple(config.classifier) if f"{head}.weight" in tensors]
    return len(heads[0]) - (config.label_offset or 0) if heads else int(config.num_classes)


def _default_weights(name: str, config: PretrainedCfg) -> WeightsCard | None:
    """Timm's default weights of a name, where it says where they are."""
    hub = f"hf:{config.hf_hub_id}/{config.hf_hub_filename or 'model.safetensors'}" if config.hf_hub_id else None
    location = hub or config.url
    if not isinstance(location, str) or not location:
        return None
    tag = f".{config.tag}" if config.tag else ""
    origin = f", from {config.origin_url}" if config.origin_url else ""
    return WeightsCard(
        title=f"timm's default weights of {get_arch_name(name)}: {config.tag or 'without a tag'}",
        source=f"timm {get_arch_name(name)}{tag}{origin}",
        licence=config.license or "not stated",
        location=location,
    )


@functools.cache
def card(name: str) -> ModelCard:
    """Make the card of a name.

    Raises:
        RegistryError: If timm has no such name.
        SpecError: If the architecture does not take a spectrogram.
    """
    config = _pretrained_config(name)
    with torch.device("meta"):
        model = TimmBackbone(name, TimmOptions())
    imagenet = _default_weights(name, config)
    paper = f"; {config.paper_name or 'paper'} ({config.paper_ids})" if config.paper_ids else ""
    return ModelCard(
        id=f"timm:{name}",
        title=f"timm {name}",
        summary=f"{get_arch_name(name)} of timm with a one-channel stem, {model.feature_dim} pooled features and a "
        "linear classifier.",
        source=f"timm {timm.__version__}, {name}{paper}",
        fidelity="original",
        gaps="Nothing is published of it on ICBHI: it has Bae et al.'s recipe for CNNs, which need not suit it.",
        citation=CITATION,
        options=TimmOptions,
        recipes=CNN_RECIPES,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        frontend="ast",
        weights={"imagenet": imagenet} if imagenet else {},
    )
