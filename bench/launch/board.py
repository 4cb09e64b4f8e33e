"""The board that results of this process go to, and how a result that another process made gets there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.paths import board_location, has_board

if TYPE_CHECKING:
    from leaderboard.results.run_result import RunResult
    from leaderboard.store.store import Store

logger = logging.getLogger(__name__)


def results_board(home: Path) -> Store | None:
    """The board that takes the results of a results folder, seen to be writable before a training and not after it.

    Args:
        home: The results folder.

    Returns:
        The board; None where ``BENCH_STORE`` is ``none``, and results lie in their run folders alone.

    Raises:
        StoreError: If the board cannot be written.
    """
    if not has_board():
        return None
    from leaderboard.store.store import Store

    store = Store.open(board_location(home))
    store.check_writable()
    return store


def store_result(store: Store | None, result: RunResult, named: str = "run") -> bool:
    """Bring a result to the board, if there is one; doing it twice changes nothing.

    Args:
        store: The board, or None.
        result: The result as it was read from its folder.
        named: What it is called in the log: ``run`` or ``composite``.

    Returns:
        Whether it is on the board now.

    Raises:
        StoreError: If the board cannot be written.
    """
    if store is None:
        return False
    if store.import_result(result) != "retracted":
        return True
    run_id = result.document["run_id"]
    logger.info(f"{named} {run_id} was retracted and stays off the board; `bench board log` tells why")
    return False
