"""Runs specs, one after the other: a lock per run, nothing done twice, a failure stored as a failure.

A run is done if and only if its result exists and says ``finished``. A run whose process was lost, or that was stopped,
has no result: its state stays, and the same command goes on from it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from baselines.weights import weights_of_run
from bench.core.errors import (
    BenchError,
    InterruptedRunError,
    LostProcessError,
    PrunedRunError,
    ResultError,
    RunError,
    SpecError,
    StoreError,
)
from bench.core.files import (
    advice,
    check_writable,
    exclusive_lock,
    sweep,
    temporary_name,
    temporary_place,
    write_json,
)
from bench.core.machine import usable_cores
from bench.core.process_group import adopted_group, refuse_foreign_group
from bench.core.progress import waiting
from bench.core.text import counted_noun
from bench.data.bank import Progress
from bench.data.feature_progress import features_counted
from bench.engine.hooks import Hooks
from bench.engine.random_states import random_states_kept
from bench.engine.result import write_failed_result
from bench.engine.states import POINTER, named_states, remove_others
from bench.experiment.initial_runs import initial_weights_hash
from bench.experiment.judged_results import results_judged
from bench.experiment.plugins import load_plugins_of
from bench.experiment.spec import RunSpec, read_spec
from bench.launch.board import results_board, store_result
from bench.launch.run_memory import memory_of_run, say_memory, say_peak
from leaderboard.results.run_folder import RunFolder
from leaderboard.results.run_result import RunResult
from leaderboard.results.schema import kind_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launched:
    """A run that came to an end.

    Attributes:
        folder: Its folder.
        result: Its result and predictions, as they were read from there.
        error: What it failed with, if it did; detached, since it may be kept while other runs are made.
    """

    folder: Path
    result: RunResult
    error: BenchError | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The result document, as ``result.json`` holds it."""
        return cast(dict[str, Any], self.result.document)


def launch(spec: RunSpec, home: Path, *, rerun: bool, hooks: Hooks | None = None, stored: bool = True) -> Launched:
    """Run a spec, or give back the result it has already.

    Args:
        spec: What to run.
        home: The results folder.
        rerun: Run it again even if it is finished.
        hooks: What a search adds to the run.
        stored: Whether its result goes to the board here; False where another process brings it there.

    Raises:
        BenchError: Whatever keeps it from starting, InterruptedRunError and LostProcessError. A run that started and
            failed is returned with its error instead, and stored as failed.
    """
    refuse_foreign_group()
    _check_group(spec)
    spec = with_initial_hash(spec)
    folder = RunFolder.of_run(home, spec.run_id)
    # A board that cannot take the result is worth knowing of before the training, not after it.
    store = results_board(home) if stored else None
    logger.debug("run %s: folder %s, board %s", spec.run_id, folder.path, store or "of another process")
    for place in (home, folder.path.parent):
        sweep(place)
    holders = exclusive_lock(folder.lock, lambda holder: logger.info(f"waiting: {holder} is at this run"))
    with holders, results_judged():
        if not rerun and began_otherwise(spec, folder):
            logger.info(
                f"run {spec.run_id} began with other weights of {spec.init_from} than there are now: it is run again"
            )
            rerun = True
        finished = None if rerun else finished_result(folder)
        if finished is not None:
            logger.info(f"run {spec.run_id} is finished already; --rerun runs it again")
            if kind_of(finished.document) == "part" and not spec.part_of:
                finished = _off_the_shelf(folder, finished)
            # A process that was killed between its last two acts has left the states.
            shutil.rmtree(folder.checkpoint, ignore_errors=True)
            launched = Launched(folder.path, finished)
        else:
            with waiting("estimating the memory that the run takes"):
                memory = memory_of_run(spec, store)
            say_memory(spec, memory)
            launched = _start_or_leave_nothing(spec, folder, rerun, hooks or Hooks())
            say_peak(memory, launched.document)
        store_result(store, launched.result)
    return launched


def _check_group(spec: RunSpec) -> None:
    """Refuse a spec that is shared by another number of processes than the group that this command has adopted."""
    group = adopted_group()
    if group is not None and group.size != spec.distribution.processes:
        raise SpecError(
            f"{group.launcher} started {counted_noun(group.size, 'process')}, but run {spec.run_id} is for "
            f"{spec.distribution.processes}.",
            f"Tell {group.launcher} how many.",
        )


def with_initial_hash(spec: RunSpec) -> RunSpec:
    """A spec with the hash of the weights of another run that it starts from, as they are now.

    Args:
        spec: The spec of the run.

    Raises:
        WeightsError: If they cannot be read.
    """
    return spec.changed(init_weights_sha256=initial_weights_hash(spec))


def began_otherwise(spec: RunSpec, folder: RunFolder) -> bool:
    """Whether what a run folder holds was trained from other weights of another run than this start would be.

    Args:
        spec: The spec of the run, with the hash of :func:`with_initial_hash`.
        folder: The folder of the run.
    """
    if spec.init_weights_sha256 is None or not folder.spec.is_file():
        return False
    return read_spec(folder.spec).init_weights_sha256 not in (None, spec.init_weights_sha256)


def finished_result(folder: RunFolder) -> RunResult | None:
    """The result of a run folder, if it is finished."""
    result = folder.read() if folder.has_result() else None
    return result if result is not None and result.document["status"] == "finished" else None


def _off_the_shelf(folder: RunFolder, part: RunResult) -> RunResult:
    """Make the part of a composite, which somebody asks for by itself, a run of its own that the board ranks."""
    logger.info(
        f"run {part.document['run_id']} was trained as a part of {part.document.get('part_of')}: now it is ranked"
    )
    return folder.write({name: value for name, value in part.document.items() if name not in ("kind", "part_of")})


def _start_or_leave_nothing(spec: RunSpec, folder: RunFolder, rerun: bool, hooks: Hooks) -> Launched:
    """Start a run; one that was refused before its first step leaves no folder behind."""
    known = folder.spec.is_file()
    try:
        return _start(spec, folder, rerun, hooks)
    except (InterruptedRunError, LostProcessError):
        raise
    except BenchError:
        if not known and not _has_saved_state(folder):
            _remove(folder.path)
        raise


def _remove(folder: Path) -> None:
    """Remove a run's folder, whose lock is held here: in one step, since others may make it anew at once."""
    away = temporary_name(folder)
    try:
        folder.rename(away)
    except OSError:
        return
    shutil.rmtree(away, ignore_errors=True)


def _has_saved_state(folder: RunFolder) -> bool:
    return (folder.checkpoint / POINTER).is_file()


def _start(spec: RunSpec, folder: RunFolder, rerun: bool, hooks: Hooks) -> Launched:
    # Before anything of an earlier run is removed.
    weights_of_run(spec.pretrain, spec.weights, spec.weights_sha256)
    _prepare(folder, rerun)
    earlier = [folder.result, *(_of_the_training(folder) if rerun else [])]
    with _put_aside(folder, earlier):
        write_json(folder.spec, spec.to_json())
        with features_counted(spec.frontend) as on_progress:
            failure = _failure(spec, folder, on_progress, hooks)
    _release_memory()
    if failure is not None:
        result = write_failed_result(spec, folder, failure)
        if isinstance(failure, PrunedRunError):
            shutil.rmtree(folder.checkpoint, ignore_errors=True)
        return Launched(folder.path, result, failure)
    if not folder.has_result():
        raise LostProcessError(f"Run {spec.run_id} ended without a result.", "Run the same command again.")
    done = _judged(folder)
    shutil.rmtree(folder.checkpoint, ignore_errors=True)
    return Launched(folder.path, done)


def _of_the_training(folder: RunFolder) -> list[Path]:
    """What a run that is done again must find nothing of; its trackers begin a run of their own."""
    return [folder.checkpoint, folder.weights, folder.frontend, folder.tracking]


def _judged(folder: RunFolder) -> RunResult:
    """Read what a run has just written, its predictions included: the one reading on their way to the board.

    Raises:
        ResultError: If its numbers do not follow from its predictions. The result is taken away then, so that the run
            does not count as done; its saved state stays.
    """
    try:
        return folder.read()
    except ResultError:
        folder.result.unlink(missing_ok=True)
        raise


def _prepare(folder: RunFolder, rerun: bool) -> None:
    """Make sure that a run's folder can be written, and remove what killed processes left there.

    Raises:
        StoreError: If a part of it or temporary files cannot be written, or the pointer to its states cannot be read.
    """
    # Torch asks for them as it makes an optimiser.
    temporary_place()
    for part in (folder.path, folder.checkpoint, folder.weights):
        if part.is_dir():
            check_writable(part)
            sweep(part, held=True)
    if not rerun:
        remove_others(folder.checkpoint, named_states(folder.checkpoint))


@contextlib.contextmanager
def _put_aside(folder: RunFolder, paths: Sequence[Path]) -> Iterator[None]:
    """Move what an earlier start left out of the way while the block runs, and then remove it.

    A start that is refused (before it saved a state) gets everything back: it has begun nothing.
    """
    aside = {path: temporary_name(path) for path in paths if path.exists()}
    try:
        for path, place in aside.items():
            path.rename(place)
    except OSError as error:
        raise StoreError(f"Cannot replace what {folder.path} holds: {error.strerror}.", advice(error)) from error
    refused = False
    try:
        yield
    except BenchError as error:
        began = isinstance(error, InterruptedRunError | LostProcessError) or _has_saved_state(folder)
        refused = not began
        raise
    finally:
        for path, place in aside.items():
            if refused and not path.exists():
                place.rename(path)
            _delete(place)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _failure(spec: RunSpec, folder: RunFolder, on_progress: Progress, hooks: Hooks) -> RunError | None:
    """Carry the run out; gives what it failed with, without the frames that hold its model."""
    try:
        with random_states_kept():
            _execute(spec, folder, on_progress, hooks)
    except LostProcessError:
        raise
    except RunError as error:
        return error.detached()
    return None


def _release_memory() -> None:
    """Give back what the model of a run took: parts of it refer to one another, and would wait for the collector."""
    torch = sys.modules.get("torch")
    if torch is not None:
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def _execute(spec: RunSpec, folder: RunFolder, on_progress: Progress, hooks: Hooks) -> None:
    from bench.engine.preflight import check_model

    load_plugins_of(spec)
    check_model(spec)
    if spec.distribution.processes == 1:
        from bench.launch.rank import execute

        execute(spec, folder.path, on_progress, hooks)
    else:
        from bench.engine.data import open_run_data
        from bench.engine.learnt_frontend import with_learnt_frontend
        from bench.launch.adopted import run_adopted_group
        from bench.launch.group import run_group

        # The features are made here, with all cores; the processes of the group find them in the cache, and what the
        # front-end learnt in the run's folder.
        with_learnt_frontend((hooks.open_data or open_run_data)(spec, on_progress), spec, folder)
        group = adopted_group()
        if group is None:
            run_group(folder.path, spec.distribution.processes, usable_cores(), hooks.watch)
        else:
            run_adopted_group(group, folder.path, hooks.watch)
