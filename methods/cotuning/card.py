"""Options and card of Co-Tuning: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import MethodCard
from bench.core.options import Space, option

CODE = "thuml/CoTuning @ fc3eb54"

YOU_2020 = """@inproceedings{you2020cotuning,
  title     = {Co-Tuning for Transfer Learning},
  author    = {Kaichao You and Zhi Kou and Mingsheng Long and Jianmin Wang},
  booktitle = {Advances in Neural Information Processing Systems 33},
  pages     = {17236--17246},
  year      = {2020},
}"""


@dataclass(frozen=True, kw_only=True)
class CoTuningOptions:
    """Options of Co-Tuning."""

    trade_off: float = option(
        2.3,
        "weight of the cross-entropy of the source head",
        low=0.0,
        high=1e6,
        space=Space(low=0.1, high=10.0, log=True, grid=(0.5, 1.0, 2.3, 5.0)),
    )
    relationship: str = option(
        "calibrated",
        "p(source class | target class) by a calibrated regression and Bayes' rule, or `direct`: a class's mean",
        choices=("calibrated", "direct"),
    )
    source_classes: int = option(1000, "classes that the weights were learnt on", low=2, high=1_000_000)
    temperature_factor: float = option(
        0.8840456604957581,
        "what source logits are multiplied by before the relationship is learnt: calibrates torchvision's ResNet50",
        low=1e-6,
        high=1e6,
    )
    calibration_fraction: float = option(
        0.2,
        "share of the training rows, of patients of their own, that the regression is validated on",
        low=0.01,
        high=0.5,
    )


CO_TUNING = MethodCard(
    id="co-tuning",
    title="Co-Tuning",
    summary=(
        "Fine-tuning that keeps the head of the pretraining task and trains it too, for what the source classes of a "
        "target class are: their relationship is learnt from the training part beforehand. From scratch, without such "
        "weights, that head begins at random, and the method says nothing of transfer."
    ),
    formula=(
        "L = mean_i [CE(p(x_i), y_i) - trade_off sum_s R(s | y_i) log q(s | x_i)],  q of the source head;  "
        "R(s | y) = p(y | s) p(s) / sum_t p(y | t) p(t),  p(y | s) = softmax_y(a W)"
    ),
    source=f"You et al. 2020, section 3; {CODE}",
    fidelity="authors' code",
    citation=YOU_2020,
    options=CoTuningOptions,
)
