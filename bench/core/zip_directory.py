"""The table of contents of a zip archive, which has to be bounded before a library reads it into memory."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

MAX_BYTES = 16 << 20
"""Of a table of contents; it has about 100 bytes for each file."""

_END_BYTES = 22 + 0xFFFF + 20 + 56
"""Where an archive's end record is: behind it a comment, before it a locator and the record of large archives."""

_IN_LARGE_RECORD = 0xFFFFFFFF


def check_directory(path: Path) -> None:
    """Refuse an archive that announces a table of contents beyond any that is read.

    Raises:
        zipfile.BadZipFile: If it does.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - _END_BYTES, 0))
        end = stream.read()
    announced = [_field_of_record(end, end.rfind(b"PK\5\6"), 12, 4), _field_of_record(end, end.rfind(b"PK\6\6"), 40, 8)]
    largest = max(number for number in announced if number != _IN_LARGE_RECORD)
    if largest > MAX_BYTES:
        raise zipfile.BadZipFile(f"its table of contents has {largest:,} bytes, {MAX_BYTES:,} at most are read")


def _field_of_record(end: bytes, record: int, place: int, width: int) -> int:
    return int.from_bytes(end[record + place : record + place + width], "little") if record >= 0 else 0
