"""Options and cards of supervised contrastive learning: data that can be read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.cards import MethodCard
from bench.core.options import Space, option
from methods.paper import TAU

SCL_CODE = "ilyassmoummad/scl_icbhi2017 @ 76c4c99"


MOUMMAD_2023 = """@inproceedings{moummad2023pretraining,
  title         = {Pretraining Respiratory Sound Representations using Metadata and Contrastive Learning},
  author        = {Ilyass Moummad and Nicolas Farrugia},
  booktitle     = {IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA)},
  year          = {2023},
  eprint        = {2210.16192},
  archivePrefix = {arXiv},
}"""


@dataclass(frozen=True, kw_only=True)
class SCLOptions:
    """Options of supervised contrastive learning; the run's epochs and learning rate are those of its first stage."""

    tau: float = option(0.06, "temperature of the contrastive loss", low=1e-4, high=1e6, space=TAU)
    projector_dim: int = option(
        128, "width of the projector's output", low=1, high=16_384, space=Space(grid=(64, 128, 256))
    )
    probe_epochs: int = option(
        50, "epochs of the linear probe, after those of the contrastive stage", low=1, high=100_000
    )
    probe_lr: float = option(
        0.1,
        "learning rate of the linear probe",
        low=1e-12,
        boundless="what is too large shows as a loss that is not finite",
        space=Space(low=1e-3, high=1.0, log=True, grid=(0.01, 0.1, 1)),
    )
    probe_weight_decay: float = option(
        1e-4,
        "coupled L2 weight decay of the linear probe",
        low=0.0,
        high=1e6,
        space=Space(low=1e-6, high=1e-2, log=True, grid=(1e-5, 1e-4, 1e-3)),
    )
    weighted: bool = option(True, "weight each class of the probe by the inverse of its number of training cycles")


@dataclass(frozen=True, kw_only=True)
class SCLHybridOptions:
    """Options of supervised contrastive learning together with cross-entropy."""

    alpha: float = option(
        0.5,
        "share of the contrastive loss; the cross-entropy has the rest",
        low=0.0,
        high=1.0,
        space=Space(low=0.0, high=1.0, grid=(0.0, 0.25, 0.5, 0.75, 1.0)),
    )
    tau: float = option(0.06, "temperature of the contrastive loss", low=1e-4, high=1e6, space=TAU)
    projector_dim: int = option(
        128, "width of the projector's output", low=1, high=16_384, space=Space(grid=(64, 128, 256))
    )
    weighted: bool = option(True, "weight each class by the inverse of its number of training cycles")


SCL_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "batch": 128,
        "epochs": 400,
        "weight_decay": 1e-4,
        "step_average": 0.0,
        "schedule": "wave",
        "lr_period": 40,
        "lr_floor": 1e-6,
        "drop_last": False,
    },
    "paper:scratch": {"lr": 1e-3},
    "paper:pretrained": {"lr": 1e-4},
}
"""What both methods share; the widths of the SpecAugment masks belong to the front-end, so to the model's recipe."""

SCL_FORMULA = (
    "L_SCL = -(1/2B) sum_i (1/|P(i)|) sum_{j in P(i)} log [exp s_ij / sum_{k != i} exp s_ik],  "
    "s_ij = cos(h(z_i), h(z_j)) / tau"
)

SCL = MethodCard(
    id="scl",
    title="SCL",
    summary=(
        "Supervised contrastive learning in two stages: encoder and projector learn to draw views of one class "
        "together, then a linear probe is trained on the frozen encoder with weighted cross-entropy."
    ),
    formula=f"{SCL_FORMULA};  then L = weighted CE(p(x), y) of the classifier alone",
    source=f"Moummad & Farrugia 2023; {SCL_CODE}, scl.py and main.py (--method scl)",
    fidelity="authors' code",
    citation=MOUMMAD_2023,
    options=SCLOptions,
    recipes={**SCL_RECIPES, "demo": {"method.probe_epochs": 4, "method.probe_lr": 0.01, "method.weighted": False}},
    views=2,
)

SCL_HYBRID = MethodCard(
    id="scl-hybrid",
    title="SCL and CE (hybrid)",
    summary="Supervised contrastive loss and weighted cross-entropy of both views, in one stage.",
    formula=f"L = alpha L_SCL + (1 - alpha) weighted CE(p(x), y) over both views,  {SCL_FORMULA}",
    source=f"Moummad & Farrugia 2023; {SCL_CODE}, hybrid.py and losses.py (--method hybrid)",
    fidelity="authors' code",
    citation=MOUMMAD_2023,
    options=SCLHybridOptions,
    recipes={**SCL_RECIPES, "demo": {"method.weighted": False}},
    views=2,
)
