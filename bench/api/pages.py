"""A board as files that need nothing else: its page, and dated snapshots that can be kept, cited and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.api.boards import Board
from bench.api.words import selection_rule
from bench.core.files import home_expanded
from bench.core.progress import waiting
from bench.core.version import __version__
from leaderboard.site import snapshots, write_site


def write_page(board: Board, folder: Path, protocol: str = "last") -> Path:
    """Write a board as a page with figures, and the data behind each beside it; no server and no network is needed.

    Args:
        board: The board.
        folder: Where.
        protocol: The selection rule that the page begins with.

    Returns:
        The page to open.

    Raises:
        SpecError: If there is no such rule.
        StoreError: If the folder cannot be written.
    """
    with waiting("computing the page of the board"):
        return write_site(board.store, home_expanded(folder), __version__, start=selection_rule(protocol))


@dataclass(frozen=True, kw_only=True)
class BoardSnapshot:
    """The board of one day as a folder.

    Attributes:
        folder: The folder.
        created: When it was made, UTC, ISO 8601.
        runs: The ids of its runs.
        files: How many files it holds.
        bytes: Their size.
        sha256: One hash of everything in it.
    """

    folder: Path
    created: str
    runs: Sequence[str]
    files: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, found: snapshots.Snapshot) -> BoardSnapshot:
        """A snapshot of the board's site with the names of its JSON document."""
        return cls(
            folder=found.folder,
            created=found.created,
            runs=list(found.run_ids),
            files=found.files,
            bytes=found.size,
            sha256=found.sha256,
        )

    def to_json(self) -> dict[str, Any]:
        """The document that ``bench board snapshot --format json`` prints."""
        return {**vars(self), "folder": str(self.folder)}


def make_snapshot(board: Board, folder: Path | None = None) -> BoardSnapshot:
    """Make a dated copy of a board: its page, the data behind it, all runs as a bundle, and hashes of all files.

    Args:
        board: The board.
        folder: A new or empty folder (default: ``snapshot-YYYY-MM-DD`` here).

    Raises:
        StoreError: If the board is empty, or the folder cannot be written.
    """
    now = datetime.now(UTC)
    place = folder or Path(f"snapshot-{now:%Y-%m-%d}")
    with waiting("making the snapshot"):
        return BoardSnapshot.of(snapshots.write_snapshot(board.store, place, __version__, made=now))


def verify_snapshot(folder: Path) -> BoardSnapshot:
    """Check every file of a snapshot against its hash.

    Raises:
        StoreError: If it is no snapshot or cannot be read, or a file was changed, added or removed.
    """
    with waiting("comparing every file with its hash"):
        return BoardSnapshot.of(snapshots.verify_snapshot(folder))
