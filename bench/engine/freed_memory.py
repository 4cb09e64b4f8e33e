"""What becomes of memory that a step on a CPU lets go of: kept for the next one, where the C library can be told so."""

from __future__ import annotations

import ctypes
import platform
from typing import Any

# From malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER, _LARGEST_KEPT = -1, 1 << 30


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, in blocks of up to 1 GiB, until it ends.

    The C library gives large blocks back to the system at once and gets them anew, so that the system fills the same
    gigabytes with zeros at every step: a twelfth of the time of a step of AST-tiny in bfloat16. What is kept once in a
    process is kept to its end, whatever later runs of it say.

    Returns:
        Whether the C library is one that can be told so: GNU's.
    """
    library = _gnu_library()
    if library is None:
        return False
    told = (library.mallopt(_TRIM_THRESHOLD, _NEVER), library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT))
    return all(told)


def give_back_freed_memory() -> bool:
    """Let the system have the memory that this process has freed and kept: the next run's peak is its own.

    Returns:
        Whether the C library is one that can do so: GNU's.
    """
    library = _gnu_library()
    if library is not None:
        library.malloc_trim(0)
    return library is not None


def _gnu_library() -> Any:
    """The C library of this process, where it is GNU's; otherwise None."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
