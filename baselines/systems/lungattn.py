"""The system LungAttn of Li et al., with its mixes and in the authors' variant without."""

from __future__ import annotations

from typing import Any

from baselines.lungattn.card import RESNET_ATT
from bench.core.cards import Quirk, SystemCard
from bench.core.citations import LUNGATTN_CODE

QUIRKS = (
    Quirk(
        code=(
            "The file of pictures has five lists (undecomposed, low-Q, high-Q, residual, labels), the loader unpacks "
            "four under other names: the code does not run as published."
        ),
        here="High-Q, low-Q and residual are the channels, in the order of the authors' figure.",
    ),
    Quirk(
        code="What the attention finds is reshaped without exchanging axes: its channels and places are mixed up.",
        here="The same, since the printed numbers were made with it; model.attention_in_place=true puts it right.",
        switch="model.attention_in_place=false",
    ),
    Quirk(
        code="A cycle without room for 30 stages (1,464 samples) stops the decomposition of the whole set.",
        here="Such a cycle is followed by zeros.",
    ),
    Quirk(
        code=(
            "The pictures' frequency axis is labelled up to half the rate and shows 0 to 2 kHz, so that one height is "
            "another frequency at each rate; at 4 kHz no filter takes away the mean that scaling to 0..1 leaves."
        ),
        here="The same, for it is the front-end that the numbers were printed for.",
    ),
)


def _system(id: str, title: str, summary: str, **more: Any) -> SystemCard:  # noqa: A002
    return SystemCard(
        id=id,
        title=title,
        summary=summary,
        source=RESNET_ATT.source,
        fidelity="authors' code",
        citation=RESNET_ATT.citation,
        model="resnet-att",
        method="pair-mixup",
        selection="best-test",
        selection_note=f"Best Score on the test part among epochs whose Score is not 50 ({LUNGATTN_CODE}, line 667).",
        gaps=RESNET_ATT.gaps,
        quirks=QUIRKS,
        **more,
    )


PARTS = "Pictures of a cycle's oscillations, transients and residual, a residual network with an attention"

SYSTEMS = (
    _system(
        "lungattn",
        "LungAttn",
        f"{PARTS}, binary cross-entropy of the batch and of mixes of pairs of classes.",
        rows=("table1/resnet-att", "table3/lungattn"),
    ),
    _system(
        "lungattn-plain",
        "LungAttn without Mixup",
        f"{PARTS}, binary cross-entropy weighted by class.",
        settings={"method.mixup": False},
    ),
)
