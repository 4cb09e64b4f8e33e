"""SpecAugment of a batch: drawn and applied at once, against one clip after the other."""

from __future__ import annotations

import random
from pathlib import Path

from bench.core.timing import Body
from benchmarks.runner import Benchmark, Case, Setting

BATCH = 128
FRAMES, MELS = 798, 128
WIDTHS = {"freq_masks": 2, "freq_width": 48, "time_masks": 2, "time_width": 160}
"""The paper's masks."""


def specaugment_case(setting: Setting, folder: Path) -> Case:
    """A batch of 128 spectrograms, each masked by draws of its own."""
    import torch

    clips = torch.randn(BATCH, 1, FRAMES, MELS, generator=torch.Generator().manual_seed(0)).to(setting.device)

    def at_once() -> Body:
        import numpy as np

        from bench.engine.augment.spectrogram import apply_masks, draw_masks

        rng = np.random.default_rng(0)
        return lambda: apply_masks(clips, draw_masks(BATCH, FRAMES, MELS, probability=1.0, rng=rng, **WIDTHS))

    def one_by_one() -> Body:
        from benchmarks.plain.specaugment import mask_clips

        rng, on_host = random.Random(0), clips.cpu()
        return lambda: mask_clips(on_host, rng, 1.0, **WIDTHS).to(setting.device)

    return Case(ways={"": at_once}, reference=one_by_one, work=BATCH)


BENCHMARKS = [
    Benchmark(
        name="specaugment/batch-128",
        unit="cycles",
        about="SpecAugment of 128 spectrograms of 798 × 128, every clip masked.",
        reference="One clip after the other, widths and places drawn in Python, the batch stacked (one process).",
        case=specaugment_case,
        devices=("cpu", "cuda"),
    )
]
