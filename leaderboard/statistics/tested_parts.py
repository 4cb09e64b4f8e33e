"""A run seen on one tested part of its task: its metrics there, and its predictions cut to the cycles of the part.

A run answers the cycles of all parts of its task at once, and each part is judged by itself: whatever a table or a
statistic says of a run, it says of the run on a part. Shapes: n cycles, m cycles of the part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from bench.core.datasets import TestPart
from leaderboard.results.predictions import CycleSet
from leaderboard.store.board_rows import BoardRun


def on_each_part(runs: Iterable[BoardRun]) -> Iterator[BoardRun]:
    """Give each run once for every part that it was judged on, the main part first; as it is where there is but one."""
    for run in runs:
        task = run.judged_task.task
        if not task.other_parts:
            yield run
            continue
        yield replace(run, part=task.main.id)
        for part in task.other_parts:
            if part.id in run.other_parts:
                yield replace(run, part=part.id, metrics=run.other_parts[part.id])


def tested_part(run: BoardRun) -> TestPart:
    """The part that a run is seen on: the main one where nothing else is said."""
    task = run.judged_task.task
    return task.main if run.part is None else task.part(run.part)


def cut_to_part(run: BoardRun, cycles: CycleSet, values: NDArray[Any]) -> tuple[CycleSet, NDArray[Any]]:
    """Cut the predictions of a run to the part that it is seen on.

    Args:
        run: The run on a part.
        cycles: The n cycles of all parts.
        values: (n, ...) scores or classes.

    Returns:
        The m cycles of the part, and the (m, ...) values.
    """
    if not cycles.parts:
        return cycles, values
    name = tested_part(run).id
    return cycles.of_part(name), values[cycles.places_of(name)]
