"""Options and card of the front-end ``logmel-image``: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.options import option
from bench.data.frontends.options import SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class LogMelImageOptions:
    """Options of front-end ``logmel-image``."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ()
    WINDOW: ClassVar[int] = 1024
    HOP: ClassVar[int] = 512
    MELS: ClassVar[int] = 128
    LOWEST_HZ: ClassVar[float] = 50.0
    HIGHEST_HZ: ClassVar[float] = 2000.0
    CHANNELS: ClassVar[int] = 3

    seconds: float = option(8.0, "length that every cycle is repeated or cut to, in seconds", low=0.5, high=60.0)
    size: int = option(224, "rows and columns of the picture", low=16, high=2048)
    spectrum_correction: bool = option(
        False, "whether each device's mean spectrum, learnt from the training rows, is brought to that of all devices"
    )
    correction_limit: float = option(
        20.0, "spectrum_correction: largest change of a frequency, dB, either way", low=0.0, high=200.0
    )

    @property
    def samples(self) -> int:
        """Samples of a fitted cycle at 16 kHz."""
        return round(self.seconds * SAMPLE_RATE)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, frames, mels) of one cycle after it was resized."""
        return self.CHANNELS, self.size, self.size


LOGMEL_IMAGE = FrontEndCard(
    id="logmel-image",
    title="Log-mel picture",
    summary=(
        "Recording to 16 kHz, cycle repeated to 8 s, 128 mels of 50-2000 Hz every 32 ms in decibels, of which the "
        "loudest 80 are kept, brought to 0..1, resized to 224 x 224, in three channels with ImageNet's mean and "
        "deviation. "
        "With spectrum_correction each device's mean magnitude spectrum of the training rows becomes the mean of all "
        "devices' [reconstruction]: the authors pooled the test part too, which is not offered, and a device that no "
        "training row is from stays as it is."
    ),
    source="after Nguyen and Pernkopf 2022, whose text could not be read",
    fidelity="reconstruction",
    citation=(
        "@article{nguyen2022lung, title={Lung Sound Classification Using Co-tuning and Stochastic Normalization}, "
        "author={Nguyen, Truc and Pernkopf, Franz}, journal={IEEE Transactions on Biomedical Engineering}, "
        "volume={69}, number={9}, pages={2872--2882}, year={2022}}"
    ),
    options=LogMelImageOptions,
    version=1,
)
