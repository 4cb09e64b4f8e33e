"""Convolutional backbones of timm as encoders, initialised and filled as the official Patch-Mix code does.

Shapes: B batch, C channels (1 by default), T frames, F mels; the picture has T rows and F columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from torch import Tensor, nn

from baselines.state_dicts import CheckpointLayout, own_layout, renamed_sources, with_classifier_sources
from baselines.timm.blocks import repeated_blocks
from baselines.timm.cnn_card import EfficientNetOptions, ResNetOptions, StemOptions
from baselines.timm.stochastic_norm import with_stochastic_norms


class TimmCNN(nn.Module):
    """A timm backbone with global mean pooling and a linear classifier.

    Args:
        trunk: The backbone, without its own classifier.
        stem: Name of its first convolution.
        options: Channels, normalisation, and treatment of a pretrained RGB stem for another number of channels:
            ``reinit`` draws it anew, ``sum`` sums it over its colours.
        layouts: Layouts of files that fit it.
        num_classes: Outputs of the classifier.
    """

    def __init__(
        self,
        trunk: nn.Module,
        stem: str,
        options: StemOptions,
        layouts: tuple[CheckpointLayout, ...],
        num_classes: int,
    ) -> None:
        super().__init__()
        self.trunk: Any
        self.trunk = trunk
        self.stem = f"trunk.{stem}.weight"
        self.stem_from_rgb = options.stem
        self.layouts = layouts
        self.feature_dim = int(self.trunk.num_features)
        _initialise_as_torchvision(trunk, None if options.channels == 3 else stem)
        if isinstance(options, ResNetOptions) and options.norm == "stochastic":
            with_stochastic_norms(trunk, options.norm_p, options.norm_gradient)
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, C, T, F) to features (B, feature_dim)."""
        pooled: Tensor = self.trunk(x)
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, C, T, F) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The residual blocks, or what the architecture has in their place."""
        return repeated_blocks(self.trunk)

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Sum an RGB stem over its colours, or keep the fresh one (official: SYSTEMS 3.1)."""
        if name != self.stem:
            return tensor
        fresh: Tensor = self.state_dict()[name]
        if fresh.shape[1] == 3 or tensor.shape != (len(fresh), 3, *fresh.shape[2:]):
            return tensor
        return _summed(tensor, fresh.shape[1]) if self.stem_from_rgb == "sum" else fresh


def _summed(stem: Tensor, channels: int) -> Tensor:
    """Sum an RGB stem (outputs, 3, rows, columns) over its colours, and share the sum among equal channels."""
    return stem.sum(dim=1, keepdim=True).expand(-1, channels, -1, -1) / channels


def _initialise_as_torchvision(trunk: nn.Module, replaced: str | None) -> None:
    """Draw the convolutions by torchvision's law; the stem that the official code replaces, by torch's default."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if replaced is not None:
        first = trunk.get_submodule(replaced)
        assert isinstance(first, nn.Conv2d)
        first.reset_parameters()


OFFICIAL_NAMES: Mapping[str, Mapping[str, str]] = {
    "StochNorm": {"trunk.": "f_net.", "classifier.": "c_net."},
    "Co-Tuning": {"trunk.": "f_net.", "classifier.": "c_net_2.", "source_head.": "c_net_1.fc."},
}
"""Beginnings of names here and in the networks of thuml/StochNorm @ edca43d and thuml/CoTuning @ fc3eb54; the source
head is not the model's but the method's (``co-tuning``)."""


def _thuml_layout(title: str) -> CheckpointLayout:
    names = OFFICIAL_NAMES[title]
    backbone, classifier = (renamed_sources(ours, names[ours]) for ours in ("trunk.", "classifier."))
    head = names.get("source_head.", "").rstrip(".")
    return CheckpointLayout(
        title=f"thuml's {title}",
        sources=lambda name: backbone(name) or classifier(name),
        unused=(f"{head}.",) if head else (),
        fitted=True,
        head=head,
    )


def resnet(name: str, options: ResNetOptions, num_classes: int = 4) -> TimmCNN:
    """Build a ResNet (He et al. 2016) by timm's name; timm's names of tensors and torchvision's are the same."""
    trunk = timm.create_model(name, in_chans=options.channels, num_classes=0, zero_init_last=False)
    names = renamed_sources("trunk.", "")
    layouts = (
        own_layout(),
        CheckpointLayout(title="timm or torchvision", sources=names, unused=("fc.",), head="fc"),
        CheckpointLayout(title="Patch-Mix", sources=with_classifier_sources(names), fitted=True),
        *map(_thuml_layout, OFFICIAL_NAMES),
    )
    return TimmCNN(trunk, "conv1", options, layouts, num_classes)


def resnest(name: str, options: ResNetOptions, num_classes: int = 4) -> TimmCNN:
    """Build a ResNeSt (Zhang et al. 2022) by timm's name."""
    trunk = timm.create_model(name, in_chans=options.channels, num_classes=0)
    names = renamed_sources("trunk.", "")
    layouts = (own_layout(), CheckpointLayout(title="timm", sources=names, unused=("fc.",), head="fc"))
    return TimmCNN(trunk, "conv1.0", options, layouts, num_classes)


def efficientnet(name: str, options: EfficientNetOptions, num_classes: int = 4) -> TimmCNN:
    """Build an EfficientNet (Tan and Le 2019) with torchvision's stochastic depth and without dropout."""
    trunk = timm.create_model(name, in_chans=options.channels, num_classes=0, drop_path_rate=options.drop_path)
    layouts = (
        own_layout(),
        CheckpointLayout(
            title="timm", sources=renamed_sources("trunk.", ""), unused=("classifier.",), head="classifier"
        ),
        CheckpointLayout(
            title="torchvision",
            sources=_torchvision_efficientnet_names,
            unused=("classifier.",),
            head="classifier.1",
        ),
        CheckpointLayout(
            title="Patch-Mix", sources=with_classifier_sources(_torchvision_efficientnet_names), fitted=True
        ),
    )
    return TimmCNN(trunk, "conv_stem", options, layouts, num_classes)


# Parts of a block by their place in torchvision: a block of the first stage has no expansion.
_FIRST_STAGE = {"conv_dw": "0.0", "bn1": "0.1", "se": "1", "conv_pw": "2.0", "bn2": "2.1"}
_OTHER_STAGES = {
    "conv_pw": "0.0",
    "bn1": "0.1",
    "conv_dw": "1.0",
    "bn2": "1.1",
    "se": "2",
    "conv_pwl": "3.0",
    "bn3": "3.1",
}
_ENDS = {"conv_stem": "0.0", "bn1": "0.1", "conv_head": "8.0", "bn2": "8.1"}
_SQUEEZE = {"conv_reduce": "fc1", "conv_expand": "fc2"}


def _torchvision_efficientnet_names(name: str) -> tuple[str, ...]:
    """Torchvision's name of a tensor: ``trunk.blocks.1.0.se.conv_reduce.bias`` is ``features.2.0.block.2.fc1.bias``."""
    if not name.startswith("trunk."):
        return ()
    words = name.split(".")[1:]
    if words[0] != "blocks":
        return (f"features.{_ENDS[words[0]]}.{words[1]}",)
    stage, block, part, *rest = words[1:]
    place = (_FIRST_STAGE if stage == "0" else _OTHER_STAGES)[part]
    tail = ".".join(_SQUEEZE.get(word, word) for word in rest)
    return (f"features.{int(stage) + 1}.{block}.block.{place}.{tail}",)
