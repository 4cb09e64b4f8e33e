"""Options of the models that are asked for as ``timm:NAME``; their cards are made by ``baselines.timm_named``."""

from __future__ import annotations

from dataclasses import dataclass

from baselines.cards.common import MOST_FRAMES, MOST_MELS
from baselines.cards.timm_cnn import STEM_DOC, STEMS
from bench.cards import ModelCard
from bench.options import option
from bench.registry import Family, Registry


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
    card="baselines.timm_named:card",
    target="baselines.timm_named:TimmBackbone",
    options=TimmOptions,
)


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    models.families.append(FAMILY)
