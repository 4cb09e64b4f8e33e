"""Making the board anew from the run folders, while other processes go on reading and writing it.

Submissions have folders of the same form. A server's board may hold the runs of several machines: there, the runs
whose folders are here are made anew, and the others stay.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.core.errors import ResultError, StoreError
from bench.core.files import exclusive_lock
from bench.core.text import counted_noun
from leaderboard.history.log import History, read_log, write_entries
from leaderboard.history.ownership import Owners
from leaderboard.results.run_folder import RUNS_FOLDER, SUBMISSIONS_FOLDER, RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.store import database, schema
from leaderboard.store.database import DATABASE_FILE, LOG_ENDINGS, DamagedBoardError, SpoiltBoardError, is_absent
from leaderboard.store.store import Store
from leaderboard.tables.sections import claims_official_set_wrongly

Progress = Callable[[int, int], None]

_RUN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class RebuildReport:
    """What a rebuild of the board did.

    Attributes:
        imported: Ids of the runs that the board holds now and whose folders are here.
        broken: By name of a run folder, why it could not be read.
        unfinished: Names of run folders without a result: still running, or interrupted.
        dropped: Ids of runs that the old board held and no run folder brought back.
        moved: Path to which a damaged database was moved; None where none was.
        kept: Ids of runs that a server's board holds and that have no run folder here.
        retracted: Names of run folders whose runs were retracted, and that stay off the board.
        not_official: Ids of runs that say they were judged on the official test cycles, and were not.
        log_faults: Sentences on what is wrong with the log: entries that were changed, or taken out.
    """

    imported: tuple[str, ...]
    broken: dict[str, str]
    unfinished: tuple[str, ...]
    dropped: tuple[str, ...]
    moved: Path | None = None
    kept: tuple[str, ...] = ()
    retracted: tuple[str, ...] = ()
    not_official: tuple[str, ...] = ()
    log_faults: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What ``bench board rebuild --format json`` prints, beside the board."""
        return {**vars(self), "moved": None if self.moved is None else str(self.moved)}


def rebuild(home: Path, on_progress: Progress | None = None, store: Store | None = None) -> RebuildReport:
    """Make the board of a results folder anew from its run folders.

    The new board is made beside the old one; its content then takes the old one's place in one transaction. A run
    that ended in between is imported afterwards, so that none is lost.

    Args:
        home: The results folder.
        on_progress: Called with the number of folders done and of all.
        store: The board; the one in the results folder by default.

    Returns:
        What was imported, broken, unfinished and dropped; a broken folder does not stop the rebuild.

    Raises:
        StoreError: If the folder cannot be written, the old board is of a newer version, or no run folder holds
            a result (the old board is kept then, unless it is damaged).
    """
    store = store or Store.open(home)
    before, fault = _old_runs(store)
    damaged = isinstance(fault, DamagedBoardError)
    if not _run_folders(home)[0] and not damaged:
        runs = counted_noun(len(before), "run of the board was", "runs of the board were")
        kept = f"; the {runs} kept" if before else ""
        advice = "Check --home, or move the spoilt database away." if fault else "Check --home."
        raise StoreError(f"There is no run folder with a result below {home / RUNS_FOLDER}{kept}.", advice)
    broken = dict[str, str]()
    if store.database.path is None or (not damaged and store.database.holds_other_tables()):
        if fault or store.database.version() == schema.VERSION:
            store.database.mend()
        log, faults = _joint_log(home, store, fault)
        return replace(_renew_rows(store, home, broken, log, on_progress), log_faults=faults)
    log, faults = _joint_log(home, store, fault)
    return replace(_remake_database(store, home, broken, log, damaged, before, on_progress), log_faults=faults)


def _remake_database(
    store: Store,
    home: Path,
    broken: dict[str, str],
    log: History,
    damaged: bool,
    before: set[str],
    on_progress: Progress | None,
) -> RebuildReport:
    """Make an SQLite board beside the old one, and put it in its place."""
    assert store.database.path is not None
    place = store.database.path.parent
    work = place / ".rebuild"
    with exclusive_lock(place / f".{DATABASE_FILE}.rebuild.lock"):
        try:
            shutil.rmtree(work, ignore_errors=True)
            fresh = Store.open(work)
            fresh.database.create()
            # The log first: what it retracts is then refused, and never stands on the new board for a moment.
            fresh.add_entries(log.entries)
            seen = _import_all(fresh, home, {}, broken, log, on_progress)
            fresh.database.settle()
            moved = _replace_database(work / DATABASE_FILE, store, damaged)
            # Runs that ended while the new board was made went onto the old one, which is gone: they are imported now.
            _import_all(store, home, seen, broken, log, None)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    runs = store.runs()
    now = {run.run_id for run in runs}
    return RebuildReport(
        tuple(run.run_id for run in runs),
        broken,
        tuple(_run_folders(home)[1]),
        tuple(sorted(before - now - log.retracted.keys())),
        moved,
        retracted=_taken_back(seen, log),
        not_official=tuple(run.run_id for run in runs if claims_official_set_wrongly(run)),
    )


def _joint_log(home: Path, store: Store, fault: StoreError | None) -> tuple[History, tuple[str, ...]]:
    """The log of the results folder and of the old board together, and what is wrong with it.

    The folder is given the entries that it lacks; the new board is given them by the caller.

    An old board of an older version had none.
    """
    found, broken = read_log(home)
    if fault is None and store.database.version() == schema.VERSION:
        with contextlib.suppress(SpoiltBoardError):  # it lacks the table, which is made anew from the files
            found += store.history().entries
    log = History.of(found)
    if log.entries:
        write_entries(home, log.entries)
    lost = (
        f"{counted_noun(len(log.missing), 'entry was', 'entries were')} taken out of the log, first {log.missing[0]}"
        if log.missing
        else ""
    )
    return log, (*broken.values(), *([lost] if lost else []))


def _taken_back(folders: Iterable[Path], log: History) -> tuple[str, ...]:
    return tuple(sorted(folder.name for folder in folders if folder.name in log.retracted))


def _renew_rows(
    store: Store, home: Path, broken: dict[str, str], log: History, on_progress: Progress | None
) -> RebuildReport:
    """Make the rows of a server's board anew, run by run, for the runs whose folders are here."""
    store.add_entries(log.entries)
    seen = _import_all(store, home, {}, broken, log, on_progress)
    taken_back = _taken_back(seen, log)
    done = [folder.name for folder in seen if folder.name not in broken and folder.name not in taken_back]
    runs = store.runs()
    kept = {run.run_id for run in runs} - set(done)
    return RebuildReport(
        tuple(done),
        broken,
        tuple(_run_folders(home)[1]),
        (),
        kept=tuple(sorted(kept)),
        retracted=taken_back,
        not_official=tuple(run.run_id for run in runs if claims_official_set_wrongly(run)),
    )


def _old_runs(store: Store) -> tuple[set[str], StoreError | None]:
    """Ids of the runs on the old board (those of an older version are not read), and what is wrong with it."""
    try:
        found = store.database.version()
        if found is not None and found < schema.VERSION:
            return set(), None
        return set(store.digests()), None
    except (DamagedBoardError, SpoiltBoardError) as error:
        return set(), error


def _run_folders(home: Path) -> tuple[dict[Path, int], list[str]]:
    """Folders of runs and submissions with a result and when that was written, and the names of those without one.

    A result that cannot even be looked at counts as one: reading it says what is wrong.
    """
    done, unfinished = dict[Path, int](), list[str]()
    for folder in [*_run_folders_in(home / RUNS_FOLDER), *_run_folders_in(home / SUBMISSIONS_FOLDER)]:
        try:
            done[folder] = RunFolder(folder).result.lstat().st_mtime_ns
        except FileNotFoundError:
            unfinished.append(folder.name)
        except OSError:
            done[folder] = 0
    return done, unfinished


def _run_folders_in(place: Path) -> list[Path]:
    """Folders in a place; those that are named as a run comes last, so that a copy of one never takes its place."""
    try:
        found = [path for path in place.iterdir() if not path.name.startswith(".") and path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(
            f"Cannot read {place}: {error.strerror or error}.", "Ask its owner for the right to read it."
        ) from error
    return sorted(found, key=lambda path: (_RUN_ID.fullmatch(path.name) is not None, path.name))


def _import_all(
    store: Store,
    home: Path,
    seen: dict[Path, int],
    broken: dict[str, str],
    log: History,
    on_progress: Progress | None,
) -> dict[Path, int]:
    """Import every run folder that is not ``seen`` with its time of change."""
    if store.database.path is not None:
        store.database.create()
    times = _run_folders(home)[0]
    fresh = [folder for folder, changed in times.items() if seen.get(folder) != changed]
    for number, folder in enumerate(fresh, start=1):
        broken.pop(folder.name, None)  # it was changed since it could not be read
        try:
            result = RunFolder(folder).read()
            _check_ownership(result, log)
            store.import_result(result, anew=True)
        except ResultError as error:
            broken[folder.name] = error.message
        if on_progress is not None:
            on_progress(number, len(fresh))
    return times


def _check_ownership(result: RunResult, log: History) -> None:
    """Refuse a submission under a name that the log gives to another key; raises ResultError.

    The log alone is asked, not the runs on the board so far: the order in which folders are read must not matter.
    """
    reason = Owners(log, ()).refusal_reason(result.document)
    if reason is not None:
        raise ResultError(f"{reason}.")


def _replace_database(fresh: Path, store: Store, damaged: bool) -> Path | None:
    """Put ``fresh`` in the place of the store's database; a damaged one is moved aside, and where to is returned."""
    live = store.database.path
    assert live is not None
    with store.database.creation_lock(), store.database.translated():
        if not damaged and not is_absent(live):
            with contextlib.suppress(DamagedBoardError), store.database.translated():
                _copy_content(fresh, live)
                return None
        moved = None if is_absent(live) else _move_aside(live)
        store.database.remove_logs()
        fresh.replace(live)
    return moved


def _move_aside(live: Path) -> Path:
    """Move a database and what belongs to it: its log must never be applied to another file."""
    names = itertools.chain(("damaged",), (f"damaged-{number}" for number in itertools.count(2)))
    aside = next(path for name in names if not (path := live.with_name(f"{live.name}.{name}")).exists())
    for ending in (*LOG_ENDINGS, ""):
        part = live.with_name(live.name + ending)
        if part.exists():
            part.replace(aside.with_name(aside.name + ending))
    return aside


def _copy_content(fresh: Path, live: Path) -> None:
    """Copy all pages in one transaction, by SQLite's own backup: readers see the old content or the new."""
    deadline = time.monotonic() + database.TIMEOUT

    def check_time(status: int, _remaining: int, _total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() > deadline:
            raise StoreError(f"The board {live} is locked by another process.", "Stop it and rebuild again.")

    with contextlib.closing(sqlite3.connect(fresh)) as source, contextlib.closing(sqlite3.connect(live)) as target:
        source.backup(target, progress=check_time, sleep=0.05)
