"""CNN8, CNN8 with prototypes, CNN8-dilated and ResNet-dilated.

Source: L3S/PrototypeSound @ 5116de7 (Ren et al. 2022) and glam-imperial/SoundPrototypeCriticism @ 968edb4 (Chang et al.
2022), ``models_pytorch.py``. Their networks begin with the spectrogram and end with log-probabilities: here the
front-end ``l3s`` makes the first, and the loss the second.

Shapes: B batch, T frames, F mels, D channels, P prototypes, C classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.prototypes.attention import AttentionClassifier
from baselines.prototypes.card import CNN8Options, DilatedOptions, PrototypeOptions
from baselines.prototypes.encoder import Encoder, Kind
from baselines.prototypes.similarity import PrototypeLayer, prototype_likeness
from baselines.state_dicts import CheckpointLayout, own_layout
from bench.core.errors import SpecError

OFFICIAL_NAMES = {
    "encoder.": "cnn_encoder.",
    "classifier.att.": "attention.att.",
    "classifier.cla.": "attention.cla.",
    "classifier.": "fc_final.",
    "prototype_layer.prototypes": "prototypelayer.prototype",
    "prototype_layer.linear.": "prototypelayer.fc.",
}
"""Beginnings of our names and of the authors', the first that fits; for the norm of prototypes see
:func:`official_name`."""

MAP_DROPOUT = 0.5
"""Dropout of the map before it is compared with prototypes."""

POOLING = 16
"""Cells of a picture in each direction that become one cell of a map of CNN8."""


def official_name(name: str, *, vector: bool = False) -> str:
    """The authors' name of a tensor of ours.

    Args:
        name: Name in our state dict.
        vector: Whether prototypes are vectors; their norm is then the authors' ``ln``, else their ``bn``.
    """
    names = {**OFFICIAL_NAMES, "prototype_layer.norm.": f"prototypelayer.{'ln' if vector else 'bn'}."}
    ours = next(beginning for beginning in names if name.startswith(beginning))
    return names[ours] + name.removeprefix(ours)


def _layouts(*, vector: bool = False) -> tuple[CheckpointLayout, ...]:
    authors = CheckpointLayout(
        title="PrototypeSound or SoundPrototypeCriticism",
        sources=lambda name: (official_name(name, vector=vector),),
        unused=("spectrogram_extractor.", "logmel_extractor.", "prototypelayer.", "fc_final."),
        fitted=True,
    )
    return own_layout(), authors


class _Network(nn.Module):
    """What the networks share: an encoder, whose blocks can be computed twice, and files that fit as they are.

    Args:
        kind: Kind of the encoder.
        options: Width and mels.
    """

    layouts = _layouts()

    def __init__(self, kind: Kind, options: CNN8Options) -> None:
        super().__init__()
        self.options = options
        self.encoder = Encoder(kind, options.mels, options.width)
        self.feature_dim = self.encoder.channels

    def checkpoint_blocks(self) -> list[nn.Module]:
        """The blocks of the encoder."""
        return self.encoder.blocks()

    def adapt(self, name: str, tensor: Tensor, layout: CheckpointLayout) -> Tensor:
        """Return the file's tensor, which has our shape already."""
        return tensor


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class MaxPoolNetwork(_Network):
    """An encoder, the maximum over the map, and a linear classifier.

    Args:
        kind: Kind of the encoder.
        options: Width and mels.
        num_classes: Outputs of the classifier.
    """

    def __init__(self, kind: Kind, options: CNN8Options, num_classes: int = 4) -> None:
        super().__init__(kind, options)
        self.classifier = _linear(self.feature_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to features (B, D)."""
        maps: Tensor = self.encoder(x)
        return maps.amax((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to logits (B, C)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits


class AttentionNetwork(_Network):
    """An encoder and a classifier of its map that weighs cells.

    ``features`` are the mean over the map, and ``classifier`` takes them as a map of one cell: as long as all weights
    are equal, as they are at the start and where the classifier is trained on features alone, both ways give the same
    probabilities.

    Args:
        kind: Kind of the encoder.
        options: Width and mels.
        num_classes: Outputs of the classifier.
    """

    def __init__(self, kind: Kind, options: CNN8Options, num_classes: int = 4) -> None:
        super().__init__(kind, options)
        self.classifier = AttentionClassifier(self.feature_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to features (B, D)."""
        maps: Tensor = self.encoder(x)
        return maps.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to logits (B, C), which are means of log-probabilities."""
        logits: Tensor = self.classifier(self.encoder(x))
        return logits


class PrototypeNetwork(_Network):
    """CNN8, the similarities of its map to prototypes of the classes, and a linear classifier without bias.

    Args:
        options: Width, size of the picture, form and number of the prototypes, weight of their likeness in the loss.
        num_classes: Outputs of the classifier.

    Raises:
        SpecError: If a picture is too small for a map.
    """

    def __init__(self, options: PrototypeOptions, num_classes: int = 4) -> None:
        super().__init__("pooled", options)
        self.layouts = _layouts(vector=options.prototypes == "vector1d")
        cells = options.frames // POOLING, options.mels // POOLING
        if not min(cells):
            raise SpecError(
                f"CNN8-Pt takes pictures of at least {POOLING} frames and mels, but these are {options.frames} by "
                f"{options.mels}.",
                "Make the clips longer (--set frontend.seconds=…).",
            )
        count = num_classes * options.per_class
        self.prototype_options, self.num_classes, self.feature_dim = options, num_classes, count
        self.dropout = nn.Dropout(MAP_DROPOUT)
        self.prototype_layer = PrototypeLayer(options.prototypes, count, self.encoder.channels, cells)
        self.classifier = _linear(count, num_classes, bias=False)

    def features(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to similarities (B, P)."""
        similarities: Tensor = self.prototype_layer(self.dropout(self.encoder(x)))
        return similarities

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (B, 3, T, F) to logits (B, C)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def penalties(self) -> dict[str, Tensor]:
        """What is added to the loss: how alike prototypes of different classes are, by its weight."""
        options, prototypes = self.prototype_options, self.prototype_layer.prototypes
        likeness = prototype_likeness(prototypes, self.num_classes, ratio=options.likeness_ratio)
        return {"likeness": options.likeness * likeness}


def dilated(kind: Kind, options: DilatedOptions, num_classes: int = 4) -> nn.Module:
    """CNN8-dilated or ResNet-dilated, with the head that the options name."""
    network = AttentionNetwork if options.head == "attention" else MaxPoolNetwork
    return network(kind, options, num_classes)
