"""A classifier that weighs the cells of a map, each class by a weight of its own.

Source: glam-imperial/SoundPrototypeCriticism @ 968edb4, ``models_pytorch.py`` (attention pooling).

Shapes: B batch, D channels, T frames, F mels, C classes.
"""

from __future__ import annotations

from torch import Tensor, nn

SHIFT, LEAST, MOST = 0.1, 0.1, 0.9
"""What is added to the sigmoid of the weights, and what they are then held between."""


class AttentionClassifier(nn.Module):
    """Log-probabilities of every cell, averaged with weights that are learnt.

    At the start all weights are equal. Those whose sigmoid is above 0.8 get no gradient, as in the authors' code.

    Args:
        channels: Channels of a map.
        num_classes: Number of classes.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.att = nn.Conv2d(channels, num_classes, 1)
        self.cla = nn.Conv2d(channels, num_classes, 1)
        nn.init.zeros_(self.att.weight)
        nn.init.xavier_uniform_(self.cla.weight)
        for layer in (self.att, self.cla):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def weights(self, maps: Tensor) -> Tensor:
        """Weights (B, C, T * F) of the cells of maps (B, D, T, F), 0.1 to 0.9."""
        raw: Tensor = self.att(maps)
        return (raw.sigmoid() + SHIFT).clamp(LEAST, MOST).flatten(2)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, D, T, F), or a vector (B, D), which is a map of one cell, to logits (B, C)."""
        maps = maps if maps.ndim == 4 else maps[:, :, None, None]
        weights = self.weights(maps)
        scores: Tensor = self.cla(maps).flatten(2).log_softmax(dim=1)
        return (weights * scores).sum(2) / weights.sum(2)
