"""Jobs of a moment for engines on other machines: what they do is in their task."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import InterruptedRunError, RunError
from bench.core.lifetimes import StopRequest
from bench.launch.jobs import Job


def far_job(folder: Path, key: str, does: str, **options: Any) -> Job:
    """A job; what it leaves is in ``folder / key``."""
    return Job(
        key=key,
        module="far_jobs",
        task={"does": does, "folder": str(folder / key)},
        name=f"job {key}",
        log=folder / key / "job.log",
        **options,
    )


def main(task: Mapping[str, Any], parent: Any) -> None:
    """Do what the task says; each start leaves a file with the number of its process."""
    folder = Path(task["folder"])
    with StopRequest() as stop:
        folder.mkdir(parents=True, exist_ok=True)
        starts = len(list(folder.glob("start-*")))
        (folder / f"start-{starts}").write_text(f"{os.getpid()} {os.getppid()}")
        match task["does"]:
            case "fail":
                raise RunError("The loss is not finite.", "Try a smaller lr.")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                wait(stop)
            case "hang once" if starts == 0:
                wait(stop)
        (folder / f"done-{starts}").touch()


def wait(stop: StopRequest) -> None:
    """Wait for a signal to stop, as a run does that saves its state then."""
    while not stop.wanted:
        time.sleep(0.05)
    raise InterruptedRunError("Stopped after its state was saved.")


def processes(folder: Path, key: str) -> list[int]:
    """The processes that the last start of a job had: itself, and the one that waits for it."""
    started = sorted((folder / key).glob("start-*"))
    return [int(number) for number in started[-1].read_text().split()] if started else []
