"""Unpacks a zip archive from elsewhere: nothing lands outside the target, and the target is complete or not there."""

from __future__ import annotations

import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from bench.core.errors import DataError
from bench.core.files import advice, temporary_name
from bench.core.text import echoed
from bench.core.zip_directory import check_directory


class BadArchiveError(DataError):
    """The archive itself is damaged, unsafe or too large."""


MAX_BYTES = 8 << 30
MAX_MEMBERS = 20_000
MAX_MEMBER_BYTES = 256 << 20
MAX_RATIO = 100
SMALL_BYTES = 256 << 20
"""Limits against an archive made to fill the disk: on all bytes, files, bytes of a file, and bytes in relation to the
archive's own where they are no small matter. ICBHI's has 2 GB, about 1,850 files and 3 GB, a recording 15 MB."""

_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Bzip2 and LZMA expand a block in memory before anything can be counted, a few hundred bytes to more than a GB."""

BLOCK = 1 << 20


# What zipfile raises on archives that are damaged, encrypted or made to harm; RuntimeError is its word for encrypted.
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
)


def _is_junk(member: PurePosixPath) -> bool:
    return "__MACOSX" in member.parts or member.name.startswith("._")


def _safe_members(archive: zipfile.ZipFile, source: Path) -> list[zipfile.ZipInfo]:
    """The files to unpack; one that points out of the target, or cannot be bounded, condemns the whole archive."""
    name = source.name
    members = [info for info in archive.infolist() if not info.is_dir()]
    for info in members:
        fault = _member_fault(info)
        if fault is not None:
            raise BadArchiveError(f"{name} holds {fault}: '{echoed(info.filename)}'.", _refetch_hint(name))
    total = sum(info.file_size for info in members)
    limit = min(MAX_BYTES, max(MAX_RATIO * source.stat().st_size, SMALL_BYTES))
    if total > limit or len(members) > MAX_MEMBERS:
        raise BadArchiveError(
            f"{name} would unpack to {len(members):,} files of {total:,} bytes, more than the "
            f"{MAX_MEMBERS:,} files and {limit:,} bytes that are allowed.",
            _refetch_hint(name),
        )
    return [info for info in members if not _is_junk(PurePosixPath(info.filename))]


def _member_fault(info: zipfile.ZipInfo) -> str | None:
    """What is wrong with a member, by the archive's table of contents alone."""
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
        return "a file that points out of its folder"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a symbolic link"
    if kind not in (0, stat.S_IFREG):
        return "something that is no file"
    if info.compress_type not in _METHODS:
        return f"a file packed by method {info.compress_type}, where only stored and deflated ones are unpacked"
    return f"a file of more than {MAX_MEMBER_BYTES:,} bytes" if info.file_size > MAX_MEMBER_BYTES else None


def _refetch_hint(name: str) -> str:
    return f"Nothing was unpacked; delete {name} where it is still there, and run `bench data fetch` again."


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    """Unpack a member, counting: what it announces is only a claim."""
    target = folder / info.filename.replace("\\", "/")
    target.parent.mkdir(parents=True, exist_ok=True)
    done = 0
    with archive.open(info) as source, target.open("xb") as sink:
        while block := source.read(BLOCK):
            done += len(block)
            if done > info.file_size:
                raise zipfile.BadZipFile(f"'{echoed(info.filename)}' holds more than it announces")
            sink.write(block)
    if done != info.file_size:
        raise zipfile.BadZipFile(f"'{echoed(info.filename)}' holds less than it announces")


def _top_folder(folder: Path) -> Path:
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
    temporary = temporary_name(target)
    try:
        check_directory(source)
        temporary.mkdir()
        with zipfile.ZipFile(source) as archive:
            members = _safe_members(archive, source)
            total, done = sum(info.file_size for info in members), 0
            for info in members:
                _extract(archive, info, temporary)
                done += info.file_size
                if on_progress is not None:
                    on_progress("unpacking", done, total)
        _top_folder(temporary).rename(target)
    except (FileExistsError, NotADirectoryError) as error:
        raise BadArchiveError(f"{source.name} holds two files of one name.", _refetch_hint(source.name)) from error
    except _FAULTS as error:
        raise BadArchiveError(f"{source.name} is damaged: {echoed(error)}.", _refetch_hint(source.name)) from error
    except OSError as error:
        raise DataError(f"Cannot unpack into {target}: {error.strerror or error}.", advice(error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(members)
