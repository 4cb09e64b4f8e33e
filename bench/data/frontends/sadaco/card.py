"""Options and card of the front-end ``sadaco``, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.options import option


@dataclass(frozen=True, kw_only=True)
class SadacoOptions:
    """Options of front-end ``sadaco``; the defaults are those of dlrudco/SADACO @ 2134fd9 for another data set."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ()
    WINDOW: ClassVar[int] = 401
    HOP: ClassVar[int] = 160
    RANGE: ClassVar[float] = 80.0
    """Decibels below the loudest value at which a picture is cut off."""

    bands: int = option(32, "number of mel filters", low=1, high=128)
    frames: int = option(160, "frames of a picture: zeros are appended, or its middle is cut out", low=1, high=10_000)

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, bands) of one cycle."""
        return self.frames, self.bands

    @property
    def lowest(self) -> float:
        """The smallest value of a picture: what is least loud in it, and what is appended."""
        return 0.0


CARD = FrontEndCard(
    id="sadaco",
    title="SADACO mel picture",
    summary=(
        "Recording to 16 kHz, 32 mels every 10 ms in decibels below the loudest, brought to 0..1, and 160 frames "
        "around the middle of the cycle: 160 x 32. It is a third party's setting of CNN-MoE for another data set; "
        "cycles are cut from the recording here."
    ),
    source="dlrudco/SADACO @ 2134fd9",
    fidelity="third-party code",
    citation=(
        "@misc{sadaco, title={SADACO}, author={{dlrudco}}, year={2022}, "
        "howpublished={https://github.com/dlrudco/SADACO}}"
    ),
    options=SadacoOptions,
    version=1,
)
