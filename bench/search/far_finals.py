"""The final runs of a search on an engine: jobs like the workers', whose results are brought to the board from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.cards import Card
from bench.experiment.spec import RunSpec
from bench.launch.board import results_board, store_result
from bench.launch.executors import make_executor
from bench.launch.isolated import run_job
from bench.launch.jobs import LaunchOptions
from bench.launch.live_view import watching
from bench.launch.once import finished_result
from bench.launch.scheduler import carry_out
from bench.launch.tasks import Policy, Task
from bench.search.far_workers import jobs_folder
from bench.search.finals import FinalRun, begun_finals, bring_with_study, said_of
from bench.search.study import Search
from leaderboard.results.run_folder import RunFolder


def train_best_far(
    search: Search,
    home: Path,
    execution: Mapping[str, Any],
    cards: Mapping[str, Card],
    seeds: Sequence[int],
    options: LaunchOptions,
) -> list[FinalRun]:
    """Train the best trial's parameters on an engine, a job for each seed; see :func:`bench.search.finals.train_best`.

    Args:
        search: A study that is over, with a complete trial.
        home: The results folder, on a disk that the machines share.
        execution: Execution fields of the runs.
        cards: Cards of model and method.
        seeds: Seeds of the runs.
        options: The engine.

    Returns:
        The final runs, with the error of each that failed.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped it.
        BenchError: If the engine, or the board, cannot be used.
    """
    specs = begun_finals(search, execution, cards, seeds)
    tasks = [_task(spec, home, options.timeout) for spec in specs]
    with make_executor(options, jobs_folder(home, search.name)) as executor, watching() as watcher:
        ends = carry_out(tasks, executor, Policy(retries=options.retries), watcher)
    store = results_board(home)
    for end in ends:
        folder = RunFolder.of_run(home, end.task.key)
        if end.error is not None and folder.has_result():
            # What failed stands on the board as that.
            store_result(store, folder.read())
    return [FinalRun(spec, end.error) for spec, end in zip(specs, ends, strict=True)]


def _task(spec: RunSpec, home: Path, timeout: float | None) -> Task:
    folder = RunFolder.of_run(home.absolute(), spec.run_id)
    job = run_job(spec, spec.run_id, home.absolute(), rerun=False, stored=False).changed(timeout=timeout)
    return Task(
        key=job.key,
        said=said_of(spec),
        is_done=lambda: finished_result(folder) is not None,
        job=job,
        progress=folder.progress,
        on_done=lambda: bring_with_study(spec, home),
    )
