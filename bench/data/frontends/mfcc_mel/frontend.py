"""Front-end ``mfcc-mel``: the log-mel spectrogram of front-end ``ast``, and cepstral coefficients made of it.

An orthonormal cosine transform (type 2) along the mels gives the coefficients; their differences are regressions over
five frames, with the outermost frames repeated. Coefficients and differences are of very different sizes, so that each
is standardised over the frames of its own cycle.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torchaudio.functional import compute_deltas, create_dct

from bench.data.frontends.ast import ASTFrontEnd, log_mel, traced_log_mel
from bench.data.frontends.mfcc_mel.card import MFCCMelOptions
from bench.data.frontends.options import AUDIOSET_MEAN, AUDIOSET_STD, MEL_BINS, SAMPLE_RATE
from bench.data.frontends.waveform import fit_alike, fit_units
from bench.data.units import UnitWaves

DELTA_FRAMES = 5
# Of coefficients that do not change in a whole cycle, as in silence: their deviation is rounding alone.
SMALLEST_DEVIATION = 1e-3


@functools.lru_cache(maxsize=4)
def _cosines(coefficients: int, device: torch.device) -> Tensor:
    cosines: Tensor = create_dct(coefficients, MEL_BINS, norm="ortho").to(device)
    return cosines


def cepstra(log_mels: Tensor, coefficients: int) -> Tensor:
    """Turn log-mel values into cepstral coefficients, their first and their second differences.

    Args:
        log_mels: (units, frames, 128), natural logarithms.
        coefficients: Coefficients of a frame.

    Returns:
        (units, frames, 3 * coefficients): coefficients, first differences, second differences.
    """
    # Differences are taken along the last axis.
    static = (log_mels @ _cosines(coefficients, log_mels.device)).mT
    first = compute_deltas(static, DELTA_FRAMES)
    return torch.cat((static, first, compute_deltas(first, DELTA_FRAMES)), dim=1).mT.contiguous()


def standardised(values: Tensor) -> Tensor:
    """Bring each column of each unit to mean 0 and deviation 1 over its frames.

    Args:
        values: (units, frames, columns).
    """
    deviation, mean = torch.std_mean(values, dim=1, keepdim=True, correction=0)
    return (values - mean) / deviation.clamp_min(SMALLEST_DEVIATION)


class MFCCMelFrontEnd:
    """Two inputs of a cycle: ``mfcc`` and ``mel``.

    Args:
        options: Length of a cycle and number of coefficients.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, options: MFCCMelOptions) -> None:
        self.options = options
        self._spectrogram = ASTFrontEnd(options.spectrogram)

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        """(frames, columns) of each input of one cycle."""
        return self.options.shape

    def fit(
        self, wave: Tensor, rate: int, spans: Sequence[tuple[float, float]], *, name: str = "the recording"
    ) -> list[Tensor]:
        """Cut a recording into its cycles, at 16 kHz, as front-end ``ast`` does.

        Args:
            wave: (samples,) float32, −1..1; not changed.
            rate: Sampling rate of ``wave``, Hz.
            spans: Start and end of each cycle, seconds.
            name: Name by which messages call the recording.

        Returns:
            (samples,) float32 of each cycle.

        Raises:
            DataError: If a cycle holds no sample of the recording.
        """
        return self._spectrogram.fit(wave, rate, spans, name=name)

    def picture(self, units: UnitWaves) -> dict[str, Tensor]:
        """Turn cycles into both inputs, on their device.

        Args:
            units: Cycles as :meth:`fit` gives them.

        Returns:
            ``mfcc``, (units, frames, 3 * coefficients), and ``mel``, (units, frames, 128), float32.
        """
        return self._both(log_mel(fit_units(units, self.options.spectrogram.samples)))

    def traced_picture(self, waves: Tensor) -> dict[str, Tensor]:
        """Turn cycles (units, samples) of one length into both inputs, as :meth:`picture`."""
        return self._both(traced_log_mel(fit_alike(waves, self.options.spectrogram.samples)))

    def _both(self, log_mels: Tensor) -> dict[str, Tensor]:
        mel = (log_mels - AUDIOSET_MEAN) / (2 * AUDIOSET_STD)
        return {"mfcc": standardised(cepstra(log_mels, self.options.coefficients)), "mel": mel}
