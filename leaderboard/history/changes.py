"""Changes of a board by people: each is an entry of the log, in the database and as a file, and acts at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import ResultError
from bench.core.text import echoed, folded, plain
from leaderboard.history.keys import SigningKey
from leaderboard.history.log import Action, History, LogEntry, log_lock, read_log, write_entries
from leaderboard.history.ownership import Owners
from leaderboard.store.store import Store

LONGEST_REASON = 500
VERDICTS = ("accepted", "rejected")


def record(
    home: Path, store: Store, action: Action, run: str | None, details: Mapping[str, Any], key: SigningKey | None
) -> LogEntry:
    """Add an entry to the log of a board and of its results folder.

    Args:
        home: The results folder.
        store: The board.
        action: What is done.
        run: Id of the run that it is done to; None where it concerns no single run.
        details: What else the action needs, by name.
        key: The key of whoever does it; None for an unsigned entry.

    Returns:
        The new entry.

    Raises:
        StoreError: If the board or the results folder cannot be written.
    """
    with log_lock(home):
        # The database and the folder may each have lost entries that the other still holds: the new entry must name
        # the newest of both, and each gets what it lacks.
        known = joint_history(home, store)
        entry = known.new_entry(action, run, details, key)
        missing = {one.id for one in known.entries} - {one.id for one in store.history().entries}
        store.add_entries([*(one for one in known.entries if one.id in missing), entry])
        write_entries(home, [*known.entries, entry])
    return entry


def joint_history(home: Path, store: Store) -> History:
    """Read the entries of a board and of a results folder together: what one has lost, the other still holds."""
    return History.of([*read_log(home)[0], *store.history().entries])


def retract(home: Path, store: Store, text: str, reason: str, key: SigningKey | None) -> LogEntry:
    """Take a run back: its rows go from the board, and neither an import nor a rebuild brings it back.

    Args:
        home: The results folder; the run's own folder stays.
        store: The board.
        text: The run's id, or the beginning of it.
        reason: Why the run is taken back, in one line.
        key: The key of whoever takes it back; None for an unsigned entry.

    Raises:
        ResultError: If there is no such run, or no reason.
    """
    run_id = store.find(text)
    document = store.run(run_id)
    spec = document["spec"]
    told: dict[str, Any] = {name: spec[name] for name in ("system", "model", "method", "seed") if name in spec}
    return record(home, store, "retract", run_id, {"reason": checked_reason(reason), **told}, key)


def restore(home: Path, store: Store, run_id: str, reason: str, key: SigningKey | None) -> LogEntry:
    """Undo a retraction: the next rebuild or import may bring the run back.

    Raises:
        ResultError: If no run of that id was taken back.
    """
    matches = [known for known in joint_history(home, store).retracted if known.startswith(run_id.lower())]
    if len(matches) != 1:
        raise ResultError(f"'{echoed(run_id)}' names no run that was retracted.", "`bench board log` lists them.")
    return record(home, store, "restore", matches[0], {"reason": checked_reason(reason)}, key)


def rename(home: Path, store: Store, old: str, new: str, key: SigningKey | None) -> LogEntry:
    """Give a submitted system another name; the old one stays in the log and leads to it.

    Raises:
        ResultError: If there is no such system, the name is taken, or it belongs to another key.
    """
    owners = Owners.of(store)
    owner = owners.owner(old)
    if owner is None:
        raise ResultError(
            f"There is no submitted system '{echoed(old)}' on the board.", "`bench board list` shows all."
        )
    public = None if key is None else key.public
    if owner.key != public and owner.key is not None:
        raise ResultError(
            f"The system '{echoed(old)}' belongs to the key {owner.key}.", "Sign with that key: BENCH_KEY."
        )
    name = new.strip()
    if not name or len(name) > 200 or plain(name) != name:
        raise ResultError("The new name must be one line of 1 to 200 characters.")
    if owners.owner(name) is not None and folded(owners.history.original(name)) != folded(old):
        raise ResultError(f"There is a system '{echoed(name)}' on the board already.", "Choose another name.")
    details = {"old": owners.history.original(old), "new": name}
    return record(home, store, "rename", None, details, key)


def review(
    home: Path, store: Store, text: str, mark: str, verdict: str, reason: str, key: SigningKey | None
) -> LogEntry:
    """Say of a mark of a run whether it is right; the mark stays, with what was said beside it.

    Args:
        home: The results folder.
        store: The board.
        text: The run's id, or the beginning of it.
        mark: The mark's word, one of :data:`leaderboard.tables.marks.MARKS`.
        verdict: ``accepted`` where the mark is right, ``rejected`` where it is not.
        reason: Why, in one line.
        key: The key of the reviewer; None for an unsigned entry.

    Raises:
        ResultError: If there is no such run, mark or verdict, or no reason.
    """
    from leaderboard.tables.marks import MARKS

    if mark not in MARKS:
        raise ResultError(f"'{echoed(mark)}' is no mark.", f"Marks are {', '.join(MARKS)}.")
    if verdict not in VERDICTS:
        raise ResultError(f"'{echoed(verdict)}' is no verdict.", f"Use {' or '.join(VERDICTS)}.")
    details = {"mark": mark, "verdict": verdict, "reason": checked_reason(reason)}
    return record(home, store, "review", store.find(text), details, key)


def confirm(home: Path, store: Store, text: str, reason: str, key: SigningKey | None) -> LogEntry:
    """Confirm that a run is what its author meant, with the author's key.

    Raises:
        ResultError: If there is no such run, no key, or a submission belongs to another one.
    """
    run_id = store.find(text)
    if key is None:
        raise ResultError("A run is confirmed by its author's key, and there is none.", "`bench board key` makes one.")
    owner = Owners.of(store).owner_of_run(run_id)
    if owner is not None and owner.key != key.public:
        raise ResultError(f"The submission {run_id} is not of this key.", "Name its key in BENCH_KEY.")
    return record(home, store, "confirm", run_id, {"reason": checked_reason(reason)}, key)


def checked_reason(reason: str) -> str:
    """Give a reason as the log keeps it, on one line; raises ResultError where it is empty or too long."""
    text = plain(reason.strip())
    if not text or len(text) > LONGEST_REASON:
        raise ResultError(f"--reason must be one line of 1 to {LONGEST_REASON} characters.")
    return text
