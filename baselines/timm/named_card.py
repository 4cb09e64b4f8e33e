"""Options of the models that are asked for as ``timm:NAME``; their cards are made by ``baselines.timm.named``."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.shared_recipes import MOST_FRAMES, MOST_MELS
from baselines.timm.cnn_card import STEM_DOC, STEMS
from bench.core.cards import ModelCard
from bench.core.options import option
from bench.core.registry import Family, Registry


@dataclass(frozen=True, kw_only=True)
class TimmOptions:
    """Options of any backbone of timm."""

    stem: str = option("sum", STEM_DOC, choices=STEMS)
    frames: int = option(
        798, "frames of a spectrogram, for architectures of a fixed input size", low=1, high=MOST_FRAMES
    )
    mels: int = option(128, "mel bins of a spectrogram, for architectures of a fixed input size", low=1, high=MOST_MELS)


FAMILY: Family[ModelCard] = Family(
    "timm",
    "any image classification backbone of timm by its name, for example timm:convnext_tiny or timm:resnet50.a1_in1k",
    card="baselines.timm.named:card",
    target="baselines.timm.named:TimmBackbone",
    options=TimmOptions,
)


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    models.families.append(FAMILY)
