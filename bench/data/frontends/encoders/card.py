"""Cards of the front-ends of pretrained encoders."""

from __future__ import annotations

from bench.core.cards import FrontEndCard
from bench.core.registry import Registry
from bench.data.frontends.encoders.options import KaldiFbankOptions, STFTMelOptions, WaveformOptions

TRANSFORMERS = """@inproceedings{wolf2020transformers,
  title={Transformers: State-of-the-Art Natural Language Processing},
  author={Wolf, Thomas and others},
  booktitle={EMNLP: System Demonstrations},
  pages={38--45},
  year={2020}
}"""

KALDI_FBANK = FrontEndCard(
    id="kaldi-fbank",
    title="Kaldi filter bank of pretrained encoders",
    summary="Cycle at the encoder's rate, repeated, filled up or cut to its frames, Kaldi filter bank by torchaudio, "
    "normalised with the checkpoint's statistics: 1024 x 128 per cycle for AST.",
    source="transformers 5, ASTFeatureExtractor; microsoft/unilm, beats/BEATs.py (preprocess)",
    fidelity="authors' code",
    citation=TRANSFORMERS,
    options=KaldiFbankOptions,
    version=1,
)

STFT_MEL = FrontEndCard(
    id="stft-mel",
    title="Log-mel spectrogram of pretrained encoders",
    summary="Cycle at the encoder's rate, repeated, filled up or cut to its seconds, power of a short-time Fourier "
    "transform through mel filters, in decibels (CLAP, 1001 x 64) or by Whisper's law (3000 x 80).",
    source="transformers 5, ClapFeatureExtractor and WhisperFeatureExtractor",
    fidelity="authors' code",
    citation=TRANSFORMERS,
    options=STFTMelOptions,
    version=1,
)

WAVEFORM = FrontEndCard(
    id="waveform",
    title="Waveform of pretrained encoders",
    summary="Cycle at the encoder's rate, repeated, filled up or cut to some seconds, at zero mean and unit variance: "
    "128000 samples per cycle at 16 kHz. No picture: it cannot be masked or shifted as one.",
    source="transformers 5, Wav2Vec2FeatureExtractor",
    fidelity="authors' code",
    citation=TRANSFORMERS,
    options=WaveformOptions,
    version=1,
)


def register(frontends: Registry[FrontEndCard]) -> None:
    """Add the front-ends to the registry."""
    folder = "bench.data.frontends.encoders"
    frontends.add(KALDI_FBANK.id, KALDI_FBANK, f"{folder}.kaldi_fbank:KaldiFbankFrontEnd")
    frontends.add(STFT_MEL.id, STFT_MEL, f"{folder}.stft_mel:STFTMelFrontEnd")
    frontends.add(WAVEFORM.id, WAVEFORM, f"{folder}.waveform:WaveformFrontEnd")
