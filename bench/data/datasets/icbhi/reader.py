"""The readers of ICBHI's folders, and of those that have its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.datasets import DatasetCard, TaskCard
from bench.core.download import Patience
from bench.data.dataset import Cycle, Dataset, Recording
from bench.data.datasets.icbhi.annotation import parse_annotation
from bench.data.datasets.icbhi.files import RECORDING, holds_dataset, scan
from bench.data.datasets.icbhi.rates import rates_held
from bench.data.faults import FileProblem
from bench.data.sources import refuse_other_set
from bench.data.wav import WavHeader

if TYPE_CHECKING:
    from bench.data.datasets.icbhi.verify import Report
    from leaderboard.results.official_part import OfficialPart


class Reader:
    """Reads the owners' layout and that of the common copies.

    Args:
        card: The data set, which is ICBHI's, or one that has its layout.
    """

    def __init__(self, card: DatasetCard) -> None:
        self.card = card

    def holds(self, folder: Path) -> bool:
        """Whether recordings or annotations lie below a folder, marked as simulated or not and at rates as the card."""
        if not holds_dataset(folder):
            return False
        found = scan(folder)
        if self.card.simulated or found.markers:
            return self.card.simulated and bool(found.markers)
        return rates_held(found) == self.card.rates

    def load(self, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
        """Load recordings and cycles; raises DataError as :func:`bench.data.datasets.icbhi.dataset.load_dataset`."""
        from bench.data.datasets.icbhi.dataset import load_dataset

        refuse_other_set(self.card, self, folder)
        return load_dataset(self.card, folder, task, allow_partial=allow_partial, cache=cache)

    def verify(self, folder: Path, cache: Path | None = None) -> Report:
        """Check everything below a folder against the pinned facts."""
        from bench.data.datasets.icbhi.verify import verify

        refuse_other_set(self.card, self, folder)
        return verify(self.card, folder, cache)

    def test_part(self, folder: Path, task: TaskCard, *, allow_partial: bool = False) -> OfficialPart:
        """The tested cycles, from annotation and split files alone; of whatever rate the recordings are."""
        from bench.data.datasets.icbhi.test_part import read_test_part

        return read_test_part(self.card, folder, task, allow_partial=allow_partial)

    def audio_files(self, folder: Path) -> dict[str, Path]:
        """The WAV files of the recordings below a folder, by name."""
        return {path.stem: path for paths in scan(folder).audio.values() for path in paths}

    def annotated(self, audio: Path, task: TaskCard) -> tuple[Recording, list[str]]:
        """One WAV file of any rate and name, with the annotation beside it."""
        from bench.data.datasets.icbhi.recording import read_annotated

        return read_annotated(audio)

    annotation_ending = ".txt"

    def annotated_cycles(
        self, name: str, content: bytes, header: WavHeader, task: TaskCard
    ) -> tuple[tuple[Cycle, ...], list[FileProblem]]:
        """The cycles of an annotation file's content, and a problem for each line that is not sound."""
        return parse_annotation(name, content, header)

    def device_in(self, name: str) -> str:
        """The last word of a recording's name; empty where it is none of the set."""
        return name.rpartition("_")[2] if RECORDING.fullmatch(name) else ""


class FetchingReader(Reader):
    """The reader of the set that its owners publish."""

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
