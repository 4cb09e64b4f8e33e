"""What is known of each model, and its options; read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cards import ModelCard, WeightsCard
from bench.options import option

PATCHMIX_CODE = "raymin0223/patch-mix_contrastive_learning at 836b09f"


@dataclass(frozen=True, kw_only=True)
class ASTOptions:
    """Options of the Audio Spectrogram Transformer; the defaults are the base geometry (``ast``)."""

    embed_dim: int = option(768, "width of a token", low=2)
    depth: int = option(12, "number of transformer blocks", low=1)
    heads: int = option(12, "attention heads in a block; a divisor of embed_dim", low=1)
    patch_size: int = option(16, "side of a square patch, in mel bins and frames", low=1)
    stride: int = option(10, "distance between patches, in mel bins and frames", low=1)
    frames: int = option(798, "frames of a spectrogram", low=1)
    mels: int = option(128, "mel bins of a spectrogram", low=1)
    pos_embed: str = option(
        "official",
        "how a pretrained position grid is laid on the tokens: as the official call does (axes swapped), or corrected",
        choices=("official", "corrected"),
    )
    initialisation: str = option("timm", "law of the untrained weights", choices=("timm", "xavier"))


@dataclass(frozen=True, kw_only=True)
class ASTSmallOptions(ASTOptions):
    """Options of the small AST."""

    embed_dim: int = option(384, "width of a token", low=2)
    heads: int = option(6, "attention heads in a block; a divisor of embed_dim", low=1)


@dataclass(frozen=True, kw_only=True)
class ASTTinyOptions(ASTOptions):
    """Options of the tiny AST."""

    embed_dim: int = option(192, "width of a token", low=2)
    heads: int = option(3, "attention heads in a block; a divisor of embed_dim", low=1)


@dataclass(frozen=True, kw_only=True)
class ResNetOptions:
    """Options of the ResNets."""

    stem: str = option(
        "reinit",
        "first convolution of RGB weights: drawn anew as the official code does, or summed over RGB",
        choices=("reinit", "sum"),
    )


@dataclass(frozen=True, kw_only=True)
class EfficientNetOptions(ResNetOptions):
    """Options of the EfficientNets."""

    drop_path: float = option(
        0.2,
        "stochastic depth at the last block, rising linearly from 0; torchvision's and so the official",
        low=0,
        high=0.9,
    )


@dataclass(frozen=True, kw_only=True)
class CNN6Options:
    """Options of CNN6."""

    orientation: str = option(
        "time-mel",
        "picture that the convolutions see, rows by columns: time-mel as PANNs and Patch-Mix, mel-time as SCL",
        choices=("time-mel", "mel-time"),
    )


AST_CITATION = """@inproceedings{gong2021ast,
  title={{AST}: Audio Spectrogram Transformer},
  author={Gong, Yuan and Chung, Yu-An and Glass, James},
  booktitle={Interspeech},
  pages={571--575},
  year={2021}
}"""

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

CNN6_CITATION = """@article{kong2020panns,
  title={{PANNs}: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition},
  author={Kong, Qiuqiang and Cao, Yin and Iqbal, Turab and Wang, Yuxuan and Wang, Wenwu and Plumbley, Mark D.},
  journal={IEEE/ACM Transactions on Audio, Speech, and Language Processing},
  volume={28},
  pages={2880--2894},
  year={2020}
}"""

AST_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {"lr": 5e-5, "batch": 8, "weight_decay": 1e-6, "step_average": 0.5},
    "paper:pretrained": {"epochs": 50},
    "paper:scratch": {"epochs": 200},
    "demo": {
        "model.embed_dim": 64,
        "model.depth": 2,
        "model.heads": 2,
        "model.stride": 16,
        "model.initialisation": "xavier",
        "frontend.seconds": 4.0,
        "epochs": 14,
        "batch": 16,
        "lr": 1e-3,
        "weight_decay": 1e-6,
        "step_average": 0.0,
        "warmup_epochs": 2,
        "time_shift": True,
        "specaug_probability": 0.0,
    },
}

CNN_RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {"lr": 1e-3, "batch": 128, "epochs": 200, "weight_decay": 1e-6, "step_average": 0.5},
    "demo": {
        "frontend.seconds": 2.0,
        "epochs": 5,
        "batch": 16,
        "lr": 1e-3,
        "weight_decay": 1e-6,
        "step_average": 0.0,
        "time_shift": True,
        "specaug_probability": 0.0,
    },
}

# An epoch of CNN6 on the simulated set costs four of ResNet18.
CNN6_RECIPES: Mapping[str, Mapping[str, Any]] = {**CNN_RECIPES, "demo": {**CNN_RECIPES["demo"], "epochs": 3}}


def _timm_weights(title: str, name: str, licence: str) -> WeightsCard:
    return WeightsCard(title=title, source=f"timm {name}", licence=licence, location=f"timm:{name}")


def _deit(name: str, size: str) -> WeightsCard:
    return _timm_weights(f"ImageNet-1k, distilled DeiT {size}", f"{name}.fb_in1k", "Apache-2.0")


AUDIOSET_AST = WeightsCard(
    title="ImageNet-1k, then full AudioSet (mAP 0.4593, weight-averaged)",
    source="YuanGongND/ast, audioset_10_10_0.4593.pth; the same tensors as MIT/ast-finetuned-audioset-10-10-0.4593",
    licence="BSD-3-Clause",
    location="hf:MIT/ast-finetuned-audioset-10-10-0.4593/model.safetensors",
)

PANNS_CNN6 = WeightsCard(
    title="AudioSet (mAP 0.343)",
    source="PANNs, Cnn6_mAP=0.343.pth, Zenodo record 3987831",
    licence="CC-BY-4.0",
    location="https://zenodo.org/records/3987831/files/Cnn6_mAP%3D0.343.pth?download=1",
)


def _ast(
    id: str,  # noqa: A002
    size: str,
    parameters: int,
    options: type,
    weights: Mapping[str, WeightsCard],
    default_pretrain: str = "none",
) -> ModelCard:
    return ModelCard(
        id=id,
        title=f"AST ({size})",
        summary=f"Audio Spectrogram Transformer on a distilled DeiT trunk, {size} geometry: 16 x 16 patches at stride "
        "10, the mean of class and distillation token as feature, layer norm and a linear layer as classifier.",
        source=f"Gong et al. 2021; as used by Bae et al. 2023, section 3.1, and {PATCHMIX_CODE}, models/ast.py",
        fidelity="authors' code",
        citation=AST_CITATION,
        options=options,
        recipes=AST_RECIPES,
        parameters=parameters,
        frontend="ast",
        patches=True,
        weights=weights,
        default_pretrain=default_pretrain,
    )


def _cnn(
    id: str,  # noqa: A002
    title: str,
    summary: str,
    source: str,
    citation: str,
    options: type,
    parameters: int,
    weights: Mapping[str, WeightsCard],
    recipes: Mapping[str, Mapping[str, Any]] = CNN_RECIPES,
) -> ModelCard:
    return ModelCard(
        id=id,
        title=title,
        summary=summary,
        source=source,
        fidelity="authors' code",
        citation=citation,
        options=options,
        recipes=recipes,
        parameters=parameters,
        frontend="ast",
        weights=weights,
    )


RECIPE_GAP = (
    " Bae et al. print learning rate, batch and epochs; their weight decay, schedule and SpecAugment for CNNs are "
    "not stated and taken from their AST scripts [reconstruction]."
)

CARDS = (
    _ast(
        "ast",
        "base",
        85_989_124,
        ASTOptions,
        {"imagenet": _deit("deit_base_distilled_patch16_384", "base 384"), "imagenet+audioset": AUDIOSET_AST},
        default_pretrain="imagenet+audioset",
    ),
    _ast(
        "ast-small",
        "small",
        21_760_900,
        ASTSmallOptions,
        {"imagenet": _deit("deit_small_distilled_patch16_224", "small 224")},
    ),
    _ast(
        "ast-tiny",
        "tiny",
        5_572_036,
        ASTTinyOptions,
        {"imagenet": _deit("deit_tiny_distilled_patch16_224", "tiny 224")},
    ),
    _cnn(
        "resnet18",
        "ResNet18",
        "Residual network of 18 layers with a one-channel 7 x 7 stem." + RECIPE_GAP,
        f"He et al. 2016; {PATCHMIX_CODE}, models/resnet.py",
        RESNET_CITATION,
        ResNetOptions,
        11_172_292,
        {"imagenet": _timm_weights("ImageNet-1k V1 of torchvision", "resnet18.tv_in1k", "BSD-3-Clause")},
    ),
    _cnn(
        "efficientnet-b0",
        "EfficientNet-B0",
        "EfficientNet-B0 with a one-channel stem, stochastic depth and no dropout; the paper does not say which of "
        "B0, B1 and B2 its row is [reconstruction]." + RECIPE_GAP,
        f"Tan and Le 2019; {PATCHMIX_CODE}, models/efficientnet.py",
        EFFICIENTNET_CITATION,
        EfficientNetOptions,
        4_012_096,
        {"imagenet": _timm_weights("ImageNet-1k, RandAugment", "efficientnet_b0.ra_in1k", "Apache-2.0")},
    ),
    _cnn(
        "cnn6",
        "CNN6",
        "Four 5 x 5 convolution blocks of PANNs, mean over the second axis, then maximum plus mean over the first. "
        "The rows of Bae et al. are copied from Moummad and Farrugia, who train 400 epochs on another front-end."
        + RECIPE_GAP,
        f"Kong et al. 2020; {PATCHMIX_CODE}, models/cnn6.py; ilyassmoummad/scl_icbhi2017 at 76c4c99",
        CNN6_CITATION,
        CNN6Options,
        4_306_372,
        {"audioset": PANNS_CNN6},
        CNN6_RECIPES,
    ),
)
