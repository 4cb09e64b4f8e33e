"""Front-ends: from a recording and its cycles to spectrograms. The registry and its cards import no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bench.cards import FrontEndCard
from bench.data.frontends.options import ASTFrontEndOptions
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FRONTENDS", "ASTFrontEndOptions", "FrontEnd"]


class FrontEnd(Protocol):
    """What a registered front-end's builder returns when it is called with the options of its card."""

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, mels) of one cycle."""
        ...

    def features(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> Tensor:
        """Turn the cycles of one recording into spectrograms.

        Args:
            wave: (samples,) float32, −1..1.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: What messages call the recording.

        Returns:
            (cycles, frames, mels) float32.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        ...


FRONTENDS: Registry[FrontEndCard] = Registry("front-end", FrontEndCard, "lungbench.frontends")

FRONTENDS.add(
    "ast",
    FrontEndCard(
        id="ast",
        title="AST log-mel filter bank",
        summary=(
            "Whole recording to 16 kHz, fades, cycle repeated to 8 s, Kaldi filter bank of 128 mels every 10 ms, "
            "normalised with AudioSet's statistics: 798 x 128 per cycle."
        ),
        source="raymin0223/patch-mix_contrastive_learning @ 836b09f, util/icbhi_util.py lines 183-238 and 397-398",
        fidelity="authors' code",
        citation=(
            "@inproceedings{bae2023patchmix, title={Patch-Mix Contrastive Learning with Audio Spectrogram Transformer "
            "on Respiratory Sound Classification}, author={Bae, Sangmin and Kim, June-Woo and Cho, Won-Yang and "
            "Baek, Hyerim and Son, Soyoun and Lee, Byungjo and Ha, Changwan and Tae, Kyongpil and Kim, Sungnyun and "
            "Yun, Se-Young}, booktitle={Proc. INTERSPEECH}, year={2023}}"
        ),
        options=ASTFrontEndOptions,
        version=1,
    ),
    "bench.data.frontends.ast:ASTFrontEnd",
)
