"""The reader of ICBHI's folders, and of those that have its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.download import Patience
from bench.data.dataset import Dataset
from bench.data.datasets.icbhi.files import holds_dataset, scan

if TYPE_CHECKING:
    from bench.data.datasets.icbhi.verify import Report


class Reader:
    """Reads the owners' layout and that of the common copies.

    Args:
        card: The data set, which is ICBHI's, or one that has its layout.
    """

    def __init__(self, card: DatasetCard) -> None:
        self.card = card

    def holds(self, folder: Path) -> bool:
        """Whether anything below a folder is named as recordings or annotations are."""
        return holds_dataset(folder) and bool(scan(folder).markers) == self.card.simulated

    def load(self, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
        """Load recordings and cycles; raises DataError as :func:`bench.data.datasets.icbhi.dataset.load_dataset`."""
        from bench.data.datasets.icbhi.dataset import load_dataset

        return load_dataset(folder, allow_partial=allow_partial, cache=cache)

    def verify(self, folder: Path, cache: Path | None = None) -> Report:
        """Check everything below a folder against the pinned facts."""
        from bench.data.datasets.icbhi.verify import verify

        return verify(folder, cache)

    def fetch(
        self,
        folder: Path,
        *,
        base_url: str | None = None,
        keep_archive: bool = False,
        patience: Patience | None = None,
        on_progress: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        """Download the set from its owners."""
        from bench.data.datasets.icbhi.fetch import fetch

        fetch(
            folder,
            base_url=base_url,
            keep_archive=keep_archive,
            patience=patience or Patience(),
            on_progress=on_progress,
        )
