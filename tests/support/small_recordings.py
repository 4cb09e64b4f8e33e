"""Four short recordings of noise, of three rates and three devices, for tests of banks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from bench.data.dataset import Cycle, Dataset, Recording
from bench.data.datasets.icbhi.card import CARD as ICBHI


def make_recording(folder, name, rate, subtype, seconds, cycles):
    noise = 0.1 * np.random.default_rng(len(name) + rate).standard_normal(int(seconds * rate))
    soundfile.write(folder / f"{name}.wav", noise, rate, subtype=subtype)
    step = seconds / cycles
    found = tuple(Cycle(name, k, k * step, (k + 1) * step, k % 4) for k in range(cycles))
    annotation, device = folder / f"{name}.txt", name.rpartition("_")[2]
    return Recording(name, name[:3], "1b1", "Al", "sc", device, "train", folder / f"{name}.wav", annotation, found)


def make_dataset(folder: Path) -> Dataset:
    """Recordings with 4, 3, 2 and 5 cycles."""
    folder.mkdir(parents=True, exist_ok=True)
    recordings = (
        make_recording(folder, "101_1b1_Al_sc_Meditron", 4000, "PCM_16", 3.0, 4),
        make_recording(folder, "102_1b1_Al_sc_LittC2SE", 10000, "PCM_16", 2.0, 3),
        make_recording(folder, "103_1b1_Al_sc_AKGC417L", 44100, "PCM_24", 1.5, 2),
        make_recording(folder, "104_1b1_Al_sc_Meditron", 4000, "PCM_16", 2.5, 5),
    )
    return Dataset(ICBHI, ICBHI.tasks[0], folder, recordings, 4, "f" * 64)


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
