"""Snapshots: a board on one day as a folder of its own, whose every byte can be checked.

A snapshot holds the page with its data (``page/``), all runs as a bundle (``board.zip``), how to check it
(``README.txt``), the hash of each of these files (``SHA256SUMS``, as ``sha256sum`` reads it) and ``manifest.json``:
when it was made, of which runs, the hash of each file, and one hash over all of that. Who has kept that one hash
elsewhere knows that nothing was changed since.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.documents import read_bytes
from bench.core.errors import ResultError, StoreError
from bench.core.files import advice, file_sha256, home_expanded, sweep, sync_folder, sync_tree, temporary_name
from bench.core.text import echoed
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.site import write_site
from leaderboard.store.store import Store

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
PAGE = "page"
BUNDLE = "board.zip"
README = "README.txt"

FORMAT = "lungbench snapshot"
VERSION = 1

_README = """A snapshot of a LungBench board, made {created} by lungbench {version}.

page/index.html  the board as a page; it needs no network and no server
page/data/       the data behind it (CSV), and each run as a spec that replays it
board.zip        all runs with their predictions: bench board import board.zip
SHA256SUMS       the SHA-256 of every file but itself and manifest.json
manifest.json    the same, when and of which runs it was made, and one hash over all of that: the SHA-256 of the
                 document without that hash, as JSON with sorted names and without spaces

To check it:     bench board snapshot --verify DIR, and compare the hash that it prints with the one that was published
Files alone:     sha256sum --check SHA256SUMS
"""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a board in a folder.

    Attributes:
        folder: Folder of the snapshot.
        created: When the snapshot was made, UTC, ISO 8601.
        run_ids: Ids of the runs of the board.
        files: Number of files.
        size: Size of all files together in bytes.
        sha256: One hash over everything, hexadecimal.
    """

    folder: Path
    created: str
    run_ids: tuple[str, ...]
    files: int
    size: int
    sha256: str


def write_snapshot(store: Store, folder: Path, version: str, *, made: datetime | None = None) -> Snapshot:
    """Write a snapshot of a board; the folder appears whole, or not at all.

    Args:
        store: The board.
        folder: The folder to write; it must be new or empty.
        version: Version of the program.
        made: When the snapshot is made; now by default.

    Raises:
        StoreError: If the folder holds something or cannot be written, or the board is empty or cannot be read.
    """
    target = home_expanded(folder)
    _check_free(target)
    created = (made or datetime.now(UTC)).astimezone(UTC)
    sweep(target.absolute().parent, of=target.name)
    fresh = temporary_name(target.absolute())
    try:
        fresh.mkdir(parents=True)
        write_site(store, fresh / PAGE, version, made=created)
        bundle = export_bundle(store, fresh / BUNDLE, written_by=version)
        stamp = created.isoformat(timespec="seconds")
        (fresh / README).write_text(_README.format(created=stamp, version=version), encoding="utf-8")
        facts = {"created": stamp, "written_by": version, "runs": list(bundle.run_ids)}
        manifest = _write_manifest(fresh, facts)
        sync_tree(fresh)
        fresh.replace(target)
        sync_folder(target.absolute().parent)
    except OSError as error:
        raise StoreError(f"Cannot write {folder}: {error.strerror or error}.", advice(error)) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return _snapshot(target, manifest)


def verify_snapshot(folder: Path) -> Snapshot:
    """Check every file of a snapshot against its manifest.

    Raises:
        StoreError: If the folder is no snapshot, or a file is missing, was changed, or does not belong to it.
    """
    place = home_expanded(folder)
    manifest = _read_manifest(place)
    try:
        found = _file_hashes(place)
        sums = (place / SUMS).read_bytes() if (place / SUMS).is_file() else b""
    except OSError as error:
        raise StoreError(f"Cannot read {folder}: {error.strerror or error}.") from error
    said = manifest["files"]
    faults = [
        *(f"{echoed(name)} is missing" for name in said if name not in found),
        *(f"{echoed(name)} is none of its files" for name in found if name not in said),
        *(f"{echoed(name)} was changed" for name in said if name in found and found[name] != said[name]),
        *([] if sums == _sha256sum_lines(said).encode() else [f"{SUMS} was changed"]),
        *([] if manifest["sha256"] == _hash_over_all(manifest) else [f"{MANIFEST} was changed"]),
    ]
    if faults:
        shown = "; ".join(faults[:5]) + ("; ..." if len(faults) > 5 else "")
        raise StoreError(f"{folder} is not the snapshot that was made: {shown}.", "Get the snapshot again.")
    return _snapshot(place, manifest)


def _check_free(folder: Path) -> None:
    try:
        taken = folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))
    except OSError as error:
        raise StoreError(f"Cannot write {folder}: {error.strerror or error}.", advice(error)) from error
    if taken:
        raise StoreError(
            f"{folder} is there already, and a snapshot is never changed.", "Name a new folder with --out."
        )


def _write_manifest(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    files = _file_hashes(folder)
    manifest = {"format": FORMAT, "version": VERSION, **facts, "files": files}
    manifest["sha256"] = _hash_over_all(manifest)
    (folder / SUMS).write_text(_sha256sum_lines(files), encoding="utf-8", newline="\n")
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _file_hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """SHA-256 and bytes of every file below a folder but the two that hold them, by name; what is no file has none."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = {"sha256": None, "bytes": None}
        elif path.is_file() and name not in (MANIFEST, SUMS):
            found[name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
    return found


def _sha256sum_lines(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The hashes as ``sha256sum`` writes and reads them."""
    return "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))


def _hash_over_all(manifest: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(read_bytes(path))
        known = manifest["format"] == FORMAT and manifest["version"] == VERSION
        facts = [
            manifest["created"],
            manifest["sha256"],
            *manifest["runs"],
            *(f["sha256"] for f in manifest["files"].values()),
        ]
        if not known or not all(isinstance(fact, str) for fact in facts):
            raise ValueError(os.fspath(path))
        sum(file["bytes"] for file in manifest["files"].values())
    except (ResultError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{folder} is no snapshot that this version reads.", "`bench board snapshot --out DIR` makes one."
        ) from error
    found: dict[str, Any] = manifest
    return found


def _snapshot(folder: Path, manifest: Mapping[str, Any]) -> Snapshot:
    files = manifest["files"]
    size = sum(file["bytes"] for file in files.values())
    return Snapshot(folder, manifest["created"], tuple(manifest["runs"]), len(files), size, manifest["sha256"])
