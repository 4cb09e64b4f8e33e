"""The history of a board: an append-only log of what was submitted, stated anew, taken back, renamed, reviewed, rerun.

Each entry is a JSON document of its own, named by the hash of its content, and names the entries that its writer saw
before it: one that is changed or taken out is missed. Entries lie in ``<home>/log`` as files and in the board's
database as rows, bundles carry them, and boards that exchange them end with the union. What an entry does follows
from all of them together, in the order of their heights.

An entry that came from another board may be refused (:mod:`leaderboard.history.exchange`): it is kept, and not obeyed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

from bench.core.documents import read_document
from bench.core.errors import ResultError
from bench.core.files import exclusive_lock, write_json
from bench.core.paths import listed
from bench.core.text import echoed, folded
from leaderboard.history.keys import SigningKey, canonical, is_signed

LOG_FOLDER = "log"
FORMAT = 1
Action = Literal["submit", "restate", "retract", "restore", "rename", "review", "rerun", "confirm"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_FIELDS: Mapping[str, tuple[type, ...]] = {
    "format": (int,),
    "action": (str,),
    "at": (str,),
    "height": (int,),
    "after": (list,),
    "run": (str, type(None)),
    "details": (dict,),
    "key": (str, type(None)),
    "signature": (str, type(None)),
}
_ID, _RUN_ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class LogEntry:
    """One entry of a board's log: one change of the board.

    Attributes:
        document: The entry as a JSON document.
        obeyed: Whether the entry has an effect on this board; an entry of another board may be refused.
    """

    document: Mapping[str, Any]
    obeyed: bool = True

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 of the entry without its signature."""
        return hashlib.sha256(canonical(_unsigned(self.document))).hexdigest()

    @property
    def action(self) -> Action:
        """The word for what the entry does."""
        return cast(Action, self.document["action"])

    @property
    def run(self) -> str | None:
        """Id of the run that the entry concerns; None where it concerns no single run."""
        return cast("str | None", self.document["run"])

    @property
    def key(self) -> str | None:
        """The public key that the entry was signed with; None where it was not signed."""
        return cast("str | None", self.document["key"])

    @property
    def details(self) -> Mapping[str, Any]:
        """What else the action needs, by name: a reason, old and new names, what was stated otherwise."""
        return cast("Mapping[str, Any]", self.document["details"])

    @property
    def order(self) -> tuple[int, str, str]:
        """The sort key of the entry: all boards that hold the same entries bring them into the same order by it.

        The height comes first, because it is one more than that of every entry that the writer saw: clocks of two
        machines may disagree, but no entry comes before one that it follows. Time and hash decide between the rest.
        """
        return self.document["height"], self.document["at"], self.id


def _unsigned(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "signature"}


def read_entry(document: Any, where: str) -> dict[str, Any]:
    """Check an entry from outside: its form, and its signature where it names a key.

    Args:
        document: The entry as JSON values.
        where: The file or member that it was read from, for messages.

    Returns:
        The same document.

    Raises:
        ResultError: If it is no entry, of a newer version, or was changed after it was signed.
    """
    if not isinstance(document, dict) or set(document) != set(_FIELDS):
        raise ResultError(f"{where} is no entry of a board's log.")
    for name, kinds in _FIELDS.items():
        if not isinstance(document[name], kinds) or isinstance(document[name], bool):
            raise ResultError(f"{where}: {name} is {echoed(repr(document[name]))}, which no entry of a log has.")
    if document["format"] != FORMAT or document["action"] not in ACTIONS:
        raise ResultError(f"{where} is of a newer lungbench: {echoed(document['action'])}.", "Update lungbench.")
    if not all(isinstance(parent, str) and _ID.fullmatch(parent) for parent in document["after"]):
        raise ResultError(f"{where}: after names what is no entry.")
    if document["run"] is not None and not _RUN_ID.fullmatch(document["run"]):
        raise ResultError(f"{where}: run is '{echoed(document['run'])}', which is no run's id.")
    _check_texts(document["details"], where)
    key, signature = document["key"], document["signature"]
    if (key is None) != (signature is None) or (key and not is_signed(_unsigned(document), key, signature)):
        raise ResultError(f"{where} was changed after it was signed, or by somebody else.")
    return document


def _check_texts(details: Mapping[str, Any], where: str) -> None:
    for name in ("reason", "system", "old", "new", "mark", "verdict"):
        if name in details and not isinstance(details[name], str):
            raise ResultError(f"{where}: {name} is {echoed(repr(details[name]))}, but must be text.")


@dataclass(frozen=True)
class Review:
    """A review of a mark by a keeper of the board.

    Attributes:
        verdict: ``accepted`` where the mark is right, ``rejected`` where it is not.
        reason: Why the keeper thinks so.
        key: The keeper's public key; None where the review was not signed.
    """

    verdict: str
    reason: str
    key: str | None


@dataclass(frozen=True)
class History:
    """What the entries of a log amount to, read in their order.

    Attributes:
        entries: All entries in their order, those that are not obeyed included.
    """

    entries: Sequence[LogEntry] = field(default_factory=tuple)

    @classmethod
    def of(cls, entries: Iterable[LogEntry]) -> History:
        """Make a history of entries in any order; one that stands twice counts once."""
        return cls(tuple(sorted({entry.id: entry for entry in entries}.values(), key=lambda entry: entry.order)))

    def _obeyed_entries(self, *actions: Action) -> list[LogEntry]:
        return [entry for entry in self.entries if entry.obeyed and entry.action in actions]

    @cached_property
    def retracted(self) -> dict[str, LogEntry]:
        """By run id, the entry that retracted the run, for runs that were not restored after it."""
        found: dict[str, LogEntry] = {}
        for entry in self._obeyed_entries("retract", "restore"):
            if entry.run is None:
                continue
            if entry.action == "retract":
                found[entry.run] = entry
            else:
                found.pop(entry.run, None)
        return found

    @cached_property
    def aliases(self) -> dict[str, str]:
        """By the name under which a system was submitted, the name that it has now."""
        found: dict[str, str] = {}
        for entry in self._obeyed_entries("rename"):
            old, new = entry.details["old"], entry.details["new"]
            found[self._original(found, old)] = new
        return found

    @staticmethod
    def _original(aliases: Mapping[str, str], name: str) -> str:
        return next((old for old, new in aliases.items() if folded(new) == folded(name)), name)

    def original(self, name: str) -> str:
        """Give the name under which a system was submitted, whichever of its names is given."""
        return self._original(self.aliases, name)

    @cached_property
    def owners(self) -> dict[str, str | None]:
        """By folded name, the key that a system was first submitted with; None where that was without one."""
        found: dict[str, str | None] = {}
        for entry in self._obeyed_entries("submit"):
            found.setdefault(folded(str(entry.details.get("system", ""))), entry.key)
        return found

    @cached_property
    def reviews(self) -> dict[tuple[str, str], Review]:
        """By run id and mark, the last review of the mark."""
        return {
            (str(entry.run), str(entry.details["mark"])): Review(
                str(entry.details["verdict"]), str(entry.details["reason"]), entry.key
            )
            for entry in self._obeyed_entries("review")
        }

    @cached_property
    def rerun(self) -> dict[str, LogEntry]:
        """By run id, the entry of its last rerun that gave the same numbers."""
        return {str(entry.run): entry for entry in self._obeyed_entries("rerun") if entry.details.get("equal") is True}

    @cached_property
    def confirmed(self) -> dict[str, LogEntry]:
        """By run id, the entry in which its author's key confirms it."""
        return {str(entry.run): entry for entry in self._obeyed_entries("confirm") if entry.key}

    @property
    def missing(self) -> list[str]:
        """Ids of entries that later entries name as their forerunners and that are not there: they were taken out."""
        known = {entry.id for entry in self.entries}
        return sorted({parent for entry in self.entries for parent in entry.document["after"]} - known)

    def new_entry(
        self, action: Action, run: str | None, details: Mapping[str, Any], key: SigningKey | None
    ) -> LogEntry:
        """Make the entry of a change that is made now, signed where there is a key.

        Args:
            action: What is done.
            run: Id of the run that it is done to; None where it concerns no single run.
            details: What else the action needs.
            key: The key of whoever does it; None for an unsigned entry.
        """
        # Naming the newest entries is enough: these name the ones before them. An entry that is taken out later is
        # missed by those that name it, and one that is changed has another id.
        named = {parent for entry in self.entries for parent in entry.document["after"]}
        document: dict[str, Any] = {
            "format": FORMAT,
            "action": action,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "height": 1 + max((entry.document["height"] for entry in self.entries), default=0),
            "after": sorted(entry.id for entry in self.entries if entry.id not in named),
            "run": run,
            "details": dict(details),
            "key": None if key is None else key.public,
        }
        return LogEntry({**document, "signature": None if key is None else key.sign(document)})


# --- files ------------------------------------------------------------------------------------------------------


def read_log(home: Path) -> tuple[list[LogEntry], dict[str, str]]:
    """Read the entries in a results folder.

    Returns:
        The entries that can be read, and by file name what is wrong with the others.

    Raises:
        StoreError: If the folder cannot be read; without its entries, runs would come back that were taken back.
    """
    entries, broken = list[LogEntry](), dict[str, str]()
    for folder, obeyed in _entry_folders(home):
        for path in listed(folder, "*.json"):
            try:
                entry = LogEntry(read_entry(read_document(path), str(path)), obeyed)
                if entry.id != path.stem:
                    raise ResultError(f"{path} was changed: its content is that of {entry.id}.")
            except ResultError as error:
                broken[path.name] = error.message
            else:
                entries.append(entry)
    return entries, broken


def write_entries(home: Path, entries: Iterable[LogEntry]) -> None:
    """Write entries as files into a results folder, each in one step; those that are there stay.

    Raises:
        StoreError: If they cannot be written.
    """
    places = {obeyed: folder for folder, obeyed in _entry_folders(home)}
    for entry in entries:
        path = places[entry.obeyed] / f"{entry.id}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, entry.document)
        places[not entry.obeyed].joinpath(path.name).unlink(missing_ok=True)


def _entry_folders(home: Path) -> tuple[tuple[Path, bool], tuple[Path, bool]]:
    return (home / LOG_FOLDER, True), (home / LOG_FOLDER / "refused", False)


def log_lock(home: Path) -> Any:
    """Give the lock that is held while an entry is made, which names the entries before it and must miss none."""
    (home / LOG_FOLDER).mkdir(parents=True, exist_ok=True)
    return exclusive_lock(home / LOG_FOLDER / ".lock")
