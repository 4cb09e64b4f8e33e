"""Carries out a matrix: the lock of its folder, the record of it, tasks on an engine, and how each run ended."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.core.errors import BenchError, InterruptedRunError, ResultError, StoreError
from bench.core.files import write_json
from bench.launch.board import results_board, store_result
from bench.launch.executors import make_executor
from bench.launch.isolated import remove_log_alone
from bench.launch.jobs import Executor, Job, LaunchOptions
from bench.launch.live_view import watching
from bench.launch.matrix.banks import BANK
from bench.launch.matrix.estimate import History
from bench.launch.matrix.folder import BEAT_SECONDS, MatrixFolder
from bench.launch.matrix.heads import has_finished, read_head
from bench.launch.matrix.plans import EndedRun, MatrixPlan, PlannedRun
from bench.launch.matrix.record import record_of
from bench.launch.matrix.tasks import Making, specs_of, tasks_of
from bench.launch.scheduler import Policy, Task, TaskEnd, Watcher, carry_out
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

logger = logging.getLogger(__name__)


class RecordingWatcher:
    """Passes on what it hears, writes down how tasks end, and shows others that this process lives.

    Args:
        shown: Who shows it.
        folder: The matrix's folder.
    """

    def __init__(self, shown: Watcher, folder: MatrixFolder) -> None:
        self._shown, self._folder = shown, folder
        self._beat = time.monotonic()

    def on_queue(self, tasks: Sequence[Task]) -> None:
        """Hear of all tasks, before the first starts."""
        self._shown.on_queue(tasks)

    def on_start(self, task: Task, attempt: int) -> None:
        """Hear that the job of a task was given to the engine."""
        self._shown.on_start(task, attempt)

    def on_retry(self, task: Task, error: BenchError, seconds: float) -> None:
        """Hear that the job was lost, and is started again after so long."""
        self._shown.on_retry(task, error, seconds)

    def on_end(self, end: TaskEnd) -> None:
        """Hear how a task ended."""
        if end.status not in ("done before", "not needed"):
            self._write_down(end)
        self._shown.on_end(end)

    def _write_down(self, end: TaskEnd) -> None:
        error = end.error
        told = {"error": None, "hint": None} if error is None else {"error": error.message, "hint": error.hint}
        try:
            self._folder.add_end({"key": end.task.key, "status": end.status, "attempts": end.attempts, **told})
        except StoreError as trouble:
            # What is done is told by results: runs that are under way are not ended for the want of this line.
            logger.warning(trouble.message)

    def on_look(self, executor: Executor) -> None:
        """Hear that some time went by."""
        if time.monotonic() - self._beat > BEAT_SECONDS:
            self._beat = time.monotonic()
            with contextlib.suppress(OSError):
                os.utime(self._folder.driver)
        self._shown.on_look(executor)


def run_matrix(plan: MatrixPlan, home: Path, options: LaunchOptions, *, rerun: bool) -> list[EndedRun]:
    """Do the runs of a matrix that are missing.

    Args:
        plan: What to run.
        home: The results folder.
        options: Where and how.
        rerun: Run finished ones again.

    Returns:
        How each run ended, in the order of the plan.

    Raises:
        SpecError: If another process is at this matrix, or the engine cannot be used.
        InterruptedRunError: If Ctrl-C, SIGTERM, SIGHUP or `bench matrix cancel` stopped it.
        StoreError: If the board cannot take results, or is found damaged by a run.
    """
    home = home.absolute()
    store = results_board(home)
    folder = planned_folder(plan, home)
    # An engine that cannot be is refused before anything is written.
    engine = make_executor(options, folder.jobs)
    making = _making(plan, home, options, store, rerun)
    with folder.held():
        write_json(folder.record, record_of(plan, options))
        tasks = tasks_of(plan.runs, making, folder.logs)
        with (
            engine as executor,
            _told_how_to_look(engine, folder),
            watching() as shown,
            _failures_kept(plan, home, store, making.stored),
        ):
            ends = carry_out(
                tasks,
                executor,
                Policy(retries=options.retries),
                RecordingWatcher(shown, folder),
                anew=[task.key for task in tasks if rerun and not task.key.startswith(BANK)],
                cancelled=folder.cancel.exists,
            )
    found = {end.task.key: end for end in ends}
    return [_ended(run, found[run.run_id], home) for run in plan.runs]


@contextlib.contextmanager
def _told_how_to_look(engine: Executor, folder: MatrixFolder) -> Iterator[None]:
    """Have an interruption say how to look at jobs that go on without this process."""
    try:
        yield
    except InterruptedRunError as error:
        if not engine.outlives or folder.cancel.exists():
            raise
        name = folder.name
        raise InterruptedRunError(
            f"{error.message} `bench matrix status {name}` shows them, `bench matrix cancel {name}` ends them.",
            error.hint,
        ) from error


def planned_folder(plan: MatrixPlan, home: Path) -> MatrixFolder:
    """The folder that a planned matrix has, or will have."""
    return MatrixFolder.of(home, plan.name)


def missing_jobs(plan: MatrixPlan, home: Path, options: LaunchOptions) -> list[Job]:
    """The jobs that an engine would be given for what is missing; nothing is written.

    Args:
        plan: The runs.
        home: The results folder.
        options: Where and how.
    """
    making = _making(plan, home.absolute(), options, None, False)
    tasks = tasks_of(plan.runs, making, planned_folder(plan, home).logs)
    open_tasks = [task for task in tasks if not has_finished(making.home, task.key)]
    needed = {key for task in open_tasks if not task.helps for key in (task.key, *task.after)}
    return [task.job for task in open_tasks if task.job is not None and (task.key in needed or not task.helps)]


def _making(plan: MatrixPlan, home: Path, options: LaunchOptions, store: Store | None, rerun: bool) -> Making:
    return Making(
        home=home,
        rerun=rerun,
        stored=not options.elsewhere,
        timeout=options.timeout,
        nodes=_nodes(options),
        memory=History.of(store).memory,
        bring=_bringer(plan, home, store, rerun),
    )


def _nodes(options: LaunchOptions) -> int:
    """Machines that each run of several processes is spread over, as the command says; raises SpecError."""
    if options.launcher != "slurm":
        return 1
    from bench.launch.executors.slurm_options import slurm_options

    asked = slurm_options(options.slurm).nodes
    return asked if "nodes" in options.slurm else 1


def _bringer(plan: MatrixPlan, home: Path, store: Store | None, rerun: bool) -> Callable[[str], None]:
    """What brings the result of a run to the board, unless it was there, finished, before the matrix began."""
    known = {} if store is None or rerun else store.statuses()
    there = {run_id for run_id in _ids(plan.runs) if known.get(run_id) == "finished" and has_finished(home, run_id)}

    def bring(run_id: str) -> None:
        if run_id not in there:
            store_result(store, RunFolder.of_run(home, run_id).read())
            there.add(run_id)

    return bring


def _ids(runs: Sequence[PlannedRun]) -> list[str]:
    """Ids of all runs, of the parts of composites, and of these themselves."""
    return list(dict.fromkeys([*(run.run_id for run in runs), *specs_of(runs)]))


@contextlib.contextmanager
def _failures_kept(plan: MatrixPlan, home: Path, store: Store | None, stored: bool) -> Iterator[None]:
    """Bring runs that failed far away to the board too, as those do that fail on this machine."""
    try:
        yield
    finally:
        for run_id in () if stored else specs_of(plan.runs):
            with contextlib.suppress(ResultError):
                head = read_head(home, run_id)
                if head is not None and head.status == "failed":
                    store_result(store, RunFolder.of_run(home, run_id).read())


def _ended(run: PlannedRun, end: TaskEnd, home: Path) -> EndedRun:
    if end.error is None:
        return EndedRun(run, end.status)
    folder = RunFolder.of_run(home, run.run_id)
    remove_log_alone(folder, end.error)
    return EndedRun(run, end.status, end.error, folder.log if folder.log.is_file() else None)
