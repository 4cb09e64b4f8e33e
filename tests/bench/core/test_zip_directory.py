"""The table of contents of an archive is bounded before anybody reads it."""

from __future__ import annotations

import struct
import zipfile

import pytest

from bench.core import zip_directory
from bench.core.zip_directory import check_directory

NAMES = [f"recordings/{number:03}.wav" for number in range(20)]


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name in NAMES:
            made.writestr(name, b"")
    return path


def announce(path, size, record=b"PK\5\6", place=12, width="<L"):
    """Let the end record of an archive announce a table of contents of another size."""
    content = bytearray(path.read_bytes())
    struct.pack_into(width, content, content.rfind(record) + place, size)
    path.write_bytes(content)


@pytest.mark.parametrize("comment", [b"", b"a comment", b"c" * 0xFFFF])
def test_a_table_of_contents_is_taken_up_to_the_bound_and_not_beyond(archive, monkeypatch, comment):
    with zipfile.ZipFile(archive, "a") as made:
        made.comment = comment
    with zipfile.ZipFile(archive) as made:
        size = archive.stat().st_size - made.start_dir - 22 - len(comment)
    monkeypatch.setattr(zip_directory, "MAX_BYTES", size)
    check_directory(archive)
    monkeypatch.setattr(zip_directory, "MAX_BYTES", size - 1)
    with pytest.raises(zipfile.BadZipFile, match=f"has {size:,} bytes, {size - 1:,} at most are read"):
        check_directory(archive)


def test_what_is_announced_counts_however_little_is_there(archive):
    announce(archive, zip_directory.MAX_BYTES)
    check_directory(archive)
    announce(archive, zip_directory.MAX_BYTES + 1)
    with pytest.raises(zipfile.BadZipFile, match=r"has 16,777,217 bytes, 16,777,216 at most"):
        check_directory(archive)


def test_an_archive_of_the_large_form_is_bounded_too(archive):
    """Its end record says that the number stands in another record (APPNOTE, section 4.3.14)."""
    content = archive.read_bytes()
    end = content.rfind(b"PK\5\6")
    large = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, len(NAMES), len(NAMES), 1000, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    archive.write_bytes(content[:end] + large + locator + content[end:])
    announce(archive, 0xFFFFFFFF)
    check_directory(archive)
    announce(archive, 2**40, b"PK\6\6", 40, "<Q")
    with pytest.raises(zipfile.BadZipFile, match=r"has 1,099,511,627,776 bytes"):
        check_directory(archive)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 200_000])
def test_what_is_no_archive_is_left_to_its_reader(tmp_path, content):
    path = tmp_path / "odd.zip"
    path.write_bytes(content)
    check_directory(path)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(path)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        check_directory(tmp_path / "absent.zip")
