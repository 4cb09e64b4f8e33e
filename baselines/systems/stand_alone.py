"""Networks of others' systems, which are fine-tuned alone here, with the paper's recipe for CNNs."""

from __future__ import annotations

from typing import Any

from baselines.shared_recipes import BORROWED_RECIPE
from baselines.systems.patchmix import CITATION
from bench.core.cards import SystemCard

ALONE = "The network alone is fine-tuned here, without the front-end and training of the system that the row cites. "


def _system(id: str, title: str, cited: str, **more: Any) -> SystemCard:  # noqa: A002
    return SystemCard(
        id=id,
        title=title,
        summary=f"{title}, fine-tuned from ImageNet weights with weighted cross-entropy.",
        source=f"Bae et al. 2023, Table 1, after {cited}",
        fidelity="reconstruction",
        citation=CITATION,
        method="ce",
        pretrain="imagenet",
        gaps=ALONE + BORROWED_RECIPE,
        **more,
    )


SYSTEMS = (
    _system(
        "resnet34",
        "ResNet34",
        "Gairola et al. 2021 (RespireNet)",
        model="resnet34",
        rows=("table1/resnet34-in",),
        selection="best-test-accuracy",
        selection_note="RespireNet's: best accuracy on the test part (5e3f41a, train.py line 266).",
        weights_licence="BSD-3-Clause",
    ),
)
