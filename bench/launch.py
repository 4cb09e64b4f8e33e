"""Runs specs, one after the other: a lock per run, nothing done twice, a failure stored as a failure.

A run is done if and only if its result exists and says ``finished``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, InterruptedRunError, RunError
from bench.spec import SPEC_FILE, RunSpec
from leaderboard.files import exclusive_lock, write_json

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Launched:
    """A run that came to an end.

    Attributes:
        folder: Its folder.
        document: Its result.
        error: What it failed with, if it did.
    """

    folder: Path
    document: dict[str, Any]
    error: BenchError | None = None


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_folder(home: Path, spec: RunSpec) -> Path:
    """The folder of a run: ``<home>/runs/<run id>``."""
    return home / "runs" / spec.run_id


def launch(spec: RunSpec, home: Path, *, rerun: bool, notice: Notice) -> Launched:
    """Run a spec, or give back the result it has already.

    Args:
        spec: What to run.
        home: The results folder.
        rerun: Run it again even if it is finished.
        notice: Takes lines for the user.

    Raises:
        BenchError: Whatever keeps it from starting, and InterruptedRunError. A run that started and failed is
            returned with its error instead, and stored as failed.
    """
    from leaderboard.store import Store

    folder = run_folder(home, spec)
    store = Store.open(home)
    # A board that cannot take the result is worth knowing of before the training, not after it.
    with store.session(write=True):
        pass
    with exclusive_lock(folder / "lock", lambda holder: notice(f"waiting: {holder} is at this run")):
        finished = None if rerun else finished_result(folder)
        if finished is not None:
            notice(f"run {spec.run_id} is finished already; --rerun runs it again")
            launched = Launched(folder, finished)
        else:
            launched = _start_or_leave_nothing(spec, folder, rerun, notice)
        store.import_run(folder)
    return launched


def finished_result(folder: Path) -> dict[str, Any] | None:
    """The result of a run folder, if it is finished."""
    from leaderboard.results import read_result

    if not (folder / "result.json").is_file():
        return None
    document = dict(read_result(folder).document)
    return document if document["status"] == "finished" else None


def _start_or_leave_nothing(spec: RunSpec, folder: Path, rerun: bool, notice: Notice) -> Launched:
    """Start a run; one that was refused before its first step leaves no folder behind."""
    known = (folder / SPEC_FILE).is_file()
    try:
        return _start(spec, folder, rerun, notice)
    except InterruptedRunError:
        raise
    except BenchError:
        if not known and not (folder / "checkpoint" / "current.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _start(spec: RunSpec, folder: Path, rerun: bool, notice: Notice) -> Launched:
    if rerun:
        for name in ("checkpoint", "weights"):
            shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "result.json").unlink(missing_ok=True)
    write_json(folder / SPEC_FILE, spec.to_json())
    prepare_features(spec, notice)
    try:
        _execute(spec, folder)
    except RunError as error:
        from bench.engine.result import write_failed_result

        return Launched(folder, write_failed_result(spec, folder, error), error)
    document = finished_result(folder)
    if document is None:
        raise RunError(f"Run {spec.run_id} ended without a result.", "Run the same command again.")
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return Launched(folder, document)


def _execute(spec: RunSpec, folder: Path) -> None:
    if spec.processes == 1:
        from bench.engine.worker import execute

        execute(spec, folder)
    else:
        from bench.engine.processes import run_group

        run_group(folder, spec.processes, usable_cores())


def prepare_features(spec: RunSpec, notice: Notice) -> None:
    """Make sure that the features of a spec are in the cache, before any process of the run starts."""
    from bench.data.bank import prepare_bank
    from bench.data.icbhi import load_dataset

    dataset = load_dataset(Path(spec.data), allow_partial=spec.partial is not None, cache=Path(spec.cache))
    said: list[int] = []

    def on_progress(done: int, total: int) -> None:
        if not said or done == total or done * 10 // total > said[-1]:
            said.append(done * 10 // total)
            notice(f"features ({spec.frontend}): {done} of {total} recordings")

    prepare_bank(
        dataset,
        spec.frontend,
        spec.frontend_options,
        Path(spec.cache),
        workers=spec.workers or usable_cores(),
        on_progress=on_progress,
    )
