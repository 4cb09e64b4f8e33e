"""What a data set is, as one hash over its content; where the files lie and when they were written does not count."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core.errors import StoreError
from bench.core.files import write_json
from bench.data.wav import WavHeader

if TYPE_CHECKING:
    from bench.data.dataset import Recording

CACHE_FILE = "audio-hashes.json"
CACHE_VERSION = 1
THREADS = 4
"""Hashing leaves the interpreter's lock, so that threads run side by side and hide a slow disk."""

BLOCK = 1 << 20


def _hash_samples(path: Path, header: WavHeader) -> str:
    """SHA-256 over a WAV file's samples; chunks of remarks around them do not count."""
    digest, left = hashlib.sha256(), header.present
    with path.open("rb", buffering=0) as stream:
        stream.seek(header.offset)
        while left > 0 and (block := stream.read(min(left, BLOCK))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _remembered_hashes(cache: Path | None) -> dict[str, list[Any]]:
    """What the cache file holds; a file that is missing or broken holds nothing, as every hash can be made again."""
    if cache is None:
        return {}
    try:
        document = json.loads((cache / CACHE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("version") != CACHE_VERSION:
        return {}
    files = document.get("files")
    return files if isinstance(files, dict) else {}


def _remember_hashes(cache: Path, hashes: Mapping[str, list[Any]], fresh: Collection[str]) -> None:
    kept = {path: entry for path, entry in hashes.items() if os.path.lexists(path) or path in fresh}
    # A cache that cannot be written costs time at the next start and nothing else.
    with contextlib.suppress(StoreError):
        write_json(cache / CACHE_FILE, {"version": CACHE_VERSION, "files": kept})


class _Stamp(NamedTuple):
    """What tells whether a file is still the same.

    Attributes:
        path: Absolute path of the file, as text.
        size: Length of the file, bytes.
        changed: Time of the file's last change, ns.
    """

    path: str
    size: int
    changed: int

    def matches(self, entry: object) -> bool:
        """Tell whether a remembered entry (size, time of change, hash) is of this file as it is now."""
        return (
            isinstance(entry, list)
            and len(entry) == 3
            and entry[:2] == [self.size, self.changed]
            and isinstance(entry[2], str)
        )


def _stamp_of(path: Path) -> _Stamp:
    status = path.stat()
    # A name that is not UTF-8 is written with escapes: the memory of hashes is a document like any other.
    name = str(path.absolute()).encode("utf-8", "backslashreplace").decode()
    return _Stamp(name, status.st_size, status.st_mtime_ns)


def hash_audio(files: Mapping[Path, WavHeader], cache: Path | None = None) -> dict[Path, str]:
    """Hash the samples of WAV files, those that did not change since the last time from memory.

    Args:
        files: WAV files and their headers.
        cache: Folder that remembers hashes by path, size and time of change.

    Returns:
        Hex SHA-256 of each file's samples.

    Raises:
        OSError: If a file cannot be read.
    """
    known = _remembered_hashes(cache)
    stamps = {path: _stamp_of(path) for path in files}
    hashes = {path: known[stamp.path][2] for path, stamp in stamps.items() if stamp.matches(known.get(stamp.path))}
    fresh = [path for path in files if path not in hashes]
    with ThreadPoolExecutor(THREADS) as pool:
        hashes.update(zip(fresh, pool.map(lambda path: _hash_samples(path, files[path]), fresh), strict=True))
    if fresh and cache is not None:
        new = {stamps[path].path: [stamps[path].size, stamps[path].changed, hashes[path]] for path in fresh}
        _remember_hashes(cache, {**known, **new}, new)
    return hashes


def fingerprint(recordings: Sequence[Recording], cache: Path | None = None) -> str:
    """Hash names, splits, cycles and samples of recordings; those without audio do not count.

    Args:
        recordings: Recordings in order of their names.
        cache: Folder that remembers hashes of audio files by path, size and time of change.

    Returns:
        Hex SHA-256.

    Raises:
        OSError: If a file cannot be read.
    """
    sounds = [(r, r.audio, r.header) for r in recordings if r.audio is not None and r.header is not None]
    hashes = hash_audio({audio: header for _, audio, header in sounds}, cache)
    digest = hashlib.sha256(b"lungbench data 1\n")
    for recording, audio, header in sounds:
        sound = f"{header.rate} {header.channels} {header.bits} {hashes[audio]}"
        digest.update(f"{recording.name} {recording.split} {sound}\n".encode())
        for cycle in recording.cycles:
            digest.update(f"{cycle.start!r} {cycle.end!r} {cycle.label}\n".encode())
    return digest.hexdigest()
