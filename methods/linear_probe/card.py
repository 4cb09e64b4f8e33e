"""Options and card of the linear probe: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import MethodCard
from bench.core.options import Space, option
from bench.engine.augment.options import PLACEMENTS, WAVE_OPERATIONS

CITATION = """@inproceedings{alain2017probes,
  title = {Understanding Intermediate Layers Using Linear Classifier Probes},
  author = {Alain, Guillaume and Bengio, Yoshua},
  booktitle = {ICLR (Workshop)},
  year = {2017},
}"""


NO_AUGMENTATION = {
    "time_shift": False,
    **{f"{name}_probability": 0.0 for name in ("specaug", "concat", *WAVE_OPERATIONS, *PLACEMENTS)},
}
"""Whatever the recipe of a model has: what is computed once cannot be changed at random."""


@dataclass(frozen=True, kw_only=True)
class LinearProbeOptions:
    """Options of the linear probe."""

    solver: str = option(
        "lbfgs",
        "how the classifier is found: the optimum of a logistic regression by L-BFGS, or the steps of a usual training "
        "(adam: by the run's optimiser and schedule)",
        choices=("lbfgs", "adam"),
    )
    c: float = option(
        0.0,
        "lbfgs: inverse strength of the penalty on the weights, C of scikit-learn's LogisticRegression; 0: chosen on "
        "held-out training patients",
        low=0.0,
        high=1e9,
        space=Space(low=1e-4, high=1e2, log=True, grid=(1e-3, 1e-2, 1e-1, 1.0)),
    )
    held_out: float = option(0.2, "c=0: share of the training patients' cycles that C is chosen on", low=0.01, high=0.5)
    weighted: bool = option(True, "weight each class by the inverse of its number of training cycles")
    standardise: bool = option(
        True, "whether each feature is brought to mean 0 and deviation 1 of the training cycles before the classifier"
    )


LINEAR_PROBE = MethodCard(
    id="linear-probe",
    title="Linear probe",
    summary="The encoder stays as it is and in evaluation mode; the features of each cycle are computed once and kept "
    "in the cache, and a linear classifier is found for them.",
    formula="min over W, b of C sum_i w[y_i] (-log softmax(W z_i + b)[y_i]) + ||W||^2 / 2, z standardised features",
    source="Alain and Bengio 2017; the objective is that of scikit-learn's LogisticRegression",
    fidelity="original",
    citation=CITATION,
    options=LinearProbeOptions,
    recipes={
        profile: {
            "optimiser": "adam",
            "lr": 1e-3,
            "weight_decay": 0.0,
            "batch": 32,
            "epochs": epochs,
            "iterations": 0,
            "warmup_epochs": 0,
            "schedule": "cosine",
            "schedule_unit": "epoch",
            "step_average": 0.0,
            **NO_AUGMENTATION,
        }
        for profile, epochs in (("paper", 100), ("demo", 30))
    },
    probe=True,
)
