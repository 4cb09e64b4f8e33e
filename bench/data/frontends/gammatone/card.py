"""Options and card of the front-end ``gammatone``, readable without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.errors import SpecError
from bench.core.options import option
from bench.data.frontends.options import SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class GammatoneOptions:
    """Options of front-end ``gammatone``; the defaults are those of Pham et al. 2021 as far as they are known."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("seconds", "frames", "hop")
    WINDOW: ClassVar[int] = 1024
    SILENCE: ClassVar[float] = 1e-10
    """Smallest power that the logarithm is taken of: -100 dB."""

    seconds: float = option(5.0, "length that a shorter cycle is repeated to, in seconds", low=0.1, high=60.0)
    bank: str = option("gammatone", "filters over the power spectrum", choices=("gammatone", "mel"))
    bands: int = option(64, "number of filters", low=1, high=512)
    frames: int = option(64, "frames of a patch; patches of a cycle do not overlap", low=1, high=10_000)
    hop: int = option(256, "samples from one frame to the next at 16 kHz", low=1, high=16_000)
    lowest_hz: float = option(50.0, "frequency of the lowest filter, Hz", low=1.0, high=7_000.0)
    highest_hz: float = option(8000.0, "frequency below which the filters lie, Hz", low=100.0, high=8_000.0)

    def __post_init__(self) -> None:
        if self.lowest_hz >= self.highest_hz:
            raise SpecError(
                f"lowest_hz is {self.lowest_hz:g}, but must be below highest_hz, which is {self.highest_hz:g}.",
                "Use --set frontend.lowest_hz=50.",
            )

    @property
    def patch_samples(self) -> int:
        """Samples that the frames of a patch cover at 16 kHz."""
        return self.WINDOW + (self.frames - 1) * self.hop

    @property
    def patch_shift(self) -> int:
        """Samples from one patch of a cycle to the next."""
        return self.frames * self.hop

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, bands) of one patch."""
        return self.frames, self.bands

    @property
    def lowest(self) -> float:
        """The smallest value that a picture can have: that of digital silence, dB."""
        return -100.0

    def pieces(self, seconds: Sequence[float]) -> list[int]:
        """Count the whole patches of cycles that are repeated to the shortest length; at least one of each.

        Args:
            seconds: Annotated duration of each cycle.
        """
        lengths = [int(max(each, self.seconds) * SAMPLE_RATE) for each in seconds]
        return [max(1, (length - self.patch_samples) // self.patch_shift + 1) for length in lengths]


CARD = FrontEndCard(
    id="gammatone",
    title="Gammatone patches",
    summary=(
        "Whole recording to 16 kHz, cycle repeated to 5 s or more, power of 64 gammatone (or mel) filters of "
        "50-8000 Hz every 16 ms in decibels, cut into patches that do not overlap: pieces of 64 x 64. A "
        "reconstruction: which resampler, frequencies and scale the authors have is not known."
    ),
    source="Pham et al. 2021, section III; filters: Patterson et al. 1992, Glasberg & Moore 1990",
    fidelity="reconstruction",
    citation=(
        "@article{pham2021cnnmoe, title={{CNN-MoE} Based Framework for Classification of Respiratory Anomalies and "
        "Lung Disease Detection}, author={Pham, Lam and Phan, Huy and Palaniappan, Ramaswamy and Mertins, Alfred and "
        "McLoughlin, Ian}, journal={IEEE Journal of Biomedical and Health Informatics}, volume={25}, number={8}, "
        "pages={2938--2947}, year={2021}}"
    ),
    options=GammatoneOptions,
    version=1,
)
