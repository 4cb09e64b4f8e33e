"""The tested cycles that predictions from outside are compared with, wherever they are known from."""

from __future__ import annotations

from pathlib import Path

from bench.api.boards import Board
from bench.core.paths import cache_folder
from bench.data.answers import known_answers
from bench.data.location import locate_data
from leaderboard.results.official_part import OfficialPart


def official_test_cycles(
    board: Board,
    data: str | None = None,
    cache: Path | None = None,
    *,
    dataset: str | None = None,
    task: str | None = None,
    allow_partial: bool = False,
) -> OfficialPart:
    """The tested cycles of the data in a folder; without data there, those of a full run on the board.

    Args:
        board: The board.
        data: The folder with annotation files (audio is not needed where the set's reader does without), or the id of
            a set that is made on the spot; the usual folder of the data set by default.
        cache: The cache folder, where such sets are.
        dataset: Id of the data set; None for the one that the folder holds, or else the primary one.
        task: Id of the task; None for the first of the set.
        allow_partial: Take the recordings that are there, marked as partial.

    Raises:
        RegistryError: If there is no such data set.
        SpecError: If it has no such task.
        DataError: If the cycles are not known, or the data are incomplete or broken.
    """
    folder, card = locate_data(data, dataset, cache_folder(cache))
    named = data is not None
    return known_answers(card, card.task(task), folder, board.store, named=named, allow_partial=allow_partial)
