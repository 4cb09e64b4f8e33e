"""Small data folders in ICBHI's layout, made for tests: noise for sound, made-up patients, the real file formats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from bench.core.datasets import DATASETS, DatasetCard
from bench.data.answers import answers_in
from bench.data.dataset import Dataset
from bench.data.datasets.icbhi import dataset
from bench.data.datasets.icbhi import verify as verification
from bench.data.datasets.icbhi.files import scan
from leaderboard.results.official_part import OfficialPart

NAMES = {
    "501_1b1_Al_sc_Meditron": "train",
    "501_1b2_Tc_sc_Meditron": "train",
    "502_2b1_Pr_mc_AKGC417L": "train",
    "503_1b1_Ar_sc_Litt3200": "test",
    "504_1p2_Ll_mc_LittC2SE": "test",
}
RATES = {"Meditron": 10000, "AKGC417L": 44100, "Litt3200": 4000, "LittC2SE": 44100}
BITS = {"Meditron": "PCM_16", "AKGC417L": "PCM_24", "Litt3200": "PCM_16", "LittC2SE": "PCM_16"}
CYCLES = ((0.1, 0.6, 0, 0), (0.6, 1.1, 1, 0), (1.1, 1.5, 0, 1), (1.5, 2.0, 1, 1))
SECONDS = 2.0


def write_wav(path: Path, *, rate: int | None = None, seconds: float = SECONDS, subtype: str | None = None) -> None:
    """Noise that depends on the file's name alone."""
    device = path.stem.split("_")[-1]
    rng = np.random.default_rng(list(path.stem.encode()))
    rate = rate or RATES[device]
    soundfile.write(path, rng.uniform(-0.5, 0.5, round(seconds * rate)), rate, subtype=subtype or BITS[device])


def write_annotation(path: Path, cycles: Sequence[tuple[float, float, int, int]] = CYCLES) -> None:
    path.write_text("".join("\t".join(map(str, cycle)) + "\n" for cycle in cycles), encoding="utf-8")


def write_split(path: Path, names: Mapping[str, str] = NAMES) -> None:
    path.write_text("".join(f"{name}\t{side}\n" for name, side in names.items()), encoding="utf-8")


def mark_simulated(folder: Path, recordings: int = len(NAMES)) -> None:
    document = {"simulated": True, "seed": 0, "recordings": recordings, "version": 1}
    (folder / "SIMULATED.json").write_text(json.dumps(document), encoding="utf-8")


def write_set(folder: Path, *, simulated: bool = True, names: Mapping[str, str] = NAMES) -> Path:
    """The official layout; returns the folder of recordings.

    A simulated set is complete with the recordings that its mark counts, the real one has 920.
    """
    database = folder / "ICBHI_final_database"
    database.mkdir(parents=True)
    for name in names:
        write_wav(database / f"{name}.wav")
        write_annotation(database / f"{name}.txt")
    write_split(folder / "ICBHI_challenge_train_test.txt", names)
    patients = sorted({name[:3] for name in names})
    diagnoses = "".join(f"{patient}\tCOPD\n" for patient in patients)
    (folder / "ICBHI_challenge_diagnosis.txt").write_text(diagnoses, encoding="utf-8")
    demographics = "".join(f"{patient}\t70\tF\t28.5\tNA\tNA\t\r\n" for patient in patients)
    (folder / "ICBHI_challenge_demographic_information.txt").write_bytes(demographics.encode())
    if simulated:
        mark_simulated(folder, len(names))
    return database


def card_of(folder: Path) -> DatasetCard:
    """The card of ICBHI, or of the simulated set where a folder is marked as that."""
    return (DATASETS.simulated() if scan(folder).markers else DATASETS.primary()).card


def load_dataset(folder: Path, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
    card = card_of(folder)
    return dataset.load_dataset(card, folder, card.tasks[0], allow_partial=allow_partial, cache=cache)


def inspect_folder(folder: Path, cache: Path | None = None) -> dataset.InspectedFolder:
    return dataset.inspect_folder(card_of(folder), folder, cache)


def verify(folder: Path, cache: Path | None = None) -> verification.Report:
    return verification.verify(card_of(folder), folder, cache)


def part_of_folder(folder: Path, *, allow_partial: bool = False) -> OfficialPart:
    card = card_of(folder)
    return answers_in(folder, card, card.tasks[0], allow_partial=allow_partial)
