"""Finds SPRSound's files below a folder: the owners' layout, its common copies, and other years' parts beside them.

The part of a recording is told by the folders that its annotation lies in (``train_json``, ``train2022_json``,
``test_json/inter_test_json``, ``test_classification_json/2022/intra_test_json``); audio is joined by its name, wherever
it lies.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.datasets import TRAIN
from bench.data.files import walk
from bench.data.regular_files import why_irregular

INTER, INTRA = "inter", "intra"
PARTS = (TRAIN, INTER, INTRA)

YEAR = 2022

NAME = re.compile(r"([0-9]*)_([0-9]+(?:\.[0-9]+)?)_([01])_(p[1-8])_([0-9]+)")
"""A recording's name: patient, age in years, sex (0 male, 1 female), place on the chest, number. Patients are numbers;
in the test part of 2025 some are left out. Places beyond ``p4`` are those of later years."""

_YEAR = re.compile(
    r"(?:biocas[ _-]?|(?:train|test|valid)(?:_classification_(?:json|wav)/)?)(20[0-9]{2})", re.IGNORECASE
)
"""What tells the year of a file: ``BioCAS2023``, ``test2023_json``, ``test_classification_json/2023``."""

OTHER_TASKS = frozenset({"detection", "compression"})
"""Words in the folders of other tasks: their files are those of later years, without labels of recordings."""

_WORDS = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class FoundFiles:
    """The files below a folder; lists are sorted with the least nested file first.

    Attributes:
        audio: WAV files by name of the recording.
        annotations: Annotation files by name of the recording, each with the part that its folders tell, or None.
        others: Number of recordings (WAV or annotation) in folders that say that they are not of this set, by what
            these are (``the year 2023``).
        strays: Number of WAV files whose names are not those of recordings.
        unusable: Paths that are named as data but are no regular files, and folders that cannot be looked into, each
            with the reason.
    """

    audio: dict[str, list[Path]] = field(default_factory=dict)
    annotations: dict[str, list[tuple[Path, str | None]]] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    strays: int = 0
    unusable: dict[Path, str] = field(default_factory=dict)


def part_of(place: Path) -> str | None:
    """The part that the folders of an annotation file tell, the innermost first; None where they tell none.

    Args:
        place: Path of the file, below the data folder.
    """
    for folder in reversed(place.parts[:-1]):
        words = {word.lower() for word in _WORDS.findall(folder)}
        for part in (INTER, INTRA, TRAIN):
            if part in words:
                return part
    return None


def other_set_of(place: Path) -> str | None:
    """What else than the set of 2022 the folders of a file say that it is of; None where they say nothing else.

    Args:
        place: Path of the file, below the data folder.
    """
    folders = place.parent.as_posix()
    if OTHER_TASKS & {word.lower() for word in _WORDS.findall(folders)}:
        return "detection and compression"
    years = [int(year) for year in _YEAR.findall(folders)]
    return f"the year {years[-1]}" if years and years[-1] != YEAR else None


def scan(folder: Path) -> FoundFiles:
    """Find SPRSound's files below a folder.

    Args:
        folder: Folder to look through; it need not exist.

    Raises:
        DataError: If there is too much below the folder; the message says how far was looked.
    """
    audio: dict[str, list[Path]] = {}
    annotations: dict[str, list[tuple[Path, str | None]]] = {}
    others: dict[str, set[str]] = {}
    unusable: dict[Path, str] = {}
    counts: Counter[str] = Counter()
    for path in sorted(walk(folder, unusable.__setitem__), key=lambda path: (len(path.parts), str(path))):
        ending = path.suffix.lower()
        named = NAME.fullmatch(path.stem) is not None
        if ending not in (".wav", ".json") or not named:
            counts["strays"] += ending == ".wav"
        elif (reason := why_irregular(path)) is not None:
            unusable[path] = reason
        elif (other := other_set_of(path.relative_to(folder))) is not None:
            others.setdefault(other, set()).add(path.stem)
        elif ending == ".wav":
            audio.setdefault(path.stem, []).append(path)
        else:
            part = part_of(Path(folder.name) / path.relative_to(folder))  # the data folder itself may be train_json
            annotations.setdefault(path.stem, []).append((path, part))
    numbers = {other: len(others[other]) for other in sorted(others)}
    return FoundFiles(audio, annotations, numbers, counts["strays"], unusable)


def holds_dataset(folder: Path) -> bool:
    """Tell whether anything below a folder is named as SPRSound's recordings or annotations of 2022 are.

    Args:
        folder: Folder to look through; it need not exist.

    Raises:
        DataError: If there is too much below the folder; the message says how far was looked.
    """
    return any(
        path.suffix.lower() in (".wav", ".json")
        and NAME.fullmatch(path.stem) is not None
        and other_set_of(path.relative_to(folder)) is None
        and why_irregular(path) is None
        for path in walk(folder)
    )
