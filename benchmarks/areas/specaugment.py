"""SpecAugment: drawn and applied at once, against one clip after the other, here and in the workers of a loader."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.timing import Body
from benchmarks.runner import Benchmark, Case, Setting

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

BATCH = 128
BATCHES, QUICK_BATCHES = 32, 4
"""Of an epoch: 32 are the 4,142 training cycles of ICBHI."""
WORKERS = 2
FRAMES, MELS = 798, 128
WIDTHS: dict[str, Any] = {"freq_masks": 2, "freq_width": 48, "time_masks": 2, "time_width": 160}
"""The paper's masks."""


def specaugment_case(setting: Setting, folder: Path) -> Case:
    """A batch of 128 spectrograms, each masked by draws of its own."""
    clips = _clips(BATCH).to(setting.device)

    def at_once() -> Body:
        import numpy as np

        rng = np.random.default_rng(0)
        return lambda: _masked_at_once(clips, rng)

    def one_by_one() -> Body:
        from benchmarks.plain.specaugment import mask_clips

        rng, on_host = random.Random(0), clips.cpu()
        return lambda: mask_clips(on_host, rng, 1.0, **WIDTHS).to(setting.device)

    return Case(ways={"": at_once}, reference=one_by_one, work=BATCH)


def loader_case(setting: Setting, folder: Path) -> Case:
    """An epoch of batches of 128, each picked from the bank and masked."""
    batches = QUICK_BATCHES if setting.quick else BATCHES
    bank = _clips(2 * BATCH)

    def at_once() -> Body:
        import numpy as np

        from bench.engine.freed_memory import keep_freed_memory

        keep_freed_memory()
        rng = np.random.default_rng(0)

        def epoch() -> None:
            for _ in range(batches):
                _masked_at_once(bank[rng.permutation(len(bank))[:BATCH]], rng)

        return epoch

    def by_loader() -> Body:
        from benchmarks.plain.specaugment import MaskedClips, loaded_batches

        dataset = MaskedClips(bank, batches * BATCH, 1.0, WIDTHS)
        return lambda: sum(len(batch) for batch in loaded_batches(dataset, BATCH, WORKERS))

    return Case(ways={"": at_once}, reference=by_loader, work=batches * BATCH)


def _clips(count: int) -> Tensor:
    import torch

    return torch.randn(count, 1, FRAMES, MELS, generator=torch.Generator().manual_seed(0))


def _masked_at_once(clips: Tensor, rng: np.random.Generator) -> Tensor:
    from bench.engine.augment.spectrogram import apply_masks, draw_masks

    return apply_masks(clips, draw_masks(BATCH, FRAMES, MELS, probability=1.0, rng=rng, **WIDTHS))


BENCHMARKS = [
    Benchmark(
        name="specaugment/batch-128",
        unit="cycles",
        about="SpecAugment of 128 spectrograms of 798 × 128, every clip masked.",
        reference="One clip after the other, widths and places drawn in Python, the batch stacked (one process).",
        case=specaugment_case,
        devices=("cpu", "cuda"),
    ),
    Benchmark(
        name="specaugment/epoch",
        unit="cycles",
        about=f"An epoch of {BATCHES} batches of 128 spectrograms ({QUICK_BATCHES} with --quick), picked and masked.",
        reference=f"The authors' way: a loader with {WORKERS} workers, started for the epoch, masks one clip after the "
        "other, stacks the batch and hands it over through shared memory.",
        case=loader_case,
        children=True,
    ),
]
