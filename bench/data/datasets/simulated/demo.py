"""The simulated data set: ICBHI's file layout, patients and split around sounds that are computed.

It proves that the pipeline works from sound files to the board, never that a method is good; see
``docs/simulated-data.md``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.core.errors import SpecError, StoreError
from bench.core.files import advice, exclusive_lock, sweep, temporary_name
from bench.core.text import LARGEST_WHOLE, echoed
from bench.data.datasets.icbhi.files import MARKER
from bench.data.datasets.simulated.simulate import (
    Breath,
    Chest,
    Device,
    band_limited,
    draw_chest,
    lung_sound,
    quantised,
)

VERSION = 1
"""Raised whenever a change moves a sample, a label or a name."""

CLASS_SHARES = (0.50, 0.27, 0.14, 0.09)
"""Share of the cycles per class (normal, crackle, wheeze, both), in each part; near to ICBHI's."""

CYCLES_PER_RECORDING = 8
LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
DIAGNOSES = ("Healthy", "URTI", "COPD", "Bronchiectasis", "Pneumonia", "Bronchiolitis")

AKGC417L = Device(name="AKGC417L", mode="mc", rate=44100, bits=16, low=50.0, high=2500.0)
LITTC2SE = Device(name="LittC2SE", mode="mc", rate=44100, bits=24, low=30.0, high=2000.0)
LITT3200 = Device(name="Litt3200", mode="sc", rate=4000, bits=16, low=30.0, high=1700.0)
MEDITRON = Device(name="Meditron", mode="sc", rate=10000, bits=16, low=20.0, high=3000.0)

DEVICES = (AKGC417L, MEDITRON, LITT3200, AKGC417L, MEDITRON, LITT3200, LITTC2SE, MEDITRON)
"""The devices of consecutive patients, repeated: each device records patients of both parts."""

TINY_CYCLE = 0.8
"""Length of every cycle of the tiny set, s."""

PATIENTS = {"train": 23, "test": 14}
FIRST_PATIENT = 501
"""Above ICBHI's numbers, 101 to 226, so that no simulated recording can be taken for a real one."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Patient:
    """A simulated patient.

    Attributes:
        number: Number of the patient, three digits.
        split: Part that the patient belongs to, ``train`` or ``test``.
        device: Device that records the patient.
        chest: How the patient's breath sounds.
        pace: Typical length of a cycle, s.
        locations: Chest locations, at each of which one recording is made.
    """

    number: int
    split: str
    device: Device
    chest: Chest
    pace: float
    locations: tuple[str, ...]


@dataclass(frozen=True)
class PlannedRecording:
    """A recording that is to be made.

    Attributes:
        name: File name without ending.
        patient: The patient who is recorded.
        breaths: The cycles of the recording, in order of time.
        seconds: Length of the recording, s.
        seed: Key of the generator that its sound is drawn from.
    """

    name: str
    patient: Patient
    breaths: tuple[Breath, ...]
    seconds: float
    seed: tuple[int, ...]


def _draw_patients(rng: np.random.Generator) -> list[Patient]:
    splits = [split for split, count in PATIENTS.items() for _ in range(count)]
    return [
        Patient(
            number=FIRST_PATIENT + index,
            split=split,
            device=DEVICES[index % len(DEVICES)],
            chest=draw_chest(rng),
            pace=rng.uniform(2.0, 3.2),
            locations=tuple(rng.permutation(LOCATIONS)[: 4 + index % 2].tolist()),
        )
        for index, split in enumerate(splits)
    ]


def _draw_classes(rng: np.random.Generator, cycles: int) -> list[int]:
    """Class of each cycle, shuffled, in exact shares."""
    bounds = np.rint(np.cumsum(CLASS_SHARES) * cycles).astype(int)
    ordered = np.searchsorted(bounds, np.arange(cycles), side="right")
    return [int(label) for label in rng.permutation(ordered)]


def _draw_lengths(rng: np.random.Generator, pace: float, count: int) -> list[float]:
    """Lengths of cycles in s, whole milliseconds; most lie between 1.5 and 4 s, a few outside."""
    lengths = np.clip(pace * np.exp(rng.normal(0.0, 0.15, count)), 1.5, 4.0)
    short, long = rng.uniform(1.0, 1.5, count), rng.uniform(4.0, 5.0, count)
    kind = rng.random(count)
    lengths = np.where(kind < 0.015, short, np.where(kind > 0.985, long, lengths))
    return [round(float(length), 3) for length in lengths]


def _draw_breaths(rng: np.random.Generator, pace: float, classes: list[int]) -> tuple[Breath, ...]:
    """Put cycles one after another, as ICBHI's annotations have them."""
    start, breaths = round(float(rng.uniform(0.1, 0.6)), 3), []
    for length, label in zip(_draw_lengths(rng, pace, len(classes)), classes, strict=True):
        end = round(start + length, 3)
        breaths.append(Breath(start, end, crackle=label in (1, 3), wheeze=label in (2, 3)))
        start = end
    return tuple(breaths)


def _plan_recordings(seed: int) -> list[PlannedRecording]:
    """Everything about the set but its samples."""
    rng = np.random.default_rng([VERSION, seed])
    patients = _draw_patients(rng)
    recordings = {split: sum(len(p.locations) for p in patients if p.split == split) for split in PATIENTS}
    classes = {split: _draw_classes(rng, count * CYCLES_PER_RECORDING) for split, count in recordings.items()}
    plans: list[PlannedRecording] = []
    for patient in patients:
        for index, location in enumerate(patient.locations, start=1):
            labels = [classes[patient.split].pop() for _ in range(CYCLES_PER_RECORDING)]
            breaths = _draw_breaths(rng, patient.pace, labels)
            name = f"{patient.number}_1b{index}_{location}_{patient.device.mode}_{patient.device.name}"
            # Whole half seconds are whole numbers of samples at every rate.
            seconds = np.ceil(2 * (breaths[-1].end + 0.2)) / 2
            plans.append(PlannedRecording(name, patient, breaths, float(seconds), (VERSION, seed, len(plans))))
    return plans


def _write_recording(folder: Path, plan: PlannedRecording) -> None:
    import soundfile

    device = plan.patient.device
    sound = lung_sound(np.random.default_rng(plan.seed), plan.patient.chest, plan.breaths, plan.seconds)
    numbers = quantised(band_limited(sound, device), device.bits)
    soundfile.write(folder / f"{plan.name}.wav", numbers, device.rate, subtype=f"PCM_{device.bits}")
    lines = (f"{b.start:g}\t{b.end:g}\t{b.crackle:d}\t{b.wheeze:d}\n" for b in plan.breaths)
    (folder / f"{plan.name}.txt").write_text("".join(lines), encoding="utf-8")


def _demographics_line(rng: np.random.Generator, number: int) -> str:
    """One line of ICBHI's demographic file: number, age, sex, then an adult's BMI or a child's weight and height."""
    child, sex = rng.random() < 0.3, rng.choice(("F", "M"))
    if child:
        age = int(rng.integers(1, 17))
        return f"{number}\t{age}\t{sex}\tNA\t{8 + 2.8 * age:.1f}\t{76 + 6 * age}\n"
    return f"{number}\t{rng.integers(18, 90)}\t{sex}\t{rng.uniform(18.0, 36.0):.1f}\tNA\tNA\n"


def _write_tables(folder: Path, plans: list[PlannedRecording], seed: int) -> None:
    """Write what stands beside the recordings: split, diagnoses, demographics and the marker."""
    # A key that no recording's sound has: theirs end below the number of recordings.
    rng = np.random.default_rng([VERSION, seed, len(plans)])
    numbers = sorted({plan.patient.number for plan in plans})
    split = "".join(f"{plan.name}\t{plan.patient.split}\n" for plan in sorted(plans, key=lambda plan: plan.name))
    tables = {
        "ICBHI_challenge_train_test.txt": split,
        "ICBHI_challenge_diagnosis.txt": "".join(f"{number}\t{rng.choice(DIAGNOSES)}\n" for number in numbers),
        "ICBHI_challenge_demographic_information.txt": "".join(_demographics_line(rng, number) for number in numbers),
        MARKER: json.dumps({"simulated": True, "seed": seed, "recordings": len(plans), "version": VERSION}) + "\n",
    }
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")


def _plan_tiny_recordings() -> list[PlannedRecording]:
    """One recording of 0.8 s cycles, each class once, for four training and two test patients."""
    rng = np.random.default_rng([VERSION])
    plans = []
    for index, split in enumerate(("train",) * 4 + ("test",) * 2):
        device = (MEDITRON, LITT3200)[index % 2]
        patient = Patient(FIRST_PATIENT + index, split, device, draw_chest(rng), TINY_CYCLE, LOCATIONS[:1])
        times = [round(TINY_CYCLE * number, 1) for number in range(5)]
        breaths = tuple(
            Breath(times[label], times[label + 1], crackle=label in (1, 3), wheeze=label in (2, 3))
            for label in range(4)
        )
        name = f"{patient.number}_1b1_{LOCATIONS[0]}_{device.mode}_{device.name}"
        plans.append(PlannedRecording(name, patient, breaths, 3.5, (VERSION, index)))
    return plans


def _write_set(folder: Path, plans: list[PlannedRecording], seed: int, on_progress: Progress | None) -> None:
    database = folder / "ICBHI_final_database"
    database.mkdir(parents=True)
    # Fourier transforms and random numbers leave the interpreter's lock, so threads are enough.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for done, _ in enumerate(pool.map(partial(_write_recording, database), plans), start=1):
            if on_progress is not None:
                on_progress(done, len(plans))
    _write_tables(folder, plans, seed)


def _unfinished_folders(folder: Path) -> Iterator[Path]:
    """Temporary folders beside ``folder`` that a stopped process may have left."""
    return folder.parent.glob(f".{folder.name}.*.tmp")


def write_demo(folder: Path, *, seed: int = 0, on_progress: Progress | None = None) -> None:
    """Write the simulated data set; the folder appears when it is complete, or not at all.

    The same seed gives the same files, bit by bit.

    Args:
        folder: Folder to write to; it must not exist, or be empty.
        seed: Number of the set, from 0 up and within 64 bits.
        on_progress: Called with the number of recordings written and their total.

    Raises:
        SpecError: If the folder holds something already, or the seed is negative or has more than 64 bits.
        StoreError: If it cannot be written.
    """
    import soundfile

    if not 0 <= seed <= LARGEST_WHOLE:
        raise SpecError(f"The simulated set's seed is {echoed(seed)}, but must be from 0 to {LARGEST_WHOLE}.")
    temporary = None
    try:
        # A link to an empty folder, or `.`, cannot be renamed upon by that name.
        folder = folder.resolve()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SpecError(f"{folder} is not empty.", "Name a new folder for the simulated set.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        name = temporary_name(folder)
        name.mkdir()
        temporary = name
        _write_set(temporary, _plan_recordings(seed), seed, on_progress)
        temporary.rename(folder)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"Cannot write the simulated set to {folder}: {reason}.", advice(error)) from error
    except soundfile.LibsndfileError as error:
        raise StoreError(
            f"Cannot write the simulated set to {folder}: {error}.", "Free space there or choose another folder."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def write_tiny(folder: Path) -> None:
    """Write a simulated set of 16 training and 8 test cycles: enough to try code, too little to learn anything.

    Args:
        folder: Folder to write to; it must not exist.
    """
    _write_set(folder, _plan_tiny_recordings(), 0, None)


def demo_folder(cache: Path, seed: int = 0, *, on_progress: Progress | None = None) -> Path:
    """The simulated data set in the cache, made on first use.

    Two processes may ask at once: one makes it, the other waits. What a killed process left is swept away.

    Args:
        cache: The cache folder.
        seed: Number of the set, from 0 up and within 64 bits.
        on_progress: Called with the number of recordings written and their total.

    Returns:
        The folder with the set.

    Raises:
        SpecError: If the seed is negative or has more than 64 bits.
        StoreError: If the set cannot be written.
    """
    folder = cache / f"demo-v{VERSION}-{seed}"
    sweep(cache)
    if (folder / MARKER).exists():
        return folder
    with exclusive_lock(cache / f"{folder.name}.lock"):
        for leftover in _unfinished_folders(folder):
            shutil.rmtree(leftover, ignore_errors=True)
        if not (folder / MARKER).exists():
            write_demo(folder, seed=seed, on_progress=on_progress)
    return folder
