"""The reader of the simulated data set, which has ICBHI's layout and is made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.data.datasets.icbhi import reader

Progress = Callable[[int, int], None]


class Reader(reader.Reader):
    """Makes and reads the simulated set."""

    def make(self, cache: Path, *, on_progress: Progress | None = None) -> Path:
        """The set in the cache, made on first use."""
        from bench.data.datasets.simulated.demo import demo_folder

        return demo_folder(cache, on_progress=on_progress)

    def write(self, folder: Path, *, seed: int = 0, on_progress: Progress | None = None) -> None:
        """Write the set of a seed to a new or empty folder."""
        from bench.data.datasets.simulated.demo import write_demo

        write_demo(folder, seed=seed, on_progress=on_progress)
