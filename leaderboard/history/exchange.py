"""Which entries of another board's log are obeyed here: nobody takes a run, a name or a judgement from its owner.

An entry that is not obeyed is kept as refused. A board that holds nothing yet takes a log whole, as the copy of the
other one that it becomes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from leaderboard.history.log import History, LogEntry
from leaderboard.history.ownership import Owner, Owners


@dataclass(frozen=True)
class JudgedEntries:
    """The entries of another board's log that are new on this one.

    Attributes:
        entries: All new entries, each with whether it is obeyed.
        refused: A line for each entry that is not obeyed, with the reason.
    """

    entries: tuple[LogEntry, ...] = ()
    refused: tuple[str, ...] = ()


def judge_entries(
    theirs: Iterable[LogEntry], here: Owners, arriving: Mapping[str, Owner] | None = None, *, replace: bool = False
) -> JudgedEntries:
    """Judge which entries of a bundle's log this board obeys.

    Args:
        theirs: The entries of the bundle's log.
        here: The owners, runs and log of this board.
        arriving: By run id, the owners' keys of the submissions that come with the log.
        replace: Obey what only the keeper of this board can decide, too: retractions, names, reviews, reruns.
    """
    known = {entry.id for entry in here.history.entries}
    # An empty board has no owner whom an entry could rob: it becomes a copy of the other board, with all its history.
    empty = not known and not here.runs
    entries, refused = list[LogEntry](), list[str]()
    for entry in History.of(theirs).entries:
        if entry.id in known:
            continue
        reason = None if empty else _refusal_reason(entry, here, arriving or {}, replace)
        entries.append(LogEntry(entry.document, obeyed=reason is None))
        if reason is not None:
            refused.append(f"{entry.action} {entry.run or entry.details.get('old', '')}: {reason}")
    return JudgedEntries(tuple(entries), tuple(refused))


def _refusal_reason(entry: LogEntry, here: Owners, arriving: Mapping[str, Owner], replace: bool) -> str | None:
    """Why an entry is not obeyed; None where it is."""
    if entry.action == "submit":
        return _refusal_to_take_name(entry, here, arriving)
    # A restatement changes nothing by itself: the document that it speaks of comes with its own signature, which the
    # bundle's import checks.
    if entry.action == "restate" or replace:
        return None
    if entry.action == "retract":
        return _refusal_unless_owner(entry, here, "the run is on this board")
    if entry.action == "confirm":
        owner = here.owner_of_run(str(entry.run)) or arriving.get(str(entry.run))
        return None if owner is not None and _is_signed_by(entry, owner) else "it is not of the author's key"
    if entry.action == "restore":
        taken = here.history.retracted.get(str(entry.run))
        same = taken is None or _is_signed_by(entry, Owner(taken.key))
        return None if same else "the run was retracted here"
    if entry.action == "rename":
        owner = here.owner(str(entry.details["old"]))
        return None if owner is None or _is_signed_by(entry, owner) else "the name is in use on this board"
    return "this board's keeper has not said so"


def _refusal_to_take_name(entry: LogEntry, here: Owners, arriving: Mapping[str, Owner]) -> str | None:
    """Why an entry must not make a name its key's: the name is in use, or no submission with that key comes with it."""
    owner = here.owner(str(entry.details.get("system", "")))
    if owner is not None:
        return None if owner.key == entry.key else "the name belongs to somebody else here"
    return None if arriving.get(str(entry.run)) == Owner(entry.key) else "its submission is not in the bundle"


def _refusal_unless_owner(entry: LogEntry, here: Owners, reason: str) -> str | None:
    run_id = str(entry.run)
    if not here.holds(run_id):
        return None
    owner = here.owner_of_run(run_id)
    return None if owner is not None and _is_signed_by(entry, owner) else reason


def _is_signed_by(entry: LogEntry, owner: Owner) -> bool:
    return entry.key is not None and entry.key == owner.key


def retracted_ids(history: History, ids: Collection[str]) -> tuple[str, ...]:
    """Give the ids of those runs that were retracted, in the order given."""
    return tuple(run_id for run_id in ids if run_id in history.retracted)
