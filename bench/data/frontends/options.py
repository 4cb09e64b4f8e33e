"""Options of the front-ends, readable without torch, and the shapes that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bench.core.options import option

SAMPLE_RATE = 16_000
"""Rate of every waveform after resampling, Hz."""

FRAME_LENGTH = 400
"""Samples of one frame (25 ms), Kaldi's default that the official code keeps."""

FRAME_SHIFT = 160
"""Samples from one frame to the next (10 ms); the paper calls it the overlap, the official code passes it as shift."""

MEL_BINS = 128
"""Triangular mel filters between 20 Hz and 8 kHz."""

AUDIOSET_MEAN, AUDIOSET_STD = -4.2677393, 4.5689974
"""AudioSet's mean and standard deviation of the log-mel values, as in the official Patch-Mix code @ 836b09f
(``util/icbhi_util.py``, lines 397-398); pretrained AST weights were learnt on features normalised by them."""

ENERGY_FLOOR = 2.0**-23
"""Smallest mel energy that Kaldi's filter bank takes the logarithm of: the epsilon of float32, 2^-23."""

SCL_MEAN, SCL_STD = 0.3690, 0.0255
"""Mean and standard deviation by which the SCL authors standardise values of 0..1 (scl_icbhi2017 @ 76c4c99)."""


@dataclass(frozen=True, kw_only=True)
class ASTFrontEndOptions:
    """Options of front-end ``ast``; the defaults are the official code's (836b09f)."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("fade",)

    seconds: float = option(8.0, "length that every cycle is repeated or cut to, in seconds", low=0.5, high=60.0)
    fade: str = option(
        "recording",
        "what is faded in and out over 62.5 ms: the whole recording (official code) or each cycle (paper's text)",
        choices=("recording", "cycle"),
    )
    normalise: str = option(
        "2std",
        "what (x - AudioSet mean) is divided by: twice AudioSet's deviation (official code) or once (paper's text)",
        choices=("2std", "std"),
    )

    @property
    def samples(self) -> int:
        """Samples of a fitted cycle at 16 kHz."""
        return round(self.seconds * SAMPLE_RATE)

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle: (798, 128) at 8 s; frames that would reach beyond the end are left out."""
        return 1 + (self.samples - FRAME_LENGTH) // FRAME_SHIFT, MEL_BINS

    @property
    def lowest(self) -> float:
        """The smallest value that a feature can have: that of digital silence."""
        deviation = AUDIOSET_STD * (2 if self.normalise == "2std" else 1)
        return (math.log(ENERGY_FLOOR) - AUDIOSET_MEAN) / deviation


@dataclass(frozen=True, kw_only=True)
class SCLFrontEndOptions:
    """Options of front-end ``scl``; the authors' are ``normalise=batch`` (ilyassmoummad/scl_icbhi2017 @ 76c4c99)."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ()
    WINDOW: ClassVar[int] = 1024
    HOP: ClassVar[int] = 512
    MELS: ClassVar[int] = 64
    LOWEST_HZ: ClassVar[float] = 50.0
    HIGHEST_HZ: ClassVar[float] = 2000.0

    seconds: float = option(8.0, "length that every cycle is repeated or cut to, in seconds", low=0.5, high=60.0)
    normalise: str = option(
        "cycle",
        "what is brought to 0..1 by its smallest and largest value: each cycle, or the whole batch (authors' quirk)",
        choices=("cycle", "batch"),
    )
    evaluation_batch: int = option(
        128,
        "normalise=batch: cycles that share their extremes in an evaluation, in the data set's order",
        low=1,
        high=100_000,
    )

    @property
    def samples(self) -> int:
        """Samples of a fitted cycle at 16 kHz."""
        return round(self.seconds * SAMPLE_RATE)

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle: (251, 64) at 8 s; frames are centred on every 512th sample."""
        return 1 + self.samples // self.HOP, self.MELS

    @property
    def lowest(self) -> float:
        """The value that the smallest decibel of a cycle (or batch) is brought to."""
        return -SCL_MEAN / SCL_STD
