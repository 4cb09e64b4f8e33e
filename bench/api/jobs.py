"""Jobs that engines on other machines start as processes of the same command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.core.errors import BenchError


def carry_out_job_file(path: Path, parent: int | None = None) -> BenchError | None:
    """Carry out the job of a file, and write how it ended beside it.

    Args:
        path: The job's file.
        parent: The process that this one ends with, killed or not; None for none.

    Returns:
        The error that the job ended with.
    """
    from bench.core.lifetimes import die_with_parent
    from bench.launch.one_job import main

    if parent is not None:
        die_with_parent(parent)
    return main(path).error
