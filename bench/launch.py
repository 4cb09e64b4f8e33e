"""Runs specs, one after the other: a lock per run, nothing done twice, a failure stored as a failure.

A run is done if and only if its result exists and says ``finished``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines.weights import of_run
from bench.data.bank import Progress
from bench.engine.hooks import Hooks
from bench.errors import BenchError, InterruptedRunError, PrunedRunError, RunError
from bench.paths import board_location
from bench.provenance import usable_cores
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


def run_folder(home: Path, spec: RunSpec) -> Path:
    """The folder of a run: ``<home>/runs/<run id>``."""
    return home / "runs" / spec.run_id


def launch(spec: RunSpec, home: Path, *, rerun: bool, notice: Notice, hooks: Hooks | None = None) -> Launched:
    """Run a spec, or give back the result it has already.

    Args:
        spec: What to run.
        home: The results folder.
        rerun: Run it again even if it is finished.
        notice: Takes lines for the user.
        hooks: What a search adds to the run.

    Raises:
        BenchError: Whatever keeps it from starting, and InterruptedRunError. A run that started and failed is
            returned with its error instead, and stored as failed.
    """
    from leaderboard.store import Store

    folder = run_folder(home, spec)
    store = Store.open(board_location(home))
    # A board that cannot take the result is worth knowing of before the training, not after it.
    with store.session(write=True):
        pass
    with exclusive_lock(folder / "lock", lambda holder: notice(f"waiting: {holder} is at this run")):
        finished = None if rerun else finished_result(folder)
        if finished is not None:
            notice(f"run {spec.run_id} is finished already; --rerun runs it again")
            launched = Launched(folder, finished)
        else:
            launched = _start_or_leave_nothing(spec, folder, rerun, notice, hooks or Hooks())
        store.import_run(folder)
    return launched


def finished_result(folder: Path) -> dict[str, Any] | None:
    """The result of a run folder, if it is finished."""
    from leaderboard.results import read_result

    if not (folder / "result.json").is_file():
        return None
    document = dict(read_result(folder).document)
    return document if document["status"] == "finished" else None


def _start_or_leave_nothing(spec: RunSpec, folder: Path, rerun: bool, notice: Notice, hooks: Hooks) -> Launched:
    """Start a run; one that was refused before its first step leaves no folder behind."""
    known = (folder / SPEC_FILE).is_file()
    try:
        return _start(spec, folder, rerun, notice, hooks)
    except InterruptedRunError:
        raise
    except BenchError:
        if not known and not (folder / "checkpoint" / "current.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _start(spec: RunSpec, folder: Path, rerun: bool, notice: Notice, hooks: Hooks) -> Launched:
    # Before anything of an earlier run is removed.
    of_run(spec.pretrain, spec.weights, spec.weights_sha256)
    if rerun:
        for name in ("checkpoint", "weights"):
            shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "result.json").unlink(missing_ok=True)
    write_json(folder / SPEC_FILE, spec.to_json())
    try:
        _execute(spec, folder, _said_now_and_then(spec.frontend, notice), hooks)
    except RunError as error:
        from bench.engine.result import write_failed_result

        document = write_failed_result(spec, folder, error)
        if isinstance(error, PrunedRunError):
            shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        return Launched(folder, document, error)
    done = finished_result(folder)
    if done is None:
        raise RunError(f"Run {spec.run_id} ended without a result.", "Run the same command again.")
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return Launched(folder, done)


def _execute(spec: RunSpec, folder: Path, on_progress: Progress, hooks: Hooks) -> None:
    if spec.processes == 1:
        from bench.engine.worker import execute

        execute(spec, folder, on_progress, hooks)
    else:
        from bench.engine.data import open_run_data
        from bench.engine.processes import run_group

        # The features are made here, with all cores; the processes of the group find them in the cache.
        (hooks.open_data or open_run_data)(spec, on_progress)
        run_group(folder, spec.processes, usable_cores(), hooks)


def _said_now_and_then(frontend: str, notice: Notice) -> Progress:
    """Report the preparation of features, a line for every tenth of it."""
    said: list[int] = []

    def on_progress(done: int, total: int) -> None:
        tenths = done * 10 // total
        if not said or tenths > said[-1]:
            said.append(tenths)
            notice(f"features ({frontend}): {done} of {total} recordings")

    return on_progress
