"""From planned runs to tasks: features before the runs that read them, parts before what is combined of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.core.errors import ResultError
from bench.core.kept import looked_up_once
from bench.engine.states import POINTER
from bench.experiment.composites import Composite
from bench.experiment.spec import RunSpec
from bench.launch.composite import launch_composite, with_start
from bench.launch.isolated import run_job, when_begun
from bench.launch.matrix.banks import bank_key, bank_tasks
from bench.launch.matrix.heads import is_finished, read_head
from bench.launch.matrix.plans import PlannedRun, headline
from bench.launch.once import began_otherwise, with_initial_hash
from bench.launch.tasks import Task
from leaderboard.results.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Making:
    """How tasks are made of planned runs.

    Attributes:
        home: The results folder, an absolute path.
        rerun: Whether finished runs are run again.
        stored: Whether the process of a run brings its result to the board; otherwise this one does.
        timeout: Seconds after which a run is ended; None for never.
        nodes: Machines that the processes of a run are spread over.
        memory: Bytes of GPU memory that a run is known to take.
        bring: Brings the result of a run to the board.
    """

    home: Path
    rerun: bool
    stored: bool
    timeout: float | None
    nodes: int
    memory: Callable[[RunSpec], int | None]
    bring: Callable[[str], None]


def tasks_of(runs: Sequence[PlannedRun], making: Making, logs: Path) -> list[Task]:
    """The tasks of a matrix, each after those that it needs.

    Args:
        runs: The planned runs, each once.
        making: How.
        logs: Folder of the logs of what is no run.
    """
    alone = {run.run_id: run for run in runs if isinstance(run.spec, RunSpec)}
    tasks: dict[str, Task] = {}
    for run in runs:
        if isinstance(run.spec, RunSpec):
            tasks[run.run_id] = _run_task(run.spec, run.run_id, headline(run), making)
            continue
        # A part that is asked for by itself too is a run like any other, and ranked.
        parts = _part_tasks(run.spec, run.run_id, making)
        tasks |= {key: task for key, task in parts.items() if key not in alone and key not in tasks}
        tasks[run.run_id] = _combination_task(run, run.spec, making)
    return _after_banks(list(tasks.values()), specs_of(runs), logs, making)


def specs_of(runs: Sequence[PlannedRun]) -> dict[str, RunSpec]:
    """The specs of all runs and of the parts of composites, by run id."""
    found: dict[str, RunSpec] = {}
    for run in runs:
        if isinstance(run.spec, RunSpec):
            found[run.run_id] = run.spec
        else:
            found |= {part.spec.run_id: part.spec for part in run.spec.parts if part.spec.run_id not in found}
    return found


def _run_task(spec: RunSpec, run_id: str, said: str, making: Making, *, helps: bool = False) -> Task:
    folder = RunFolder.of_run(making.home, run_id)
    job = run_job(spec, run_id, making.home, rerun=making.rerun, stored=making.stored)
    job = job.changed(nodes=making.nodes, memory=making.memory(spec), timeout=making.timeout)
    if making.rerun:
        job = job.changed(task={**job.task, "begun": when_begun(folder)})
    return Task(
        key=run_id,
        said=said,
        is_done=_newly_finished(making, run_id) if making.rerun else lambda: is_finished(making.home, run_id),
        job=job,
        on_done=lambda: making.bring(run_id),
        helps=helps,
        progress=folder.progress,
        summary=lambda: _summary(making.home, run_id),
        saved=lambda: _pointer_written(folder),
    )


def _pointer_written(folder: RunFolder) -> int | None:
    """When the pointer to a run's newest state was written; None where there is none."""
    try:
        return (folder.checkpoint / POINTER).stat().st_mtime_ns
    except OSError:
        return None


def _newly_finished(making: Making, run_id: str) -> Callable[[], bool]:
    """Tells whether a run has a result that it did not have before: an earlier one is no proof of a run anew."""
    path = RunFolder.of_run(making.home, run_id).result

    def changed() -> int | None:
        return path.stat().st_mtime_ns if path.is_file() else None

    before = changed()
    return lambda: changed() != before and is_finished(making.home, run_id)


def _summary(home: Path, run_id: str) -> str:
    head = read_head(home, run_id)
    return "" if head is None or head.score is None else f"Score {head.score:.2f}"


def _part_tasks(composite: Composite, run_id: str, making: Making) -> dict[str, Task]:
    """The runs that a composite needs; they are left out where the composite is done."""
    ids = {part.name: part.spec.run_id for part in composite.parts}
    tasks = {}
    for part in composite.parts:
        spec, key = with_start(composite, part, making.home), ids[part.name]
        said = f"{composite.name}, part {part.name}: run {key}, seed {composite.seed}"
        task = _run_task(spec, key, said, making, helps=True)
        if part.start is not None:
            before = ids[part.start[0]]
            task = replace(task, after=(before,))
            if not making.rerun:
                task = replace(task, is_done=partial(_is_from_start, spec, before, run_id, making.home))
        tasks[key] = task
    return tasks


def _is_from_start(spec: RunSpec, before: str, composite_id: str, home: Path) -> bool:
    """Whether a part has a result that the part ``before``, as it is now, led to.

    Otherwise the combination, which asks for that, would train it within this process.
    """
    if not is_finished(home, spec.run_id):
        return False
    if is_finished(home, composite_id):
        return True
    folder = RunFolder.of_run(home, spec.run_id)
    return is_finished(home, before) and not began_otherwise(with_initial_hash(spec), folder)


def _combination_task(run: PlannedRun, composite: Composite, making: Making) -> Task:
    def combine() -> None:
        launch_composite(composite, making.home, rerun=False)

    return Task(
        key=run.run_id,
        said=headline(run),
        is_done=lambda: is_finished(making.home, run.run_id),
        after=tuple(run.parts.values()),
        act=combine,
        on_done=lambda: making.bring(run.run_id),
        summary=lambda: _summary(making.home, run.run_id),
    )


def _after_banks(tasks: Sequence[Task], specs: Mapping[str, RunSpec], logs: Path, making: Making) -> list[Task]:
    """The tasks with those before them that make features which several open runs lack."""
    runs = [task.key for task in tasks if task.key in specs and (making.rerun or not _is_done_or_broken(task))]
    keys = {run_id: bank_key(specs[run_id]) for run_id in runs}
    with looked_up_once():
        banks = bank_tasks([specs[run_id] for run_id in runs], logs, making.timeout)
    waiting = [
        replace(task, after=(*task.after, keys[task.key])) if keys.get(task.key) in banks else task for task in tasks
    ]
    return [*banks.values(), *waiting]


def _is_done_or_broken(task: Task) -> bool:
    """Whether a run needs no features: a result that cannot be read is told of when the task's turn comes."""
    try:
        return task.is_done()
    except ResultError:
        return True
