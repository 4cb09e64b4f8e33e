"""Matrices of runs: planned from a file, carried out on an engine, looked at and cancelled from elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.calls import api_call, resumable
from bench.api.launching import launch_options
from bench.api.requests import FilePath
from bench.core.errors import ResultError
from bench.core.paths import board_location, cache_folder, expanded, has_board, home_folder
from bench.core.text import counted_noun

if TYPE_CHECKING:
    from bench.api.launching import LaunchOptions
    from bench.launch.matrix.estimate import Estimate
    from bench.launch.matrix.plans import EndedRun, MatrixPlan, PlannedRun
    from bench.launch.matrix.status import MatrixStatus as MatrixStatus

logger = logging.getLogger(__name__)


@api_call
@resumable
def matrix(
    file: FilePath,
    *,
    launcher: str = "local",
    jobs: int | None = None,
    devices: str | Sequence[str] | None = None,
    retries: int = 2,
    timeout: str | float | None = None,
    scheduler: str | None = None,
    slurm: Mapping[str, Any] | None = None,
    data: FilePath | None = None,
    processes: int = 1,
    device: str = "auto",
    precision: str = "auto",
    plugins: FilePath | Sequence[FilePath] = (),
    rerun: bool = False,
    home: FilePath | None = None,
    cache: FilePath | None = None,
) -> dict[str, Any]:
    """Run a matrix of systems, settings, seeds and data sets that a TOML file describes (docs/matrices.md).

    Finished runs are not run twice. A run that fails does not keep the others from running.

    Args:
        file: The TOML file.
        launcher: ``local``, ``slurm`` or ``dask``.
        jobs: Runs at a time (default: one per GPU, one on a CPU; of a cluster: all).
        devices: Of ``local``: GPUs or MIG instances, or ``cpu`` (default: all).
        retries: How often a run whose process was lost is started again.
        timeout: After which time a run is ended: seconds, or a text with a unit (``2h``).
        scheduler: Of ``dask``: the address of the scheduler.
        slurm: Of ``slurm``: options by name, as docs/slurm.md has them.
        data: Folder of the data, or ``demo``, where the file names none.
        processes: Processes (GPUs) that share a run.
        device: ``auto``, ``cpu`` or ``cuda``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        plugins: Files with models, methods, front-ends or data sets of your own, besides those that the file names.
        rerun: Run again although results exist.
        home: Results folder.
        cache: Cache folder.

    Returns:
        What ``bench matrix run FILE --format json`` prints: ``name``, ``profile``, ``runs`` (each with its ``status``,
        ``error`` and ``log``) and ``cannot_start``.

    Raises:
        InterruptedRunError: After Ctrl-C; the same call goes on.
        BenchError: Whatever kept it from starting.
    """
    options = launch_options(
        launcher=launcher,
        jobs=jobs,
        devices=devices,
        retries=retries,
        timeout=timeout,
        scheduler=scheduler,
        slurm=slurm,
    )
    planned = plan_file(
        file,
        options,
        data=data,
        processes=processes,
        device=device,
        precision=precision,
        plugins=plugins,
        home=home,
        cache=cache,
    )
    return run_planned(planned, options, rerun=rerun).to_json()


@dataclass(frozen=True)
class PlannedMatrix:
    """The runs that a file, or a table, comes down to.

    Attributes:
        plan: The runs, and what cannot start.
        home: The results folder.
    """

    plan: MatrixPlan
    home: Path

    @cached_property
    def statuses(self) -> list[str]:
        """Of each run ``done``, ``missing``, or ``broken`` for a result that cannot be read."""
        return [_status(run, self.home) for run in self.plan.runs]

    @cached_property
    def estimates(self) -> list[Estimate]:
        """What each run will take, of a composite what its parts will."""
        from bench.launch.matrix.estimate import estimates_of
        from leaderboard.store.store import Store

        # A board that is not there reads as an empty one; none is made.
        store = Store.open(board_location(self.home)) if has_board() else None
        return estimates_of(self.plan.runs, self.home, store)

    def total(self, jobs: int | None = None) -> dict[str, Any]:
        """What the missing runs will take together.

        Args:
            jobs: How many run at a time, where that is known.

        Returns:
            ``missing`` and ``done`` runs, ``unknown`` (missing ones of which nothing is known), ``seconds`` of all
            others together, ``hours``, by ``jobs`` at a time, and ``memory_mib``, the largest.
        """
        missing = [e for e, status in zip(self.estimates, self.statuses, strict=True) if status != "done"]
        seconds = [estimate.seconds for estimate in missing if estimate.seconds is not None]
        memory = [estimate.memory_mib for estimate in missing if estimate.memory_mib is not None]
        return {
            "done": len(self.statuses) - len(missing),
            "missing": len(missing),
            "unknown": len(missing) - len(seconds),
            "seconds": sum(seconds) if seconds else None,
            "jobs": jobs or 1,
            "hours": sum(seconds) / 3600 / min(jobs or 1, len(missing)) if seconds else None,
            "memory_mib": max(memory, default=None),
        }

    def described(self) -> list[dict[str, Any]]:
        """The runs, each with its status and what it will take."""
        from bench.launch.matrix.record import described

        return [
            {**described(run), "status": status, "estimate": estimate.to_json()}
            for run, status, estimate in zip(self.plan.runs, self.statuses, self.estimates, strict=True)
        ]

    def to_json(self, options: LaunchOptions) -> dict[str, Any]:
        """What ``bench matrix run FILE --dry-run --format json`` prints."""
        return {
            "name": self.plan.name,
            "profile": self.plan.profile,
            "runs": self.described(),
            "total": self.total(options.jobs),
            "cannot_start": {place: error.message for place, error in self.plan.refused.items()},
            "script": self.script(options),
        }

    def script(self, options: LaunchOptions) -> str | None:
        """The script that sbatch would be given for what is missing; None for another launcher, or where nothing is."""
        if options.launcher != "slurm":
            return None
        from bench.launch.executors.slurm_script import sbatch_script
        from bench.launch.matrix.work import missing_jobs, planned_folder

        jobs = missing_jobs(self.plan, self.home, options)
        return sbatch_script(options, jobs, planned_folder(self.plan, self.home).jobs) if jobs else None


@dataclass(frozen=True)
class EndedMatrix:
    """A matrix whose runs have ended.

    Attributes:
        plan: What was planned.
        ended: How each run ended.
    """

    plan: MatrixPlan
    ended: Sequence[EndedRun]

    @property
    def well(self) -> bool:
        """Whether every run that was asked for is done."""
        return not self.plan.refused and not any(item.error for item in self.ended)

    def to_json(self) -> dict[str, Any]:
        """What ``bench matrix run FILE --format json`` prints."""
        from bench.launch.matrix.record import described

        return {
            "name": self.plan.name,
            "profile": self.plan.profile,
            "runs": [{**described(item.run), **outcome_of(item)} for item in self.ended],
            "cannot_start": {place: error.message for place, error in self.plan.refused.items()},
        }


def outcome_of(item: EndedRun) -> dict[str, Any]:
    """How a run ended, as documents hold it."""
    return {
        "status": item.status,
        "error": item.error.message if item.error else None,
        "log": None if item.log is None else str(item.log),
    }


def _status(run: PlannedRun, home: Path) -> str:
    from bench.launch.matrix.heads import is_finished

    try:
        return "done" if is_finished(home, run.run_id) else "missing"
    except ResultError:
        return "broken"


def plan_file(
    file: FilePath,
    options: LaunchOptions,
    *,
    data: FilePath | None = None,
    plugins: FilePath | Sequence[FilePath] = (),
    home: FilePath | None = None,
    cache: FilePath | None = None,
    **asked: Any,
) -> PlannedMatrix:
    """Resolve every run of a matrix's file before one starts, and say in the log what cannot start.

    Args:
        file: The TOML file.
        options: Where its runs will be carried out.
        data: Folder of the data, or ``demo``, where the file names none.
        plugins: Plug-in files, besides those that the file names.
        home: Results folder (default: ``BENCH_HOME`` or ./results).
        cache: Cache folder (default: ``BENCH_CACHE`` or the user's).
        **asked: ``processes``, ``device`` and ``precision``.

    Raises:
        BenchError: For a file that is wrong, an id or data that do not exist, or if nothing of it can start.
    """
    from bench.experiment.devices import runs_elsewhere
    from bench.launch.matrix.cells import plan_matrix
    from bench.launch.matrix.file import read_matrix

    path, results = expanded(file), home_folder(home)
    files = [plugins] if isinstance(plugins, str | Path) else list(plugins)
    common = {"home": results, "cache": cache_folder(cache), "plugins": files, **asked}
    asked_file = read_matrix(path)
    named = sum(table.shared("data", asked_file.data) is not None for table in asked_file.runs)
    if data is not None and named:
        logger.warning(f"--data says nothing to {named} of the [[runs]] of {path}, whose data the file names")
    with runs_elsewhere(options.elsewhere):
        plan = plan_matrix(asked_file, path, common, data=None if data is None else str(data))
    say_device(plan, options, asked["device"])
    for place, error in plan.refused.items():
        logger.warning(f"{place}: cannot start. {error.message} {error.hint or ''}".rstrip())
    return PlannedMatrix(plan, results)


def say_device(plan: MatrixPlan, options: LaunchOptions, device: str) -> None:
    """Warn where a cluster's runs were planned for the CPU only since this machine has no GPU."""
    from bench.experiment.devices import warn_of_cpu_elsewhere
    from bench.launch.matrix.tasks import specs_of

    chosen = {spec.distribution.device for spec in specs_of(plan.runs).values()}
    warn_of_cpu_elsewhere(options.launcher, device, chosen)


def run_planned(planned: PlannedMatrix, options: LaunchOptions, *, rerun: bool = False) -> EndedMatrix:
    """Do the runs of a matrix that are missing.

    Args:
        planned: The runs.
        options: Where and how.
        rerun: Run finished ones again.

    Raises:
        InterruptedRunError: If it was stopped; what was under way has saved its state.
        StoreError: If the board cannot take results.
        SpecError: If another process is at this matrix, or the launcher cannot be used.
    """
    from bench.launch.matrix.work import run_matrix

    return EndedMatrix(planned.plan, run_matrix(planned.plan, planned.home, options, rerun=rerun))


def say_how_matrix_ended(done: EndedMatrix, again: str) -> None:
    """Say in the log how many runs finished, what failed with its cause and log, and how to go on.

    Args:
        done: The matrix.
        again: What to do next where all is well.
    """
    say_ends(done.plan, done.ended, again)


def say_ends(plan: MatrixPlan, ended: Sequence[EndedRun], again: str) -> None:
    """Say in the log how runs ended; arguments as for :func:`say_how_matrix_ended`."""
    from bench.launch.matrix.plans import headline

    failed = [item for item in ended if item.error]
    counts = f"{len(ended) - len(failed)} finished, {len(failed)} failed"
    logger.info(f"{counted_noun(len(ended), 'run')}: {counts}; {again}")
    for item in failed:
        log = f" Its log: {item.log}" if item.log else ""
        message = item.error.message if item.error else ""
        logger.warning(f"failed: {headline(item.run)}: {message}{log}")
    for place, error in plan.refused.items():
        logger.warning(f"not started: {place}: {error.message}")
    if failed:
        logger.info("the same command starts only what is missing or failed")
