"""What several cards take from the paper: its citation, its code, and the parameters that its Figure 2 searches."""

from __future__ import annotations

from bench.core.options import Space

OFFICIAL = "raymin0223/patch-mix_contrastive_learning @ 836b09f"


BAE_2023 = """@inproceedings{bae23b_interspeech,
  title     = {Patch-Mix Contrastive Learning with Audio Spectrogram Transformer on Respiratory Sound Classification},
  author    = {Sangmin Bae and June-Woo Kim and Won-Yang Cho and Hyerim Baek and Soyoun Son and Byungjo Lee and
               Changwan Ha and Kyongpil Tae and Sungnyun Kim and Se-Young Yun},
  booktitle = {Proc. INTERSPEECH 2023},
  pages     = {5436--5440},
  year      = {2023},
  doi       = {10.21437/Interspeech.2023-1426},
}"""


# At 0 nothing would be mixed: a run of cross-entropy under another name. Finished runs of that kind are kept.
BETA_DOC = "both parameters of the Beta distribution of lambda"


# [reconstruction] Figure 2 of the paper searches these three; neither its text nor the official scripts list the values
# that were tried. Each grid holds the paper's choice (alpha 1, tau 0.06, beta 1) and two values to either side.
ALPHA = Space(low=0.1, high=10.0, log=True, grid=(0.25, 0.5, 1.0, 2.0, 4.0))
TAU = Space(low=0.01, high=1.0, log=True, grid=(0.02, 0.04, 0.06, 0.1, 0.2))
BETA = Space(low=0.1, high=10.0, log=True, grid=(0.25, 0.5, 1.0, 2.0, 4.0))
