"""Files that are never half-written, and locks that die with their process."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from leaderboard.errors import StoreError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target`` that becomes ``target`` when the block ends well.

    Raises:
        StoreError: If the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise StoreError(
            f"Cannot write {target}: {error.strerror or error}.", "Free space there or choose another folder."
        ) from error
    finally:
        if temporary is not None:
            # A database under the temporary name has files of its own beside it.
            for leftover in temporary.parent.glob(f"{glob.escape(temporary.name)}*"):
                leftover.unlink(missing_ok=True)


def write_json(target: Path, document: Any) -> None:
    """Write a JSON document atomically; raises as :func:`atomic_path` does."""
    with atomic_path(target) as path:
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def exclusive_lock(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[IO[str]]:
    """Hold a lock on a file; the kernel frees it when the process ends, however it ends.

    Args:
        path: The lock file; it is made, and stays.
        on_wait: Called once with what the holder wrote (its process id) if somebody else holds the lock.

    Raises:
        StoreError: If the lock file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}.", "Choose a folder that can be written."
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                stream.seek(0)
                on_wait(stream.read().strip())
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()}\n")
        stream.flush()
        yield stream
