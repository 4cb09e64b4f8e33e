"""Options of the augmentation of a run; readable without torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.fields import identity_field
from bench.core.options import Space

SPECAUG_PROBABILITY = 0.8413447460685429
"""Φ(1): the official code compares p = 1.0 with a normal draw (@ 836b09f, ``util/augmentation.py``; SYSTEMS D5)."""


@dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """What is changed at random in the clips that a run trains on."""

    specaug_probability: float = identity_field(
        "chance that a sample is masked",
        SPECAUG_PROBABILITY,
        low=0.0,
        high=1.0,
        space=Space(low=0.0, high=1.0, grid=(0.0, 0.5, 1.0)),
    )
    specaug_freq_masks: int = identity_field("frequency masks per sample", 2, low=0, high=1000)
    specaug_freq_width: int = identity_field(
        "bins: widths are drawn below this", 48, low=0, high=1_000_000, space=Space(low=0, high=64, grid=(16, 32, 48))
    )
    specaug_time_masks: int = identity_field("time masks per sample", 2, low=0, high=1000)
    specaug_time_width: int = identity_field(
        "frames: widths are drawn below this",
        160,
        low=0,
        high=1_000_000,
        space=Space(low=0, high=256, grid=(80, 160, 240)),
    )
    specaug_together: bool = identity_field("whether one chance decides for all samples of a batch", False)
    specaug_fill: str = identity_field(
        "value under the masks: the spectrogram's mean, or the front-end's lowest", "mean", choices=("mean", "lowest")
    )
    time_shift: bool = identity_field("circular shift in time by a random number of frames", False)

    @property
    def changes_pictures(self) -> bool:
        """Whether spectrograms are shifted or masked."""
        return self.time_shift or self.specaug_probability > 0

    @property
    def changes_waveforms(self) -> bool:
        """Whether waveforms are changed before they are brought to length."""
        return False
