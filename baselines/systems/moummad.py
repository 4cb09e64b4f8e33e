"""Systems of Moummad and Farrugia 2023: CNN6 with cross-entropy, supervised contrastive learning, and both together."""

from __future__ import annotations

from typing import Any

from baselines.panns.card import SCL_CODE
from bench.core.cards import Quirk, SystemCard

CITATION = """@inproceedings{moummad2023pretraining,
  title={Pretraining Respiratory Sound Representations using Metadata and Contrastive Learning},
  author={Moummad, Ilyass and Farrugia, Nicolas},
  booktitle={IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA)},
  year={2023},
  eprint={2210.16192},
  archivePrefix={arXiv}
}"""

QUIRKS = (
    Quirk(
        code="Each batch is brought to 0..1 by its own extremes, in the test too: pictures depend on their neighbours.",
        here="The same, since the printed numbers were made with it; frontend.normalise=cycle takes each cycle's own.",
        switch="frontend.normalise=batch",
    ),
    Quirk(
        code="Masks of SpecAugment are cut to whole numbers so that they never reach the last mel bin or frame.",
        here="Masks lie anywhere, with equal chances.",
        switch="specaug_place=torchaudio",
    ),
    Quirk(
        code="The cosine of the learning rate goes up and down every 40 epochs, and ends at the top.",
        here="The same; lr_period=400 lets it fall once.",
        switch="lr_period=40",
    ),
)
GAPS = "The printed numbers are means of 10 runs, whose seeds are not stated."
AUDIOSET = {"pretrain": "audioset", "weights_licence": "CC-BY-4.0"}


def _system(id: str, title: str, summary: str, method: str, file: str, **more: Any) -> SystemCard:  # noqa: A002
    """CNN6 with a method; from scratch unless it says otherwise."""
    rule = "linear-probe epoch" if method == "scl" else "epoch"
    return SystemCard(
        id=id,
        title=title,
        summary=summary,
        source=f"Moummad & Farrugia 2023; {SCL_CODE}, {file}",
        fidelity="authors' code",
        citation=CITATION,
        model="cnn6",
        method=method,
        selection="best-test",
        selection_note=f"Best Score on the test part over all epochs: the best {rule} ({SCL_CODE}, {file}).",
        gaps=GAPS,
        quirks=QUIRKS,
        **{"pretrain": "none", **more},
    )


SYSTEMS = (
    _system(
        "cnn6",
        "CNN6",
        "CNN6 of PANNs, trained from scratch with weighted cross-entropy.",
        "ce",
        "ce.py",
        rows=("table1/cnn6",),
    ),
    _system(
        "cnn6-audioset",
        "CNN6 (AudioSet)",
        "CNN6 of PANNs, fine-tuned from AudioSet weights with weighted cross-entropy.",
        "ce",
        "ce.py",
        rows=("table1/cnn6-as", "table3/cnn6"),
        **AUDIOSET,
    ),
    _system(
        "scl",
        "CNN6 + SCL",
        "CNN6 from AudioSet weights: supervised contrastive learning of the encoder, then a linear probe.",
        "scl",
        "scl.py",
        rows=("table3/scl",),
        **AUDIOSET,
    ),
    _system(
        "scl-hybrid",
        "CNN6 + SCL and CE",
        "CNN6 from AudioSet weights with supervised contrastive loss and weighted cross-entropy together.",
        "scl-hybrid",
        "hybrid.py",
        **AUDIOSET,
    ),
)
