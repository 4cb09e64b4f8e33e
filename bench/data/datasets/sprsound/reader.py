"""The reader of SPRSound's folders."""

from __future__ import annotations

from pathlib import Path

from bench.core.datasets import DatasetCard, TaskCard
from bench.data.dataset import Dataset


class Reader:
    """Reads the owners' layout and that of the common copies.

    Args:
        card: The data set.
    """

    def __init__(self, card: DatasetCard) -> None:
        self.card = card

    def holds(self, folder: Path) -> bool:
        """Whether anything below a folder is named as recordings or annotations of 2022 are."""
        from bench.data.datasets.sprsound.layout import holds_dataset

        return holds_dataset(folder)

    def load(self, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
        """Load recordings and cycles; raises DataError as :func:`bench.data.datasets.sprsound.dataset.load_dataset`."""
        from bench.data.datasets.sprsound.dataset import load_dataset

        return load_dataset(self.card, folder, task, allow_partial=allow_partial, cache=cache)
