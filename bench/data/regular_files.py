"""Files of a data folder are opened here: regular files alone, and texts of bounded length.

A folder from elsewhere may hold pipes, which nobody may ever write to, and devices, which never end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

TEXT_LIMIT = 1 << 20
"""Bytes of a text file at most; the longest of ICBHI's, the split, has 32 KB."""


def why_irregular(path: Path) -> str | None:
    """Why a file is not read: what it is, where it is no regular file; None where it is one or is not there.

    Args:
        path: The file; links are followed.
    """
    try:
        return _kind_unless_regular(path.stat().st_mode)
    except OSError:
        return None


def _kind_unless_regular(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    kind = next((name for test, name in kinds if test(mode)), "something else")
    return f"is no regular file, but {kind}"


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links to one are followed.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be opened, or is anything else; ``strerror`` says so.
    """
    # A pipe would be waited for until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    reason = _kind_unless_regular(os.fstat(descriptor).st_mode)
    if reason is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"it {reason}", str(path))
    return os.fdopen(descriptor, "rb", buffering=4096)


def read_text_bytes(path: Path) -> bytes:
    """Read a text file whole.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read, is no regular file, or has more than 1 MiB; ``strerror`` says so.
    """
    with open_regular(path) as stream:
        # Of a file that grows, no more than a little; memory for the limit would cost more than the reading.
        content = stream.read(min(os.fstat(stream.fileno()).st_size, TEXT_LIMIT) + 1)
    if len(content) > TEXT_LIMIT:
        raise OSError(errno.EFBIG, f"it has more than {TEXT_LIMIT:,} bytes, as no file of its kind", str(path))
    return content
