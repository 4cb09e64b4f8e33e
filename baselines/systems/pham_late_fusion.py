"""The late fusion of Pham et al. 2022, in both readings of what the printed row names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from baselines.inception.card import CITATION
from bench.core.cards import CompositeCard, PartCard, Recipes, SystemCard

SEGMENTS = "log-mel-segments"

GAPS = (
    "Known by its abstract: spectrogram segments, and a late fusion of inception-based and transfer-learning-based "
    "networks. The row prints Inc-03 + VGG14, pretrained on ImageNet, with a Score of 57.30 where the mean of its Sp "
    "and Se is 57.80. Segments, mixup and recipe are choices made here, at low confidence [reconstruction]: cycles "
    "repeated to 8 s, four segments of 2 s whose probabilities are averaged, lambda uniform, Adam of rate 1e-4, "
    "batches of 64, 50 epochs; the probabilities of both networks are multiplied (`bench ensemble --combine mean` or "
    "`max` of the two runs gives the other fusions). The demo profile has one short segment of each cycle, networks "
    "from scratch, and 6 or 16 steps. "
)
AUTHOR_READING = (
    "This reading: Inc-03 is the third of the authors' small inception networks, from scratch, since their "
    "introduction counts InceptionV3 among the benchmark networks; VGG14 is CNN14 of PANNs, pretrained on AudioSet, "
    "which contradicts the printed ImageNet. Its pooled features go straight to a linear classifier, without PANNs' "
    "hidden layer and dropout."
)
LABEL_READING = (
    "This reading: InceptionV3 and a VGG, both pretrained on ImageNet, as the row is labelled. There is no VGG14: "
    "VGG13 with batch norm stands for it. InceptionV3 takes no picture below 75 x 75, so that there are 128 mels, and "
    "each segment is standardised."
)

TRAINED: Mapping[str, Any] = {
    "lr": 1e-4,
    "weight_decay": 1e-4,
    "batch": 64,
    "epochs": 50,
    "schedule": "cosine",
    "step_average": 0.0,
    "drop_last": True,
    "specaug_probability": 0.0,
}
# One segment of 0.5 s in place of four of two, and a few steps: these are the largest networks of all.
SHORT: Mapping[str, Any] = {
    **TRAINED,
    "iterations": 16,
    "batch": 16,
    "frontend.seconds": 0.5,
    "frontend.segment": 0.5,
    "time_shift": True,
}
# In place of what the models' own recipes say of other front-ends.
CNN14: Mapping[str, Any] = {"model.orientation": "time-mel", "model.mel_norm": True, "vote": "mean"}
IMAGES: Mapping[str, Any] = {"frontend.window": 1024, "frontend.normalise": "segment", "vote": "mean"}
# The smallest picture that InceptionV3 takes has 75 frames and mels.
PICTURES: Recipes = {
    "paper": {"frontend.mels": 128},
    "demo": {"frontend.mels": 80, "frontend.seconds": 0.75, "frontend.segment": 0.75, "iterations": 6},
}


def _large(model: str, pretrain: str, settings: Mapping[str, Any], recipes: Recipes = MappingProxyType({})) -> PartCard:
    """A pretrained network on segments; recipes are laid over those that all of them have."""
    return PartCard(
        model=model,
        method="mixup",
        pretrain=pretrain,
        frontend=SEGMENTS,
        settings=settings,
        recipes={
            "paper": {**TRAINED, **recipes.get("paper", {})},
            "demo": {**SHORT, **recipes.get("demo", {})},
        },
    )


def _fusion(id: str, title: str, summary: str, gaps: str, licence: str, **parts: PartCard) -> SystemCard:  # noqa: A002
    text: dict[str, Any] = {
        "id": id,
        "title": title,
        "summary": summary,
        "source": "Pham et al. 2022 (EMBC; arXiv 2201.03054), abstract; Bae et al. 2023, Table 3",
        "fidelity": "reconstruction",
        "citation": CITATION,
    }
    return SystemCard(
        **text,
        composite=CompositeCard(**text, combine="product", parts=parts),
        rows=("table3/late-fusion",),
        selection="unknown",
        selection_note="The text could not be read.",
        gaps=GAPS + gaps,
        weights_licence=licence,
    )


SYSTEMS = (
    _fusion(
        "late-fusion",
        "Late-Fusion (authors' reading)",
        "A small inception network from scratch and CNN14 of PANNs, fine-tuned; their probabilities are multiplied.",
        AUTHOR_READING,
        "CC-BY-4.0",
        inception=PartCard(model="inception-small", method="mixup"),
        cnn14=_large("cnn14", "audioset-16k", CNN14),
    ),
    _fusion(
        "late-fusion-label-reading",
        "Late-Fusion (the label's reading)",
        "InceptionV3 and VGG13 with batch norm, fine-tuned from ImageNet; their probabilities are multiplied.",
        LABEL_READING,
        "Apache-2.0 and BSD-3-Clause",
        inception=_large("timm:inception_v3.tv_in1k", "imagenet", IMAGES, PICTURES),
        vgg=_large("timm:vgg13_bn.tv_in1k", "imagenet", IMAGES, PICTURES),
    ),
)
