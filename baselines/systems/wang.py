"""Systems of Wang and Wang 2022: ResNeSt with cross-entropy, and with the augmentation Splice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.cards import SystemCard

CITATION = """@inproceedings{wang2022domain,
  title={A Domain Transfer Based Data Augmentation Method for Automated Respiratory Classification},
  author={Wang, Zijie and Wang, Zhao},
  booktitle={ICASSP},
  pages={9017--9021},
  year={2022}
}"""

PAPER: Mapping[str, Any] = {
    "optimiser": "adam",
    "lr": 1e-4,
    "batch": 32,
    "epochs": 50,
    "step_average": 0.0,
    "specaug_probability": 0.0,
}
DEMO: Mapping[str, Any] = {
    "lr": 1e-3,
    "batch": 32,
    "epochs": 1,
    "frontend.seconds": 2.0,
    "frontend.size": 32,
    "time_shift": False,
}

SPLICE: Mapping[str, Any] = {
    "concat_law": "splice",
    "concat_partner": "other-device",
    "concat_level": True,
    "concat_crossfade": 0.01,
}
"""Of two training cycles of different devices a segment each, as loud as one another, with 10 ms of cross-fade."""

SPLICED: Mapping[str, Any] = {"concat_probability": 0.5, "sampler": "balanced", "method.weighted": False}
"""Half of the samples are spliced; classes come equally often, which takes the place of weights in the loss."""

UNREAD = (
    "Neither Wang and Wang's text nor code could be read: that the network is ResNeSt50, its front-end (that of the "
    "reconstruction of Nguyen and Pernkopf), optimiser and length are a choice of ours, at the lowest confidence of "
    "all rows [reconstruction]. model=resnest14, resnest26 and resnest101 are the alternatives. The demo profile has "
    "pictures of 32 by 32 of 2 s and one epoch."
)
SPLICE_GAP = (
    "Only the name of Splice and the words 'domain transfer' are known: a sample becomes two segments of 8 s together, "
    "the second from another device (concat_partner=any and =normal are the alternatives), the two of classes that are "
    "drawn such that together they sound like the sample's class. Half of the samples are spliced, and a sampler that "
    "draws classes equally often takes the place of weights in the loss; both are choices of ours too. "
)


def _system(id: str, title: str, summary: str, **more: Any) -> SystemCard:  # noqa: A002
    return SystemCard(
        id=id,
        title=title,
        summary=summary,
        source="Wang and Wang 2022, known from Bae et al. 2023, Tables 1 and 3, alone",
        fidelity="reconstruction",
        citation=CITATION,
        model="resnest50",
        method="ce",
        pretrain="imagenet",
        frontend="logmel-image",
        selection_note="Wang and Wang's text could not be read.",
        weights_licence="Apache-2.0",
        **more,
    )


SYSTEMS = (
    _system(
        "resnest",
        "ResNeSt",
        "ResNeSt50, fine-tuned from ImageNet weights with weighted cross-entropy.",
        recipes={"paper": PAPER, "demo": {**DEMO, "method.weighted": True}},
        rows=("table1/resnest-in",),
        gaps=UNREAD,
    ),
    _system(
        "splice",
        "ResNeSt + Splice",
        "ResNeSt50, fine-tuned from ImageNet weights on segments of two cycles of different devices in a row.",
        settings=SPLICE,
        recipes={
            "paper": {**PAPER, **SPLICED, "concat_seconds": 8.0},
            "demo": {**DEMO, **SPLICED, "concat_seconds": 2.0},
        },
        rows=("table3/splice",),
        gaps=SPLICE_GAP + UNREAD,
    ),
)
