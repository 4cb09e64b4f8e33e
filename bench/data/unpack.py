"""Unpacks a zip archive from elsewhere: nothing lands outside the target, and the target is complete or not there."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from bench.errors import DataError


class BadArchiveError(DataError):
    """The archive itself is damaged, unsafe or too large."""


MAX_BYTES = 16 << 30
MAX_MEMBERS = 20_000
"""Limits against an archive made to fill the disk; ICBHI's holds about 1,850 files and 3 GB."""


def _is_junk(member: PurePosixPath) -> bool:
    return "__MACOSX" in member.parts or member.name.startswith("._")


def _safe_members(archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    """The files to unpack; one that points out of the target condemns the whole archive."""
    members = [info for info in archive.infolist() if not info.is_dir()]
    for info in members:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise BadArchiveError(
                f"{name} holds a file that points out of its folder: '{info.filename}'.", _refetch(name)
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise BadArchiveError(f"{name} holds a symbolic link: '{info.filename}'.", _refetch(name))
    total = sum(info.file_size for info in members)
    if total > MAX_BYTES or len(members) > MAX_MEMBERS:
        raise BadArchiveError(
            f"{name} would unpack to {len(members):,} files of {total:,} bytes, more than the "
            f"{MAX_MEMBERS:,} files and {MAX_BYTES:,} bytes that are allowed.",
            _refetch(name),
        )
    return [info for info in members if not _is_junk(PurePosixPath(info.filename))]


def _refetch(name: str) -> str:
    return f"Nothing was unpacked; delete {name} where it is still there, and run `bench data fetch` again."


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / info.filename.replace("\\", "/")
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)


def _root_of(folder: Path) -> Path:
    """The unpacked files' own top folder, where the archive has exactly one."""
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def unpack(source: Path, target: Path, on_progress: Callable[[str, int, int | None], None] | None = None) -> int:
    """Unpack a zip archive into a new folder.

    Args:
        source: The archive.
        target: The folder; it must not exist, and appears when everything is unpacked and every checksum is right.
        on_progress: Called with ``unpacking``, the bytes unpacked and the bytes in all.

    Returns:
        Number of files unpacked.

    Raises:
        BadArchiveError: If the archive is damaged, encrypted, too large or unsafe.
        DataError: If the disk is full or cannot be written.
    """
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        with zipfile.ZipFile(source) as archive:
            members = _safe_members(archive, source.name)
            total, done = sum(info.file_size for info in members), 0
            for info in members:
                _extract(archive, info, temporary)
                done += info.file_size
                if on_progress is not None:
                    on_progress("unpacking", done, total)
        root = _root_of(temporary)
        root.chmod(0o755)
        root.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadArchiveError(f"{source.name} is damaged: {error}.", _refetch(source.name)) from error
    except OSError as error:
        raise DataError(f"Cannot unpack into {target}: {error.strerror or error}.", "Free space there.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(members)
