"""Options and cards of the front-ends of LungBRN and LungRN+NL: data that can be read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.core.cards import FrontEndCard
from bench.core.citations import LUNGSYS_CODE, MA_2019, MA_2020
from bench.core.options import option
from bench.core.registry import Registry

MOST_PIXELS = 1024
"""Pixels of a side: what is larger holds no more than what was drawn."""


def _pixels(default: int, what: str) -> Any:
    return option(default, f"pixels of a side of the {what}", low=16, high=MOST_PIXELS)


@dataclass(frozen=True, kw_only=True)
class LungRNOptions:
    """Options of front-end ``lungrn-nl``."""

    stft_size: int = _pixels(128, "spectrogram's picture")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the picture: frequency from the top, time from the left."""
        return self.stft_size, self.stft_size


@dataclass(frozen=True, kw_only=True)
class LungBRNOptions:
    """Options of front-end ``lungbrn``."""

    stft_size: int = _pixels(128, "spectrogram's picture")
    wavelet_size: int = _pixels(56, "wavelet decomposition's picture")

    @property
    def shape(self) -> dict[str, tuple[int, int, int]]:
        """(1, rows, columns) of each picture, by its name."""
        return {name: (1, size, size) for name, size in (("stft", self.stft_size), ("wavelet", self.wavelet_size))}


SPECTROGRAM = (
    "Cycle at the recording's own rate, brought to 0..1, filtered to 1-4000 Hz where the rate is above 4 kHz; STFT of "
    "20 ms every 10 ms in decibels, drawn on a logarithmic frequency axis"
)

LUNGBRN = FrontEndCard(
    id="lungbrn",
    title="LungBRN pictures",
    summary=(
        f"{SPECTROGRAM}, and the db8 wavelet coefficients of nine levels, wrapped to a square; both as matplotlib "
        "colours them, in grey: 128 x 128 and 56 x 56 per cycle, rows are frequency. The frequency axis is labelled "
        "as if each rate were 22.05 kHz, as the authors' is."
    ),
    source=f"{LUNGSYS_CODE} @ 83f3d17, Bi-Resnet/pre-processing/stft.py, wavelet.py, pack.py",
    fidelity="authors' code",
    citation=MA_2019,
    options=LungBRNOptions,
    version=1,
)

LUNGRN_NL = FrontEndCard(
    id="lungrn-nl",
    title="LungRN+NL picture",
    summary=f"{SPECTROGRAM} as matplotlib colours it, in grey: 128 x 128 per cycle, rows are frequency.",
    source=f"{LUNGSYS_CODE} @ 6450040 (git history), Bi-Resnet/pre-processing/stft.py",
    fidelity="authors' code",
    citation=MA_2020,
    options=LungRNOptions,
    version=1,
)


def register(frontends: Registry[FrontEndCard]) -> None:
    """Add the family to the registry."""
    frontends.add("lungbrn", LUNGBRN, "bench.data.frontends.lungbrn.pictures:LungBRNFrontEnd")
    frontends.add("lungrn-nl", LUNGRN_NL, "bench.data.frontends.lungbrn.pictures:LungRNFrontEnd")
