"""Who works on which trial: a worker takes one under the study's lock, says that it lives, and ends or returns it.

A trial belongs to the worker that its attribute ``worker`` names. A worker of this machine lives while its process
does; one of another machine while its heartbeat is not older than :data:`GRACE` seconds (clocks must agree to a minute
or two). The trial of a dead worker is taken over as it is, with its number and parameters, so that it is counted once
and its run goes on from its last saved state. This is the same for every storage: Optuna's own heartbeat needs a
database, and a trial made anew in the place of a lost one would count twice.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.search.optuna_parts import sampler_for
from bench.search.space import grid_point
from bench.search.study import Search

WORKER, LOST = "worker", "lost_workers"
BEAT_SECONDS = 60.0
GRACE = 300.0
"""Seconds without a heartbeat after which a worker of another machine counts as dead."""

MOST_LOST = 3
"""A trial that this many workers died of has failed: it would take every further one with it."""


@cache
def _machine() -> str:
    """Where process ids mean the same: this machine, since it was started, in this container."""
    parts = [socket.gethostname()]
    for path in (Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")):
        with contextlib.suppress(OSError):
            parts.append(path.readlink().name if path.is_symlink() else path.read_text(encoding="ascii").strip())
    return " ".join(parts)


def this_worker() -> dict[str, Any]:
    """What this process writes into its trials."""
    return {"machine": _machine(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def lives(owner: Mapping[str, Any] | None) -> bool:
    """Whether the worker of a trial still works on it."""
    if owner is None:
        return False
    if owner["machine"] != _machine():
        return time.time() - float(owner["beat"]) < GRACE
    try:
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - float(owner["started"])) < 1.0
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def abandoned(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Running trials whose worker is dead."""
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    return [trial for trial in running if not lives(trial.user_attrs.get(WORKER))]


class Claim:
    """A trial in this process's hands.

    Args:
        search: The study.
        trial: The trial.
    """

    def __init__(self, search: Search, trial: Trial) -> None:
        self.search, self.trial = search, trial
        self._me = this_worker()
        # The parameters are asked for under the lock: the next sampler then sees them.
        self.params = {dimension.name: dimension.suggest(trial) for dimension in search.request.space}

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.trial.number

    def beat(self) -> None:
        """Say that this worker lives."""
        self.trial.set_user_attr(WORKER, {**self._me, "beat": time.time()})

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Say so again and again while the block runs."""
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(BEAT_SECONDS):
                # A storage that is away for a while is told at the next beat; the training goes on.
                with contextlib.suppress(Exception):
                    self.beat()

        thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @property
    def mine(self) -> bool:
        """Whether nobody else took the trial over, as happens to a worker that stood still for minutes."""
        frozen = self.search.study._storage.get_trial(self.trial._trial_id)
        owner = frozen.user_attrs.get(WORKER, {})
        return frozen.state is TrialState.RUNNING and all(owner.get(key) == self._me[key] for key in ("machine", "pid"))

    def give_back(self) -> None:
        """Let the trial wait for whoever asks next."""
        with self.search.place.lock(self.search.name):
            if self.mine:
                self.search.study._storage.set_trial_state_values(self.trial._trial_id, TrialState.WAITING)

    def end(self, state: TrialState, value: float | None, told: Mapping[str, Any]) -> bool:
        """Tell the study how the trial ended.

        Args:
            state: COMPLETE, PRUNED or FAIL.
            value: The Score; None unless it is complete.
            told: Further attributes.

        Returns:
            Whether it counted: not where somebody else has taken the trial over.
        """
        with self.search.place.lock(self.search.name):
            if not self.mine:
                return False
            for name, item in told.items():
                self.trial.set_user_attr(name, item)
            self.search.study.tell(self.number, value, state=state)
        return True


def claim(search: Search) -> Claim | None:
    """Take a trial: one whose worker died, one that waits, or a new one while some are missing.

    Returns:
        The trial; None where there is nothing to do.
    """
    with search.place.lock(search.name):
        trials = search.trials
        trial = _take_over(search, trials) or _ask(search, trials)
        if trial is None:
            return None
        taken = Claim(search, trial)
        taken.beat()
        return taken


def _take_over(search: Search, trials: Sequence[FrozenTrial]) -> Trial | None:
    for frozen in abandoned(trials):
        lost = int(frozen.user_attrs.get(LOST, 0)) + 1
        trial = Trial(_with_sampler(search, frozen.number), frozen._trial_id)
        with contextlib.suppress(UpdateFinishedTrialError):
            trial.set_user_attr(LOST, lost)
            if lost < MOST_LOST:
                return trial
            trial.set_user_attr("error", f"{lost} workers were lost at this trial (killed, or out of memory).")
            search.study.tell(frozen.number, state=TrialState.FAIL)
    return None


def _ask(search: Search, trials: Sequence[FrozenTrial]) -> Trial | None:
    waiting = any(trial.state is TrialState.WAITING for trial in trials)
    if not waiting and len(trials) >= search.target:
        return None
    study = _with_sampler(search, len(trials))
    if search.request.sampler == "grid" and not waiting:
        study.enqueue_trial(grid_point(search.request.space, len(trials)))
    return study.ask()


def _with_sampler(search: Search, number: int) -> optuna.Study:
    search.study.sampler = sampler_for(search.request, number)
    return search.study
