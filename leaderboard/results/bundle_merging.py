"""Merging a bundle into a board and its results folder: what is taken, what is a conflict, in which order.

``leaderboard.results.bundle_reading`` reads bundles and trusts nothing in them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core.errors import ResultError, StoreError
from bench.core.files import (
    advice,
    exclusive_lock,
    sync_folder,
    sync_tree,
)
from bench.core.progress import tracked
from bench.core.text import echoed
from leaderboard.history.exchange import JudgedEntries, judge_entries, retracted_ids
from leaderboard.history.log import log_lock, write_entries
from leaderboard.history.ownership import Owner, Owners, board_run_of
from leaderboard.history.signatures import submitter_key
from leaderboard.results.bundle_reading import (
    Bundle,
    BundledRun,
    open_bundle,
)
from leaderboard.results.publishing import published
from leaderboard.results.run_folder import RUNS_FOLDER, SUBMISSIONS_FOLDER, RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import kind_of, task_of
from leaderboard.store.board_rows import BoardRun
from leaderboard.store.store import Store
from leaderboard.tables.sections import claims_official_set_wrongly
from leaderboard.tasks import JudgedTask

REPLACED_FOLDER = "replaced"
"""Where, below the results folder, the folders of replaced runs go."""

_STAGED = re.compile(r"\.[0-9a-f]{16}\.import")
"""Names of folders of runs that are being written."""


@dataclass(frozen=True)
class MergeConflict:
    """A run of a bundle that was not taken, because its id stands for another result here or it must not come here.

    Attributes:
        run_id: Id of the run.
        reason: Why it was not taken, in words.
    """

    run_id: str
    reason: str


@dataclass(frozen=True)
class MergeReport:
    """What an import did with each run of a bundle, and with the log that came with it.

    Attributes:
        path: The file of the bundle.
        new: Ids of runs that the board has now and had not.
        same: Ids of runs that the board had already.
        conflicts: Runs that were kept as they are here.
        replaced: Ids of runs that took the place of another result.
        retracted: Ids of runs of the bundle that were retracted, here or on the board that it comes from.
        not_official: Ids of taken runs that say they were judged on the official test cycles, and were not.
        log_entries: How many entries of the bundle's log are new here.
        refused: A line for each entry of that log that is not obeyed here, with the reason.
    """

    path: Path
    new: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    conflicts: tuple[MergeConflict, ...] = ()
    replaced: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    not_official: tuple[str, ...] = ()
    log_entries: int = 0
    refused: tuple[str, ...] = ()


def import_bundle(path: Path, home: Path, store: Store, *, replace: bool = False) -> MergeReport:
    """Merge a bundle's runs into a board and its results folder; doing it twice changes nothing.

    All of it is checked before the first run is written. Its board's log comes first, as far as it is obeyed here
    (:mod:`leaderboard.history.exchange`): a run that was taken back is not brought back. A submission under a name that
    belongs to somebody else, or with a seed that is there, is a conflict that ``replace`` does not settle, and so is a
    run that means another thing by the name of its task than the runs that are here. A run whose id stands for another
    result here is a conflict too: it is kept as it is, unless ``replace``; the folder of a replaced run is moved to
    ``<home>/replaced``.

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
        # Every run is read and judged before anything is written: a bundle that is damaged at its end leaves no half.
        checked = [_arriving_run(bundle, run) for run in tracked(bundle.runs, f"reading {path.name}", "runs")]
        with exclusive_lock(home / ".import.lock"):
            _sweep_staged(home)
            # The log comes before the runs: a retraction in it must keep a run of the same bundle from coming in.
            log = _merge_log(bundle, checked, home, store, replace)
            merged = _merge(bundle, checked, home, store, replace)
    return dataclasses.replace(merged, log_entries=len(log.entries), refused=log.refused)


def _merge_log(bundle: Bundle, runs: Sequence[_ArrivingRun], home: Path, store: Store, replace: bool) -> JudgedEntries:
    if not bundle.log:
        return JudgedEntries()
    arriving = {run.entry.run_id: Owner(submitter_key(run.submission)) for run in runs if run.submission is not None}
    with log_lock(home):
        log = judge_entries(bundle.log, Owners.of(store), arriving, replace=replace)
        store.add_entries(log.entries)
        write_entries(home, log.entries)
    return log


def check_bundle(path: Path) -> None:
    """Check a bundle and every run in it, and write nothing; raises StoreError where it is damaged."""
    with open_bundle(path) as bundle:
        for run in bundle.runs:
            bundle.result(run)


_OWNERSHIP_FIELDS = (
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
class _TaskMeaning:
    """What results mean by the name of a task: those of sets that are not registered here say it themselves.

    Attributes:
        name: Data set, task and split.
        rules: Classes, what they are to other tasks, the laws of the Score and of ranks, tested parts.
    """

    name: tuple[str, str, str]
    rules: tuple[Any, ...]

    @classmethod
    def of(cls, judged: JudgedTask, split: str) -> _TaskMeaning:
        task = judged.task
        rules = (task.classes, task.shared, task.score, task.ranking, task.parts)
        return cls((judged.dataset, task.id, split), rules)


@dataclass(frozen=True)
class _ArrivingRun:
    """A run of a bundle whose files were checked, as far as merging needs it.

    The documents are not kept whole: there may be thousands of runs, and each may take a hundred megabytes.

    Attributes:
        entry: The run as the manifest names it.
        summary: The run's result in a few words.
        submission: For a submission, the fields of its document that say whose it is; None for a run.
        meaning: What the run means by the name of its task; None for a run without numbers.
    """

    entry: BundledRun
    summary: str
    submission: Mapping[str, Any] | None
    meaning: _TaskMeaning | None


def _arriving_run(bundle: Bundle, run: BundledRun) -> _ArrivingRun:
    document = bundle.result(run).document
    owned = {name: document.get(name) for name in _OWNERSHIP_FIELDS} if kind_of(document) == "submission" else None
    has_numbers = any(document["metrics"].values())
    meaning = _TaskMeaning.of(task_of(document), document["spec"]["split"]) if has_numbers else None
    return _ArrivingRun(run, _result_summary(document), owned, meaning)


def _merge(bundle: Bundle, runs: Sequence[_ArrivingRun], home: Path, store: Store, replace: bool) -> MergeReport:
    known, owners = store.digests(), Owners.of(store)
    retracted = retracted_ids(owners.history, [run.entry.run_id for run in runs])
    runs = [run for run in runs if run.entry.run_id not in retracted]
    fresh = [run for run in runs if not _is_held(bundle, store, run, known)]
    reasons = {
        run.entry.run_id: _conflict_reason(bundle, store, run, _folder_of(home, run), run.entry.run_id in known)
        for run in fresh
    }
    settled = _ownership_refusals(fresh, owners) | _task_refusals(fresh, owners.runs)
    reasons.update(settled)
    taken = [run for run in fresh if run.entry.run_id not in settled and (replace or reasons[run.entry.run_id] is None)]
    if taken:
        # A database that cannot hold one of the runs is found out before the first folder is written.
        store.rehearse(bundle.result(run.entry) for run in taken)
    for run in tracked(taken, "entering into the board", "runs"):
        # The folder comes before the row: killed in between, a rebuild finds the run, and a second import adds the row.
        folder = _folder_of(home, run)
        if reasons[run.entry.run_id] is not None or not folder.exists():
            _install_folder(bundle, run.entry, folder, home)
        store.import_run(folder)
    fresh_ids, taken_ids = [[run.entry.run_id for run in part] for part in (fresh, taken)]
    new = {run.entry.run_id for run in taken}
    return MergeReport(
        bundle.path,
        retracted=retracted,
        not_official=tuple(
            run.run_id for run in store.runs() if run.run_id in new and claims_official_set_wrongly(run)
        ),
        new=tuple(run_id for run_id in taken_ids if reasons[run_id] is None),
        same=tuple(run.entry.run_id for run in runs if run.entry.run_id not in reasons),
        conflicts=tuple(MergeConflict(run_id, str(reasons[run_id])) for run_id in fresh_ids if run_id not in taken_ids),
        replaced=tuple(run_id for run_id in taken_ids if reasons[run_id] is not None),
    )


def _ownership_refusals(fresh: Sequence[_ArrivingRun], owners: Owners) -> dict[str, str]:
    """By run id, why a submission must not come onto this board.

    Submissions of one bundle are judged one after another, the oldest first: who was first owns a name that is new.
    """
    found: dict[str, str] = {}
    taken = list(owners.runs)
    owned = [(run.submission, run.entry) for run in fresh if run.submission is not None]
    for submission, entry in sorted(owned, key=lambda pair: (pair[0]["created"], pair[1].run_id)):
        reason = Owners(owners.history, taken).refusal_reason(submission)
        if reason is not None:
            found[entry.run_id] = reason
        else:
            taken.append(board_run_of(submission, entry.cycles))
    return found


def _task_refusals(fresh: Sequence[_ArrivingRun], board: Sequence[BoardRun]) -> dict[str, str]:
    """By run id, why a run cannot stand in a table with those that are here, or that came before it in the bundle."""
    here = [_TaskMeaning.of(run.judged_task, run.spec["split"]) for run in board if run.metrics]
    meant = {meaning.name: meaning.rules for meaning in here}
    found: dict[str, str] = {}
    for run in fresh:
        if run.meaning is not None and meant.setdefault(run.meaning.name, run.meaning.rules) != run.meaning.rules:
            dataset, task, _ = map(echoed, run.meaning.name)
            classes = ", ".join(map(echoed, run.meaning.rules[0]))
            found[run.entry.run_id] = (
                f"it means another thing by the task '{task}' of '{dataset}' than runs that are here: its classes are "
                f"{classes}; classes, tested parts and the laws of the Score must be the same"
            )
    return found


def _folder_of(home: Path, run: _ArrivingRun) -> Path:
    of_kind = RunFolder.of_run if run.submission is None else RunFolder.of_submission
    return of_kind(home, run.entry.run_id).path


def _is_held(bundle: Bundle, store: Store, run: _ArrivingRun, known: Mapping[str, str]) -> bool:
    """Whether the board holds this result already; the paths of the machines that tell of it do not count."""
    run_id, digest = run.entry.run_id, run.entry.digest
    if known.get(run_id) in (None, digest):
        return run_id in known
    return _is_same_elsewhere(store.result(run_id), bundle, run)


def _is_same_elsewhere(here: RunResult, bundle: Bundle, run: _ArrivingRun) -> bool:
    """Whether a result that is here differs from the bundle's in nothing but where things lay on a machine."""
    return published(here).digest == published(bundle.result(run.entry)).digest


def _conflict_reason(bundle: Bundle, store: Store, run: _ArrivingRun, folder: Path, known: bool) -> str | None:
    """Why a run cannot simply be added; None where it can."""
    if known:
        summary = _result_summary(store.run(run.entry.run_id))
        return f"the board holds another result, {summary}; the bundle's is {run.summary}"
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
    if here.digest == run.entry.digest or _is_same_elsewhere(here, bundle, run):
        return None
    return f"{folder} holds another result, {_result_summary(here.document)}"


def _result_summary(document: Mapping[str, Any] | Any) -> str:
    """A result in a few words: when, and its Score under the first rule that it has."""
    strict = task_of(document).task.strict
    scores = [f"{rule} {m[strict]['score']:.2f}" for rule, m in document["metrics"].items() if m is not None]
    return f"{document['status']}, {document['created'][:16].replace('T', ' ')}" + (f", {scores[0]}" if scores else "")


def _install_folder(bundle: Bundle, run: BundledRun, folder: Path, home: Path) -> None:
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
