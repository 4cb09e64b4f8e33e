"""Card and options of front-end ``log-mel-segments``, readable without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.options import option
from bench.data.frontends.options import SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """Options of front-end ``log-mel-segments``; window, hop and mels are those of PANNs at 16 kHz."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("seconds", "segment")
    HOP: ClassVar[int] = 160
    LOWEST_HZ: ClassVar[float] = 50.0
    HIGHEST_HZ: ClassVar[float] = 8000.0

    seconds: float = option(
        8.0, "length that every cycle is repeated or cut to before it is cut into segments, s", low=0.5, high=60.0
    )
    segment: float = option(
        2.0,
        "length of a segment, s; of a shorter cycle, that of the cycle, and a shorter rest is left out",
        low=0.1,
        high=60.0,
    )
    mels: int = option(64, "mel filters between 50 Hz and 8 kHz", low=16, high=256)
    window: int = option(512, "samples of a frame at 16 kHz", low=256, high=4096)
    normalise: str = option(
        "none",
        "what becomes of the decibels: left as they are (PANNs), or each segment less its mean, by its deviation",
        choices=("none", "segment"),
    )

    @property
    def samples(self) -> int:
        """Samples of a segment at 16 kHz."""
        return round(min(self.segment, self.seconds) * SAMPLE_RATE)

    @property
    def segments(self) -> int:
        """Segments of a cycle."""
        return max(1, round(self.seconds * SAMPLE_RATE) // self.samples)

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one segment: (201, 64) at 2 s; frames are centred on every 160th sample."""
        return 1 + self.samples // self.HOP, self.mels

    def pieces(self, seconds: Sequence[float]) -> list[int]:
        """Count the segments of cycles: all have the same number.

        Args:
            seconds: Annotated duration of each cycle.
        """
        return [self.segments] * len(seconds)


CARD = FrontEndCard(
    id="log-mel-segments",
    title="Log-mel segments",
    summary=(
        "Whole recording to 16 kHz, fades, cycle repeated to 8 s and cut into four segments of 2 s; of each, 64 mels "
        "of 50-8000 Hz every 10 ms in decibels, as PANNs at 16 kHz make them: 201 x 64 per segment."
    ),
    source=(
        "Pham et al. 2022 (EMBC), abstract (cropped segments); lengths are choices made here; spectrogram of "
        "qiuqiangkong/audioset_tagging_cnn @ d2f4b8c, Cnn14_16k"
    ),
    fidelity="reconstruction",
    citation=(
        "@inproceedings{pham2022ensemble, title={An Ensemble of Deep Learning Frameworks for Predicting Respiratory "
        "Anomalies}, author={Pham, Lam and Ngo, Dat and Tran, Khoa and Hoang, Truong and Schindler, Alexander and "
        "McLoughlin, Ian}, booktitle={International Conference of the IEEE Engineering in Medicine and Biology Society "
        "(EMBC)}, year={2022}}"
    ),
    options=SegmentOptions,
    version=1,
)
