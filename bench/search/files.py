"""The files that studies are kept in: what is none is refused before it is touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bench.core.errors import StoreError

BEGIN = b'{"op_code":'
"""What Optuna's journals begin with."""

SQLITE_BEGIN = b"SQLite format 3\0"


def check_kind(path: Path) -> bool:
    """Refuse a path that is no regular file and cannot become one; nothing is made.

    Returns:
        Whether there is a file.

    Raises:
        StoreError: For a folder, a device or a pipe; for a missing file, if its folder cannot be written.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        _check_folder(path.parent)
        return False
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise StoreError(f"{path} is {kind}: studies are kept in a file.", "Name a file with --storage.")
    return True


def check_journal(path: Path) -> None:
    """Refuse a path that is no journal and cannot become one; nothing is made or changed.

    Raises:
        StoreError: As :func:`check_kind`, and for a file that does not begin as a journal, or cannot be read.
    """
    if not check_kind(path):
        return
    try:
        with path.open("rb") as stream:
            begin = stream.read(len(SQLITE_BEGIN))
    except OSError as error:
        raise _unreadable(path, error) from None
    if begin[: len(BEGIN)] == BEGIN[: len(begin)]:
        return
    hint = "Name another file: one that does not exist yet is made."
    if begin == SQLITE_BEGIN:
        hint = f"It is an SQLite database; the studies of one are named by sqlite:///{path}."
    raise StoreError(f"{path} is no journal of studies, and is left as it is.", hint)


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"Cannot read {path}: {error.strerror or error}.", "Name another file with --storage.")


def _check_folder(folder: Path) -> None:
    """Refuse a folder that a file cannot be made in."""
    above = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "cannot be written" if above.is_dir() else "is no folder"
        raise StoreError(f"Studies cannot be kept in {folder}: {above} {why}.", "Choose a folder that can be written.")
