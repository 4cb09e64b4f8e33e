"""SE+SA (Yang et al. 2020)."""

from __future__ import annotations

from baselines.se_sa.card import CITATION, GAPS
from bench.core.cards import SystemCard

HELD_OUT = 0.3
"""Share of the training patients' cycles by which the published epoch was chosen."""

SYSTEMS = (
    SystemCard(
        id="se-sa",
        title="SE+SA",
        summary=(
            "ResNet18 with squeeze-and-excitation and spatial attention from scratch, with unweighted cross-entropy; "
            "30 % of the training part are held out by patients, and the epoch is chosen on them."
        ),
        source="Yang et al. 2020 (INTERSPEECH), by others' notes; Bae et al. 2023, Table 3",
        fidelity="reconstruction",
        citation=CITATION,
        model="resnet18-se-sa",
        method="ce",
        pretrain="none",
        settings={"method.weighted": False},
        recipes={"paper": {"val_fraction": HELD_OUT}, "demo": {"val_fraction": HELD_OUT}},
        rows=("table3/se-sa",),
        selection="best-val",
        selection_note="Held-out 30 % of the official training part, split by patients, as others note; here by Score.",
        gaps=GAPS,
    ),
)
