"""Recipes, bounds and weights that the cards of several families share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.cards import WeightsCard

MOST_FRAMES, MOST_MELS, MOST_WIDTH = 100_000, 8192, 16_384
"""Bounds of a spectrogram and of a layer: what is larger fits no device, and is a slip of the keyboard."""

PATCHMIX_CODE = "raymin0223/patch-mix_contrastive_learning at 836b09f"

CNN_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {"lr": 1e-3, "batch": 128, "epochs": 200, "weight_decay": 1e-6, "step_average": 0.5},
    "demo": {
        "frontend.seconds": 2.0,
        "epochs": 5,
        "batch": 16,
        "lr": 1e-3,
        "weight_decay": 1e-6,
        "step_average": 0.0,
        "time_shift": True,
        "specaug_probability": 0.0,
    },
}

# An epoch of CNN6 on the simulated set costs four of ResNet18; what is larger costs more still.
LARGE_CNN_RECIPES: Mapping[str, Mapping[str, Any]] = {**CNN_RECIPES, "demo": {**CNN_RECIPES["demo"], "epochs": 3}}

CNN_RECIPE_GAP = (
    "Bae et al. print learning rate, batch and epochs for CNNs; their weight decay, schedule and SpecAugment are not "
    "stated and taken from their AST scripts [reconstruction]."
)
BORROWED_RECIPE = (
    "Bae et al. do not train this one: it has their recipe for CNNs, whose weight decay, schedule and SpecAugment are "
    "taken from their AST scripts [reconstruction]."
)


def timm_weights(title: str, name: str, licence: str) -> WeightsCard:
    """Weights that timm keeps on the Hugging Face hub, ``NAME.TAG``."""
    return WeightsCard(title=title, source=f"timm {name}", licence=licence, location=f"timm:{name}")
