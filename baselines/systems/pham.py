"""Systems of Pham et al. 2021: CNN-MoE, and C-DNN, the same net without experts."""

from __future__ import annotations

from typing import Any

from baselines.experts.card import C_DNN, CITATION, CNN_MOE, RECIPE_GAP
from bench.core.cards import ModelCard, Quirk, SystemCard

PICTURE_GAP = (
    "Resampling of the whole recording, filters of 50-8000 Hz, decibels, the patches that are left out at the end of a "
    "cycle, and a uniform lambda for each row are a reconstruction; frontend.bank=mel has mel filters in place of "
    "gammatones. "
)
ROW_GAP = "The printed rows do not add up, and LungAttn prints 68.00 and 26.00 for the same system. "
RELU = Quirk(
    code="Experts end in a ReLU: no score before the softmax is negative, and classes of score 0 get no gradient.",
    here="The same in CNN-MoE, since both third-party codes agree on it.",
)
MIXING = Quirk(
    code="SADACO mixes waveforms, half of them, and repeats every sample of a shorter partner, which slows it down.",
    here=(
        "Patches are mixed after the front-end; method.probability=0.5 method.beta=10 method.weights=complement are "
        "the other settings of SADACO."
    ),
)


def _system(card: ModelCard, summary: str, gaps: str, **more: Any) -> SystemCard:
    return SystemCard(
        id=card.id,
        title=card.title,
        summary=summary,
        source=card.source,
        fidelity="reconstruction",
        citation=CITATION,
        model=card.id,
        method="mixup-kl",
        pretrain="none",
        selection_note="Pham et al. published no code; which epoch they took is not known.",
        gaps=gaps + PICTURE_GAP + RECIPE_GAP,
        **more,
    )


SYSTEMS = (
    _system(
        CNN_MOE,
        "Gammatone patches of a cycle, six convolution blocks and ten experts, Mixup with the divergence from the "
        "mixed labels, mean vote of the patches.",
        ROW_GAP,
        rows=("table3/cnn-moe", "table3/cnn-moe-2class"),
        quirks=(RELU, MIXING),
    ),
    _system(
        C_DNN,
        "CNN-MoE with a plain head of one hidden layer in place of the experts.",
        "No printed row is that of C-DNN; its head is a reconstruction. ",
        quirks=(MIXING,),
    ),
)
