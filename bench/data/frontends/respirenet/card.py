"""Options and card of the front-end ``respirenet``: data that can be read without importing torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.citations import GAIROLA_2021, RESPIRENET_CODE
from bench.core.options import option

SAMPLE_RATE = 4000
"""Rate of every waveform after resampling, Hz."""

MELS, WINDOW, HOP = 64, 256, 128
"""Mel filters, and samples of a Fourier frame and from one to the next."""


def piece_spans(length: int, size: int) -> list[tuple[int, int]]:
    """Find the pieces that a cycle is cut into: half of one is the beginning of the next.

    A cycle that is no longer than a piece is one; of a longer one, what is left behind the last whole piece is a
    shorter piece of its own, which begins half a piece before that one ends.

    Args:
        length: Samples of the cycle.
        size: Samples of a piece.

    Returns:
        First sample of each piece, and the sample after its last.
    """
    if length <= size:
        return [(0, length)]
    hop = size // 2
    whole = 1 + (length - size) // hop
    return [*((place * hop, place * hop + size) for place in range(whole)), (whole * hop, length)]


@dataclass(frozen=True, kw_only=True)
class RespireNetOptions:
    """Options of front-end ``respirenet``; the defaults are the official code's (5e3f41a), with the published numbers.

    The authors' training computes mean and deviation itself, which is ``normalise=training``.
    """

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ("seconds", "pad_side", "resampling")

    seconds: float = option(8.0, "length of a piece, in seconds; longer cycles become several", low=0.2, high=60.0)
    pad_side: str = option(
        "drawn",
        "where copies of a shorter cycle fill up the piece: before or after it, or drawn once from the cycle's name",
        choices=("drawn", "after", "before"),
    )
    resampling: str = option(
        "kaiser-best",
        "filter by which recordings are brought to 4 kHz: resampy's kaiser_best (official code), or torchaudio's hann",
        choices=("kaiser-best", "hann"),
    )
    enlargement: int = option(3, "what rows and columns of the coloured picture are multiplied by", low=1, high=8)
    blank_region_clipping: bool = option(
        True, "cut blank rows off the top of the picture and stretch the rest to its height"
    )
    normalise: str = option(
        "constants",
        "mean and deviation of the colours: the published constants, or those of the training rows (official training)",
        choices=("constants", "training"),
    )

    @property
    def samples(self) -> int:
        """Samples of a piece at 4 kHz."""
        return round(self.seconds * SAMPLE_RATE)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(colours, rows, columns) of a piece: (3, 192, 753) at 8 s; the first row is the highest mel."""
        frames = 1 + self.samples // HOP
        return 3, MELS * self.enlargement, frames * self.enlargement

    def pieces(self, seconds: Sequence[float]) -> list[int]:
        """Count the pieces that cycles become, each beginning with a sample.

        Args:
            seconds: Duration of each cycle.
        """
        return self.pieces_of_spans([(0.0, each) for each in seconds], math.inf)

    def pieces_of_spans(self, spans: Sequence[tuple[float, float]], duration: float) -> list[int]:
        """Count the pieces that the cycles of a recording become.

        Args:
            spans: Start and end of each cycle, seconds.
            duration: Duration of the recording, seconds.
        """
        # A hair less: the product of a duration and a rate may end above the whole number that it should be.
        last = duration if duration == math.inf else math.ceil(duration * SAMPLE_RATE - 1e-6)
        counts = (int(min(end * SAMPLE_RATE, last)) - int(min(start * SAMPLE_RATE, last)) for start, end in spans)
        return [len(piece_spans(count, self.samples)) for count in counts]


CARD = FrontEndCard(
    id="respirenet",
    title="RespireNet's coloured spectrogram",
    summary=(
        "Whole recording to 4 kHz, cycles in pieces of 8 s filled up with copies of themselves, 64 mels of 50-2000 Hz "
        "every 32 ms in decibels, coloured, enlarged three times, blank rows cut off: 3 x 192 x 753 per piece."
    ),
    source=f"Gairola et al. 2021, section III; {RESPIRENET_CODE}, utils.py and image_dataloader.py",
    fidelity="authors' code",
    citation=GAIROLA_2021,
    options=RespireNetOptions,
    version=1,
)
