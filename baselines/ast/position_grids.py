"""Grids of AST's position tables: which a file has, by what it says of itself, never by what would divide its length.

A table holds one position for each patch, row (frequency) by row, and not how many rows there are. A spectrogram of F
mel bins and T frames has ((F - patch) // stride + 1) rows and ((T - patch) // stride + 1) columns.
"""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import WeightsError

Grid = tuple[int, int]
"""Rows (frequency) and columns (time)."""

AUDIOSET_ROWS = 12
"""Rows of the grid that AudioSet's usual checkpoints have: 128 mel bins, patches of 16 at stride 10."""

PUBLISHED: tuple[Grid, ...] = ((12, 101), (10, 85), (9, 73), (8, 68), (8, 64), (12, 12))
"""Grids of Gong et al.'s published checkpoints, patches of 16: AudioSet (128 mel bins, 1024 frames) at the strides 10,
12, 14, 15 and 16, and Speech Commands (128 by 128) at stride 10. No two have the same number of places."""

_USUAL_MELS = (128, 64)
_USUAL_STRIDES = (10, 12, 14, 15, 16)
_SHOWN = 4

SAID_BY = (
    'Say it in a config.json beside the file, as in {"model_type": "audio-spectrogram-transformer", '
    '"num_mel_bins": 64, "max_length": 256, "frequency_stride": 10, "time_stride": 10}.'
)


def grid_size(mels: int, frames: int, patch: int, strides: Grid) -> Grid:
    """The grid of a spectrogram; ``strides`` are those along frequency and time."""
    rows, columns = ((n - patch) // max(stride, 1) + 1 for n, stride in zip((mels, frames), strides, strict=True))
    return rows, columns


def grid_rows_by_length(places: int, own: Grid, patch: int, path: Path) -> int:
    """Rows of a table that comes without a word on its geometry: those of a published grid, or of the model's own.

    Args:
        places: Positions in the table, without the class tokens.
        own: The grid of the model that is filled: a file of the same geometry has as many places.
        patch: Side of a patch.
        path: The file, for messages.

    Raises:
        WeightsError: If it is neither, or both and not the same; what it may be, and how to say it, is named.
    """
    known = {grid for grid in (*PUBLISHED, own) if grid[0] * grid[1] == places}
    if len({rows for rows, _ in known}) == 1:
        return known.pop()[0]
    guesses = known or _usual_grids(places, patch)
    if not guesses:
        grids = ", ".join(_grid_text(grid) for grid in PUBLISHED)
        raise WeightsError(
            f"{path} has {places:,} positions, but no published checkpoint has: those have {grids}; the model has "
            f"{_grid_text(own)}.",
            f"If the file is whole: {SAID_BY[0].lower()}{SAID_BY[1:]}",
        )
    may = " or ".join(_grid_text(grid) for grid in sorted(guesses, reverse=True)[:_SHOWN])
    raise WeightsError(
        f"{path} has {places:,} positions and does not say on which grid: it may be {may} patches (frequency x time), "
        "by mel bins, frames and stride.",
        SAID_BY,
    )


def _usual_grids(places: int, patch: int) -> set[Grid]:
    rows = {(mels - patch) // stride + 1 for mels in _USUAL_MELS for stride in _USUAL_STRIDES if mels >= patch}
    return {(count, places // count) for count in rows if places % count == 0}


def _grid_text(grid: Grid) -> str:
    return f"{grid[0]} x {grid[1]}"
