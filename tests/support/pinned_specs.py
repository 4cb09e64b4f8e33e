"""Specs of every model family and every method, as the recipes make them, and the ids that their runs have had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import baselines
from bench.data.frontends import FRONTENDS
from bench.experiment.recipes import Request, recipe_fields
from bench.experiment.spec import RunSpec

RECIPE_IDS = [
    ("ast", "ce", "paper", "dcb6643162a0cfea"),
    ("ast-small", "ce", "paper", "9c85ba95aee7fdee"),
    ("ast-tiny", "ce", "paper", "5dab015f7440e23c"),
    ("resnet18", "ce", "paper", "823a5f81bc108359"),
    ("resnet34", "ce", "paper", "ebe0a79df34f52fb"),
    ("resnet50", "ce", "paper", "d8bb1524818b517f"),
    ("efficientnet-b0", "ce", "paper", "257922cd246c068e"),
    ("efficientnet-b1", "ce", "paper", "3322a7bfce36052e"),
    ("efficientnet-b2", "ce", "paper", "67e388f090b1304d"),
    ("resnest14", "ce", "paper", "d386410a1fb1757a"),
    ("resnest26", "ce", "paper", "c4c0d4bb561c4eef"),
    ("resnest50", "ce", "paper", "e5627cbb32429ee3"),
    ("resnest101", "ce", "paper", "5d41d852e5cca51d"),
    ("cnn6", "ce", "paper", "75e41e43a61ef7ee"),
    ("cnn10", "ce", "paper", "b3d8cb5862ccd20f"),
    ("cnn14", "ce", "paper", "794bc867943bd069"),
    ("timm:convnext_tiny", "ce", "paper", "15275ae0667a3315"),
    ("timm:vit_tiny_patch16_224", "ce", "paper", "9884f4570b8a3dae"),
    ("hf:wav2vec2", "ce", "paper", "b675a30aa4a4b6f6"),
    ("ast", "linear-probe", "paper", "cc67729f09cda4a6"),
    ("ast", "patchmix-ce", "paper", "1bdf23353a3478af"),
    ("ast", "tpatchmix-ce", "paper", "c6044279b509234b"),
    ("ast", "patchmix-cl", "paper", "280980c3dc259f1d"),
    ("ast", "mixup", "paper", "6867f8b80e9dfbc6"),
    ("ast", "cutmix", "paper", "0aa385ee30d9e7c0"),
    ("ast", "scl", "paper", "f85c586b0c044bb9"),
    ("ast", "scl-hybrid", "paper", "cf74ae6186a78312"),
    ("cnn6", "scl", "paper", "f734422d269f6047"),
    ("cnn14", "scl-hybrid", "paper", "6043e039c6b83948"),
    ("resnet18", "mixup", "paper", "1b3b7baab84cb528"),
    ("efficientnet-b0", "cutmix", "paper", "e236975d63951f1e"),
    ("ast", "patchmix-cl", "demo", "1ea53db37cb0481d"),
    ("cnn6", "scl", "demo", "d5e551813a135583"),
    ("resnest50", "mixup", "demo", "9f90ed9ad1e0941d"),
    ("timm:convnext_tiny", "scl-hybrid", "demo", "d0b509ff5dd64c57"),
    ("bi-resnet-att", "ce", "paper", "258bd64937aee496"),
    ("c-dnn", "mixup-kl", "paper", "74fdf3b08625a433"),
    ("cnn-moe", "mixup-kl", "paper", "4195c69285a61a9c"),
    ("inception-small", "ce", "paper", "30021a1ffc8505e2"),
    ("resnet-att", "pair-mixup", "paper", "daeebc36d32569cb"),
    ("bi-resnet", "ce", "paper", "a1c356f645768310"),
    ("resnet-nl", "mixup-bce", "paper", "9780b28cc5b97600"),
    ("cnn8", "ce", "paper", "f13f5dadccf19887"),
    ("cnn8-pt", "ce", "paper", "cb3eee03ba80dce2"),
    ("cnn8-dilated", "ce", "paper", "060911e43fdd810e"),
    ("resnet-dilated", "ce", "paper", "84cc7f15425f3dd5"),
    ("resnet34-respirenet", "ce", "paper", "92a1648095cd74d4"),
    ("resnet18-se-sa", "ce", "paper", "4189670ff7adfda3"),
    ("resnet50", "co-tuning", "paper", "dc14722e6227645d"),
    ("bi-resnet", "ce", "demo", "b5d8a643893984b1"),
    ("cnn8-pt", "ce", "demo", "6c17ef875ec34d55"),
]
"""Model, method, profile and run id. An id that changes here orphans every run that was made of the recipe."""


def recipe_spec(model: str, method: str, profile: str, **changes: Any) -> RunSpec:
    """The spec of a recipe, with the hashes of data and weights made up."""
    fields = recipe_fields(Request(model=model, method=method, cache=Path()), profile)
    pretrain = baselines.MODELS.card(model).default_pretrain if profile == "paper" else "none"
    values = {
        "model": model,
        "method": method,
        "pretrain": pretrain,
        "weights_sha256": None if pretrain == "none" else "a" * 64,
        "frontend_version": FRONTENDS.card(fields["frontend"]).version,
        "dataset": "icbhi",
        "data_fingerprint": "f" * 64,
    }
    return RunSpec.of(**{**values, **fields, **changes})
