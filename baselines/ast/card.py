"""Cards and options of the Audio Spectrogram Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.shared_recipes import MOST_FRAMES, MOST_MELS, MOST_WIDTH, PATCHMIX_CODE, timm_weights
from bench.core.cards import ModelCard, WeightsCard
from bench.core.options import option
from bench.core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class ASTOptions:
    """Options of the Audio Spectrogram Transformer; the defaults are the base geometry (``ast``)."""

    embed_dim: int = option(768, "width of a token", low=2, high=MOST_WIDTH)
    depth: int = option(12, "number of transformer blocks", low=1, high=256)
    heads: int = option(12, "attention heads in a block; a divisor of embed_dim", low=1, high=1024)
    patch_size: int = option(16, "side of a square patch, in mel bins and frames", low=1, high=1024)
    stride: int = option(10, "distance between patches, in mel bins and frames", low=1, high=1024)
    frames: int = option(798, "frames of a spectrogram", low=1, high=MOST_FRAMES)
    mels: int = option(128, "mel bins of a spectrogram", low=1, high=MOST_MELS)
    pos_embed: str = option(
        "official",
        "how a pretrained position grid is laid on the tokens: as the official call does (axes swapped), or corrected",
        choices=("official", "corrected"),
    )
    initialisation: str = option("timm", "law of the untrained weights", choices=("timm", "xavier"))


@dataclass(frozen=True, kw_only=True)
class ASTSmallOptions(ASTOptions):
    """Options of the small AST."""

    embed_dim: int = option(384, "width of a token", low=2, high=MOST_WIDTH)
    heads: int = option(6, "attention heads in a block; a divisor of embed_dim", low=1, high=1024)


@dataclass(frozen=True, kw_only=True)
class ASTTinyOptions(ASTOptions):
    """Options of the tiny AST."""

    embed_dim: int = option(192, "width of a token", low=2, high=MOST_WIDTH)
    heads: int = option(3, "attention heads in a block; a divisor of embed_dim", low=1, high=1024)


CITATION = """@inproceedings{gong2021ast,
  title={{AST}: Audio Spectrogram Transformer},
  author={Gong, Yuan and Chung, Yu-An and Glass, James},
  booktitle={Interspeech},
  pages={571--575},
  year={2021}
}"""

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {"lr": 5e-5, "batch": 8, "weight_decay": 1e-6, "step_average": 0.5},
    "paper:pretrained": {"epochs": 50},
    "paper:scratch": {"epochs": 200},
    "demo": {
        "model.embed_dim": 64,
        "model.depth": 2,
        "model.heads": 2,
        "model.stride": 16,
        "model.initialisation": "xavier",
        "frontend.seconds": 4.0,
        "epochs": 14,
        "batch": 16,
        "lr": 1e-3,
        "weight_decay": 1e-6,
        "step_average": 0.0,
        "warmup_epochs": 2,
        "time_shift": True,
        "specaug_probability": 0.0,
    },
}

SCRATCH_GAP = (
    "From scratch Bae et al. state 200 epochs; learning rate, batch and weight decay are those of their scripts for "
    "pretrained weights [reconstruction]."
)
SIZE_GAP = (
    "Bae et al. train the base size: this one has its recipe and no published number [reconstruction]. No AudioSet "
    "weights of this size are published; give a file."
)

AUDIOSET = WeightsCard(
    title="ImageNet-1k, then full AudioSet (mAP 0.4593, weight-averaged)",
    source="YuanGongND/ast, audioset_10_10_0.4593.pth; the same tensors as MIT/ast-finetuned-audioset-10-10-0.4593",
    licence="BSD-3-Clause",
    location="hf:MIT/ast-finetuned-audioset-10-10-0.4593/model.safetensors",
)


def _imagenet(name: str, size: str) -> WeightsCard:
    return timm_weights(f"ImageNet-1k, distilled DeiT {size}", f"{name}.fb_in1k", "Apache-2.0")


def _card(
    id: str,  # noqa: A002
    size: str,
    parameters: int,
    options: type,
    weights: Mapping[str, WeightsCard],
    gaps: str,
    default_pretrain: str = "none",
) -> ModelCard:
    return ModelCard(
        id=id,
        title=f"AST ({size})",
        summary=f"Audio Spectrogram Transformer on a distilled DeiT trunk, {size} geometry: 16 x 16 patches at stride "
        "10, the mean of class and distillation token as feature, layer norm and a linear layer as classifier.",
        source=f"Gong et al. 2021; as used by Bae et al. 2023, section 3.1, and {PATCHMIX_CODE}, models/ast.py",
        fidelity="authors' code",
        gaps=gaps,
        citation=CITATION,
        options=options,
        recipes=RECIPES,
        parameters=parameters,
        frontend="ast",
        patches=True,
        weights=weights,
        default_pretrain=default_pretrain,
    )


CARDS = (
    _card(
        "ast",
        "base",
        85_989_124,
        ASTOptions,
        {"imagenet": _imagenet("deit_base_distilled_patch16_384", "base 384"), "imagenet+audioset": AUDIOSET},
        SCRATCH_GAP,
        default_pretrain="imagenet+audioset",
    ),
    _card(
        "ast-small",
        "small",
        21_760_900,
        ASTSmallOptions,
        {"imagenet": _imagenet("deit_small_distilled_patch16_224", "small 224")},
        SIZE_GAP,
    ),
    _card(
        "ast-tiny",
        "tiny",
        5_572_036,
        ASTTinyOptions,
        {"imagenet": _imagenet("deit_tiny_distilled_patch16_224", "tiny 224")},
        SIZE_GAP,
    ),
)


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    for card in CARDS:
        models.add(card.id, card, "baselines.ast.model:AST")
