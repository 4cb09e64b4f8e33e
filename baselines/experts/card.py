"""Cards and options of C-DNN and CNN-MoE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.shared_recipes import MOST_WIDTH
from bench.core.cards import ModelCard
from bench.core.options import Space, option
from bench.core.registry import Registry

BLOCKS = ("sadaco", "zffun")
"""Re-implementations of the backbone, by the name of who wrote them."""


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """Options of the backbone that both nets share."""

    blocks: str = option(
        "sadaco",
        "whose reading of the blocks: sadaco normalises again after the ReLU, pools in three and drops channels; zffun "
        "pools in five",
        choices=BLOCKS,
    )


@dataclass(frozen=True, kw_only=True)
class CDNNOptions(BackboneOptions):
    """Options of C-DNN."""

    hidden: int = option(1024, "width of the hidden layer of the head", low=1, high=MOST_WIDTH)
    dropout: float = option(0.3, "dropout after the hidden layer of the head", low=0.0, high=0.99)


@dataclass(frozen=True, kw_only=True)
class CNNMoEOptions(BackboneOptions):
    """Options of CNN-MoE."""

    experts: int = option(10, "number of experts of the head", low=1, high=1000, space=Space(grid=(1, 4, 10, 20)))


CITATION = """@article{pham2021cnnmoe,
  title={{CNN-MoE} Based Framework for Classification of Respiratory Anomalies and Lung Disease Detection},
  author={Pham, Lam and Phan, Huy and Palaniappan, Ramaswamy and Mertins, Alfred and McLoughlin, Ian},
  journal={IEEE Journal of Biomedical and Health Informatics},
  volume={25},
  number={8},
  pages={2938--2947},
  year={2021}
}"""

SADACO_CODE = "dlrudco/SADACO at 2134fd9, cnn_moe.py"
ZFFUN_CODE = "ZFFun/Cnn_Moe_Sprsound at 086a1c0"

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "lr": 1e-4,
        "batch": 50,
        "epochs": 100,
        "weight_decay": 1e-4,
        "step_average": 0.0,
        "schedule": "constant",
        "drop_last": False,
        "specaug_probability": 0.0,
        "vote": "mean",
    },
    # Patches of a quarter of the size and four times as coarse: an epoch of the simulated set takes seconds on a CPU.
    "demo": {
        "frontend.seconds": 1.0,
        "frontend.hop": 1024,
        "frontend.frames": 32,
        "frontend.bands": 32,
        "lr": 1e-3,
        "batch": 32,
        "epochs": 4,
        "weight_decay": 1e-4,
        "step_average": 0.0,
        "schedule": "constant",
        "specaug_probability": 0.0,
        "vote": "mean",
    },
}

RECIPE_GAP = (
    "The authors' code is not public. Learning rate, batch, epochs and the loss are those of the paper as far as they "
    "are known; the constant rate, the weight of the L2 term (1e-4, as coupled weight decay), the last batch that is "
    "kept and the selection of an epoch are a reconstruction. The demo recipe has patches of 32 x 32, one frame every "
    "64 ms, and 4 epochs."
)


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    for card in (C_DNN, CNN_MOE):
        models.add(card.id, card, "baselines.experts.model:ExpertNet")


C_DNN = ModelCard(
    id="c-dnn",
    title="C-DNN",
    summary=(
        "Six 3 x 3 convolution blocks on 64 x 64 patches of a cycle, global mean, a hidden layer of 1024 and a linear "
        "classifier."
    ),
    source=f"Pham et al. 2021, section V; backbone by a third party, {SADACO_CODE}",
    fidelity="reconstruction",
    gaps=f"The head is a reconstruction: no code of it was found. {RECIPE_GAP}",
    citation=CITATION,
    options=CDNNOptions,
    recipes=RECIPES,
    parameters=5_035_014,
    frontend="gammatone",
)

CNN_MOE = ModelCard(
    id="cnn-moe",
    title="CNN-MoE",
    summary=(
        "Six 3 x 3 convolution blocks on 64 x 64 patches of a cycle, global mean, and ten linear experts with ReLU "
        "whose outputs a softmax gate weighs."
    ),
    source=f"Pham et al. 2021, section V; net by third parties, {SADACO_CODE}, and {ZFFUN_CODE} (blocks=zffun)",
    fidelity="third-party code",
    gaps=(
        "Both third parties train on other data with other pictures; where they disagree (normalisation after the "
        "ReLU, pooling, dropout), sadaco is the default. Experts end in a ReLU, so that no score is negative before "
        f"the softmax. {RECIPE_GAP}"
    ),
    citation=CITATION,
    options=CNNMoEOptions,
    recipes=RECIPES,
    parameters=4_531_252,
    frontend="gammatone",
)
