"""Locks between processes that end with the process that holds them, on file systems with and without ``flock``.

Without ``flock``, and where it locks for one machine alone on a disk that many share, a second file is the lock, and
its holder touches it again and again for as long as it lives. Whoever waits takes it over when the holder's process is
gone from this machine, or when nothing was touched for a long time by the clock of the one that waits: machines need
not agree on the time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bench.core.errors import StoreError
from bench.core.mounts import mount_of

if TYPE_CHECKING:
    from filelock import LeaseCompromise, SoftFileLease

NO_FLOCK = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""What ``flock`` answers on a file system that has no such locks: Lustre without ``-o flock``, CIFS, some NFS."""

SOFT_POLL_SECONDS = 0.5
BEAT_SECONDS = 15.0
"""How often the holder of a lock without ``flock`` says that it lives."""

STOPPED_SECONDS = 300.0
"""After this long without a beat a holder on another machine counts as gone: twenty beats, since a disk that many
machines share may stand still for minutes. All who use one lock must agree on it."""

MOST_REPLACED = 100
"""How often in a row a lock file may turn out to have been removed by its last holder."""


@contextlib.contextmanager
def exclusive_lock(path: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[IO[str]]:
    """Hold a lock on a file; it is free again when the process ends, however it ends.

    Whoever holds it may remove the file, with its folder: those who waited then take turns at the file of that name
    that comes after it.

    Where the file system has no ``flock``, or one that other machines do not see, a second file beside it,
    ``<path>.held``, is the lock. One that a killed process of this machine left is taken over at once; one of another
    machine when its holder has not touched it for :data:`STOPPED_SECONDS`.

    Args:
        path: The lock file; it is made, and stays.
        on_wait: Called once with who holds the lock, if somebody else does: ``process 123``, and without ``flock``
            ``process 123 on HOST``.

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
        has_flock = _flock(stream, on_wait)
    except OSError as error:
        raise _refused(path, error) from error
    if has_flock and not locks_stay_here(path.parent):
        yield
        return
    with _soft_lock(path, on_wait):
        yield


def _flock(stream: IO[str], on_wait: Callable[[str], None] | None) -> bool:
    """Lock an open file, waiting for its holder; gives whether its file system has such locks.

    Raises:
        OSError: If it fails for another reason.
    """
    try:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _tell_holder(stream, on_wait)
            fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno in NO_FLOCK:
            return False
        raise
    return True


def locks_stay_here(folder: Path) -> bool:
    """Whether ``flock`` works in a folder, but locks nothing for other machines that share its disk."""
    mount = mount_of(folder)
    return mount is not None and mount.locks_stay_here


def kind_of_lock(folder: Path) -> str:
    """How :func:`exclusive_lock` locks in a folder, in words; nothing is left there."""
    probe = folder / f".lock-probe-{os.getpid()}"
    try:
        with probe.open("w") as stream:
            has_flock = _flock(stream, None)
    except OSError as error:
        return f"not known: {error.strerror or error}"
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    if not has_flock:
        return f"lease, since there is no flock; one of another machine ends after {STOPPED_SECONDS:g} s of silence"
    if locks_stay_here(folder):
        return f"flock for this machine, lease for others, which ends after {STOPPED_SECONDS:g} s of silence"
    return "flock"


def check_flock(folder: Path, hint: str) -> None:
    """Refuse a folder whose file system has no ``flock``, for a library that can do with nothing else.

    Args:
        folder: A folder that is there.
        hint: What to do.

    Raises:
        StoreError: If files in it cannot be locked.
    """
    probe = folder / f".lock-probe-{os.getpid()}"
    try:
        with probe.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreError(f"The file system of {folder} has no locks: {error.strerror or error}.", hint) from error
    finally:
        probe.unlink(missing_ok=True)


def lacks_record_locks(folder: Path) -> bool:
    """Whether parts of files in a folder cannot be locked, as SQLite needs it; False where that cannot be tried.

    A file of its own is tried: to close the database's a second time would free the locks that SQLite holds on it.
    """
    probe = folder / f".lock-probe-{os.getpid()}"
    try:
        with probe.open("w") as stream:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in NO_FLOCK
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return False


@contextlib.contextmanager
def _soft_lock(path: Path, on_wait: Callable[[str], None] | None) -> Iterator[None]:
    from filelock import SoftFileLease, Timeout

    lock = SoftFileLease(
        f"{path}.held",
        lease_duration=STOPPED_SECONDS,
        heartbeat_interval=BEAT_SECONDS,
        on_compromise=_say_lost,
        thread_local=False,
    )
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait is not None:
                on_wait(_holder(lock))
            lock.acquire(poll_interval=SOFT_POLL_SECONDS)
    except (OSError, ValueError) as error:
        raise _refused(path, error) from error
    try:
        yield
    finally:
        lock.release()


def _holder(lock: SoftFileLease) -> str:
    """Who holds a lock without ``flock``, as ``process 123 on HOST``; nothing where nobody does any more."""
    owner = lock.owner
    # What follows a question mark tells containers of one host name apart.
    return "" if owner is None else f"process {owner.pid} on {owner.hostname.partition('?')[0]}"


def _say_lost(lost: LeaseCompromise) -> None:
    """Warn that this process stood still for so long that another one took its lock over."""
    logging.getLogger(__name__).warning(
        "The lock %s was lost (%s): this process stood still for more than %g seconds, or its disk did. Another "
        "process may be at the same work; end one of the two.",
        lost.lock_file,
        lost.reason,
        STOPPED_SECONDS,
    )


def _tell_holder(stream: IO[str], on_wait: Callable[[str], None] | None) -> None:
    if on_wait is not None:
        stream.seek(0)
        on_wait(stream.read(200).strip())


def _refused(path: Path, error: OSError | ValueError) -> StoreError:
    return StoreError(
        f"The file system of {path} has no locks: {getattr(error, 'strerror', None) or error}.",
        "Choose a folder on a local disk, or have it mounted with locks (Lustre: -o flock).",
    )
