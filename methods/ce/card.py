"""Options and card of cross-entropy: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import MethodCard
from bench.core.options import option
from methods.paper import BAE_2023, OFFICIAL


@dataclass(frozen=True, kw_only=True)
class CEOptions:
    """Options of cross-entropy."""

    weighted: bool = option(True, "weight each class by the inverse of its number of training cycles")
    normal_weight: float = option(
        0.0,
        "weight of the normal class where all others weigh 1, whatever the data, in place of weights by numbers; 0: by "
        "`weighted`",
        low=0.0,
        high=1000.0,
        since=2,
    )


CE = MethodCard(
    id="ce",
    title="Cross-entropy",
    summary="Fine-tuning with cross-entropy, by default weighted by inverse class counts (mean normalised by weights).",
    formula="L = -sum_i w[y_i] log p(y_i | x_i) / sum_i w[y_i],  w_c = (1/n_c) / sum_k (1/n_k)",
    source=f"Bae et al. 2023, section 3.3; {OFFICIAL}, main.py (--weighted_loss)",
    fidelity="authors' code",
    citation=BAE_2023,
    options=CEOptions,
    recipes={"demo": {"method.weighted": False}},
)
