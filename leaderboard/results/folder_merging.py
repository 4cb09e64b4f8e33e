"""Bringing run folders to a board: those of its own results folder, or of another one on a disk that is shared.

Whoever trains without a board (``BENCH_STORE=none``) leaves its results in run folders; one process brings them in, as
often as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.core.errors import ResultError, StoreError
from bench.core.files import temporary_folder
from bench.core.progress import tracked
from leaderboard.results.bundle_merging import MergeConflict, MergeReport, import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.results.run_folder import RUNS_FOLDER, RunFolder
from leaderboard.store.store import Store


def run_folders(place: Path) -> list[Path]:
    """The run folders that a folder is, or holds: a run's, ``HOME/runs``, or a results folder.

    Raises:
        StoreError: If it is none of them, or cannot be read.
    """
    if RunFolder(place).has_result() or RunFolder(place).spec.is_file():
        return [place]
    runs = place / RUNS_FOLDER if (place / RUNS_FOLDER).is_dir() else place
    try:
        found = sorted(path for path in runs.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise StoreError(f"Cannot read {runs}: {error.strerror or error}.", "Check the folder's name.") from error
    if not any(RunFolder(path).spec.is_file() or RunFolder(path).has_result() for path in found):
        raise StoreError(f"{place} is no run folder and holds none.", "Name HOME/runs/ID, HOME/runs, or HOME.")
    return found


def import_folders(place: Path, home: Path, store: Store, *, replace: bool = False) -> MergeReport:
    """Bring the results of run folders to a board; doing it twice changes nothing, and a run is one row.

    The folders of the board's own results folder are what the board follows, as in a rebuild. Runs from elsewhere are
    merged like a bundle's (:func:`~leaderboard.results.bundle_merging.import_bundle`), and their results are copied
    into the results folder.

    Args:
        place: A run's folder, ``HOME/runs``, or a results folder.
        home: The results folder of the board.
        store: The board.
        replace: Of runs from elsewhere: take their result where the board holds another.

    Returns:
        What was done; a folder that is broken is among the conflicts, one without a result is left out.

    Raises:
        StoreError: If there is no run folder, or board or results folder cannot be written.
    """
    folders = [RunFolder(path) for path in run_folders(place)]
    done = [folder for folder in folders if folder.has_result()]
    own = (home / RUNS_FOLDER).resolve()
    if all(folder.path.resolve().parent == own for folder in done):
        return _import_own(place, done, store)
    return _import_others(place, done, home, store, replace)


def _import_own(place: Path, folders: Sequence[RunFolder], store: Store) -> MergeReport:
    found: dict[str, list[str]] = {"new": [], "same": [], "changed": [], "retracted": []}
    broken = []
    for folder in tracked(folders, "entering into the board", "run folders"):
        try:
            found[store.import_run(folder.path)].append(folder.path.name)
        except ResultError as error:
            broken.append(MergeConflict(folder.path.name, error.message))
    return MergeReport(
        place,
        new=tuple(found["new"]),
        same=tuple(found["same"]),
        replaced=tuple(found["changed"]),
        retracted=tuple(found["retracted"]),
        conflicts=tuple(broken),
    )


def _import_others(
    place: Path, folders: Sequence[RunFolder], home: Path, store: Store, replace_results: bool
) -> MergeReport:
    """Merge run folders of another results folder, by way of a bundle: one law of what is taken and what is not."""
    with temporary_folder("bench-import") as work:
        gathered = Store.open(work)
        seen = _import_own(place, folders, gathered)
        if not seen.new:
            return seen
        export_bundle(gathered, work / "runs.zip")
        merged = import_bundle(work / "runs.zip", home, store, replace=replace_results)
    return replace(merged, path=place, conflicts=(*merged.conflicts, *seen.conflicts))
