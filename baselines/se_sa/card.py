"""Card and options of the ResNet18 with squeeze-and-excitation and spatial attention."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import ModelCard
from bench.core.options import option
from bench.core.registry import Registry

CITATION = """@inproceedings{yang2020adventitious,
  title={Adventitious Respiratory Classification Using Attentive Residual Neural Networks},
  author={Yang, Zijiang and Liu, Shuo and Song, Meishu and Parada-Cabaleiro, Emilia and Schuller, Bj{\\"o}rn W.},
  booktitle={Proc. INTERSPEECH},
  pages={2912--2916},
  year={2020}
}"""

GAPS = (
    "Known by what others say of it: a ResNet18 without pretraining, squeeze-and-excitation and spatial attention, and "
    "an epoch chosen on 30 % of the official training patients. Where the attention stands, whether its two parts run "
    "side by side or in a row, the picture and all of the recipe but that share are choices made here "
    "[reconstruction]: attention after the second batch norm of each block, its parts added, the picture of front-end "
    "ast, SGD of rate 0.01 with momentum 0.9, weight decay of 1e-4, a cosine, 50 epochs and unweighted cross-entropy. "
    "The epoch is chosen by the Score on the held-out patients."
)

ARRANGEMENTS = ("parallel", "serial")


@dataclass(frozen=True, kw_only=True)
class SESAOptions:
    """Options of the attention in each residual block."""

    attention: str = option(
        "parallel",
        "parallel: squeeze-and-excitation plus a 1 x 1 spatial gate, both of the same map; serial: squeeze-and-"
        "excitation, then a 7 x 7 spatial gate as CBAM has it",
        choices=ARRANGEMENTS,
    )


_SGD = {"optimiser": "sgd", "momentum": 0.9, "lr": 1e-2, "weight_decay": 1e-4, "step_average": 0.0}

CARD = ModelCard(
    id="resnet18-se-sa",
    title="ResNet18 with SE and SA",
    summary=(
        "Residual network of 18 layers with a one-channel 7 x 7 stem, and squeeze-and-excitation and spatial attention "
        "in each block."
    ),
    source=(
        "Yang et al. 2020 (INTERSPEECH), known from Bae et al. 2023, table 3, and from others' notes; Hu et al. 2018 "
        "(SE); Roy et al. 2018 (parallel gates); Woo et al. 2018 (serial)"
    ),
    fidelity="reconstruction",
    gaps=GAPS,
    citation=CITATION,
    options=SESAOptions,
    recipes={
        "paper": {
            **_SGD,
            "batch": 64,
            "epochs": 50,
            "schedule": "cosine",
            "specaug_probability": 0.0,
        },
        # One second of the eight, and two epochs.
        "demo": {
            **_SGD,
            "frontend.seconds": 1.0,
            "batch": 16,
            "epochs": 2,
            "time_shift": True,
            "specaug_probability": 0.0,
        },
    },
    parameters=11_263_292,
    frontend="ast",
)


def register(models: Registry[ModelCard]) -> None:
    """Add the model to the registry."""
    models.add(CARD.id, CARD, "baselines.se_sa.model:resnet18_se_sa")
