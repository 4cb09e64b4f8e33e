"""The CNNs of PANNs (Kong et al. 2020) as encoders, as the official Patch-Mix code (CNN6) and SCL (all three) use them.

Shapes: B batch, T frames, F mels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from baselines.panns.card import PANNsOptions
from baselines.state_dicts import CheckpointLayout, own_layout
from bench.core.errors import SpecError


@dataclass(frozen=True)
class Geometry:
    """The geometry of one of the networks.

    Attributes:
        widths: Number of channels after each block.
        kernel: Side of the convolutions.
        convolutions: Number of convolutions of a block.
        pools: Side of the mean pooling at the end of each block.
    """

    widths: tuple[int, ...]
    kernel: int
    convolutions: int
    pools: tuple[int, ...]


GEOMETRIES = {
    "cnn6": Geometry((64, 128, 256, 512), 5, 1, (2, 2, 2, 2)),
    "cnn10": Geometry((64, 128, 256, 512), 3, 2, (2, 2, 2, 2)),
    "cnn14": Geometry((64, 128, 256, 512, 1024, 2048), 3, 2, (2, 2, 2, 2, 2, 1)),
}


def _panns_names(name: str) -> tuple[str, ...]:
    return () if name.startswith("classifier.") else (name,)


def _scl_names(name: str) -> tuple[str, ...]:
    return (name.replace("classifier.", "linear.", 1),)


LAYOUTS = (
    # PANNs first: its file and ours share all names but the heads, and ours is then told by its classifier.
    CheckpointLayout(
        title="PANNs",
        sources=_panns_names,
        unused=("spectrogram_extractor.", "logmel_extractor.", "bn0.", "fc1.", "fc_audioset."),
    ),
    own_layout("LungBench or Patch-Mix"),
    CheckpointLayout(title="SCL", sources=_scl_names, fitted=True),
)


class ConvBlock(nn.Module):
    """Convolutions without bias, each with batch norm and ReLU, then mean pooling.

    Args:
        inputs: Channels before.
        outputs: Channels after.
        kernel: Side of the convolutions.
        convolutions: Number of convolutions.
        pool: Side of the pooling.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, convolutions: int, pool: int) -> None:
        super().__init__()
        self.convolutions, self.pool = convolutions, pool
        for i in range(convolutions):
            conv = nn.Conv2d(outputs if i else inputs, outputs, kernel, padding=kernel // 2, bias=False)
            nn.init.xavier_uniform_(conv.weight)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, rows, columns) to (B, outputs, rows // pool, columns // pool)."""
        for i in range(1, self.convolutions + 1):
            conv, norm = self.get_submodule(f"conv{i}"), self.get_submodule(f"bn{i}")
            # In place: the gradients of ReLU and batch norm need no second copy of these maps, the largest of all.
            x = relu(norm(conv(x)), inplace=True)
        return avg_pool2d(x, self.pool) if self.pool > 1 else x


class PANN(nn.Module):
    """Convolution blocks, a two-step pooling and a linear classifier.

    Args:
        name: ``cnn6``, ``cnn10`` or ``cnn14``.
        options: Orientation of the picture.
        num_classes: Outputs of the classifier.
    """

    layouts = LAYOUTS

    def __init__(self, name: str, options: PANNsOptions, num_classes: int = 4) -> None:
        super().__init__()
        self.options = options
        if options.mel_norm:
            self.bn0 = nn.BatchNorm2d(options.MELS)
        geometry = GEOMETRIES[name]
        inputs = 1
        self.blocks = len(geometry.widths)
        for i, (width, pool) in enumerate(zip(geometry.widths, geometry.pools, strict=True), start=1):
            block = ConvBlock(inputs, width, geometry.kernel, geometry.convolutions, pool)
            self.add_module(f"conv_block{i}", block)
            inputs = width
        self.feature_dim = inputs
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to features (B, feature_dim).

        The maps' mean over columns, then the maximum plus the mean over rows.

        Raises:
            SpecError: If each mel is to be normalised, but there are not 64 of them.
        """
        if self.options.mel_norm:
            x = self._normalised_mels(x)
        x = x if self.options.orientation == "time-mel" else x.transpose(2, 3)
        for i in range(1, self.blocks + 1):
            x = self.get_submodule(f"conv_block{i}")(x)
        # Kong et al. pool frequency by its mean and time by maximum plus mean; SCL's transposed picture swaps the two.
        x = x.mean(dim=3)
        return x.amax(dim=2) + x.mean(dim=2)

    def _normalised_mels(self, x: Tensor) -> Tensor:
        """Normalise each mel of spectrograms (B, 1, T, 64) over the batch and time."""
        if x.shape[3] != self.options.MELS:
            raise SpecError(
                f"mel_norm normalises {self.options.MELS} mels, but the spectrogram has {x.shape[3]}.",
                "Use a front-end of 64 mels (log-mel-segments, scl), or --set model.mel_norm=false.",
            )
        normalised: Tensor = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        return normalised

    def forward(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The convolution blocks."""
        return [self.get_submodule(f"conv_block{i}") for i in range(1, self.blocks + 1)]

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor: the published networks have one channel and these shapes already."""
        return tensor
