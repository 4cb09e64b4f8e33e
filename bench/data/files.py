"""Finds ICBHI's files below a folder, whatever they are nested in, by their names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import DataError
from bench.core.text import plain
from bench.data.regular_files import why_irregular

SPLIT_NAMES = ("ICBHI_challenge_train_test.txt", "official_split.txt")
"""Names of the official split file: the challenge's own and the one of the Patch-Mix code."""

DIAGNOSIS_NAMES = ("ICBHI_challenge_diagnosis.txt", "patient_diagnosis.csv")
DEMOGRAPHIC_NAMES = ("ICBHI_challenge_demographic_information.txt", "demographic_info.txt")
"""Names of the challenge's companion files, and of the same in the Kaggle copy."""

MARKER = "SIMULATED.json"
"""The file by which a simulated set is known."""

RECORDING = re.compile(r"([0-9]{3})_([0-9A-Za-z]+)_([A-Z][a-z])_(sc|mc)_([0-9A-Za-z]+)")
"""A recording's name: patient, recording index, chest location, acquisition mode, device."""


MOST_ENTRIES = 200_000
DEEPEST = 32
"""Names that are looked at below a data folder, and how deep. ICBHI's archive holds about 1,850 files, its Kaggle copy
twice as many: a folder beyond these bounds is a disk or a home, whose reading would take hours."""


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


def walk(folder: Path, on_refusal: Callable[[Path, str], None] | None = None) -> Iterator[Path]:
    """Every name below a folder, links to folders followed once; hidden files and macOS' ``__MACOSX`` are not data.

    Args:
        folder: Folder to look through; it need not exist.
        on_refusal: Called with each folder that cannot be looked into and the reason.

    Raises:
        DataError: If there is too much below the folder; the message says how far was looked.
    """

    def refuse(error: OSError) -> None:
        if on_refusal is not None:
            on_refusal(Path(error.filename), f"cannot be read: {error.strerror or error}")

    seen = {_folder_identity(folder)}
    entries = 0
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        entries += len(folders) + len(names)
        _check_bounds(folder, Path(place), entries)
        folders[:] = [
            name for name in folders if _may_hold_data(name) and _is_new(_folder_identity(Path(place, name)), seen)
        ]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _may_hold_data(folder: str) -> bool:
    return not folder.startswith(".") and folder != "__MACOSX"


def _folder_identity(folder: Path) -> tuple[int, int] | None:
    """Give device and inode of a folder, which are the same whatever link leads to it; None where it cannot be read."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_new(identity: tuple[int, int] | None, seen: set[tuple[int, int] | None]) -> bool:
    if identity is not None and identity in seen:
        return False
    seen.add(identity)
    return True


def _check_bounds(folder: Path, place: Path, entries: int) -> None:
    depth = len(place.parts) - len(folder.parts)
    if entries <= MOST_ENTRIES and depth <= DEEPEST:
        return
    looked = f"more than {MOST_ENTRIES:,} names" if entries > MOST_ENTRIES else f"folders more than {DEEPEST} deep"
    raise DataError(
        f"The data folder {plain(folder)} holds {looked}; looking for recordings stopped at {plain(place)}.",
        "Name the folder that holds ICBHI's files with --data or BENCH_DATA, not the disk or home that it lies on.",
    )


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
