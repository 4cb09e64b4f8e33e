"""Finds ICBHI's files below a folder, whatever they are nested in, by their names alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.files import walk
from bench.data.regular_files import why_irregular

SPLIT_NAMES = ("ICBHI_challenge_train_test.txt", "official_split.txt")
"""Names of the official split file: the challenge's own and the one of the Patch-Mix code."""

DIAGNOSIS_NAMES = (
    "ICBHI_challenge_diagnosis.txt",
    "patient_diagnosis.csv",
    "ICBHI_challenge_diagnosis.csv",
    "patient_diagnosis.txt",
)
DEMOGRAPHIC_NAMES = (
    "ICBHI_challenge_demographic_information.txt",
    "demographic_info.txt",
    "ICBHI_challenge_demographic_information.csv",
    "demographic_info.csv",
)
"""Names of the challenge's companion files, of the same in the Kaggle copy, and of both with the other ending."""

MARKER = "SIMULATED.json"
"""The file that makes a folder of this layout a simulated set."""

RECORDING = re.compile(r"([0-9]{3})_([0-9A-Za-z]+)_([A-Z][a-z])_(sc|mc)_([0-9A-Za-z]+)")
"""A recording's name: patient, recording index, chest location, acquisition mode, device."""


@dataclass(frozen=True)
class FoundFiles:
    """The files below a folder; lists are sorted with the least nested file first.

    Attributes:
        audio: WAV files by join key.
        annotations: Annotation files by join key.
        splits: Split files, under any of their names.
        diagnoses: Diagnosis files, under any of their names.
        demographics: Demographic files, under any of their names.
        markers: Files that mark a simulated set.
        strays: WAV files whose names are not those of recordings.
        unusable: Paths that are named as data but are no regular files, and folders that cannot be looked into, each
            with the reason.
    """

    audio: dict[str, list[Path]] = field(default_factory=dict)
    annotations: dict[str, list[Path]] = field(default_factory=dict)
    splits: list[Path] = field(default_factory=list)
    diagnoses: list[Path] = field(default_factory=list)
    demographics: list[Path] = field(default_factory=list)
    markers: list[Path] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    unusable: dict[Path, str] = field(default_factory=dict)


def join_key(name: str) -> str | None:
    """Give the key that joins the files of one recording: its name without the device, in which copies differ.

    Args:
        name: A file's name without ending.

    Returns:
        ``<patient>_<index>_<location>_<mode>``, or None where the name is no recording's.
    """
    return name.rpartition("_")[0] if RECORDING.fullmatch(name) else None


def _sort_file(path: Path, lists: Mapping[str, list[Path]], found: FoundFiles) -> None:
    special, ending = lists.get(path.name.lower()), path.suffix.lower()
    key = join_key(path.stem) if ending in (".wav", ".txt") else None
    if special is None and key is None and ending != ".wav":
        return
    reason = why_irregular(path)
    if reason is not None:
        found.unusable[path] = reason
    elif special is not None:
        special.append(path)
    elif key is None:
        found.strays.append(path)
    else:
        (found.audio if ending == ".wav" else found.annotations).setdefault(key, []).append(path)


def scan(folder: Path) -> FoundFiles:
    """Find ICBHI's files below a folder.

    Args:
        folder: Folder to look through; it need not exist.

    Raises:
        DataError: If there is too much below the folder; the message says how far was looked.
    """
    found = FoundFiles()
    groups = (
        (SPLIT_NAMES, found.splits),
        (DIAGNOSIS_NAMES, found.diagnoses),
        (DEMOGRAPHIC_NAMES, found.demographics),
        ((MARKER,), found.markers),
    )
    lists = {name.lower(): group for names, group in groups for name in names}
    paths = walk(folder, found.unusable.__setitem__)
    for path in sorted(paths, key=lambda path: (str(path).count("/"), str(path))):
        _sort_file(path, lists, found)
    return found


def holds_dataset(folder: Path) -> bool:
    """Tell whether anything below a folder is named as ICBHI's recordings or annotations are.

    Args:
        folder: Folder to look through; it need not exist.

    Raises:
        DataError: If there is too much below the folder; the message says how far was looked.
    """
    named = (p for p in walk(folder) if p.suffix.lower() in (".wav", ".txt") and join_key(p.stem) is not None)
    return any(why_irregular(path) is None for path in named)
