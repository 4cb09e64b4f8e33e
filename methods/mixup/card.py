"""Options and cards of Mixup and CutMix: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import MethodCard
from bench.core.citations import LUNGSYS_CODE, MA_2020
from bench.core.options import option
from methods.paper import BETA, BETA_DOC

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


@dataclass(frozen=True, kw_only=True)
class SpectrogramMixOptions:
    """Options of Mixup and CutMix."""

    beta: float = option(1.0, BETA_DOC, low=0.0, run_low=0.001, high=1e6, space=BETA)


PHAM_2021 = """@article{pham2021cnnmoe,
  title   = {{CNN-MoE} Based Framework for Classification of Respiratory Anomalies and Lung Disease Detection},
  author  = {Lam Pham and Huy Phan and Ramaswamy Palaniappan and Alfred Mertins and Ian McLoughlin},
  journal = {IEEE Journal of Biomedical and Health Informatics},
  volume  = {25},
  number  = {8},
  pages   = {2938--2947},
  year    = {2021},
}"""


@dataclass(frozen=True, kw_only=True)
class MixupKLOptions:
    """Options of Mixup with the Kullback-Leibler divergence."""

    beta: float = option(1.0, BETA_DOC, low=0.001, high=1e6, space=BETA)
    probability: float = option(1.0, "chance that a row is mixed", low=0.0, high=1.0)
    shared: bool = option(False, "whether one lambda serves the whole batch, not one each row")
    weights: str = option(
        "none",
        "class weights: none, or complement, 1 less the class's share of the cycles",
        choices=("none", "complement"),
    )


@dataclass(frozen=True, kw_only=True)
class MixupBCEOptions:
    """Options of Mixup with binary cross-entropy."""

    beta: float = option(0.5, BETA_DOC, low=0.0, run_low=0.001, high=1e6, space=BETA)


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

MIXUP_KL = MethodCard(
    id="mixup-kl",
    title="Mixup, KL divergence",
    summary=(
        "Pictures of two clips are blended, each row with a lambda of its own, and the Kullback-Leibler divergence "
        "from the mixed labels is minimised; the L2 term of the paper is the recipe's coupled weight decay. A "
        "reconstruction: Pham et al. published no code. Lambda is uniform (beta 1); beta=10 probability=0.5 "
        "weights=complement are those of SADACO, a third party, which mixes waveforms."
    ),
    formula="L = (1/B) sum_i sum_c t_ic (log t_ic - log p_c(x~_i)),  t = lambda y + (1 - lambda) y_perm,  + L2",
    source="Pham et al. 2021, section V; class weights: dlrudco/SADACO @ 2134fd9",
    fidelity="reconstruction",
    citation=PHAM_2021,
    options=MixupKLOptions,
)

MIXUP_BCE = MethodCard(
    id="mixup-bce",
    title="Mixup + BCE",
    summary=(
        "Each batch is followed by one of the same size, in which clips are blended with those of a permutation, one "
        "lambda for all; unweighted binary cross-entropy of each class with the labels, blended alike. Scores are "
        "sigmoids."
    ),
    formula="L = mean over x and x~ of BCE(f(x), y),  x~ = lambda x + (1 - lambda) x_perm,  y~ likewise",
    source=f"Ma et al. 2020; {LUNGSYS_CODE} @ 6450040 (git history), Bi-Resnet/model/bnn.py",
    fidelity="authors' code",
    citation=MA_2020,
    options=MixupBCEOptions,
)
