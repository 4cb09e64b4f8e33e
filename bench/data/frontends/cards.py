"""Cards of the front-ends: data that can be read without importing torch."""

from __future__ import annotations

from bench.core.cards import FrontEndCard
from bench.data.frontends.options import ASTFrontEndOptions, SCLFrontEndOptions

AST = FrontEndCard(
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
)

SCL = FrontEndCard(
    id="scl",
    title="SCL log-mel spectrogram",
    summary=(
        "Cycle to 16 kHz, fades, repeated to 8 s, 64 mels of 50-2000 Hz every 32 ms in decibels, brought to 0..1 and "
        "standardised: 251 x 64 per cycle."
    ),
    source="ilyassmoummad/scl_icbhi2017 @ 76c4c99, dataset.py lines 84-91, utils.py lines 9-11",
    fidelity="authors' code",
    citation=(
        "@inproceedings{moummad2023pretraining, title={Pretraining Respiratory Sound Representations using Metadata "
        "and Contrastive Learning}, author={Moummad, Ilyass and Farrugia, Nicolas}, booktitle={IEEE Workshop on "
        "Applications of Signal Processing to Audio and Acoustics (WASPAA)}, year={2023}}"
    ),
    options=SCLFrontEndOptions,
    version=1,
)
