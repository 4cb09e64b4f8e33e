"""Options and cards of Patch-Mix: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import MethodCard
from bench.core.options import Space, option
from methods.paper import ALPHA, BAE_2023, BETA, BETA_DOC, OFFICIAL, TAU

MIX_MODES = ("patch", "t-patch")
NEGATIVES = ("all", "different-label")
TARGETS = ("stop-z", "stop-hz", "z", "hz")


@dataclass(frozen=True, kw_only=True)
class PatchMixCEOptions:
    """Options of Patch-Mix and T-Patch-Mix cross-entropy."""

    beta: float = option(1.0, BETA_DOC, low=0.0, run_low=0.001, high=1e6, space=BETA)


@dataclass(frozen=True, kw_only=True)
class PatchMixCLOptions:
    """Options of Patch-Mix contrastive learning (paper, Table 2 and Figure 2)."""

    alpha: float = option(1.0, "weight of the contrastive loss", low=0.0, high=1e6, space=ALPHA)
    tau: float = option(0.06, "temperature of the contrastive loss", low=1e-4, high=1e6, space=TAU)
    beta: float = option(1.0, BETA_DOC, low=0.0, run_low=0.001, high=1e6, space=BETA)
    mix: str = option("patch", "what is mixed: single patches, or whole time columns of them", choices=MIX_MODES)
    negatives: str = option(
        "all", "denominator: every clean clip, or those of another class and the two positives", choices=NEGATIVES
    )
    target: str = option(
        "stop-z", "clean side: features z or projected h(z), without (stop-) or with gradient", choices=TARGETS
    )
    projector_dim: int = option(
        0,
        "width of the projector's output; 0 is the model's feature width",
        low=0,
        high=16_384,
        space=Space(grid=(0, 128, 256)),
    )


PATCHMIX_CE = MethodCard(
    id="patchmix-ce",
    title="Patch-Mix CE",
    summary="Patch tokens of two clips are mixed; unweighted cross-entropy with both labels, weighted by their shares.",
    formula="L = lambda CE(p(x~), y) + (1 - lambda) CE(p(x~), y_perm)",
    source=f"Bae et al. 2023, section 2.2 and Table 2; {OFFICIAL}, method/patchmix.py (--method patchmix)",
    fidelity="authors' code",
    citation=BAE_2023,
    options=PatchMixCEOptions,
    needs_patches=True,
)

TPATCHMIX_CE = MethodCard(
    id="tpatchmix-ce",
    title="T-Patch-Mix CE",
    summary="As patchmix-ce, with whole time columns of patches mixed over all frequencies.",
    formula="L = lambda CE(p(x~), y) + (1 - lambda) CE(p(x~), y_perm)",
    source=f"Bae et al. 2023, Table 2; {OFFICIAL}, models/ast.py (--time_domain)",
    fidelity="authors' code",
    citation=BAE_2023,
    options=PatchMixCEOptions,
    needs_patches=True,
)

PATCHMIX_CL = MethodCard(
    id="patchmix-cl",
    title="Patch-Mix CL",
    summary=(
        "Unweighted cross-entropy on the clean clip, and a contrastive loss that draws the mixed clip's projected "
        "features to the features of the two clips it was mixed from, by their shares."
    ),
    formula=(
        "L = CE(p(x), y) + alpha L_CL,  "
        "L_CL = -(1/B) sum_i [lambda s_ii + (1 - lambda) s_i,perm(i) - log sum_{j in N(i)} exp s_ij],  "
        "s_ij = cos(h(z~_i), t_j) / tau"
    ),
    source=f"Bae et al. 2023, Eq. 2 and 3; {OFFICIAL}, method/patchmix_cl.py",
    fidelity="authors' code",
    citation=BAE_2023,
    options=PatchMixCLOptions,
    needs_patches=True,
)
