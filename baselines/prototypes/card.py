"""Cards and options of CNN8, CNN8 with prototypes, and the dilated networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.shared_recipes import MOST_FRAMES, MOST_MELS, MOST_WIDTH
from bench.core.cards import ModelCard
from bench.core.options import Space, option
from bench.core.registry import Registry

FORMS = ("vector1d", "vector2d", "vector2d_att", "vector2d_avgp", "vector2d_maxp", "vector2d_maxp_att")
HEADS = ("attention", "maxpool")


@dataclass(frozen=True, kw_only=True)
class CNN8Options:
    """Options of CNN8."""

    mels: int = option(128, "mel bands of a picture", low=1, high=MOST_MELS)
    width: int = option(
        64, "channels of the first block; each block has twice as many as the one before", low=1, high=MOST_WIDTH // 8
    )


@dataclass(frozen=True, kw_only=True)
class DilatedOptions(CNN8Options):
    """Options of CNN8-dilated and ResNet-dilated."""

    head: str = option(
        "attention",
        "how a map becomes scores of classes: weighted cells, or its maximum and a linear layer",
        choices=HEADS,
    )


@dataclass(frozen=True, kw_only=True)
class PrototypeOptions(CNN8Options):
    """Options of CNN8-Pt."""

    frames: int = option(126, "frames of a picture", low=1, high=MOST_FRAMES)
    prototypes: str = option(
        "vector2d",
        "form of the prototypes: vectors (1d) or maps (2d), compared with cells in one place, or with all by the mean "
        "(avgp) or the most similar (maxp), each averaged or weighted by attention (att)",
        choices=FORMS,
    )
    per_class: int = option(1, "prototypes of each class", low=1, high=64)
    likeness: float = option(
        0.1,
        "weight in the loss of the cosine between prototypes of different classes",
        low=0.0,
        high=1e6,
        space=Space(low=0.0, high=1.0, grid=(0.0, 0.1, 1.0)),
    )
    likeness_ratio: bool = option(
        False,
        "with several prototypes of each class, whether that cosine is divided by the one between prototypes of one "
        "class, as the authors' code does it; the ratio has no bounds",
    )


REN_CODE = "L3S/PrototypeSound at 5116de7"
CHANG_CODE = "glam-imperial/SoundPrototypeCriticism at 968edb4"

REN_2022 = """@inproceedings{ren2022prototype,
  title={Prototype Learning for Interpretable Respiratory Sound Analysis},
  author={Ren, Zhao and Nguyen, Thanh Tam and Nejdl, Wolfgang},
  booktitle={ICASSP},
  pages={9087--9091},
  year={2022}
}"""

CHANG_2022 = """@inproceedings{chang2022example,
  title={Example-based Explanations with Adversarial Attacks for Respiratory Sound Analysis},
  author={Chang, Yi and Ren, Zhao and Nguyen, Thanh Tam and Nejdl, Wolfgang and Schuller, Bj{\\"o}rn W.},
  booktitle={INTERSPEECH},
  year={2022}
}"""

# All of it stands in the authors' code, which is the same in both repositories.
PAPER: Mapping[str, Any] = {
    "lr": 1e-3,
    "batch": 16,
    "iterations": 10_000,
    "weight_decay": 0.0,
    "step_average": 0.0,
    "schedule": "exponential",
    "schedule_unit": "iteration",
    "lr_decay": 0.9,
    "decay_every": 200,
    "drop_last": False,
    "specaug_probability": 0.0,
    "crop_probability": 1.0,
    "crop_seconds": 4.0,
}

DEMO: Mapping[str, Any] = {
    **PAPER,
    "iterations": 60,
    "decay_every": 20,
    "frontend.seconds": 2.0,
    "crop_seconds": 2.0,
    "model.width": 16,
    "time_shift": True,
}

# Without pooling a quarter of a second costs as much as four seconds with it.
DILATED_DEMO: Mapping[str, Any] = {**DEMO, "frontend.seconds": 0.25, "crop_seconds": 0.25, "model.width": 8}

LAST_GAP = (
    "The authors score the weights of the last iteration; here they are those of `last`, and a run's row says which of "
    "its weights were chosen. "
)
RESAMPLER_GAP = (
    "The authors most probably resampled with librosa's former default: --set frontend.resampler=kaiser-best. Their "
    "crops are not seeded."
)


def _card(
    id: str,  # noqa: A002
    title: str,
    summary: str,
    source: str,
    citation: str,
    gaps: str,
    parameters: int,
    options: type,
    demo: Mapping[str, Any],
) -> ModelCard:
    return ModelCard(
        id=id,
        title=title,
        summary=summary,
        source=source,
        fidelity="authors' code",
        gaps=f"{gaps}{LAST_GAP}{RESAMPLER_GAP}",
        citation=citation,
        options=options,
        recipes={"paper": PAPER, "demo": demo},
        parameters=parameters,
        frontend="l3s",
    )


def _dilated(id: str, title: str, blocks: str, parameters: int, authors: str, memory: str) -> ModelCard:  # noqa: A002
    return _card(
        id,
        title,
        f"{blocks} with dilations of 1, 2, 4 and 8 and no pooling, so that maps keep the size of the picture, and a "
        f"classifier that weighs their cells. {memory}",
        f"Chang et al. 2022; {CHANG_CODE}, models_pytorch.py and run.sh",
        CHANG_2022,
        "Whether the printed row has the attention of the authors' script or the maximum that their code has too "
        f"(head=maxpool) is not established. The authors count {authors} parameters with attention, 2,052 of them in a "
        "layer that no output depends on. ",
        parameters,
        DilatedOptions,
        DILATED_DEMO,
    )


CARDS = {
    "pooled": _card(
        "cnn8",
        "CNN8",
        "Four blocks of two 3 x 3 convolutions and maximum pooling, the maximum over the map, and a linear classifier.",
        f"Ren et al. 2022; {REN_CODE}, models_pytorch.py and run.sh",
        REN_2022,
        "",
        4_689_604,
        CNN8Options,
        DEMO,
    ),
    "prototypes": _card(
        "cnn8-pt",
        "CNN8-Pt",
        "CNN8 whose map is compared with a prototype of each class; a linear classifier of the similarities. The loss "
        "of any method has the cosine between prototypes added to it.",
        f"Ren et al. 2022; {REN_CODE}, models_pytorch.py and run_prototype.sh",
        REN_2022,
        "Which of the six forms the printed row is, is not established: vector2d is the one of the authors' script. "
        "They count 16 parameters more, in layers that no output depends on. ",
        4_802_264,
        PrototypeOptions,
        DEMO,
    ),
    "dilated": _dilated(
        "cnn8-dilated",
        "CNN8-dilated",
        "Four blocks of two 3 x 3 convolutions",
        4_691_656,
        "4,693,708",
        "A step of 16 pictures of 126 x 128 keeps about 5 GB of maps; --set checkpointing=true keeps less.",
    ),
    "residual": _dilated(
        "resnet-dilated",
        "ResNet-dilated",
        "Four residual blocks of two 3 x 3 convolutions",
        4_865_800,
        "4,867,852",
        "A step of 16 pictures of 126 x 128 keeps about 6 GB of maps; --set checkpointing=true keeps less.",
    ),
}


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    for kind, builder in (
        ("pooled", "MaxPoolNetwork"),
        ("prototypes", "PrototypeNetwork"),
        ("dilated", "dilated"),
        ("residual", "dilated"),
    ):
        card = CARDS[kind]
        given = () if kind == "prototypes" else (kind,)
        models.add(card.id, card, f"baselines.prototypes.model:{builder}", *given)
