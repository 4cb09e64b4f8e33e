"""CNN6 of PANNs (Kong et al. 2020) as an encoder, as the official Patch-Mix code and SCL use it.

Shapes: B batch, T frames, F mels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from baselines.cards import CNN6Options
from baselines.state_dicts import Layout, own

WIDTHS = (64, 128, 256, 512)


def _panns_names(name: str) -> tuple[str, ...]:
    return () if name.startswith("classifier.") else (name,)


LAYOUTS = (
    # PANNs first: its file and ours share all names but the heads, and ours is then told by its classifier.
    Layout(
        title="PANNs",
        sources=_panns_names,
        unused=("spectrogram_extractor.", "logmel_extractor.", "bn0.", "fc1.", "fc_audioset."),
    ),
    own("LungBench or Patch-Mix"),
)


class ConvBlock(nn.Module):
    """5 x 5 convolution without bias, batch norm, ReLU and 2 x 2 mean pooling.

    Args:
        inputs: Channels before.
        outputs: Channels after.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        nn.init.xavier_uniform_(self.conv1.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, rows, columns) to (B, outputs, rows // 2, columns // 2)."""
        # In place: the gradients of ReLU and batch norm need no second copy of these maps, the largest of all.
        return avg_pool2d(relu(self.bn1(self.conv1(x)), inplace=True), kernel_size=2)


class CNN6(nn.Module):
    """Four convolution blocks, a two-step pooling and a linear classifier.

    Args:
        options: Orientation of the picture.
        num_classes: Outputs of the classifier.
    """

    layouts = LAYOUTS
    feature_dim = WIDTHS[-1]

    def __init__(self, options: CNN6Options, num_classes: int = 4) -> None:
        super().__init__()
        self.options = options
        self.conv_block1 = ConvBlock(1, WIDTHS[0])
        self.conv_block2 = ConvBlock(WIDTHS[0], WIDTHS[1])
        self.conv_block3 = ConvBlock(WIDTHS[1], WIDTHS[2])
        self.conv_block4 = ConvBlock(WIDTHS[2], WIDTHS[3])
        self.classifier = nn.Linear(self.feature_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to features (B, 512): mean over columns, then maximum plus mean over rows."""
        x = x if self.options.orientation == "time-mel" else x.transpose(2, 3)
        for block in (self.conv_block1, self.conv_block2, self.conv_block3, self.conv_block4):
            x = block(x)
        x = x.mean(dim=3)
        return x.amax(dim=2) + x.mean(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map spectrograms (B, 1, T, F) to logits (B, num_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def adapt(self, name: str, tensor: Tensor, layout: Layout) -> Tensor:
        """PANNs' tensors are used as they are."""
        return tensor
