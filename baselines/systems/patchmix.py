"""Systems of Bae et al. 2023: the AST with cross-entropy and with Patch-Mix, and the CNNs that they fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from baselines.shared_recipes import CNN_RECIPE_GAP, PATCHMIX_CODE
from bench.core.cards import Quirk, SystemCard

CITATION = """@inproceedings{bae23b_interspeech,
  title={Patch-Mix Contrastive Learning with Audio Spectrogram Transformer on Respiratory Sound Classification},
  author={Bae, Sangmin and Kim, June-Woo and Cho, Won-Yang and Baek, Hyerim and Son, Soyoun and Lee, Byungjo and
    Ha, Changwan and Tae, Kyongpil and Kim, Sungnyun and Yun, Se-Young},
  booktitle={Proc. INTERSPEECH 2023},
  pages={5436--5440},
  year={2023},
  doi={10.21437/Interspeech.2023-1426}
}"""

SELECTION_NOTE = f"Best Score on the test part among epochs whose Se is above 5 ({PATCHMIX_CODE}, main.py line 459)."

AST_QUIRKS = (
    Quirk(
        code="The grid of pretrained positions is fitted with its rows and columns exchanged.",
        here="The same, since the printed numbers were made with it; model.pos_embed=corrected lays the grid right.",
        switch="model.pos_embed=official",
    ),
)
SCRATCH_GAP = "From scratch 200 epochs are printed; all else is taken from the scripts for pretrained weights."
EFFICIENTNET_GAP = f"Which of B0, B1 and B2 the row is, is not printed: B0 is run. {CNN_RECIPE_GAP}"
LICENCES = {"none": "", "imagenet": "Apache-2.0", "imagenet+audioset": "BSD-3-Clause"}


def _system(id: str, title: str, summary: str, pretrain: str, **more: Any) -> SystemCard:  # noqa: A002
    """A system of the paper; its licence is that of the AST's weights unless it says another."""
    return SystemCard(
        id=id,
        title=title,
        summary=summary,
        source=f"Bae et al. 2023; {PATCHMIX_CODE}",
        fidelity="authors' code",
        citation=CITATION,
        pretrain=pretrain,
        selection="best-test",
        selection_note=SELECTION_NOTE,
        **{"weights_licence": LICENCES[pretrain], **more},
    )


def _mixed(
    id: str,  # noqa: A002
    title: str,
    method: str,
    words: str,
    rows: tuple[str, ...],
    settings: Mapping[str, str] = MappingProxyType({}),
) -> SystemCard:
    """An AST that is fine-tuned with mixed patches."""
    return _system(
        id,
        title,
        f"Audio Spectrogram Transformer, fine-tuned from AudioSet weights with {words}.",
        "imagenet+audioset",
        model="ast",
        method=method,
        settings=settings,
        rows=rows,
        quirks=AST_QUIRKS,
    )


def _contrastive(ending: str, words: str, rows: tuple[str, ...], **changed: str) -> SystemCard:
    """Patch-Mix contrastive learning, as the paper chose it or with one choice changed (Table 2)."""
    choices = {"mix": "patch", "negatives": "all", "target": "stop-z", **changed}
    return _mixed(
        f"patchmix-cl{ending}",
        f"Patch-Mix CL{f', {words}' if words else ''}",
        "patchmix-cl",
        f"Patch-Mix contrastive learning{f', {words}' if words else ''}",
        rows,
        {f"method.{name}": choice for name, choice in choices.items()},
    )


SYSTEMS = (
    _system(
        "ast",
        "AST",
        "Audio Spectrogram Transformer, trained from scratch with weighted cross-entropy.",
        "none",
        model="ast",
        method="ce",
        rows=("table1/ast",),
        gaps=SCRATCH_GAP,
    ),
    _system(
        "ast-imagenet",
        "AST (ImageNet)",
        "Audio Spectrogram Transformer, fine-tuned from ImageNet weights with weighted cross-entropy.",
        "imagenet",
        model="ast",
        method="ce",
        rows=("table1/ast-in",),
        quirks=AST_QUIRKS,
    ),
    _system(
        "ast-audioset",
        "AST (ImageNet + AudioSet)",
        "Audio Spectrogram Transformer, fine-tuned from AudioSet weights with weighted cross-entropy.",
        "imagenet+audioset",
        model="ast",
        method="ce",
        rows=("table1/ast-in-as", "table2/ce", "table3/fine-tuning", "table3/fine-tuning-2class"),
        quirks=AST_QUIRKS,
    ),
    _mixed("patchmix-ce", "Patch-Mix CE", "patchmix-ce", "Patch-Mix", ("table2/ce-patch",)),
    _mixed("tpatchmix-ce", "T-Patch-Mix CE", "tpatchmix-ce", "T-Patch-Mix", ("table2/ce-tpatch",)),
    _contrastive("", "", ("table2/cl-patch", "table3/patchmix-cl", "table3/patchmix-cl-2class")),
    _contrastive("-t-patch", "mixing whole time columns", ("table2/cl-tpatch",), mix="t-patch"),
    _contrastive("-diff-y", "negatives of other classes", ("table2/cl-diff-y",), negatives="different-label"),
    _contrastive("-stop-hz", "target stop(h(z))", ("table2/cl-stop-hz",), target="stop-hz"),
    _contrastive("-z", "target z", ("table2/cl-z",), target="z"),
    _contrastive("-hz", "target h(z)", ("table2/cl-hz",), target="hz"),
    _system(
        "efficientnet",
        "EfficientNet",
        "EfficientNet-B0, trained from scratch with weighted cross-entropy.",
        "none",
        model="efficientnet-b0",
        method="ce",
        rows=("table1/efficientnet",),
        gaps=EFFICIENTNET_GAP,
    ),
    _system(
        "efficientnet-imagenet",
        "EfficientNet (ImageNet)",
        "EfficientNet-B0, fine-tuned from ImageNet weights with weighted cross-entropy.",
        "imagenet",
        model="efficientnet-b0",
        method="ce",
        rows=("table1/efficientnet-in",),
        gaps=EFFICIENTNET_GAP,
    ),
    _system(
        "resnet18",
        "ResNet18",
        "ResNet18, trained from scratch with weighted cross-entropy.",
        "none",
        model="resnet18",
        method="ce",
        rows=("table1/resnet18",),
        gaps=CNN_RECIPE_GAP,
    ),
    _system(
        "resnet18-imagenet",
        "ResNet18 (ImageNet)",
        "ResNet18, fine-tuned from ImageNet weights with weighted cross-entropy.",
        "imagenet",
        model="resnet18",
        method="ce",
        rows=("table1/resnet18-in",),
        gaps=CNN_RECIPE_GAP,
        weights_licence="BSD-3-Clause",
    ),
)
