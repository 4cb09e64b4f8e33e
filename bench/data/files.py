"""The names below a data folder, whatever they are nested in: a walk that is bounded, and follows links once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.core.errors import DataError
from bench.core.text import plain

MOST_ENTRIES = 200_000
DEEPEST = 32
"""Names that are looked at below a data folder, and how deep. The largest archives of data sets hold a few thousand
files: a folder beyond these bounds is a disk or a home, whose reading would take hours."""


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
        "Name the folder that holds the data set with --data, not the disk or home that it lies on.",
    )
