"""Card and options of LungAttn's network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.shared_recipes import MOST_FRAMES, MOST_MELS
from bench.core.cards import ModelCard
from bench.core.citations import LI_2021, LUNGATTN_CODE
from bench.core.options import option
from bench.core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class ResNetAttOptions:
    """Options of ``resnet-att``."""

    frames: int = option(
        224, "rows of the largest pictures, for which the attention's positions are laid out", low=1, high=MOST_FRAMES
    )
    mels: int = option(224, "columns of the largest pictures", low=1, high=MOST_MELS)
    dropout: float = option(0.2, "dropout after each convolution of a block", low=0.0, high=0.95)
    feature_dropout: float = option(0.4, "dropout before the classifier", low=0.0, high=0.95)
    logit_dropout: float = option(0.3, "dropout on the logits", low=0.0, high=0.95)
    attention_in_place: bool = option(
        False,
        "whether what the attention finds for a place is put at that place; the authors reshape it without exchanging "
        "axes, so that channels and places are mixed",
    )


PLAIN: Mapping[str, Any] = {
    "optimiser": "sgd",
    "lr": 0.1,
    "weight_decay": 0.0,
    "step_average": 0.0,
    "specaug_probability": 0.0,
    "drop_last": False,
}
"""What the recipes share: the authors augment no picture, and leave no cycle out."""

SMALL = {"frontend.size": 32, "frontend.rate": 4000, "frontend.iterations": 2}

RESNET_ATT = ModelCard(
    id="resnet-att",
    title="ResNet-Att",
    summary=(
        "A residual network of ten pre-activation blocks with group normalisation for three pictures, one of whose "
        "convolutions is augmented by self-attention with relative positions. Demo: recordings at 4 kHz, 2 iterations "
        "of the decomposition, pictures of 32 x 32, 3 epochs of Adam."
    ),
    source=f"Li et al. 2021; {LUNGATTN_CODE}, model/LungAttn.py",
    fidelity="authors' code",
    gaps=(
        "The code does not run as published: the file of pictures has five lists where the loader unpacks four, under "
        "names of others, so that the order of the channels is taken from the authors' figure [reconstruction]. Their "
        "evaluation without mixing weights the loss; here losses of tests are not shown. attention_in_place=true has "
        "the attention's results at their places."
    ),
    citation=LI_2021,
    options=ResNetAttOptions,
    recipes={
        "paper": {
            **PLAIN,
            "batch": 32,
            "epochs": 100,
            "schedule": "exponential",
            "lr_decay": 0.1,
            "decay_every": 50,
        },
        "demo": {**PLAIN, "optimiser": "adam", "lr": 1e-3, "batch": 16, "epochs": 3, **SMALL},
    },
    parameters=711_900,
    frontend="lungattn",
)


def register(models: Registry[ModelCard]) -> None:
    """Add the network to the registry."""
    models.add("resnet-att", RESNET_ATT, "baselines.lungattn.model:ResNetAtt")
