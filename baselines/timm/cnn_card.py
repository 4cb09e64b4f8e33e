"""Cards and options of the ResNets, EfficientNets and ResNeSts, which timm builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from baselines.shared_recipes import (
    BORROWED_RECIPE,
    CNN_RECIPE_GAP,
    CNN_RECIPES,
    LARGE_CNN_RECIPES,
    PATCHMIX_CODE,
    timm_weights,
)
from bench.core.cards import Fidelity, ModelCard, WeightsCard
from bench.core.options import Space, option
from bench.core.registry import Registry

STEMS = ("reinit", "sum")
STEM_DOC = "first convolution of RGB weights: drawn anew as the official code does, or summed over RGB"
CHANNELS_DOC = "channels of a picture; those of the front-end where it is not given, and with 3 RGB weights stay"


@dataclass(frozen=True, kw_only=True)
class StemOptions:
    """Options of the first convolution of a network, whose RGB one the official code drops."""

    stem: str = option("reinit", STEM_DOC, choices=STEMS)
    channels: int = option(1, CHANNELS_DOC, low=1, high=64, since=2)


@dataclass(frozen=True, kw_only=True)
class ResNetOptions(StemOptions):
    """Options of ResNet18, and those of all residual networks."""

    norm: str = option(
        "batch",
        "normalisation: of the batch, or `stochastic`: of the batch or by running statistics, drawn for each channel",
        choices=("batch", "stochastic"),
        since=2,
    )
    norm_p: float = option(
        0.5, "norm=stochastic: chance that a channel is normalised by the batch", low=0.0, high=1.0, since=2
    )
    norm_gradient: str = option(
        "own",
        "norm=stochastic: gradient of what was computed, or `moved`: by running statistics after their step "
        "(authors' side effect)",
        choices=("own", "moved"),
        since=2,
    )


@dataclass(frozen=True, kw_only=True)
class GreyResNetOptions(ResNetOptions):
    """Options of the residual networks that are published on three equal channels: one channel, summed, is the same."""

    stem: str = option("sum", STEM_DOC, choices=STEMS)


@dataclass(frozen=True, kw_only=True)
class EfficientNetOptions(StemOptions):
    """Options of the EfficientNets."""

    drop_path: float = option(
        0.2,
        "stochastic depth at the last block, rising linearly from 0; torchvision's and so the official",
        low=0,
        high=0.9,
        space=Space(low=0.0, high=0.5, grid=(0.0, 0.1, 0.2, 0.3)),
    )


RESNET_CITATION = """@inproceedings{he2016deep,
  title={Deep Residual Learning for Image Recognition},
  author={He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian},
  booktitle={CVPR},
  pages={770--778},
  year={2016}
}"""

EFFICIENTNET_CITATION = """@inproceedings{tan2019efficientnet,
  title={{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks},
  author={Tan, Mingxing and Le, Quoc V.},
  booktitle={ICML},
  pages={6105--6114},
  year={2019}
}"""

RESNEST_CITATION = """@inproceedings{zhang2022resnest,
  title={{ResNeSt}: Split-Attention Networks},
  author={Zhang, Hang and Wu, Chongruo and Zhang, Zhongyue and Zhu, Yi and Lin, Haibin and Zhang, Zhi and Sun, Yue and
    He, Tong and Mueller, Jonas and Manmatha, R. and Li, Mu and Smola, Alexander},
  booktitle={CVPR Workshops},
  pages={2735--2745},
  year={2022}
}"""

VARIANT_GAP = "Bae et al. do not say which of B0, B1 and B2 their row is; B0 stands for it [reconstruction]. "
RESPIRENET_GAP = (
    "RespireNet (Gairola et al. 2021) puts its own front-end, sampling and a larger head on this network; here it has "
    "a linear classifier on one channel. "
)
NGUYEN_GAP = (
    "Nguyen and Pernkopf (2022) fine-tune this network; their front-end and optimiser could not be read. Their picture "
    "is taken to be grey, so that the stem is summed [reconstruction]. "
)
RESNEST_GAP = (
    "Wang and Wang (2022) do not say how deep their ResNeSt is, and neither their text nor code could be read: "
    "resnest50 stands for it, at the lowest confidence of all [reconstruction]. "
)


def _card(
    id: str,  # noqa: A002
    title: str,
    summary: str,
    source: str,
    citation: str,
    fidelity: Fidelity,
    gaps: str,
    options: type,
    parameters: int,
    imagenet: WeightsCard,
    recipes: Mapping[str, Mapping[str, Any]] = CNN_RECIPES,
    channels_last: bool = True,
) -> ModelCard:
    return ModelCard(
        id=id,
        title=title,
        summary=summary,
        source=source,
        fidelity=fidelity,
        gaps=gaps,
        citation=citation,
        options=options,
        recipes=recipes,
        parameters=parameters,
        frontend="ast",
        channels_last=channels_last,
        weights={"imagenet": imagenet},
    )


def _resnet(
    depth: int, source: str, fidelity: Fidelity, gaps: str, options: type, parameters: int, **more: Any
) -> ModelCard:
    return _card(
        f"resnet{depth}",
        f"ResNet{depth}",
        f"Residual network of {depth} layers with a one-channel 7 x 7 stem.",
        f"He et al. 2016; {source}",
        RESNET_CITATION,
        fidelity,
        gaps,
        options,
        parameters,
        timm_weights("ImageNet-1k V1 of torchvision", f"resnet{depth}.tv_in1k", "BSD-3-Clause"),
        **more,
    )


def _efficientnet(variant: int, gaps: str, parameters: int, imagenet: WeightsCard) -> ModelCard:
    return _card(
        f"efficientnet-b{variant}",
        f"EfficientNet-B{variant}",
        f"EfficientNet-B{variant} with a one-channel stem, stochastic depth and no dropout.",
        f"Tan and Le 2019; {PATCHMIX_CODE}, models/efficientnet.py",
        EFFICIENTNET_CITATION,
        "authors' code",
        gaps + CNN_RECIPE_GAP,
        EfficientNetOptions,
        parameters,
        imagenet,
    )


def _resnest(depth: int, parameters: int, name: str, **more: Any) -> ModelCard:
    return _card(
        f"resnest{depth}",
        f"ResNeSt{depth}",
        f"Residual network of {depth} layers with split attention and a deep one-channel stem.",
        "Zhang et al. 2022; as used by Wang and Wang 2022 (ICASSP), known from Bae et al. 2023, table 1, alone",
        RESNEST_CITATION,
        "reconstruction",
        RESNEST_GAP + BORROWED_RECIPE,
        GreyResNetOptions,
        parameters,
        timm_weights("ImageNet-1k", name, "Apache-2.0"),
        # Split attention is no faster with it.
        channels_last=False,
        **more,
    )


# By timm's name of the architecture.
RESNETS = {
    "resnet18": _resnet(
        18, f"{PATCHMIX_CODE}, models/resnet.py", "authors' code", CNN_RECIPE_GAP, ResNetOptions, 11_172_292
    ),
    "resnet34": _resnet(
        34,
        "microsoft/RespireNet at 5e3f41a",
        "reconstruction",
        RESPIRENET_GAP + BORROWED_RECIPE,
        GreyResNetOptions,
        21_280_452,
    ),
    "resnet50": _resnet(
        50,
        "as used by Nguyen and Pernkopf 2022",
        "reconstruction",
        NGUYEN_GAP + BORROWED_RECIPE,
        GreyResNetOptions,
        23_509_956,
    ),
}

EFFICIENTNETS = {
    "efficientnet_b0": _efficientnet(
        0,
        VARIANT_GAP,
        4_012_096,
        timm_weights("ImageNet-1k, RandAugment", "efficientnet_b0.ra_in1k", "Apache-2.0"),
    ),
    "efficientnet_b1": _efficientnet(
        1, VARIANT_GAP, 6_517_732, timm_weights("ImageNet-1k", "efficientnet_b1.ft_in1k", "Apache-2.0")
    ),
    "efficientnet_b2": _efficientnet(
        2,
        VARIANT_GAP,
        7_706_054,
        timm_weights("ImageNet-1k, RandAugment", "efficientnet_b2.ra_in1k", "Apache-2.0"),
    ),
}

RESNESTS = {
    "resnest14d": _resnest(14, 8_570_308, "resnest14d.gluon_in1k"),
    "resnest26d": _resnest(26, 15_028_068, "resnest26d.gluon_in1k"),
    "resnest50d": _resnest(50, 25_441_860, "resnest50d.in1k", recipes=LARGE_CNN_RECIPES),
    "resnest101e": _resnest(101, 46_233_060, "resnest101e.in1k", recipes=LARGE_CNN_RECIPES),
}


def register(models: Registry[ModelCard]) -> None:
    """Add the families to the registry."""
    for builder, cards in (("resnet", RESNETS), ("efficientnet", EFFICIENTNETS), ("resnest", RESNESTS)):
        for name, card in cards.items():
            models.add(card.id, card, f"baselines.timm.cnn:{builder}", name)
