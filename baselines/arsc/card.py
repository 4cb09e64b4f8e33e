"""Card and options of ARSC-Net's two attention paths."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import ModelCard
from bench.core.options import option
from bench.core.registry import Registry

CITATION = """@inproceedings{xu2021arsc,
  title={{ARSC-Net}: Adventitious Respiratory Sound Classification Network Using Parallel Paths with Channel-Spatial
    Attention},
  author={Xu, Lei and Cheng, Jianhong and Liu, Jin and Kuang, Hulin and Wu, Fan and Wang, Jianxin},
  booktitle={IEEE International Conference on Bioinformatics and Biomedicine (BIBM)},
  pages={1125--1130},
  year={2021}
}"""

GAPS = (
    "Known by its abstract alone, which says: two inputs, MFCC and mel spectrogram; two parallel paths of residual "
    "blocks with attention; channel attention and then spatial attention of the fused maps. Depths, widths, where the "
    "attention stands in a path, both inputs' sizes, the optimiser and the training's length are choices made here, at "
    "low confidence [reconstruction]: a 3 x 3 stem of stride 2 and four stages of two residual blocks with 32, 64, 128 "
    "and 256 channels for each input, at the end of each stage channel and spatial attention added to the map, both "
    "maps brought to one grid, 512 joined channels, dropout of 0.5. How the authors chose an epoch is not known."
)


@dataclass(frozen=True, kw_only=True)
class BiResNetAttOptions:
    """Options of ARSC-Net's network."""

    reduction: int = option(16, "how many times narrower the inner layer of channel attention is", low=1, high=32)
    dropout: float = option(0.5, "share of the fused features that is dropped in training", low=0.0, high=0.95)


CARD = ModelCard(
    id="bi-resnet-att",
    title="bi-ResNet-Att",
    summary=(
        "Two residual networks with channel and spatial attention, one on cepstral coefficients and one on log-mels, "
        "whose joined maps go through channel attention and then spatial attention."
    ),
    source="Xu et al. 2021 (BIBM), abstract; Woo et al. 2018 (CBAM), equations 1 to 3",
    fidelity="reconstruction",
    gaps=GAPS,
    citation=CITATION,
    options=BiResNetAttOptions,
    recipes={
        "paper": {
            "optimiser": "adam",
            "lr": 1e-3,
            "weight_decay": 0.0,
            "batch": 64,
            "epochs": 100,
            "schedule": "cosine",
            "step_average": 0.0,
            "specaug_probability": 0.0,
        },
        # One second of the eight, and one epoch.
        "demo": {
            "frontend.seconds": 1.0,
            "lr": 1e-3,
            "weight_decay": 0.0,
            "batch": 16,
            "epochs": 1,
            "step_average": 0.0,
            "time_shift": True,
            "specaug_probability": 0.0,
        },
    },
    parameters=5_646_390,
    frontend="mfcc-mel",
)


def register(models: Registry[ModelCard]) -> None:
    """Add the model to the registry."""
    models.add(CARD.id, CARD, "baselines.arsc.model:BiResNetAtt")
