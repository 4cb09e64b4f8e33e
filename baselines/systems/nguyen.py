"""Systems of Nguyen and Pernkopf 2022: ResNet50 fine-tuned, with stochastic normalisation, and with Co-Tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.cards import Quirk, SystemCard

CITATION = """@article{nguyen2022lung,
  title={Lung Sound Classification Using Co-tuning and Stochastic Normalization},
  author={Nguyen, Truc and Pernkopf, Franz},
  journal={IEEE Transactions on Biomedical Engineering},
  volume={69},
  number={9},
  pages={2872--2882},
  year={2022}
}"""

BALANCED_COPIES: Mapping[str, Any] = {
    "sampler": "balanced",
    "wave_rare": True,
    "wave_choice": "one",
    "stretch_probability": 0.5,
    "stretch_low": 0.8,
    "stretch_high": 1.2,
    "vtlp_probability": 0.5,
}
"""Stretched and warped copies of rare classes until all are as large as the largest, made anew in every step."""

FINE_TUNING: Mapping[str, Any] = {
    "optimiser": "sgd",
    "nesterov": True,
    "weight_decay": 5e-4,
    "classifier_rate": 10.0,
    "step_average": 0.0,
    "method.weighted": False,
    **BALANCED_COPIES,
}

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        **FINE_TUNING,
        "lr": 1e-3,
        "batch": 48,
        "iterations": 9050,
        "schedule": "steps",
        "schedule_unit": "iteration",
        "milestones": "6000",
        "specaug_freq_width": 24,
        "specaug_time_width": 40,
    },
    # From scratch, on pictures of 32 by 32 of 2 s, for one epoch: two CPU cores take less than a minute.
    "demo": {
        **FINE_TUNING,
        "lr": 1e-2,
        "batch": 32,
        "epochs": 1,
        "schedule": "constant",
        "frontend.seconds": 2.0,
        "frontend.size": 32,
        "time_shift": False,
    },
}
"""Optimiser and schedule of thuml's scripts; in the demo profile what two CPU cores can do."""

UNREAD = (
    "Nguyen and Pernkopf's text could not be read but for its abstract. Front-end (16 kHz, 8 s, 128 mels of 50 to "
    "2000 Hz, as a picture), stretched and VTLP copies in place of theirs, which are drawn anew in every step, "
    "SpecAugment of these widths, and the optimiser of thuml's scripts are a choice of ours [reconstruction]. Thuml's "
    "ten crops at test are left out: they are for photographs. The demo profile has pictures of 32 by 32, of 2 s, and "
    "one epoch. "
)
CORRECTED = (
    "That the row has spectrum correction is inferred from a third party's account of the table [reconstruction]; "
    "theirs pools all devices, test part included, while only training rows are learnt from here."
)
UNCORRECTED = "It is the printed system without spectrum correction."

LAST_BATCH = Quirk(
    code="Each pass over the data leaves out its last batch, whether it is whole or not.",
    here="Only a last batch that is not whole is left out (drop_last).",
)
STOCHNORM_QUIRKS = (
    Quirk(
        code=(
            "The gradient of channels that take the running statistics is computed with these as they are after the "
            "step, which change in place before the backward pass."
        ),
        here="The gradient is that of what was computed.",
        switch="model.norm_gradient=moved",
    ),
    Quirk(
        code="The library's conversion does not hand over p, which stays 0.5, and fails for p = 0.",
        here="model.norm_p is what is used.",
    ),
    LAST_BATCH,
)
CO_TUNING_QUIRKS = (
    Quirk(
        code="The solver of the regressions stops early, elsewhere with each release of scikit-learn.",
        here="Each regression is solved to its minimum.",
    ),
    Quirk(
        code="A calibration of validation rows that are told apart without a fault runs away.",
        here="Its factor ends at 50.",
    ),
    Quirk(
        code="A relationship that lies in the working folder is taken, whatever data it was learnt from.",
        here="It is learnt in every run, from its training rows.",
    ),
    LAST_BATCH,
)


def _recipes(method: str) -> dict[str, dict[str, Any]]:
    """The recipes without what only cross-entropy has."""
    named = {profile: dict(recipe) for profile, recipe in RECIPES.items()}
    if method != "ce":
        for recipe in named.values():
            del recipe["method.weighted"]
    return named


def _pair(
    id: str,  # noqa: A002
    title: str,
    summary: str,
    rows: tuple[str, ...],
    method: str = "ce",
    quirks: tuple[Quirk, ...] = (LAST_BATCH,),
    settings: Mapping[str, Any] | None = None,
) -> tuple[SystemCard, SystemCard]:
    """A system with spectrum correction, as printed, and without."""

    def card(suffix: str, words: str, gap: str, corrected: bool) -> SystemCard:
        return SystemCard(
            id=f"{id}{suffix}",
            title=f"{title}{words}",
            summary=f"{summary}, with{'' if corrected else 'out'} spectrum correction of the recording devices.",
            source="Nguyen and Pernkopf 2022; thuml/StochNorm @ edca43d, thuml/CoTuning @ fc3eb54",
            fidelity="reconstruction",
            citation=CITATION,
            model="resnet50",
            method=method,
            pretrain="imagenet",
            frontend="logmel-image",
            settings={**(settings or {}), "frontend.spectrum_correction": corrected},
            recipes=_recipes(method),
            rows=rows,
            selection_note="Nguyen and Pernkopf's text could not be read.",
            gaps=UNREAD + gap,
            quirks=quirks,
            weights_licence="BSD-3-Clause",
        )

    return card("", "", CORRECTED, True), card("-uncorrected", " (no spectrum correction)", UNCORRECTED, False)


SYSTEMS = (
    *_pair("resnet50", "ResNet50", "ResNet50, fine-tuned from ImageNet weights", ("table1/resnet50-in",)),
    *_pair(
        "stochnorm",
        "ResNet50 + StochNorm",
        "ResNet50, fine-tuned from ImageNet weights with stochastic normalisation",
        ("table3/stochnorm", "table3/stochnorm-2class"),
        quirks=STOCHNORM_QUIRKS,
        settings={"model.norm": "stochastic"},
    ),
    *_pair(
        "cotuning",
        "ResNet50 + Co-Tuning",
        "ResNet50, fine-tuned from ImageNet weights with the head of ImageNet's classes beside the new one",
        ("table3/cotuning", "table3/cotuning-2class"),
        method="co-tuning",
        quirks=CO_TUNING_QUIRKS,
    ),
)
