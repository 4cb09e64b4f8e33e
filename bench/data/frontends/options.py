"""Options of the front-ends, readable without torch, and the shapes that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from bench.options import option

SAMPLE_RATE = 16_000
"""Rate of every waveform after resampling, Hz."""

FRAME_LENGTH = 400
"""Samples of one frame (25 ms)."""

FRAME_SHIFT = 160
"""Samples from one frame to the next (10 ms)."""

MEL_BINS = 128
"""Triangular mel filters between 20 Hz and 8 kHz."""


@dataclass(frozen=True, kw_only=True)
class ASTFrontEndOptions:
    """Options of front-end ``ast``; the defaults are the official code's (836b09f)."""

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
