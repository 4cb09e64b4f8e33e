"""Card and options of front-end ``mfcc-mel``, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.cards import FrontEndCard
from bench.core.options import option
from bench.data.frontends.options import MEL_BINS, ASTFrontEndOptions


@dataclass(frozen=True, kw_only=True)
class MFCCMelOptions:
    """Options of front-end ``mfcc-mel``."""

    FIT_OPTIONS: ClassVar[tuple[str, ...]] = ()

    seconds: float = option(8.0, "length that every cycle is repeated or cut to, in seconds", low=0.5, high=60.0)
    coefficients: int = option(
        40, "cepstral coefficients of a frame, beside which stand their first and second differences", low=1, high=128
    )

    @property
    def spectrogram(self) -> ASTFrontEndOptions:
        """Options of the log-mel spectrogram that both inputs are made of."""
        return ASTFrontEndOptions(seconds=self.seconds)

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        """(frames, columns) of each input of one cycle: ``mfcc`` (798, 120) and ``mel`` (798, 128) at 8 s."""
        frames, _ = self.spectrogram.shape
        return {"mfcc": (frames, 3 * self.coefficients), "mel": (frames, MEL_BINS)}


CARD = FrontEndCard(
    id="mfcc-mel",
    title="MFCC and log-mel spectrogram",
    summary=(
        "Whole recording to 16 kHz, fades, cycle repeated to 8 s; log-mel spectrogram of front-end ast (798 x 128) "
        "and 40 cepstral coefficients of it with first and second differences, each less its mean and divided by its "
        "deviation over the cycle (798 x 120)."
    ),
    source="Xu et al. 2021 (BIBM), abstract; lengths, windows and numbers of coefficients are choices made here",
    fidelity="reconstruction",
    citation=(
        "@inproceedings{xu2021arsc, title={{ARSC-Net}: Adventitious Respiratory Sound Classification Network Using "
        "Parallel Paths with Channel-Spatial Attention}, author={Xu, Lei and Cheng, Jianhong and Liu, Jin and Kuang, "
        "Hulin and Wu, Fan and Wang, Jianxin}, booktitle={IEEE International Conference on Bioinformatics and "
        "Biomedicine (BIBM)}, year={2021}}"
    ),
    options=MFCCMelOptions,
    version=1,
)
