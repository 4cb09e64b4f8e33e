"""The reader of SPRSound's folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.download import Patience, Progress
from bench.data.dataset import Dataset
from bench.data.sources import refuse_other_set

if TYPE_CHECKING:
    from bench.data.datasets.sprsound.verify import Report
    from leaderboard.results.official_part import OfficialPart


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

        refuse_other_set(self.card, self, folder)
        return load_dataset(self.card, folder, task, allow_partial=allow_partial, cache=cache)

    def verify(self, folder: Path, cache: Path | None = None) -> Report:
        """Check everything below a folder against the pinned facts."""
        from bench.data.datasets.sprsound.verify import verify

        refuse_other_set(self.card, self, folder)
        return verify(folder, cache)

    def fetch(
        self,
        folder: Path,
        *,
        base_url: str | None = None,
        keep_archive: bool = False,
        patience: Patience | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        """Download the set from its owners' repository."""
        from bench.data.datasets.sprsound.fetch import fetch

        fetch(folder, base_url=base_url, keep_archive=keep_archive, patience=patience, on_progress=on_progress)

    def test_part(self, folder: Path, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
        """The tested cycles of both parts, from annotation files alone."""
        from bench.data.datasets.sprsound.test_part import read_test_part

        return read_test_part(self.card, folder, task, allow_partial=allow_partial)
