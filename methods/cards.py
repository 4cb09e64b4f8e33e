"""Options and cards of the training methods: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.cards import MethodCard
from bench.options import option

OFFICIAL = "raymin0223/patch-mix_contrastive_learning @ 836b09f"

BAE_2023 = """@inproceedings{bae23b_interspeech,
  title     = {Patch-Mix Contrastive Learning with Audio Spectrogram Transformer on Respiratory Sound Classification},
  author    = {Sangmin Bae and June-Woo Kim and Won-Yang Cho and Hyerim Baek and Soyoun Son and Byungjo Lee and
               Changwan Ha and Kyongpil Tae and Sungnyun Kim and Se-Young Yun},
  booktitle = {Proc. INTERSPEECH 2023},
  pages     = {5436--5440},
  year      = {2023},
  doi       = {10.21437/Interspeech.2023-1426},
}"""

MIX_MODES = ("patch", "t-patch")
NEGATIVES = ("all", "different-label")
TARGETS = ("stop-z", "stop-hz", "z", "hz")


@dataclass(frozen=True, kw_only=True)
class CEOptions:
    """Options of cross-entropy."""

    weighted: bool = option(True, "weight each class by the inverse of its number of training cycles")


@dataclass(frozen=True, kw_only=True)
class PatchMixCEOptions:
    """Options of Patch-Mix and T-Patch-Mix cross-entropy."""

    beta: float = option(1.0, "both parameters of the Beta distribution of lambda; 0 mixes nothing", low=0.0)


@dataclass(frozen=True, kw_only=True)
class PatchMixCLOptions:
    """Options of Patch-Mix contrastive learning (paper, Table 2 and Figure 2)."""

    alpha: float = option(1.0, "weight of the contrastive loss", low=0.0)
    tau: float = option(0.06, "temperature of the contrastive loss", low=1e-4)
    beta: float = option(1.0, "both parameters of the Beta distribution of lambda; 0 mixes nothing", low=0.0)
    mix: str = option("patch", "what is mixed: single patches, or whole time columns of them", choices=MIX_MODES)
    negatives: str = option(
        "all", "denominator: every clean clip, or those of another class and the two positives", choices=NEGATIVES
    )
    target: str = option(
        "stop-z", "clean side: features z or projected h(z), without (stop-) or with gradient", choices=TARGETS
    )
    projector_dim: int = option(0, "width of the projector's output; 0 is the model's feature width", low=0)


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
