"""Options and cards of the training methods: data that can be read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.cards import MethodCard
from bench.core.options import Space, option

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

SCL_CODE = "ilyassmoummad/scl_icbhi2017 @ 76c4c99"

MOUMMAD_2023 = """@inproceedings{moummad2023pretraining,
  title         = {Pretraining Respiratory Sound Representations using Metadata and Contrastive Learning},
  author        = {Ilyass Moummad and Nicolas Farrugia},
  booktitle     = {IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA)},
  year          = {2023},
  eprint        = {2210.16192},
  archivePrefix = {arXiv},
}"""

ZHANG_2018 = """@inproceedings{zhang2018mixup,
  title     = {mixup: Beyond Empirical Risk Minimization},
  author    = {Hongyi Zhang and Moustapha Cisse and Yann N. Dauphin and David Lopez-Paz},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2018},
}"""

YUN_2019 = """@inproceedings{yun2019cutmix,
  title     = {{CutMix}: Regularization Strategy to Train Strong Classifiers with Localizable Features},
  author    = {Sangdoo Yun and Dongyoon Han and Seong Joon Oh and Sanghyuk Chun and Junsuk Choe and Youngjoon Yoo},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  pages     = {6023--6032},
  year      = {2019},
}"""

# At 0 nothing would be mixed: a run of cross-entropy under another name. Finished runs of that kind are kept.
BETA_DOC = "both parameters of the Beta distribution of lambda"

MIX_MODES = ("patch", "t-patch")
NEGATIVES = ("all", "different-label")
TARGETS = ("stop-z", "stop-hz", "z", "hz")

# [reconstruction] Figure 2 of the paper searches these three; neither its text nor the official scripts list the values
# that were tried. Each grid holds the paper's choice (alpha 1, tau 0.06, beta 1) and two values to either side.
ALPHA = Space(low=0.1, high=10.0, log=True, grid=(0.25, 0.5, 1.0, 2.0, 4.0))
TAU = Space(low=0.01, high=1.0, log=True, grid=(0.02, 0.04, 0.06, 0.1, 0.2))
BETA = Space(low=0.1, high=10.0, log=True, grid=(0.25, 0.5, 1.0, 2.0, 4.0))


@dataclass(frozen=True, kw_only=True)
class CEOptions:
    """Options of cross-entropy."""

    weighted: bool = option(True, "weight each class by the inverse of its number of training cycles")


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


@dataclass(frozen=True, kw_only=True)
class SpectrogramMixOptions:
    """Options of Mixup and CutMix."""

    beta: float = option(1.0, BETA_DOC, low=0.0, run_low=0.001, high=1e6, space=BETA)


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

MIXUP = MethodCard(
    id="mixup",
    title="Mixup",
    summary=(
        "Spectrograms of two clips are blended after normalisation and augmentation; unweighted cross-entropy with "
        "both labels, weighted by their shares. A reconstruction: Bae et al. give neither code nor numbers; here one "
        "lambda and one permutation serve the whole batch, and the other settings are those of the model's recipe."
    ),
    formula="L = lambda CE(p(x~), y) + (1 - lambda) CE(p(x~), y_perm),  x~ = lambda x + (1 - lambda) x_perm",
    source="Zhang et al. 2018, section 2; named by Bae et al. 2023, section 2.2",
    fidelity="reconstruction",
    citation=ZHANG_2018,
    options=SpectrogramMixOptions,
)

CUTMIX = MethodCard(
    id="cutmix",
    title="CutMix",
    summary=(
        "A rectangle of the spectrogram, its sides both sqrt(1 - lambda) of the picture's, its centre uniform and its "
        "edges clipped, is taken from another clip; unweighted cross-entropy with both labels, weighted by the areas. "
        "A reconstruction: Bae et al. give neither code nor numbers; here one rectangle and one permutation serve the "
        "whole batch, and the other settings are those of the model's recipe."
    ),
    formula="L = lambda CE(p(x~), y) + (1 - lambda) CE(p(x~), y_perm),  lambda = 1 - rectangle / (frames mels)",
    source="Yun et al. 2019, section 3.1; named by Bae et al. 2023, section 2.2",
    fidelity="reconstruction",
    citation=YUN_2019,
    options=SpectrogramMixOptions,
)

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
