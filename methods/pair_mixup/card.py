"""Options and card of Mixup of pairs of classes: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import MethodCard
from bench.core.citations import LI_2021, LUNGATTN_CODE
from bench.core.options import option
from methods.paper import BETA, BETA_DOC

AUTHORS_POSITIVE_WEIGHTS = (2.0, 3.0, 9.0, 10.0)
"""The authors' weights of normal, crackle, wheeze and both, where these are there."""


@dataclass(frozen=True, kw_only=True)
class PairMixupOptions:
    """Options of Mixup of pairs of classes."""

    mixup: bool = option(True, "whether mixes are added to the batch; the authors' other variant is without")
    beta: float = option(0.5, BETA_DOC, low=0.001, high=1e6, space=BETA)
    positive_weights: str = option(
        "authors",
        "mixup=false: by what the loss of a class that is there is multiplied: 2, 3, 9 and 10 (four classes), the "
        "training cycles by those of the class, or 1",
        choices=("authors", "counts", "none"),
    )


PAIR_MIXUP = MethodCard(
    id="pair-mixup",
    title="Pair Mixup + BCE",
    summary=(
        "To each batch mixes of its clips are added, so that rare classes are seen more often: normal clips with "
        "crackles and, twice, with wheezes, of which the mix has at least half and the label its share; and, twice, "
        "crackles with wheezes, whose label is both. Binary cross-entropy of each class; scores are sigmoids. A task "
        "without classes of these names has fewer mixes, or none. The mixes are computed in every process: several of "
        "them divide the clean clips alone."
    ),
    formula=(
        "L = mean over x and x~ of BCE(f(x), y),  x~ = l a + (1 - l) n, y~ likewise, l >= 1/2 (n normal, a crackle or "
        "wheeze),  x~ = l c + (1 - l) w, y~ = both"
    ),
    source=f"Li et al. 2021; {LUNGATTN_CODE}, model/LungAttn.py",
    fidelity="authors' code",
    citation=LI_2021,
    options=PairMixupOptions,
)
