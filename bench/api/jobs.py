"""Jobs that engines on other machines start as processes of the same command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.core.errors import BenchError


def carry_out_job_file(path: Path) -> BenchError | None:
    """Carry out the job of a file, write how it ended beside it, and give the error that it ended with."""
    from bench.launch.one_job import main

    return main(path).error
