"""The networks of LungBRN (``bi-resnet``) and LungRN+NL (``resnet-nl``).

Source: SJTU-YONGFU-RESEARCH-GRP/Lung-Sound-Classification-System-LungSys-I @ 83f3d17 and 6450040,
``Bi-Resnet/model/bnn.py``. Of the authors' modules those are here that their forward pass uses.

Shapes: B batch, H by W the picture, rows are frequency.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import relu

from baselines.lungsys.blocks import GROUPS, NonLocalBlock, PreActivationBlock
from baselines.lungsys.card import BiResNetOptions, ResNetNLOptions
from baselines.state_dicts import CheckpointLayout, own_layout
from bench.core.errors import SpecError
from bench.core.inputs import by_name

CHANNELS = 64
DOWN_BLOCKS, BLOCKS = 2, 7
"""Blocks of each network that halve the map, and those that follow."""

NON_LOCAL_AFTER = (1, 3, 5, 6)
"""Blocks, counted from 1 after those that halve the map, that a non-local block follows."""


def _branch_names(ours: str, number: int) -> dict[str, str]:
    """The authors' names for the modules of a branch, which they number by 0 and 1."""
    down = {f"{ours}layers.down{i + 1}.": f"ResNet_{number}_{i}." for i in range(DOWN_BLOCKS)}
    blocks = {f"{ours}layers.block{i + 1}.": f"ResNet_{2 * i + number}." for i in range(BLOCKS)}
    return {f"{ours}stem.": f"conv{number}.", **down, **blocks, f"{ours}norm.": f"norm{number}."}


CLASSIFIER_NAMES = {"classifier.0.": "linear."}

OFFICIAL_NAMES: Mapping[str, Mapping[str, str]] = {
    "bi-resnet": {**_branch_names("stft.", 0), **_branch_names("wavelet.", 1), **CLASSIFIER_NAMES},
    "resnet-nl": {
        **_branch_names("stft.", 0),
        **{f"stft.layers.non_local{i + 1}.": f"nonLocal{i + 1}." for i in range(len(NON_LOCAL_AFTER))},
        **CLASSIFIER_NAMES,
    },
}
"""By model, beginnings of names in our state dicts and what they are in the authors'."""

UNUSED_NAMES = {
    "bi-resnet": tuple(f"ResNet_{i}." for i in range(14, 18)),
    "resnet-nl": tuple(_branch_names("", 1).values()),
}
"""By model, beginnings of the names of modules that the authors' forward pass does not reach."""


def _official_sources(names: Mapping[str, str], name: str) -> tuple[str, ...]:
    ours = next(prefix for prefix in names if name.startswith(prefix))
    return (names[ours] + name.removeprefix(ours),)


def _layouts(model: str) -> tuple[CheckpointLayout, ...]:
    official = partial(_official_sources, OFFICIAL_NAMES[model])
    return (
        own_layout(),
        CheckpointLayout(title="LungSys", sources=official, unused=UNUSED_NAMES[model], fitted=True),
    )


class Branch(nn.Module):
    """A 3 x 3 convolution without padding, residual blocks, group normalisation, ReLU and the mean over the map.

    Args:
        dropout: Rate after each convolution of a block.
        after: Modules by name that follow a block, by the block's number, counted from 1.
    """

    def __init__(self, dropout: float, after: Mapping[int, Mapping[str, nn.Module]] | None = None) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS, 3)
        self.layers = nn.Sequential()
        for i in range(1, DOWN_BLOCKS + 1):
            self.layers.add_module(f"down{i}", PreActivationBlock(CHANNELS, dropout, stride=2))
        for i in range(1, BLOCKS + 1):
            self.layers.add_module(f"block{i}", PreActivationBlock(CHANNELS, dropout))
            for name, module in (after or {}).get(i, {}).items():
                self.layers.add_module(name, module)
        self.norm = nn.GroupNorm(GROUPS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 1, H, W) to features (B, 64)."""
        return relu(self.norm(self.layers(self.stem(x)))).mean(dim=(2, 3))


def _classifier(dropout: float, num_classes: int) -> nn.Sequential:
    """A linear layer with dropout on its outputs, as the authors have it."""
    return nn.Sequential(nn.Linear(CHANNELS, num_classes), nn.Dropout(dropout))


class BiResNet(nn.Module):
    """Two branches whose features are multiplied, and a linear classifier with dropout on the logits.

    Args:
        options: Rate of dropout.
        num_classes: Outputs of the classifier.
    """

    feature_dim = CHANNELS

    def __init__(self, options: BiResNetOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.layouts = _layouts("bi-resnet")
        self.stft, self.wavelet = Branch(options.dropout), Branch(options.dropout)
        self.classifier = _classifier(options.dropout, num_classes)

    def features(self, x: Mapping[str, Tensor]) -> Tensor:
        """Map pictures ``stft`` and ``wavelet``, each (B, 1, H, W), to features (B, 64).

        Raises:
            SpecError: If one of them is not there.
        """
        pictures: Mapping[str, Tensor] = by_name(x)
        if not {"stft", "wavelet"} <= set(pictures):
            given = ", ".join(sorted(pictures)) or "one without a name"
            raise SpecError(
                f"The model bi-resnet reads the inputs stft and wavelet, but was given {given}.",
                "Use a front-end that makes both, e.g. --frontend lungbrn.",
            )
        product: Tensor = self.stft(pictures["stft"]) * self.wavelet(pictures["wavelet"])
        return product

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        """Map pictures ``stft`` and ``wavelet``, each (B, 1, H, W), to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The blocks of both branches."""
        return [*self.stft.layers, *self.wavelet.layers]

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor, whose geometry is this one."""
        return tensor


def _non_local_blocks(options: ResNetNLOptions) -> dict[int, dict[str, nn.Module]]:
    """Non-local blocks, each with a ReLU, by the number of the block that they follow."""
    half = CHANNELS // 2
    return {
        place: {
            f"non_local{i}": NonLocalBlock(CHANNELS, half, options.nl_softmax, options.nl_transpose),
            f"relu{i}": nn.ReLU(),
        }
        for i, place in enumerate(NON_LOCAL_AFTER, start=1)
    }


class ResNetNL(nn.Module):
    """A branch with non-local blocks, and a linear classifier with dropout on the logits.

    Args:
        options: Rate of dropout, and the form of the non-local blocks.
        num_classes: Outputs of the classifier.
    """

    feature_dim = CHANNELS

    def __init__(self, options: ResNetNLOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.layouts = _layouts("resnet-nl")
        self.stft = Branch(options.dropout, _non_local_blocks(options) if options.non_local else None)
        self.classifier = _classifier(options.dropout, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map pictures (B, 1, H, W) to features (B, 64)."""
        features: Tensor = self.stft(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 1, H, W) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The residual and the non-local blocks."""
        return [layer for layer in self.stft.layers if not isinstance(layer, nn.ReLU)]

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor, whose geometry is this one."""
        return tensor
