"""A simulated set of a few short recordings in ICBHI's layout, for tests that must be quick."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

TRAIN = ("101", "102", "103", "104", "105", "106")
TEST = ("201", "202", "203")
CYCLES_PER_RECORDING = 4
RATE = 4000
SECONDS = 0.9


def write_small_data(folder: Path, seed: int = 0, devices: Sequence[str] = ("Meditron",)) -> Path:
    """Write 9 recordings with 4 cycles of 0.9 s each: noise, and a tone for wheeze, clicks for crackle.

    The recordings of each part take the devices in turn.

    Returns:
        ``folder``.
    """
    database = folder / "ICBHI_final_database"
    database.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    split = []
    for part, patients in (("train", TRAIN), ("test", TEST)):
        for number, patient in enumerate(patients):
            name = f"{patient}_1b1_Tc_sc_{devices[number % len(devices)]}"
            split.append(f"{name}\t{part}")
            _write_recording(database, name, rng)
    patients = sorted((*TRAIN, *TEST))
    (folder / "ICBHI_challenge_train_test.txt").write_text("\n".join(split) + "\n")
    (folder / "ICBHI_challenge_diagnosis.txt").write_text("".join(f"{p}\tCOPD\n" for p in patients))
    demographics = "".join(f"{p} 60 F 25 NA NA\n" for p in patients)
    (folder / "ICBHI_challenge_demographic_information.txt").write_text(demographics)
    marker = {"simulated": True, "seed": seed, "recordings": len(split), "version": 0}
    (folder / "SIMULATED.json").write_text(json.dumps(marker))
    return folder


def _write_recording(database: Path, name: str, rng: np.random.Generator) -> None:
    cycles, lines = [], []
    for index in range(CYCLES_PER_RECORDING):
        crackle, wheeze = index % 2, index // 2
        wave = 0.05 * rng.standard_normal(int(SECONDS * RATE))
        if wheeze:
            wave += 0.4 * np.sin(2 * np.pi * rng.uniform(300, 500) * np.arange(wave.size) / RATE)
        if crackle:
            wave[rng.integers(0, wave.size, 8)] = 0.95
        cycles.append(wave)
        lines.append(f"{index * SECONDS:.3f}\t{(index + 1) * SECONDS:.3f}\t{crackle}\t{wheeze}")
    samples = np.clip(np.concatenate(cycles), -1, 1)
    soundfile.write(database / f"{name}.wav", samples, RATE, subtype="PCM_16")
    (database / f"{name}.txt").write_text("\n".join(lines) + "\n")
