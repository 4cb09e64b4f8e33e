"""The reader of the simulated data set, which has ICBHI's layout and is made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.datasets import DatasetCard, TaskCard
from bench.data.dataset import Dataset
from bench.data.datasets.icbhi import reader

if TYPE_CHECKING:
    from bench.data.datasets.icbhi.verify import Report

Progress = Callable[[int, int], None]


class Reader:
    """Makes and reads the simulated set.

    Args:
        card: The data set.
    """

    def __init__(self, card: DatasetCard) -> None:
        self._layout = reader.Reader(card)

    def holds(self, folder: Path) -> bool:
        """Whether anything below a folder is named as recordings are, and marked as simulated."""
        return self._layout.holds(folder)

    def load(self, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
        """Load recordings and cycles; raises DataError as :func:`bench.data.datasets.icbhi.dataset.load_dataset`."""
        return self._layout.load(folder, task, allow_partial=allow_partial, cache=cache)

    def verify(self, folder: Path, cache: Path | None = None) -> Report:
        """Check everything below a folder against what its marker says."""
        return self._layout.verify(folder, cache)

    def make(self, cache: Path, *, on_progress: Progress | None = None) -> Path:
        """The set in the cache, made on first use."""
        from bench.data.datasets.simulated.demo import demo_folder

        return demo_folder(cache, on_progress=on_progress)

    def write(self, folder: Path, *, seed: int = 0, on_progress: Progress | None = None) -> None:
        """Write the set of a seed to a new or empty folder."""
        from bench.data.datasets.simulated.demo import write_demo

        write_demo(folder, seed=seed, on_progress=on_progress)
