"""Files that are never half-written: made beside their place, synced, renamed.

New files have the permissions that the user's umask leaves (``0o666 & ~umask``), and folders with a default access
list or a group bit pass those on: nothing is changed afterwards, so that mounts which refuse ``chmod`` serve too.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core.errors import StoreError
from bench.core.lifetimes import is_alive
from bench.core.locks import exclusive_lock
from bench.core.text import echoed

__all__ = [
    "advice",
    "atomic_path",
    "check_writable",
    "exclusive_lock",
    "file_sha256",
    "home_expanded",
    "new_file",
    "output_path",
    "share_as",
    "sweep",
    "sync_file",
    "sync_folder",
    "sync_tree",
    "temporary_folder",
    "temporary_name",
    "temporary_place",
    "write_json",
]

ABANDONED_SECONDS = 24 * 3600
"""After this long a temporary file of another machine's process counts as left behind."""

_TEMPORARY = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.tmp.*", re.DOTALL)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def advice(error: OSError) -> str:
    """What to do about a file that cannot be written, by the system's reason."""
    if error.errno in _FULL:
        return "Free space there or choose another folder."
    if error.errno in _FORBIDDEN:
        return "Choose a folder that this user can write, or ask its owner for the right to."
    return "Check the disk, or choose another folder."


def _machine() -> str:
    """Eight characters for this machine; a container has its own, since its process ids are not this machine's."""
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        processes = ""
    return hashlib.sha256(f"{socket.gethostname()} {processes}".encode()).hexdigest()[:8]


def temporary_name(target: Path) -> Path:
    """A new name beside ``target`` that says which process made it, so that :func:`sweep` knows when it is left."""
    return target.with_name(f"{_beginning(target.name)}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _beginning(name: str) -> str:
    """How the temporary names of a file begin."""
    # Long names leave room for the rest: a name has 255 bytes at most.
    return f".{os.fsdecode(os.fsencode(name)[:180])}."


def check_writable(folder: Path) -> None:
    """Try to write into a folder by really writing; whoever needs it at the end of a long work asks before it.

    Args:
        folder: It is made where it is missing.

    Raises:
        StoreError: If it cannot be written, or the disk is full.
    """
    probe = temporary_name(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, of="probe")
        new_file(probe)
        try:
            probe.write_bytes(b"probe\n")
        finally:
            probe.unlink()
    except OSError as error:
        raise StoreError(f"Cannot write into {folder}: {error.strerror or error}.", advice(error)) from error


def new_file(path: Path) -> None:
    """Make an empty file that must not be there yet, with the permissions that the umask leaves."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))


_DATABASE_ENDINGS = ("-wal", "-shm", "-journal")
"""Of files that SQLite has beside a database, also where that is under a temporary name."""

_swept: set[Path] = set()
"""Folders that this process has looked through for what killed ones left."""


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target`` that becomes ``target`` when the block ends well.

    What killed processes left in the folder is removed before.

    Raises:
        StoreError: If the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(target.parent)
        name = temporary_name(target)
        new_file(name)
        temporary = name
        made = temporary.stat()
        yield temporary
        share_as(temporary, made)
        sync_file(temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"Cannot write {target}: {error.strerror or error}.", advice(error)) from error
    finally:
        if temporary is not None:
            for ending in ("", *_DATABASE_ENDINGS):
                temporary.with_name(temporary.name + ending).unlink(missing_ok=True)


STANDARD_OUTPUT = Path("-")
"""What a user writes for the standard output instead of a file's name."""


def home_expanded(path: Path) -> Path:
    """A path that a user gave, with ``~`` for a home folder.

    Raises:
        StoreError: If there is no such home folder.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises RuntimeError
    first = path.parts[0] if path.parts else ""
    if first.startswith("~") and Path(expanded) == path:
        raise StoreError(f"There is no home folder {echoed(first)}.", "Write the whole path of a file of that name.")
    return Path(expanded)


@contextlib.contextmanager
def output_path(target: Path) -> Iterator[Path]:
    """Give a path to write a result to, which goes where a user wants it when the block ends well.

    A file is replaced whole; a link stays, and the file that it means is replaced. What is no regular file stays what
    it is and is written through: pipes, the standard streams (``-`` is the standard output) and the null device.

    Args:
        target: Path as the user gave it.

    Raises:
        StoreError: If it is a folder, a socket or another device, or cannot be written; nothing is left behind.
    """
    try:
        through = _written_through(target)
        if through is None:
            with atomic_path(Path(os.path.realpath(home_expanded(target)))) as path:
                yield path
            return
        with temporary_folder("bench-output") as folder:
            path = folder / "output"
            new_file(path)
            yield path
            _copy_into(through, path)
    except OSError as error:
        raise StoreError(f"Cannot write {target}: {error.strerror or error}.", advice(error)) from error


def _written_through(target: Path) -> int | Path | None:
    """What is written through, a standard stream's descriptor or a path; None for a file, there or not."""
    if target == STANDARD_OUTPUT:
        return 1
    place = home_expanded(target)
    try:
        status = place.stat()
    except FileNotFoundError:
        return None
    for descriptor in (1, 2):
        # Under whatever name: /dev/stdout, /dev/pts/0, or the file that the shell has opened for it.
        with contextlib.suppress(OSError):
            if os.path.samestat(status, os.fstat(descriptor)):
                return descriptor
    if stat.S_ISREG(status.st_mode):
        return None
    if stat.S_ISFIFO(status.st_mode) or _is_null_device(status):
        return place
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISSOCK, "a socket"))
    kind = next((name for is_kind, name in kinds if is_kind(status.st_mode)), "a device")
    raise StoreError(f"{target} is {kind}, and nothing is written to it.", "Name a file, a pipe, or - for stdout.")


def _is_null_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev


def _copy_into(through: int | Path, path: Path) -> None:
    """Copy a finished file into what is no regular file; a reader that has gone has had enough."""
    sys.stdout.flush()
    with (
        contextlib.suppress(BrokenPipeError),
        path.open("rb") as source,
        open(through, "wb", closefd=isinstance(through, Path)) as output,
    ):
        shutil.copyfileobj(source, output)


def share_as(path: Path, like: os.stat_result) -> None:
    """Give a file the permissions of another new one, where a library made it for its owner alone.

    Safetensors does so, whatever the umask says. A mount that refuses keeps what it is.
    """
    if stat.S_IMODE(path.stat().st_mode) != stat.S_IMODE(like.st_mode):
        with contextlib.suppress(PermissionError, NotImplementedError):
            path.chmod(stat.S_IMODE(like.st_mode))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, as hexadecimal digits; raises OSError where it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Have the content of a file on the disk before anything that refers to it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk; file systems that cannot do that for a folder are left alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have every file below a folder, and their names, on the disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            sync_file(path)
    sync_folder(folder)


def write_json(target: Path, document: Any) -> None:
    """Write a JSON document atomically.

    Raises:
        StoreError: If the folder cannot be written or the disk is full; nothing is left behind.
    """
    with atomic_path(target) as path:
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def sweep(folder: Path, *, of: str | None = None, held: bool = False) -> list[Path]:
    """Remove what killed processes left of files and folders that they were making in a folder (not below it).

    Those of processes that live stay. So do those of other machines, until they are a day old.

    Args:
        folder: Folder to look into.
        of: Name of the file or folder whose leftovers are meant; by default those of all.
        held: Whether the caller holds the lock of all who write there: whatever lies there is then left behind.

    Returns:
        What was removed.
    """
    removed = []
    for path in folder.glob(".*" if of is None else f"{glob.escape(_beginning(of))}*") if folder.is_dir() else ():
        # Libraries have temporary names of their own, as safetensors' ``.tmpN0sDx7``.
        if not (".tmp" in path.name if held else _is_left_behind(path)):
            continue
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed.append(path)
    return removed


def _sweep_once(folder: Path) -> None:
    """Sweep a folder when this process first writes there: looking through it for each of many files would be slow."""
    if folder not in _swept:
        sweep(folder)
        _swept.add(folder)


def _is_left_behind(path: Path) -> bool:
    found = _TEMPORARY.fullmatch(path.name)
    return found is not None and _is_abandoned(path, found["machine"], int(found["process"]))


def temporary_place() -> Path:
    """The folder of the system's temporary files.

    Raises:
        StoreError: If there is none that can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StoreError(
            "There is no folder for temporary files that can be written.", "Name one in TMPDIR."
        ) from error


@contextlib.contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder of this user alone among the system's temporary ones, removed in the end; by the next one if killed.

    Args:
        name: Word for what the folder is for; its name begins with it.

    Raises:
        StoreError: If it cannot be made.
    """
    place = temporary_place()
    sweep(place)
    folder = temporary_name(place / name)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise StoreError(
            f"Cannot write temporary files into {place}: {error.strerror or error}.",
            "Free space there, or name another folder in TMPDIR.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(path: Path, machine: str, process: int) -> bool:
    if machine == _machine() and not is_alive(process):
        return True
    try:
        return time.time() - path.lstat().st_mtime > ABANDONED_SECONDS
    except OSError:
        return False
