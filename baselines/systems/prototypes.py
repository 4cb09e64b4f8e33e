"""Systems of Ren et al. 2022 (prototypes) and Chang et al. 2022 (dilated networks), with one front-end and training."""

from __future__ import annotations

from typing import Any

from baselines.prototypes.card import CHANG_2022, CHANG_CODE, REN_2022, REN_CODE
from bench.core.cards import Quirk, SystemCard

QUIRKS = (
    Quirk(
        code="The first batch normalisation has one mean and deviation for each mel, of decibels and differences.",
        here="The same, since it is a part of the network.",
    ),
    Quirk(
        code="Filtered cycles are written as 16-bit WAV files by a library that rounds down, by half a step.",
        here="The same, since it changes near-silent cells; frontend.storage=16-bit-nearest rounds, float keeps all.",
        switch="frontend.storage=16-bit-down",
    ),
    Quirk(
        code="Recordings were resampled by librosa's default, which was another one at the time of the paper.",
        here="Today's default, soxr's high quality; the former one is a setting.",
        switch="frontend.resampler=kaiser-best",
    ),
)

PROTOTYPE_QUIRKS = (
    Quirk(
        code="With several prototypes of each class the cosine between classes is divided by the one within classes.",
        here="The cosine between classes alone: the ratio has no bounds. With one of each class both are the same.",
        switch="model.likeness_ratio=true",
    ),
    Quirk(
        code="Three norms are made in every form of the prototypes, of which one or none is used.",
        here="The one that is used.",
    ),
)

ATTENTION_QUIRKS = (
    Quirk(
        code="Weights whose sigmoid is above 0.8 are cut off at 0.9 and get no gradient.",
        here="The same, since it is a part of the network; model.head=maxpool has no weights.",
    ),
    Quirk(
        code="A linear layer of 2,052 parameters is trained along that no output depends on.",
        here="Left out.",
    ),
)

SEEDS = "Neither the number of runs nor their seeds are stated, and the random crops are not seeded. "


def _system(
    id: str,  # noqa: A002
    title: str,
    summary: str,
    *,
    source: str,
    selection_file: str,
    gaps: str = "",
    **more: Any,
) -> SystemCard:
    """A system of the family, whose model has all of its front-end and recipe."""
    return SystemCard(
        id=id,
        title=title,
        summary=f"{summary}, trained from scratch for 10,000 iterations with weighted cross-entropy.",
        source=source,
        fidelity="authors' code",
        model=id,
        method="ce",
        pretrain="none",
        selection="last",
        selection_note=f"The weights of iteration 10,000, the last one ({selection_file}).",
        gaps=f"{gaps}{SEEDS}",
        **more,
    )


REN: dict[str, Any] = {"source": f"Ren et al. 2022; {REN_CODE}", "citation": REN_2022}
CHANG: dict[str, Any] = {
    "source": f"Chang et al. 2022; {CHANG_CODE}",
    "selection_file": "main_dia.py",
    "citation": CHANG_2022,
    "gaps": "Whether the printed row has the attention of run.sh or the maximum, also in the code, is not known. ",
    "quirks": QUIRKS + ATTENTION_QUIRKS,
}

SYSTEMS = (
    _system(
        "cnn8",
        "CNN8",
        "The network without prototypes, their authors' baseline",
        selection_file="main_pytorch.py",
        quirks=QUIRKS,
        **REN,
    ),
    _system(
        "cnn8-pt",
        "CNN8-Pt",
        "CNN8 with a prototype of each class, whose similarities are classified",
        selection_file="main_pytorch_prototype.py line 194",
        rows=("table3/ren",),
        gaps="Which form of the prototypes the printed row is, is not established: the script's is taken, vector2d. ",
        quirks=QUIRKS + PROTOTYPE_QUIRKS,
        **REN,
    ),
    _system(
        "cnn8-dilated", "CNN8-dilated", "CNN8 with dilations in place of pooling", rows=("table3/chang-cnn8",), **CHANG
    ),
    _system(
        "resnet-dilated",
        "ResNet-dilated",
        "Dilated residual blocks without pooling",
        rows=("table3/chang-resnet",),
        **CHANG,
    ),
)
