"""Runs one spec in a process of its own, so that a run that fails, or is killed, takes nothing else with it.

The process launches the spec as ``bench run`` does. What it writes on stderr is kept in the run's folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, LostProcessError, UnexpectedError
from bench.core.log import SHORT_ID
from bench.experiment.spec import RunSpec
from bench.launch.child import Child, Children
from bench.launch.jobs import Job
from bench.launch.once import launch
from bench.launch.one_job import end_of
from leaderboard.results.run_folder import RunFolder

if TYPE_CHECKING:
    from bench.launch.child_process import Parent


def run_job(spec: RunSpec, run_id: str, home: Path, *, rerun: bool, stored: bool) -> Job:
    """The job of a run: its work in a process of its own, and what that needs of a machine.

    Args:
        spec: What to run.
        run_id: Its id, which takes its time to compute.
        home: The results folder, an absolute path.
        rerun: Run it again even if it is finished.
        stored: Whether its process brings the result to the board; otherwise another one does.
    """
    return Job(
        key=run_id,
        module="bench.launch.isolated",
        task={"spec": spec.to_json(), "home": str(home), "rerun": rerun, "stored": stored},
        name=f"run {run_id}",
        label=run_id[:SHORT_ID],
        log=RunFolder.of_run(home, run_id).log,
        device=spec.distribution.device,
        processes=spec.distribution.processes,
    )


def run_isolated(
    spec: RunSpec,
    home: Path,
    *,
    rerun: bool,
    children: Children,
    environment: Mapping[str, str | None] | None = None,
) -> None:
    """Run a spec to its end in a process of its own.

    Args:
        spec: What to run.
        home: The results folder.
        rerun: Run it again even if it is finished.
        children: The processes that hear of signals; none of them may be at work.
        environment: Variables that the process has besides this one's; None takes one away.

    Raises:
        BenchError: What the run failed with or could not start for; LostProcessError if its process was killed or
            ended without a word, InterruptedRunError if it was stopped.
    """
    job = run_job(spec, spec.run_id, home.absolute(), rerun=rerun, stored=True)
    folder = RunFolder.of_run(home.absolute(), job.key)
    child: Child | None = None
    try:
        child = children.start(job.work(shown=True, environment=environment))
        children.wait()
    finally:
        if child is not None:
            remove_log_alone(folder, child.error)
    ended = end_of(job, child, asked=children.asked, timed_out=False)
    if ended.error is not None:
        raise ended.error


def remove_log_alone(folder: RunFolder, error: BenchError | None) -> None:
    """Remove the folder of a run that was refused before it began, where nothing but its log is left.

    A log that says why a process was lost, or holds the traceback of its error, stays.

    Args:
        folder: The run's folder.
        error: What the run ended with; None, or a LostProcessError, where it told nothing.
    """
    if folder.spec.exists() or isinstance(error, UnexpectedError):
        return
    told = error is not None and not isinstance(error, LostProcessError)
    with contextlib.suppress(OSError):
        if told or not folder.log.stat().st_size:
            folder.log.unlink()
            folder.path.rmdir()


def when_begun(folder: RunFolder) -> int | None:
    """When a run was begun anew the last time, in nanoseconds; None for one that never was."""
    try:
        return folder.spec.stat().st_mtime_ns
    except OSError:
        return None


def main(task: Mapping[str, Any], parent: Parent) -> None:
    """Launch a spec in this process, which was started for it.

    Args:
        task: ``spec``, ``home`` and ``rerun``, and ``stored``: whether the result goes to the board from here. With
            ``rerun`` perhaps ``begun``, what :func:`when_begun` gave before the first start: a later start of the same
            job goes on with what an earlier one has begun.
        parent: The process that started this one.

    Raises:
        BenchError: What the run failed with or could not start for.
    """
    spec, home = RunSpec.from_json(task["spec"]), Path(task["home"])
    goes_on = "begun" in task and when_begun(RunFolder.of_run(home, spec.run_id)) != task["begun"]
    launched = launch(spec, home, rerun=task["rerun"] and not goes_on, stored=task["stored"])
    if launched.error is not None:
        raise launched.error
