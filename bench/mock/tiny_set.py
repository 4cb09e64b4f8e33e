"""The tiny simulated set with the classes and tested parts of any task, registered by a plug-in file for a check.

It comes as a plug-in so that the processes which a check starts know it too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.datasets import DATASETS, TRAIN, DatasetCard, TaskCard
from bench.core.errors import SpecError
from bench.core.registry import Registration
from bench.data.dataset import Dataset, Recording
from bench.data.fingerprint import fingerprint
from bench.data.sources import load_dataset, reader_of
from bench.experiment.plugins import load_plugins
from leaderboard.tasks import task_document, task_from

ID = "tiny-set"
"""Id of the data set while it is registered."""

_PLUGIN = """from bench.mock.tiny_set import registration

REGISTRATION = registration({told!r})
"""


@contextmanager
def registered_tiny_set(card: DatasetCard, task: TaskCard, folder: Path) -> Iterator[str]:
    """Register the tiny set for a task, and forget it in the end.

    Args:
        card: The data set whose task it is.
        task: The task.
        folder: Where the plug-in file is written.

    Yields:
        The plug-in file.
    """
    path = folder / "tiny_set.py"
    path.write_text(_PLUGIN.format(told=task_document(card, task)), encoding="utf-8")
    try:
        yield load_plugins([path])[0]
    finally:
        DATASETS.discard(ID)


def registration(told: Mapping[str, Any]) -> Registration:
    """The registration of the tiny set for a task, as a result would describe that."""
    card = DatasetCard(
        id=ID,
        title="tiny simulated set",
        summary="The tiny simulated set with the classes and tested parts of a task, which tell nothing of its sounds.",
        source="bench mock-run",
        owner="LungBench",
        licence="that of LungBench",
        obtain="It is made for a check.",
        tasks=(task_from(told),),
        simulated=True,
        profile="demo",
    )
    return Registration(card, TinyReader)


class TinyReader:
    """Reads the tiny simulated set, and gives its cycles the classes and its test recordings the parts of the task."""

    def __init__(self, card: DatasetCard) -> None:
        self.card = card

    def holds(self, folder: Path) -> bool:
        """Whether a folder is named as one of the simulated set is."""
        return bool(reader_of(DATASETS.simulated().id).holds(folder))

    def load(self, folder: Path, task: TaskCard, *, allow_partial: bool = False, cache: Path | None = None) -> Dataset:
        """Load the set of a folder; raises SpecError if it has too few recordings for the tested parts."""
        found = load_dataset(folder, DATASETS.simulated().id, allow_partial=allow_partial, cache=cache)
        tested = sum(recording.split != TRAIN for recording in found.recordings)
        if tested < len(task.parts):
            raise SpecError(
                f"The task {task.id} has {len(task.parts)} tested parts, but the tiny set has {tested} test recordings."
            )
        recordings = tuple(_relabelled(found.recordings, task))
        return replace(
            found, card=self.card, task=task, recordings=recordings, fingerprint=fingerprint(recordings, cache)
        )


def _relabelled(recordings: tuple[Recording, ...], task: TaskCard) -> Iterator[Recording]:
    """Recordings of the tested parts in turn, whose cycles have all classes in turn, normal and abnormal ones first."""
    others = [number for number in range(1, len(task.classes)) if number not in task.abnormal]
    parts = itertools.cycle(part.id for part in task.parts)
    labels = {name: itertools.cycle([0, *task.abnormal, *others]) for name in (TRAIN, *(p.id for p in task.parts))}
    for recording in recordings:
        part = TRAIN if recording.split == TRAIN else next(parts)
        cycles = tuple(replace(cycle, label=next(labels[part])) for cycle in recording.cycles)
        yield replace(recording, split=part, cycles=cycles)
