"""Boards on the Hugging Face Hub: a data set whose versions hold every row with its predictions, in one download."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api.board_card import BUNDLE, board_card
from bench.api.boards import Board
from bench.api.exchange import MergedBundle
from bench.core.errors import SpecError, StoreError
from bench.core.files import temporary_folder
from bench.core.hub import HubChangedError, HubError, HubPlace, HubState, fetch, hub_place, told_plainly
from bench.core.hub_commits import commit, writable_state
from bench.core.hub_sizes import bounded_file
from bench.core.paths import cache_folder
from bench.core.text import counted_noun
from bench.core.version import __version__
from leaderboard.results.bundle_merging import MergeReport, import_bundle
from leaderboard.results.bundle_writing import export_bundle
from leaderboard.store.store import Store

logger = logging.getLogger(__name__)

CARD = "README.md"
TABLE = "leaderboard.csv"

ATTEMPTS = 4
"""How often a push begins anew because somebody else pushed in the meantime."""

_OF_HUB = frozenset({".gitattributes", CARD})
"""Files of a new data set."""


@dataclass(frozen=True, kw_only=True)
class PushedBoard:
    """What came of a push of a board.

    Attributes:
        to: The data set, ``hf:OWNER/NAME``.
        state: ``pushed``, or ``same`` where the data set held all of it already.
        revision: The commit that the data set has now.
        private: Whether the data set is shown to its owners alone.
        runs: How many runs it holds now.
        merged: What came of each run of this board there.
    """

    to: str
    state: str
    revision: str
    private: bool
    runs: int
    merged: MergedBundle

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board push --format json`` prints."""
        return {**vars(self), "merged": _merged_json(self.merged)}


@dataclass(frozen=True, kw_only=True)
class PulledBoard:
    """What came of a pull of a board.

    Attributes:
        source: The data set, as it was named.
        revision: The commit that was fetched.
        merged: What came of each of its runs here.
    """

    source: str
    revision: str
    merged: MergedBundle

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board pull --format json`` prints."""
        return {"from": self.source, "revision": self.revision, "merged": _merged_json(self.merged)}


def _merged_json(merged: MergedBundle) -> dict[str, Any]:
    document = merged.to_json()
    del document["file"]
    return document


def push_board(
    board: Board,
    to: str,
    *,
    private: bool = False,
    replace_results: bool = False,
    message: str | None = None,
) -> PushedBoard:
    """Add the rows of a board to one on the Hub; rows that are there stay.

    What the data set holds is merged with this board as ``bench board import`` merges bundles, in a folder for the
    moment, and what comes of it is one commit on top of what was read. Where somebody else pushed in the meantime, it
    is read and merged again: no row is lost. The paths of this machine are left out of the results.

    Args:
        board: The board.
        to: ``hf:OWNER/NAME``, or ``hf:OWNER/NAME@BRANCH``; made where there is none.
        private: Make the data set for its owners alone.
        replace_results: Take this board's result where the data set holds another, and obey its log.
        message: Of the commit.

    Raises:
        SpecError: If ``to`` names no repository, or one that holds something else than a board.
        StoreError: If a board cannot be read, or that of the data set is damaged.
        HubError: If the Hub is not reached or refuses.
    """
    place = hub_place(to, "dataset")
    with temporary_folder("bench-board-push") as work:
        ours = work / "ours.zip"
        export_bundle(board.store, ours, written_by=__version__, publish=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _push_once(place, ours, work / str(attempt), private, replace_results, message)
            except HubChangedError:
                if attempt == ATTEMPTS:
                    raise
                logger.info(f"{place} was changed in the meantime; it is read and merged again")
    raise AssertionError("the last attempt returns or raises")


def _push_once(
    place: HubPlace, ours: Path, work: Path, private: bool, replace_results: bool, message: str | None
) -> PushedBoard:
    """Merge this board's rows with those of the data set as it is now, and commit on top of that."""
    before = writable_state(place, private=private)
    gathered = Store.open(work)
    _take_theirs(place, before, gathered, work)
    merged = import_bundle(ours, work, gathered, replace=replace_results)
    told = PushedBoard(
        to=str(place),
        state="same",
        revision=before.commit,
        private=before.private,
        runs=len(gathered.digests()),
        merged=MergedBundle.of(merged),
    )
    if BUNDLE in before.files and not _changes(merged):
        return told
    if not told.runs:
        raise SpecError(f"None of the runs of this board may come to {place}.", "`--format json` says why.")
    export_bundle(gathered, work / BUNDLE, written_by=__version__, publish=True)
    shown = Board(work, gathered)
    files: dict[str, Path | bytes] = {
        BUNDLE: work / BUNDLE,
        TABLE: shown.table().to_csv().encode(),
        CARD: board_card(shown, place.name).encode(),
    }
    count = len(merged.new) + len(merged.replaced)
    done = commit(place, before, files, message or f"{counted_noun(count, 'run')} from a board")
    return replace(told, state="pushed", revision=done.revision)


def _changes(merged: MergeReport) -> bool:
    """Whether the data set would hold something else afterwards; entries that are not obeyed are not written."""
    return bool(merged.new or merged.replaced or merged.log_entries > len(merged.refused))


def _take_theirs(place: HubPlace, before: HubState, gathered: Store, work: Path) -> None:
    """Import what a data set holds into an empty board, its log included."""
    others = before.files - _OF_HUB
    if not others:
        return
    if BUNDLE not in others:
        raise SpecError(
            f"{place} holds {counted_noun(len(others), 'file')}, and no board.",
            "Name another data set, or a branch: hf:OWNER/NAME@BRANCH.",
        )
    with told_plainly(place, "read"):
        there = work / "theirs"
        theirs = bounded_file(
            place.name, BUNDLE, there, str(place), repo_type=place.kind, revision=before.commit, local_dir=there
        )
    try:
        merged = import_bundle(theirs, work, gathered)
    except StoreError as error:
        # Where it lay for the moment tells nobody anything.
        message = error.message.replace(str(theirs), f"{BUNDLE} of {place}")
        raise StoreError(message, "Have its owner push it again, or name another data set.") from error
    if merged.conflicts:
        # What an empty board does not take would be gone with the next commit.
        first, count = merged.conflicts[0], len(merged.conflicts)
        raise StoreError(
            f"{place} holds {counted_noun(count, 'run')} that no board takes beside its others, and a push "
            f"would lose what is there; {first.run_id}: {first.reason}.",
            "Name another data set, or have its owner mend its board.zip.",
        )


def pull_board(board: Board, source: str, *, replace_results: bool = False, cache: Path | None = None) -> PulledBoard:
    """Merge a board on the Hub into this one, with all checks of ``bench board import``.

    Doing it twice changes nothing.

    Args:
        board: The board.
        source: ``hf:OWNER/NAME``, or ``hf:OWNER/NAME@REVISION`` for an older version.
        replace_results: Take its result where this board holds another.
        cache: The cache folder, where the download stays.

    Raises:
        SpecError: If ``source`` names no repository.
        StoreError: If what it holds is damaged, or this board cannot be written.
        HubError: If the Hub is not reached or refuses, or there is no board.
    """
    place = hub_place(source, "dataset")
    found = fetch(place, cache_folder(cache), (BUNDLE,))
    bundle = found.folder / BUNDLE
    if not bundle.is_file():
        raise HubError(f"{place} holds no board that `bench board push` wrote: it has no {BUNDLE}.", "Check its name.")
    merged = import_bundle(bundle, board.home, board.store, replace=replace_results)
    return PulledBoard(source=source, revision=found.revision, merged=MergedBundle.of(merged))
