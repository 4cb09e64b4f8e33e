"""The reader of SPRSound's folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.download import Patience, Progress
from bench.data.dataset import Cycle, Dataset
from bench.data.faults import FileProblem
from bench.data.sources import refuse_other_set
from bench.data.wav import WavHeader

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

    annotation_ending = ".json"

    def annotated_cycles(
        self, name: str, content: bytes, header: WavHeader, task: TaskCard
    ) -> tuple[tuple[Cycle, ...], list[FileProblem]]:
        """What a task judges of a recording, from its annotation's content, and what is wrong with that."""
        from bench.data.datasets.sprsound.annotation import parse_annotation

        annotation, problems = parse_annotation(content, header)
        return () if annotation is None else annotation.cycles(name, task.id, header.seconds), problems

    def device_in(self, name: str) -> str:
        """The stethoscope of all recordings, for names of recordings of the set; otherwise empty."""
        from bench.data.datasets.sprsound.dataset import DEVICE
        from bench.data.datasets.sprsound.layout import NAME

        return DEVICE if NAME.fullmatch(name) else ""
