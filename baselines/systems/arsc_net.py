"""ARSC-Net (Xu et al. 2021)."""

from __future__ import annotations

from baselines.arsc.card import CITATION, GAPS
from bench.core.cards import SystemCard

SYSTEMS = (
    SystemCard(
        id="arsc-net",
        title="ARSC-Net",
        summary="Two attention paths on MFCC and log-mels from scratch, with weighted cross-entropy.",
        source="Xu et al. 2021 (BIBM), abstract; Bae et al. 2023, Tables 1 and 3",
        fidelity="reconstruction",
        citation=CITATION,
        model="bi-resnet-att",
        method="ce",
        pretrain="none",
        rows=("table1/bi-resnet-att", "table3/arsc-net"),
        selection="unknown",
        selection_note="The text could not be read.",
        gaps=GAPS,
    ),
)
