"""Card and options of front-end ``l3s``: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.options import option

RATE = 4000
"""Rate of every recording after resampling, Hz."""


@dataclass(frozen=True, kw_only=True)
class L3SOptions:
    """Options of front-end ``l3s``; the defaults are the authors' (L3S/PrototypeSound @ 5116de7)."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("resampler", "storage")
    WINDOW: ClassVar[int] = 256
    HOP: ClassVar[int] = 128
    MELS: ClassVar[int] = 128
    LOWEST_HZ: ClassVar[float] = 20.0
    HIGHEST_HZ: ClassVar[float] = 2000.0

    seconds: float = option(4.0, "length that every cycle is repeated or cut to, in seconds", low=0.1, high=60.0)
    resampler: str = option(
        "soxr-hq",
        "how recordings come to 4 kHz: soxr-hq is librosa's default since 0.10, kaiser-best the one before (slower), "
        "which the authors most probably had",
        choices=("soxr-hq", "kaiser-best"),
    )
    storage: str = option(
        "16-bit-down",
        "how filtered cycles are kept: as the authors' WAV files, which round down to 16 bits; rounded to the nearest "
        "of 16 bits; or unrounded",
        choices=("16-bit-down", "16-bit-nearest", "float"),
    )

    @property
    def samples(self) -> int:
        """Samples of a fitted cycle at 4 kHz."""
        return round(self.seconds * RATE)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, frames, mels) of one cycle: (3, 126, 128) at 4 s; frames are centred on every 128th sample."""
        return 3, 1 + self.samples // self.HOP, self.MELS


CARD = FrontEndCard(
    id="l3s",
    title="L3S log-mel spectrogram with differences",
    summary=(
        "Whole recording to 4 kHz and through a causal Butterworth band-pass of 100-1800 Hz, cycle stored in 16 bits, "
        "its middle 4 s or repeated to 4 s, 128 mels of 20-2000 Hz every 32 ms in decibels, and their first and second "
        "differences in time: 3 x 126 x 128 per cycle. A network begins with a batch normalisation over mels."
    ),
    source=(
        "Ren et al. 2022; L3S/PrototypeSound @ 5116de7, preprocessing/preprocessing.py, utils/data_generator.py and "
        "models_pytorch.py; the same in glam-imperial/SoundPrototypeCriticism @ 968edb4"
    ),
    fidelity="authors' code",
    citation=(
        "@inproceedings{ren2022prototype, title={Prototype Learning for Interpretable Respiratory Sound Analysis}, "
        "author={Ren, Zhao and Nguyen, Thanh Tam and Nejdl, Wolfgang}, booktitle={ICASSP}, pages={9087--9091}, "
        "year={2022}}"
    ),
    options=L3SOptions,
    version=1,
)
