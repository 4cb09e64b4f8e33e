"""The official test cycles that predictions from outside are compared with, wherever they are known from."""

from __future__ import annotations

from pathlib import Path

from bench.api.boards import Board
from bench.core.paths import cache_folder, data_folder
from bench.data.datasets.icbhi.official import official_part
from bench.data.datasets.simulated.demo import demo_folder
from bench.experiment.recipes import DEMO
from leaderboard.results.official_part import OfficialPart


def official_test_cycles(
    board: Board, data: str | None = None, cache: Path | None = None, *, allow_partial: bool = False
) -> OfficialPart:
    """The test cycles of the data in a folder; without data there, those of a full run on the board.

    Args:
        board: The board.
        data: The folder with annotation and split files (no audio is needed), or ``demo`` for the simulated set, which
            is made on first use; ``BENCH_DATA`` or ./data/icbhi by default.
        cache: The cache folder, where the simulated set is.
        allow_partial: Take the recordings that are there, marked as partial.

    Raises:
        DataError: If the cycles are not known, or the data are incomplete or broken.
    """
    if data == DEMO:
        return official_part(demo_folder(cache_folder(cache)), board.store, named=True)
    folder = data_folder(data)
    return official_part(folder, board.store, named=data is not None, allow_partial=allow_partial)
