"""Bundles: runs of one board in one file, for boards on machines that share no network.

A bundle is a ZIP archive: ``manifest.json`` (which runs, and the SHA-256 of every other member), ``runs/<id>/`` with
``result.json`` and a file of predictions for each selection rule, ``cycles/<hash>.csv`` once for all runs that were
judged on the same cycles. This module writes them and merges them into a board;
``leaderboard.results.bundle_reading`` reads them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.documents import check_regular
from bench.core.errors import ResultError, StoreError
from bench.core.files import (
    STANDARD_OUTPUT,
    advice,
    exclusive_lock,
    home_expanded,
    output_path,
    sweep,
    sync_folder,
    sync_tree,
)
from leaderboard.history.claims import key_of
from leaderboard.history.exchange import Judged, judge_entries, retracted_ids
from leaderboard.history.log import log_lock, write_entries
from leaderboard.history.ownership import Owner, Owners, board_run_of
from leaderboard.results.bundle_reading import (
    FORMAT,
    LOG_MEMBER,
    MANIFEST,
    VERSION,
    WITHOUT_LOG,
    Bundle,
    Entry,
    cycles_name,
    open_bundle,
)
from leaderboard.results.predictions import cycles_text, predictions_text
from leaderboard.results.run_folder import RESULT_FILE, RUNS_FOLDER, SUBMISSIONS_FOLDER, RunFolder, predictions_file
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import kind_of
from leaderboard.store.store import Store
from leaderboard.tables.board_tables import claims_more

REPLACED_FOLDER = "replaced"
"""Where, below the results folder, the folders of replaced runs go."""

_STAGED = re.compile(r"\.[0-9a-f]{16}\.import")
"""Names of folders of runs that are being written."""


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
        retracted: Ids of its runs that were taken back, here or on its board.
        not_official: Ids of those new here that say they were judged on the official test cycles, and were not.
        log_entries: How many entries of its board's log are new here.
        refused: Entries of its log that are not obeyed here, and why.
    """

    path: Path
    new: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    replaced: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    not_official: tuple[str, ...] = ()
    log_entries: int = 0
    refused: tuple[str, ...] = ()


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
    target = home_expanded(path)
    if path != STANDARD_OUTPUT and target.exists():
        if not _is_bundle(target):
            raise StoreError(f"{path} is there already and is no bundle.", "Name a new file.")
        sweep(target.parent)
    with output_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            log = [entry.document for entry in store.history().entries if entry.obeyed]
            sets = _write_members(archive, (store.result(run_id) for run_id in ids), log, written_by)
        digest, size = _sha256(temporary), temporary.stat().st_size
    return Exported(path, tuple(ids), sets, size, digest)


def _is_bundle(path: Path) -> bool:
    try:
        check_regular(path, path.stat())
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (ResultError, OSError, ValueError, zipfile.BadZipFile):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_members(
    archive: zipfile.ZipFile, results: Iterable[RunResult], log: Sequence[Mapping[str, Any]], written_by: str
) -> int:
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
                add(f"runs/{run_id}/{predictions_file(rule)}", predictions_text(cycles.keys, scores))
            if cycles_name(cycles.hash) not in files:
                add(cycles_name(cycles.hash), cycles_text(cycles))
        entries.append(entry)
    if log:
        add(LOG_MEMBER, _json(log))
    manifest = {
        "format": FORMAT,
        "version": VERSION if log else WITHOUT_LOG,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "written_by": written_by,
        "runs": entries,
        "files": files,
    }
    archive.writestr(MANIFEST, _json(manifest))
    return sum(name.startswith("cycles/") for name in files)


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


# --- merging ----------------------------------------------------------------------------------------------------


def import_bundle(path: Path, home: Path, store: Store, *, replace: bool = False) -> Merged:
    """Merge a bundle's runs into a board and its results folder; doing it twice changes nothing.

    All of it is checked before the first run is written. Its board's log comes first, as far as it is obeyed here
    (:mod:`leaderboard.history.exchange`): a run that was taken back is not brought back. A submission under a name that
    belongs to somebody else, or with a seed that is there, is a conflict that ``replace`` does not settle. A run whose
    id stands for another result here is a conflict too: it is kept as it is, unless ``replace``; the folder of a
    replaced run is moved to ``<home>/replaced``.

    Args:
        path: The bundle.
        home: The results folder.
        store: The board.
        replace: Take the bundle's result where there is a conflict.

    Raises:
        StoreError: If the bundle is damaged, or board or folder cannot be written.
        ResultError: If the board's database cannot hold a run of it.
    """
    with open_bundle(path) as bundle:
        checked = [_checked(bundle, run) for run in bundle.runs]
        with exclusive_lock(home / ".import.lock"):
            _sweep_staged(home)
            log = _merge_log(bundle, checked, home, store, replace)
            merged = _merge(bundle, checked, home, store, replace)
    return dataclasses.replace(merged, log_entries=len(log.entries), refused=log.refused)


def _merge_log(bundle: Bundle, runs: Sequence[_Checked], home: Path, store: Store, replace: bool) -> Judged:
    if not bundle.log:
        return Judged()
    arriving = {run.entry.run_id: Owner(key_of(run.submission)) for run in runs if run.submission is not None}
    with log_lock(home):
        log = judge_entries(bundle.log, Owners.of(store), arriving, replace=replace)
        store.add_entries(log.entries)
        write_entries(home, log.entries)
    return log


def check_bundle(path: Path) -> None:
    """Judge a bundle and every run in it, and write nothing; raises StoreError as :func:`import_bundle` does."""
    with open_bundle(path) as bundle:
        for run in bundle.runs:
            bundle.result(run)


_OF_OWNERSHIP = (
    "kind",
    "run_id",
    "status",
    "created",
    "profile",
    "partial",
    "spec",
    "submission",
    "judged_set",
    "metrics",
)
"""Fields of a submission's document that say whose it is and what it stands beside."""


@dataclass(frozen=True)
class _Checked:
    """A run of a bundle whose files were judged: its entry, its result in a few words, and what ownership asks for.

    The documents are not kept whole: there may be thousands of runs, and each may take a hundred megabytes.

    Attributes:
        entry: What the manifest says of it.
        told: Its result in a few words.
        submission: Of a submission, the parts of its document that say whose it is; None of a run.
    """

    entry: Entry
    told: str
    submission: Mapping[str, Any] | None


def _checked(bundle: Bundle, run: Entry) -> _Checked:
    document = bundle.result(run).document
    owned = {name: document.get(name) for name in _OF_OWNERSHIP} if kind_of(document) == "submission" else None
    return _Checked(run, _told(document), owned)


def _merge(bundle: Bundle, runs: Sequence[_Checked], home: Path, store: Store, replace: bool) -> Merged:
    known, owners = store.digests(), Owners.of(store)
    retracted = retracted_ids(owners.history, [run.entry.run_id for run in runs])
    runs = [run for run in runs if run.entry.run_id not in retracted]
    fresh = [run for run in runs if known.get(run.entry.run_id) != run.entry.digest]
    reasons = {run.entry.run_id: _conflict(store, run, _folder(home, run), run.entry.run_id in known) for run in fresh}
    settled = _not_theirs(fresh, owners)
    reasons.update(settled)
    taken = [run for run in fresh if run.entry.run_id not in settled and (replace or reasons[run.entry.run_id] is None)]
    if taken:
        store.rehearse(bundle.result(run.entry) for run in taken)
    for run in taken:
        folder = _folder(home, run)
        if reasons[run.entry.run_id] is not None or not folder.exists():
            _place(bundle, run.entry, folder, home)
        store.import_run(folder)
    fresh_ids, taken_ids = [[run.entry.run_id for run in part] for part in (fresh, taken)]
    new = {run.entry.run_id for run in taken}
    return Merged(
        bundle.path,
        retracted=retracted,
        not_official=tuple(run.run_id for run in store.runs() if run.run_id in new and claims_more(run)),
        new=tuple(run_id for run_id in taken_ids if reasons[run_id] is None),
        same=tuple(run.entry.run_id for run in runs if run.entry.run_id not in reasons),
        conflicts=tuple(Conflict(run_id, str(reasons[run_id])) for run_id in fresh_ids if run_id not in taken_ids),
        replaced=tuple(run_id for run_id in taken_ids if reasons[run_id] is not None),
    )


def _not_theirs(fresh: Sequence[_Checked], owners: Owners) -> dict[str, str]:
    """By run id, why a submission must not come onto this board; those of one bundle are judged one after another."""
    found: dict[str, str] = {}
    taken = list(owners.runs)
    owned = [(run.submission, run.entry) for run in fresh if run.submission is not None]
    for submission, entry in sorted(owned, key=lambda pair: (pair[0]["created"], pair[1].run_id)):
        reason = Owners(owners.history, taken).refusal(submission)
        if reason is not None:
            found[entry.run_id] = reason
        else:
            taken.append(board_run_of(submission, entry.cycles))
    return found


def _folder(home: Path, run: _Checked) -> Path:
    of_kind = RunFolder.of_run if run.submission is None else RunFolder.of_submission
    return of_kind(home, run.entry.run_id).path


def _conflict(store: Store, run: _Checked, folder: Path, known: bool) -> str | None:
    """Why a run cannot simply be added; None where it can."""
    if known:
        told = _told(store.run(run.entry.run_id))
        return f"the board holds another result, {told}; the bundle's is {run.told}"
    try:
        if not folder.exists():
            return None
        if not RunFolder(folder).result.exists():
            return f"{folder} holds the same run without a result: it is running here, or was interrupted"
        here = RunFolder(folder).read()
    except ResultError as error:
        return f"{folder} holds a broken result: {error.message}"
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror or error}"
    return None if here.digest == run.entry.digest else f"{folder} holds another result, {_told(here.document)}"


def _told(document: Mapping[str, Any] | Any) -> str:
    """A result in a few words: when, and its Score under the first rule that it has."""
    scores = [f"{rule} {m['4class']['score']:.2f}" for rule, m in document["metrics"].items() if m is not None]
    return f"{document['status']}, {document['created'][:16].replace('T', ' ')}" + (f", {scores[0]}" if scores else "")


def _place(bundle: Bundle, run: Entry, folder: Path, home: Path) -> None:
    """Put a run's folder in its place in one step; a folder that is there is moved aside."""
    staged = folder.with_name(f".{folder.name}.import")
    try:
        bundle.write(run, staged)
        sync_tree(staged)
        if folder.exists():
            aside = home / REPLACED_FOLDER / f"{folder.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(aside)
        staged.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(f"Cannot write {folder}: {error.strerror or error}.", advice(error)) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sweep_staged(home: Path) -> None:
    """Remove what a killed import left; the import's lock is held."""
    for part in (RUNS_FOLDER, SUBMISSIONS_FOLDER):
        with contextlib.suppress(OSError):
            for path in (home / part).iterdir():
                if _STAGED.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
