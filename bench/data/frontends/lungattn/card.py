"""Options and card of LungAttn's front-end: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.cards import FrontEndCard
from bench.core.citations import LI_2021, LUNGATTN_CODE
from bench.core.options import option
from bench.core.registry import Registry

MOST_PIXELS = 1024
"""Pixels of a side: what is larger holds no more than what was drawn."""


@dataclass(frozen=True, kw_only=True)
class LungAttnOptions:
    """Options of front-end ``lungattn``."""

    size: int = option(224, "pixels of a side of the pictures", low=32, high=MOST_PIXELS)
    rate: int = option(
        0,
        "rate that recordings are brought to first, Hz; 0: each stays at its own, as the authors'",
        low=0,
        high=48_000,
    )
    iterations: int = option(100, "iterations of the search for the parts of a cycle", low=1, high=1000)
    channels: str = option(
        "high-low-residual",
        "what the three pictures show: all parts, as in the authors' figure, or the undecomposed cycle in place of its "
        "low-Q part, as the names in their loader suggest",
        choices=("high-low-residual", "original-high-residual"),
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, rows, columns): frequency from the top, time from the left."""
        return 3, self.size, self.size


LUNGATTN = FrontEndCard(
    id="lungattn",
    title="LungAttn pictures",
    summary=(
        "Cycle at the recording's own rate, brought to 0..1, filtered to 50-2000 Hz where the rate is above 4 kHz, and "
        "taken apart by two tunable-Q wavelet transforms into oscillations (Q 4), transients (Q 1) and a residual; "
        "STFT of 80, 20 and 200 ms of these in decibels up to 2 kHz, drawn on a logarithmic frequency axis as "
        "matplotlib colours them, in grey: 3 x 224 x 224 per cycle, rows are frequency. A cycle without room for 30 "
        "stages (1,464 samples), on which the authors' script stops, is followed by zeros. About a second per cycle "
        "and core."
    ),
    source=f"{LUNGATTN_CODE}, pre-processing/tqwt_stft.py, pm_pack.py; jollyjonson/tqwt_tools @ e018373",
    fidelity="authors' code",
    citation=LI_2021,
    options=LungAttnOptions,
    version=1,
)


def register(frontends: Registry[FrontEndCard]) -> None:
    """Add the front-end to the registry."""
    frontends.add("lungattn", LUNGATTN, "bench.data.frontends.lungattn.pictures:LungAttnFrontEnd")
