"""Bundles: runs of one board in one file, for boards on machines that share no network.

A bundle is a ZIP archive: ``manifest.json`` (which runs, and the SHA-256 of every other member), ``runs/<id>/`` with
``result.json`` and a file of predictions for each selection rule, ``cycles/<hash>.csv`` once for all runs that were
judged on the same cycles. Reading one trusts nothing: names, sizes and hashes are checked before anything is written,
and every metric is recomputed from its predictions.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leaderboard.errors import ResultError, StoreError
from leaderboard.files import exclusive_lock, home_expanded, output_path
from leaderboard.predictions import cycles_text, predictions_text
from leaderboard.rebuilding import RUNS_FOLDER, SUBMISSIONS_FOLDER
from leaderboard.results import CYCLES_FILE, RESULT_FILE, RunResult, kind_of, read_result, validate
from leaderboard.store import Store

FORMAT = "lungbench bundle"
VERSION = 1
"""Raised when a bundle's form changes so that older code cannot read it."""

MANIFEST = "manifest.json"
REPLACED_FOLDER = "replaced"
"""Where, below the results folder, the folders of replaced runs go."""

LARGEST_MEMBER = 64 * 2**20
LARGEST_RATIO = 200
"""Bytes of content for each byte of the archive; predictions reach 30, an archive made to fill a disk 1,000."""

_MEMBER = re.compile(
    r"cycles/[0-9a-f]{64}\.csv|runs/[0-9a-f]{16}/(result\.json|predictions-(last|best-test|best-val)\.csv)"
)
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, TypeError, ValueError, RuntimeError)
"""What reading a damaged or odd archive raises."""


@dataclass(frozen=True)
class Exported:
    """A written bundle: its file, the ids of its runs, the number of cycle sets, size in bytes and SHA-256."""

    path: Path
    run_ids: tuple[str, ...]
    cycle_sets: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Conflict:
    """A run of a bundle whose id stands for another result here, and why it was not taken."""

    run_id: str
    reason: str


@dataclass(frozen=True)
class Merged:
    """What came of a bundle.

    Attributes:
        path: The bundle.
        new: Ids of runs that the board has now and had not.
        same: Ids of runs that the board had already.
        conflicts: Runs that were kept as they are here.
        replaced: Ids of runs that took the place of another result.
    """

    path: Path
    new: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    replaced: tuple[str, ...] = ()


# --- writing ----------------------------------------------------------------------------------------------------


def export_bundle(store: Store, path: Path, runs: Sequence[str] = (), *, written_by: str = "") -> Exported:
    """Write runs of a board as one file, atomically.

    Args:
        store: The board.
        path: The file; a bundle that is there is replaced, anything else is not.
        runs: Ids of runs, or beginnings of them; all by default.
        written_by: Version of lungbench, for the manifest.

    Raises:
        StoreError: If the board is empty or cannot be read, or the file cannot be written.
        ResultError: If there is no such run.
    """
    ids = list(dict.fromkeys(map(store.find, runs))) if runs else sorted(store.digests())
    if not ids:
        raise StoreError(f"The board {store} holds no run to export.", "Name another board with --home.")
    if home_expanded(path).is_file() and not _is_bundle(home_expanded(path)):
        raise StoreError(f"{path} is there already and is no bundle.", "Name a new file.")
    with output_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            sets = _write_members(archive, (store.result(run_id) for run_id in ids), written_by)
        digest, size = _sha256(temporary), temporary.stat().st_size
    return Exported(path, tuple(ids), sets, size, digest)


def _is_bundle(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return MANIFEST in archive.namelist()


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_members(archive: zipfile.ZipFile, results: Iterable[RunResult], written_by: str) -> int:
    files: dict[str, dict[str, Any]] = {}
    entries = list[dict[str, str | None]]()

    def add(name: str, text: str) -> None:
        content = text.encode()
        files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        archive.writestr(name, content)

    for result in results:
        run_id = result.document["run_id"]
        add(f"runs/{run_id}/{RESULT_FILE}", _json(result.document))
        entry = {"run_id": run_id, "kind": kind_of(result.document), "digest": result.digest, "cycles": None}
        if result.cycles is not None:
            cycles, entry["cycles"] = result.cycles, result.cycles.hash
            for rule, scores in result.scores.items():
                add(f"runs/{run_id}/predictions-{rule}.csv", predictions_text(cycles.keys, scores))
            if _cycles_name(cycles.hash) not in files:
                add(_cycles_name(cycles.hash), cycles_text(cycles))
        entries.append(entry)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "written_by": written_by,
        "runs": entries,
        "files": files,
    }
    archive.writestr(MANIFEST, _json(manifest))
    return sum(name.startswith("cycles/") for name in files)


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cycles_name(digest: str) -> str:
    return f"cycles/{digest}.csv"


# --- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A run of a bundle, checked: its id, the hash of its content, and its document."""

    run_id: str
    digest: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose names, sizes and hashes were checked.

    Attributes:
        path: Its file.
        archive: The open archive.
        runs: The manifest's entries: ``run_id``, ``digest``, ``cycles``.
    """

    path: Path
    archive: zipfile.ZipFile
    runs: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def stage(self, run: Mapping[str, Any], folder: Path) -> RunResult:
        """Write a run as its folder and read it back, which recomputes its metrics; ``result.json`` comes last.

        Raises:
            StoreError: If it is not the run that the manifest names.
        """
        run_id = run["run_id"]
        with _damage(self.path):
            content = self.archive.read(f"runs/{run_id}/{RESULT_FILE}")
            document = validate(json.loads(content), f"{self.path}: {run_id}")
            folder.mkdir(parents=True, exist_ok=True)
            if run["cycles"] is not None:
                (folder / CYCLES_FILE).write_bytes(self.archive.read(_cycles_name(run["cycles"])))
            for rule, name in document["predictions"].items():
                if name is not None and document["metrics"].get(rule) is not None:
                    (folder / name).write_bytes(self.archive.read(f"runs/{run_id}/predictions-{rule}.csv"))
            (folder / RESULT_FILE).write_bytes(content)
            result = read_result(folder)
        if (result.document["run_id"], result.digest) != (run_id, run["digest"]):
            raise _damaged(self.path, f"the content of run {run_id} is not what the manifest says")
        return result


@contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """Open a bundle and check every member's name, size and hash; nothing is written.

    Raises:
        StoreError: If it is no bundle, damaged, of a newer form, or not made as bundles are.
    """
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror or error}.", "Name a bundle.") from error
    except zipfile.BadZipFile as error:
        raise StoreError(f"{path} is no bundle: {error}.", "`bench board export FILE` writes one.") from error
    with archive:
        with _damage(path):
            _check_members(path, archive)
            manifest = _read_manifest(path, archive)
            _check_hashes(path, archive, manifest["files"])
        yield Bundle(path, archive, manifest["runs"])


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into one sentence."""
    try:
        yield
    except (*_BROKEN, ResultError) as error:
        said = error.message.rstrip(".") if isinstance(error, ResultError) else f"{type(error).__name__}: {error}"
        raise _damaged(path, said) from error


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        f"The bundle {path} is damaged, or was not made by `bench board export`: {what}. Nothing of it was imported.",
        "Copy or export it again.",
    )


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) != len(names):
        raise _damaged(path, "a name stands twice")
    for member in members:
        if member.filename != MANIFEST and not _MEMBER.fullmatch(member.filename):
            raise _damaged(path, f"it holds {member.filename[:80]!r}, which no bundle holds")
        if member.file_size > LARGEST_MEMBER:
            raise _damaged(path, f"{member.filename} would have {member.file_size / 2**20:,.0f} MiB")
    total, size = sum(member.file_size for member in members), path.stat().st_size
    if total > LARGEST_RATIO * size:
        raise _damaged(path, f"{size:,} bytes would become {total:,}")


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise _damaged(path, f"it holds no {MANIFEST}")
    manifest = json.loads(archive.read(MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _damaged(path, f"{MANIFEST} is no bundle's")
    if isinstance(manifest.get("version"), int) and manifest["version"] > VERSION:
        raise StoreError(
            f"The bundle {path} has the form {manifest['version']}, but this lungbench reads up to {VERSION}.",
            "Update this one: pip install --upgrade lungbench",
        )
    runs, files = manifest.get("runs"), manifest.get("files")
    if not isinstance(runs, list) or not isinstance(files, dict):
        raise _damaged(path, f"{MANIFEST} lacks runs or files")
    if not all(isinstance(run, dict) and {"run_id", "digest", "cycles"} <= set(run) for run in runs):
        raise _damaged(path, f"{MANIFEST} has a run without id or hash")
    if len({run["run_id"] for run in runs}) != len(runs):
        raise _damaged(path, f"{MANIFEST} names a run twice")
    return manifest


def _check_hashes(path: Path, archive: zipfile.ZipFile, files: Mapping[str, Any]) -> None:
    names = set(archive.namelist()) - {MANIFEST}
    if names != set(files):
        odd = sorted(names ^ set(files))
        raise _damaged(path, f"{MANIFEST} and the members differ in {len(odd)} names, first {odd[0]}")
    for name in sorted(names):
        if hashlib.sha256(archive.read(name)).hexdigest() != files[name]["sha256"]:
            raise _damaged(path, f"{name} has not the hash that {MANIFEST} gives")


# --- merging ----------------------------------------------------------------------------------------------------


def import_bundle(path: Path, home: Path, store: Store, *, replace: bool = False) -> Merged:
    """Merge a bundle's runs into a board and its results folder; doing it twice changes nothing.

    All of it is checked before the first run is written. A run whose id stands for another result here is a conflict:
    it is kept as it is, unless ``replace``; the folder of a replaced run is moved to ``<home>/replaced``.

    Args:
        path: The bundle.
        home: The results folder.
        store: The board.
        replace: Take the bundle's result where there is a conflict.

    Raises:
        StoreError: If the bundle is damaged, or board or folder cannot be written.
    """
    with open_bundle(path) as bundle:
        entries = [_checked(bundle, run) for run in bundle.runs]
        with exclusive_lock(home / ".import.lock"):
            return _merge(bundle, entries, home, store, replace)


def _checked(bundle: Bundle, run: Mapping[str, Any]) -> Entry:
    with tempfile.TemporaryDirectory(prefix="lungbench-") as folder:
        result = bundle.stage(run, Path(folder))
    return Entry(run["run_id"], result.digest, {**result.document})


def _merge(bundle: Bundle, entries: Sequence[Entry], home: Path, store: Store, replace: bool) -> Merged:
    known = store.digests()
    new, same, conflicts, replaced = list[str](), list[str](), list[Conflict](), list[str]()
    for run, entry in zip(bundle.runs, entries, strict=True):
        folder = _folder(home, entry)
        if known.get(entry.run_id) == entry.digest:
            same.append(entry.run_id)
            continue
        reason = _conflict(store, entry, folder, entry.run_id in known)
        if reason is not None and not replace:
            conflicts.append(Conflict(entry.run_id, reason))
            continue
        if reason is not None or not folder.exists():
            _place(bundle, run, folder, home)
        store.import_run(folder)
        (new if reason is None else replaced).append(entry.run_id)
    return Merged(bundle.path, tuple(new), tuple(same), tuple(conflicts), tuple(replaced))


def _folder(home: Path, entry: Entry) -> Path:
    part = SUBMISSIONS_FOLDER if kind_of(entry.document) == "submission" else RUNS_FOLDER
    return home / part / entry.run_id


def _conflict(store: Store, entry: Entry, folder: Path, known: bool) -> str | None:
    """Why a run cannot simply be added; None where it can."""
    if known:
        return (
            f"the board holds another result, {_told(store.run(entry.run_id))}; the bundle's is {_told(entry.document)}"
        )
    if not folder.exists():
        return None
    if not (folder / RESULT_FILE).is_file():
        return f"{folder} holds the same run without a result: it is running here, or was interrupted"
    try:
        here = read_result(folder)
    except ResultError as error:
        return f"{folder} holds a broken result: {error.message}"
    return None if here.digest == entry.digest else f"{folder} holds another result, {_told(here.document)}"


def _told(document: Mapping[str, Any] | Any) -> str:
    """A result in a few words: when, and its Score under the first rule that it has."""
    scores = [f"{rule} {m['4class']['score']:.2f}" for rule, m in document["metrics"].items() if m is not None]
    return f"{document['status']}, {document['created'][:16].replace('T', ' ')}" + (f", {scores[0]}" if scores else "")


def _place(bundle: Bundle, run: Mapping[str, Any], folder: Path, home: Path) -> None:
    """Put a run's folder in its place in one step; a folder that is there is moved aside."""
    staged = folder.with_name(f".{folder.name}.import")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        bundle.stage(run, staged)
        if folder.exists():
            aside = home / REPLACED_FOLDER / f"{folder.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        staged.rename(folder)
    except OSError as error:
        raise StoreError(
            f"Cannot write {folder}: {error.strerror or error}.", "Free space there or choose another folder."
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
