"""Finds ICBHI's files below a folder, whatever they are nested in, by their names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SPLIT_NAMES = ("ICBHI_challenge_train_test.txt", "official_split.txt")
"""Names of the official split file: the challenge's own and the one of the Patch-Mix code."""

DIAGNOSIS_NAMES = ("ICBHI_challenge_diagnosis.txt", "patient_diagnosis.csv")
DEMOGRAPHIC_NAMES = ("ICBHI_challenge_demographic_information.txt", "demographic_info.txt")
"""Names of the challenge's companion files, and of the same in the Kaggle copy."""

MARKER = "SIMULATED.json"
"""The file by which a simulated set is known."""

RECORDING = re.compile(r"(\d{3})_([0-9A-Za-z]+)_([A-Z][a-z])_(sc|mc)_([0-9A-Za-z]+)")
"""A recording's name: patient, recording index, chest location, acquisition mode, device."""


@dataclass(frozen=True)
class Found:
    """The files below a folder; lists are sorted with the least nested file first.

    Attributes:
        audio: WAV files by join key.
        annotations: Annotation files by join key.
        splits: Split files.
        diagnoses: Diagnosis files.
        demographics: Demographic files.
        markers: Marks of a simulated set.
        strays: WAV files whose names are no recording's.
    """

    audio: dict[str, list[Path]] = field(default_factory=dict)
    annotations: dict[str, list[Path]] = field(default_factory=dict)
    splits: list[Path] = field(default_factory=list)
    diagnoses: list[Path] = field(default_factory=list)
    demographics: list[Path] = field(default_factory=list)
    markers: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)


def join_key(name: str) -> str | None:
    """What joins the files of one recording: its name without the device, in which copies differ.

    Args:
        name: A file's name without ending.

    Returns:
        ``<patient>_<index>_<location>_<mode>``, or None where the name is no recording's.
    """
    return name.rpartition("_")[0] if RECORDING.fullmatch(name) else None


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, links to folders followed once; hidden files and macOS' ``__MACOSX`` are not data."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _sort_in(path: Path, lists: dict[str, list[Path]], found: Found) -> None:
    special = lists.get(path.name.lower())
    ending = path.suffix.lower()
    if special is not None:
        special.append(path)
    elif ending in (".wav", ".txt"):
        key = join_key(path.stem)
        if key is not None:
            (found.audio if ending == ".wav" else found.annotations).setdefault(key, []).append(path)
        elif ending == ".wav":
            found.strays.append(path)


def scan(folder: Path) -> Found:
    """Find ICBHI's files below a folder.

    Args:
        folder: Where to look; it need not exist.
    """
    found = Found()
    groups = (
        (SPLIT_NAMES, found.splits),
        (DIAGNOSIS_NAMES, found.diagnoses),
        (DEMOGRAPHIC_NAMES, found.demographics),
        ((MARKER,), found.markers),
    )
    lists = {name.lower(): group for names, group in groups for name in names}
    for path in sorted(walk(folder), key=lambda path: (str(path).count("/"), str(path))):
        _sort_in(path, lists, found)
    return found


def find_dataset(folder: Path) -> bool:
    """Whether anything below a folder is named as ICBHI's recordings or annotations are.

    Args:
        folder: Where to look; it need not exist.
    """
    return any(path.suffix.lower() in (".wav", ".txt") and join_key(path.stem) is not None for path in walk(folder))
