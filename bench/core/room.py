"""Room on a disk, looked at before a long download begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.core.errors import DataError


def check_room(size: int, folder: Path, what: str) -> None:
    """Refuse to begin what a disk has no room for.

    Args:
        size: Bytes that are needed.
        folder: Where to; it need not be there yet.
        what: What needs them, to begin a sentence with.

    Raises:
        DataError: If fewer are free.
    """
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if size > free:
        raise DataError(
            f"{what} takes {size:,} bytes, but {free:,} are free in {place}.",
            "Free space there or choose another folder.",
        )
