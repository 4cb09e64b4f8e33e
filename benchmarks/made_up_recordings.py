"""Recordings of noise in ICBHI's layout, as long and at such rates as ICBHI's: made up, to be read and cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

SECONDS = 20.0
"""Of a recording; most of ICBHI's are as long."""

CYCLE_SECONDS = (1.6, 2.1, 2.7, 3.4, 2.2, 2.9, 2.5)
"""Lengths of a recording's cycles, 2.5 s in the mean, as ICBHI's are."""

RATES = (44100, 44100, 44100, 4000, 44100, 44100, 44100, 10000)
"""Sampling rates in turn, Hz: most of ICBHI's recordings have 44,100."""

DEVICES = {44100: "AKGC417L", 4000: "Meditron", 10000: "Litt3200"}


def write_recordings(folder: Path, count: int) -> Path:
    """Write recordings, every third of them of the test part.

    Args:
        folder: Folder that does not exist yet.
        count: Number of recordings, at least 3.

    Returns:
        ``folder``.
    """
    database = folder / "ICBHI_final_database"
    database.mkdir(parents=True)
    names = [_write_recording(database, number) for number in range(count)]
    patients = [name[:3] for name in names]
    split = "".join(f"{name}\t{'test' if number % 3 == 2 else 'train'}\n" for number, name in enumerate(names))
    tables = {
        "ICBHI_challenge_train_test.txt": split,
        "ICBHI_challenge_diagnosis.txt": "".join(f"{patient}\tCOPD\n" for patient in patients),
        "ICBHI_challenge_demographic_information.txt": "".join(f"{patient} 60 F 25 NA NA\n" for patient in patients),
        "SIMULATED.json": json.dumps({"simulated": True, "seed": 0, "recordings": count, "version": 0}),
    }
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def read_recordings(folder: Path) -> Dataset:
    """Read the recordings as a data set."""
    from bench.data.sources import load_dataset

    return load_dataset(folder, "demo")


def _write_recording(database: Path, number: int) -> str:
    import soundfile

    rng, rate = np.random.default_rng(number), RATES[number % len(RATES)]
    name = f"{101 + number}_1b1_Tc_sc_{DEVICES[rate]}"
    wave = 0.1 * rng.standard_normal(int(SECONDS * rate))
    soundfile.write(database / f"{name}.wav", np.clip(wave, -1, 1), rate, subtype="PCM_16")
    ends = np.cumsum(CYCLE_SECONDS)
    lines = [
        f"{end - length:.3f}\t{end:.3f}\t{index % 2}\t{index // 2 % 2}\n"
        for index, (length, end) in enumerate(zip(CYCLE_SECONDS, ends, strict=True))
    ]
    (database / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    return name
