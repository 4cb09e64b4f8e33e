"""The engines that carry out jobs, by the name of the launcher."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import SpecError
from bench.core.registry import suggestion
from bench.core.text import echoed
from bench.launch.jobs import Executor, LaunchOptions

LAUNCHERS = ("local", "slurm", "dask")


def check_launcher(name: str) -> None:
    """Refuse the name of an engine that does not exist; raises SpecError."""
    if name not in LAUNCHERS:
        raise SpecError(f"Unknown launcher '{echoed(name)}': {suggestion(name, LAUNCHERS)}")


def make_executor(options: LaunchOptions, folder: Path) -> Executor:
    """The engine that was asked for.

    Args:
        options: Which, and how.
        folder: Where an engine on other machines keeps what its jobs are and how they ended, on a disk that all share.

    Raises:
        SpecError: For an engine that does not exist, or options that it does not have.
    """
    check_launcher(options.launcher)
    match options.launcher:
        case "local":
            from bench.launch.executors.local import LocalExecutor

            return LocalExecutor(options)
        case "slurm":
            from bench.launch.executors.slurm import SlurmExecutor

            return SlurmExecutor(options, folder)
        case _:
            from bench.launch.executors.dask import DaskExecutor

            return DaskExecutor(options, folder)
