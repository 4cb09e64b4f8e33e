"""Cards and options of the CNNs of PANNs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from baselines.shared_recipes import LARGE_CNN_RECIPES, PATCHMIX_CODE
from bench.core.cards import ModelCard, WeightsCard
from bench.core.options import option
from bench.core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class PANNsOptions:
    """Options of CNN6, CNN10 and CNN14."""

    MELS: ClassVar[int] = 64

    orientation: str = option(
        "time-mel",
        "picture that the convolutions see, rows by columns: time-mel as PANNs and Patch-Mix, mel-time as SCL",
        choices=("time-mel", "mel-time"),
    )
    mel_norm: bool = option(
        False,
        "batch normalisation of each of 64 mels before the first convolution, as PANNs have it and SCL leaves it out",
        since=5,
    )


CITATION = """@article{kong2020panns,
  title={{PANNs}: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition},
  author={Kong, Qiuqiang and Cao, Yin and Iqbal, Turab and Wang, Yuxuan and Wang, Wenwu and Plumbley, Mark D.},
  journal={IEEE/ACM Transactions on Audio, Speech, and Language Processing},
  volume={28},
  pages={2880--2894},
  year={2020}
}"""

SCL_CODE = "ilyassmoummad/scl_icbhi2017 at 76c4c99"
SCL_RECIPE_GAP = (
    "As the authors do, each batch is normalised by its own extremes, also in the test, so that a cycle's features "
    "depend on the clips beside it; --set frontend.normalise=cycle takes those of each cycle. They report 10 runs."
)

# Moummad and Farrugia 2023 (SYSTEMS 3.6): all of it is stated in their code.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "model.orientation": "mel-time",
        "batch": 128,
        "epochs": 400,
        "weight_decay": 1e-4,
        "step_average": 0.0,
        "schedule": "wave",
        "lr_period": 40,
        "lr_floor": 1e-6,
        "specaug_freq_width": 20,
        "specaug_time_width": 40,
        "specaug_fill": "lowest",
        "specaug_together": True,
        "drop_last": False,
        "frontend.normalise": "batch",
    },
    "paper:scratch": {"lr": 1e-3},
    "paper:pretrained": {"lr": 1e-4},
    "demo": LARGE_CNN_RECIPES["demo"],
}
POOLING = "mean over the second axis, then maximum plus mean over the first."


def _weights(name: str, average_precision: str, note: str = "", **checksum: str) -> WeightsCard:
    return WeightsCard(
        title=f"AudioSet (mAP {average_precision}){note}",
        source=f"PANNs, {name}_mAP={average_precision}.pth, Zenodo record 3987831",
        licence="CC-BY-4.0",
        location=f"https://zenodo.org/records/3987831/files/{name}_mAP%3D{average_precision}.pth?download=1",
        **checksum,
    )


def _card(
    id: str,  # noqa: A002
    summary: str,
    source: str,
    gaps: str,
    parameters: int,
    weights: Mapping[str, WeightsCard],
) -> ModelCard:
    return ModelCard(
        id=id,
        title=id.upper(),
        summary=f"{summary} {POOLING}",
        source=f"Kong et al. 2020; {source}",
        fidelity="authors' code",
        gaps=gaps,
        citation=CITATION,
        options=PANNsOptions,
        recipes=RECIPES,
        parameters=parameters,
        frontend="scl",
        channels_last=True,
        weights=weights,
    )


CARDS = (
    _card(
        "cnn6",
        "Four 5 x 5 convolution blocks of PANNs,",
        f"{PATCHMIX_CODE}, models/cnn6.py; {SCL_CODE}",
        f"The rows of Bae et al. are copied from Moummad and Farrugia, whose recipe this is. {SCL_RECIPE_GAP}",
        4_306_372,
        {"audioset": _weights("Cnn6", "0.343", md5="e25e26b84585b14c7754c91e48efc9be")},
    ),
    _card(
        "cnn10",
        "Four blocks of two 3 x 3 convolutions of PANNs,",
        SCL_CODE,
        SCL_RECIPE_GAP,
        4_688_196,
        {"audioset": _weights("Cnn10", "0.380", md5="bfb1f1f9968938fa8ef4012b8471f5f6")},
    ),
    _card(
        "cnn14",
        "Six blocks of two 3 x 3 convolutions of PANNs,",
        SCL_CODE,
        SCL_RECIPE_GAP,
        75_485_508,
        {
            "audioset": _weights(
                "Cnn14", "0.431", sha256="0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31"
            ),
            # For front-end log-mel-segments, whose spectrogram is the one that these were learnt on.
            "audioset-16k": _weights("Cnn14_16k", "0.438", " at 16 kHz", md5="362fc5ff18f1d6ad2f6d464b45893f2c"),
        },
    ),
)


def register(models: Registry[ModelCard]) -> None:
    """Add the family to the registry."""
    for card in CARDS:
        models.add(card.id, card, "baselines.panns.model:PANN", card.id)
