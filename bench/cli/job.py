"""``bench job``: carries out the job of a file; what the engines on other machines start, not people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JobFile = Annotated[Path, typer.Argument(metavar="FILE", help="File of the job; how it ended is written beside it.")]
Parent = Annotated[
    int | None, typer.Option("--parent", metavar="PID", help="Process that started this one; the job ends with it.")
]


def register(app: typer.Typer) -> None:
    """Add the command; the help does not list it."""
    app.command("job", hidden=True)(job)


def job(path: JobFile, parent: Parent = None) -> None:
    """Carry out the job of a file, as an engine on another machine (Slurm, Dask) starts it."""
    from bench.api.jobs import carry_out_job_file

    error = carry_out_job_file(path, parent)
    if error is not None:
        raise error
