"""Keeping a board in order: making it anew from the run folders, bringing its database to this version."""

from __future__ import annotations

from collections.abc import Callable

from bench.api.boards import Board
from leaderboard.store import rebuilding
from leaderboard.store.rebuilding import RebuildReport

__all__ = ["RebuildReport", "rebuild", "upgrade"]


def rebuild(board: Board, on_progress: Callable[[int, int], None] | None = None) -> RebuildReport:
    """Make a board anew from its run folders; broken folders are named in what it returns, and do not stop it.

    Args:
        board: The board.
        on_progress: Called with the number of folders done and of all.

    Raises:
        StoreError: If there is no run folder, or the database cannot be written.
    """
    return rebuilding.rebuild(board.home, on_progress, board.store)


def upgrade(board: Board) -> tuple[str | None, str]:
    """Bring a board's database to this version of lungbench; nothing in it is lost.

    Returns:
        Its version before, None where there is no board yet, and now.

    Raises:
        StoreError: If it has a newer version, or cannot be written.
    """
    return board.store.database.upgrade()
