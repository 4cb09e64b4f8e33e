"""Options of the front-ends of pretrained encoders, readable without torch; a checkpoint's own come with its card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bench.core.errors import SpecError
from bench.core.options import option
from bench.data.frontends.options import AUDIOSET_MEAN, AUDIOSET_STD

MOST_SECONDS = 60.0
MOST_FRAMES = 10_000
MOST_MELS = 1024
RATES: dict[str, Any] = {"low": 1000, "high": 192_000}

FITS = ("repeat", "repeatpad", "pad")
_FIT_DOC = (
    "how a short cycle is brought to length: repeated, repeated as a whole and filled up with zeros, or filled up with "
    "zeros; a longer one is cut"
)
_RATE_DOC = "rate that recordings are brought to, Hz"

WAVE, LENGTH = "wave", "length"
"""Names of the inputs of a model that is told how long a cycle is before the zeros that it was filled up with."""


@dataclass(frozen=True, kw_only=True)
class KaldiFbankOptions:
    """Options of front-end ``kaldi-fbank``; the defaults are those of AST's feature extractor."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("rate",)

    rate: int = option(16_000, _RATE_DOC, **RATES)
    frames: int = option(1024, "frames of a cycle, 25 ms long and 10 ms apart", low=1, high=MOST_FRAMES)
    mels: int = option(128, "mel filters from 20 Hz to half the rate", low=4, high=MOST_MELS)
    window: str = option("hanning", "window of a frame", choices=("hanning", "povey"))
    scale: float = option(1.0, "what samples of -1..1 are multiplied by; 32768 for 16 bits", low=1e-6, high=1e6)
    normalise: bool = option(True, "whether the mean is taken off and twice the deviation divided by")
    mean: float = option(AUDIOSET_MEAN, "mean of the log-mel values", low=-1e6, high=1e6)
    std: float = option(AUDIOSET_STD, "standard deviation of the log-mel values", low=1e-6, high=1e6)
    fit: str = option("repeat", _FIT_DOC, choices=FITS)

    @property
    def frame(self) -> int:
        """Samples of a frame (25 ms), as Kaldi counts them."""
        return self.rate * 25 // 1000

    @property
    def shift(self) -> int:
        """Samples from one frame to the next (10 ms)."""
        return self.rate * 10 // 1000

    @property
    def samples(self) -> int:
        """Samples that the frames cover."""
        return (self.frames - 1) * self.shift + self.frame

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        return self.frames, self.mels


@dataclass(frozen=True, kw_only=True)
class STFTMelOptions:
    """Options of front-end ``stft-mel``; the defaults are those of CLAP's feature extractor without fusion."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("rate",)

    rate: int = option(48_000, _RATE_DOC, **RATES)
    seconds: float = option(10.0, "length that every cycle is brought to, in seconds", low=0.1, high=MOST_SECONDS)
    window: int = option(1024, "samples of the Hann window", low=16, high=65_536)
    hop: int = option(480, "samples from one frame to the next", low=1, high=65_536)
    mels: int = option(64, "mel filters", low=4, high=MOST_MELS)
    lowest_hz: float = option(0.0, "lower edge of the filters, Hz", low=0.0, high=96_000.0)
    highest_hz: float = option(14_000.0, "upper edge of the filters, Hz", low=1.0, high=96_000.0)
    filters: str = option("slaney", "filters: of equal area (slaney) or equal height (htk)", choices=("slaney", "htk"))
    law: str = option(
        "decibel",
        "what becomes of energies: decibels (CLAP), or their logarithm, cut off and brought to about -1..1 (Whisper)",
        choices=("decibel", "whisper"),
    )
    fit: str = option("repeatpad", _FIT_DOC, choices=FITS)

    @property
    def samples(self) -> int:
        """Samples of a fitted cycle."""
        return round(self.seconds * self.rate)

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle: frames are centred on every ``hop``-th sample; Whisper leaves out the last."""
        return self.samples // self.hop + (self.law == "decibel"), self.mels

    def check(self) -> None:
        """Check what must hold between the options.

        Raises:
            SpecError: If there are no frequencies between the edges, or a cycle is shorter than half a window.
        """
        if not self.lowest_hz < self.highest_hz <= self.rate / 2:
            raise SpecError(
                f"frontend.lowest_hz is {self.lowest_hz:g} and highest_hz {self.highest_hz:g}, but they must rise and "
                f"end at half the rate, {self.rate / 2:g}, or below."
            )
        if self.samples <= self.window // 2:
            raise SpecError(
                f"frontend.seconds is {self.seconds:g}, which is {self.samples} samples: less than half a window of "
                f"{self.window}."
            )


@dataclass(frozen=True, kw_only=True)
class WaveformOptions:
    """Options of front-end ``waveform``; the defaults are those of wav2vec2's feature extractor."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("rate",)

    rate: int = option(16_000, _RATE_DOC, **RATES)
    seconds: float = option(8.0, "length that every cycle is brought to, in seconds", low=0.1, high=MOST_SECONDS)
    normalise: bool = option(True, "whether each cycle is brought to zero mean and unit variance")
    lengths: bool = option(
        False, "fit=pad: whether the model is told how long a cycle is before the zeros, for its attention mask"
    )
    fit: str = option("repeat", _FIT_DOC, choices=FITS)

    @property
    def samples(self) -> int:
        """Samples of a fitted cycle."""
        return round(self.seconds * self.rate)

    @property
    def shape(self) -> tuple[int] | dict[str, tuple[int]]:
        """(samples,) of one cycle; with lengths, of ``wave``, and (1,) of ``length``, its samples before the zeros."""
        if self.lengths and self.fit == "pad":
            return {WAVE: (self.samples,), LENGTH: (1,)}
        return (self.samples,)
