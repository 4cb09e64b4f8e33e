"""Writing bundles: runs of one board in one file, for boards on machines that share no network.

A bundle is a ZIP archive: ``manifest.json`` (which runs, and the SHA-256 of every other member), ``runs/<id>/`` with
``result.json`` and a file of predictions for each selection rule, ``cycles/<hash>.csv`` once for all runs that were
judged on the same cycles, and ``log.json`` with the log of the board.
"""

from __future__ import annotations

import hashlib
import json
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
    file_sha256,
    home_expanded,
    output_path,
    sweep,
)
from bench.core.progress import tracked
from leaderboard.results.bundle_reading import (
    FORMAT,
    LOG_MEMBER,
    MANIFEST,
    VERSION,
    WITHOUT_LOG,
    cycles_member,
)
from leaderboard.results.predictions import cycles_text, predictions_text
from leaderboard.results.publishing import published
from leaderboard.results.run_folder import RESULT_FILE, predictions_file
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import kind_of, task_of
from leaderboard.store.store import Store


@dataclass(frozen=True)
class ExportedBundle:
    """A bundle that was written.

    Attributes:
        path: The file, as it was named.
        run_ids: Ids of the runs in the bundle.
        cycle_sets: Number of the sets of judged cycles in the bundle.
        size: Size of the file in bytes.
        sha256: SHA-256 of the file, hexadecimal.
    """

    path: Path
    run_ids: tuple[str, ...]
    cycle_sets: int
    size: int
    sha256: str


def export_bundle(
    store: Store, path: Path, runs: Sequence[str] = (), *, written_by: str = "", publish: bool = False
) -> ExportedBundle:
    """Write runs of a board as one file, which appears whole or not at all.

    Args:
        store: The board.
        path: The file to write; a bundle that is there is replaced, anything else is not.
        runs: Ids of runs, or beginnings of them; all by default.
        written_by: Version of lungbench, for the manifest.
        publish: Leave the paths of the machines out (:mod:`leaderboard.results.publishing`).

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
            results = (store.result(run_id) for run_id in tracked(ids, f"writing {path.name}", "runs"))
            sets = _write_members(archive, map(published, results) if publish else results, log, written_by)
        digest, size = file_sha256(temporary), temporary.stat().st_size
    return ExportedBundle(path, tuple(ids), sets, size, digest)


def _is_bundle(path: Path) -> bool:
    try:
        check_regular(path, path.stat())
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (ResultError, OSError, ValueError, zipfile.BadZipFile):
        return False


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
            classes = task_of(result.document).task.classes
            for rule, scores in result.scores.items():
                add(f"runs/{run_id}/{predictions_file(rule)}", predictions_text(cycles.keys, scores, classes))
            if cycles_member(cycles.hash) not in files:
                add(cycles_member(cycles.hash), cycles_text(cycles))
        entries.append(entry)
    if log:
        add(LOG_MEMBER, _json(log))
    # The manifest comes last: it holds the hash of every member before it.
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
