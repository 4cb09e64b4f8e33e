"""Locks between processes that end with the process that holds them, on file systems with and without ``flock``."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from bench.core.errors import StoreError

NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""What ``flock`` answers on a file system that has no such locks: Lustre without ``-o flock``, CIFS, some NFS."""

SOFT_POLL_SECONDS = 0.5
MOST_REPLACED = 100
"""How often in a row a lock file may turn out to have been removed by its last holder."""


@contextlib.contextmanager
def exclusive_lock(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[IO[str]]:
    """Hold a lock on a file; it is free again when the process ends, however it ends.

    Whoever holds it may remove the file, with its folder: those who waited then take turns at the file of that name
    that comes after it.

    Where the file system has no ``flock``, a second file beside it, ``<path>.held``, is the lock. One that a killed
    process of this machine left is taken over; one of another machine that died stays until somebody removes it.

    Args:
        path: The lock file; it is made, and stays.
        on_wait: Called once with what the holder wrote (its process id) if somebody else holds the lock.

    Raises:
        StoreError: If the lock file cannot be made, or the file system refuses both kinds of lock.
    """
    for _ in range(MOST_REPLACED):
        with _opened(path) as stream, _held(stream, path, on_wait):
            if _is_in_place(stream, path):
                stream.seek(0)
                stream.truncate()
                stream.write(f"process {os.getpid()}\n")
                stream.flush()
                yield stream
                return
    raise _unwritable(path, f"it was removed {MOST_REPLACED} times while this process waited for it")


def _opened(path: Path) -> IO[str]:
    def opened() -> IO[str]:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")

    try:
        try:
            return opened()
        except FileNotFoundError:
            # The folder went between the two steps: its last holder has just removed it.
            return opened()
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _is_in_place(stream: IO[str], path: Path) -> bool:
    """Whether the locked file is still the one of that name: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _unwritable(path: Path, reason: str) -> StoreError:
    return StoreError(f"Cannot write {path}: {reason}.", "Choose a folder that can be written.")


@contextlib.contextmanager
def _held(stream: IO[str], path: Path, on_wait: Callable[[str], None] | None) -> Iterator[None]:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _tell_holder(stream, on_wait)
        fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_FLOCK:
            raise _refused(path, error) from error
        with _soft_lock(path, stream, on_wait):
            yield
        return
    yield


@contextlib.contextmanager
def _soft_lock(path: Path, stream: IO[str], on_wait: Callable[[str], None] | None) -> Iterator[None]:
    from filelock import SoftFileLock, Timeout

    lock = SoftFileLock(f"{path}.held", thread_local=False)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _tell_holder(stream, on_wait)
            lock.acquire(poll_interval=SOFT_POLL_SECONDS)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _tell_holder(stream: IO[str], on_wait: Callable[[str], None] | None) -> None:
    if on_wait is not None:
        stream.seek(0)
        on_wait(stream.read(200).strip())


def _refused(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The file system of {path} has no locks: {error.strerror or error}.",
        "Choose a folder on a local disk, or have it mounted with locks (Lustre: -o flock).",
    )
