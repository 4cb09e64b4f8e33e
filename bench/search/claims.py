"""Who works on which trial: a worker takes one under the study's lock, says that it lives, and ends or returns it.

A trial belongs to the claim that its attribute ``worker`` names by a token of its own. A worker of this machine lives
while its process does; one of another machine while its heartbeat is not older than :data:`GRACE` seconds (clocks must
agree to a minute or two). The trial of a dead worker is taken over as it is, with its number and parameters, so that it
is counted once and its run goes on from its last saved state. One that stood still for minutes, and goes on then, finds
another token there: it writes nothing more. This is the same for every storage: Optuna's own heartbeat needs a
database, and a trial made anew in the place of a lost one would count twice.

Attempts that were lost are counted with the trial, over all workers and searches; after :data:`MOST_LOST` in a row
without a further epoch it has failed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.search.failures import CircuitBreaker
from bench.search.optuna_parts import sampler_for
from bench.search.space import grid_point
from bench.search.study import Search
from bench.search.trials import RETRY_OF, originals, tried_again

logger = logging.getLogger(__name__)

WORKER, LOST, LOST_AT, EPOCHS = "worker", "lost_workers", "lost_at", "epochs_done"
"""Attributes of a trial: its owner; attempts lost in a row, and the epochs done by the last of them; epochs done in all
of its runs."""

BEAT_SECONDS = 60.0
GRACE = 300.0
"""Seconds without a heartbeat after which a worker of another machine counts as dead."""

MOST_LOST = 3
"""A trial that this many workers in a row were lost at, without a further epoch, has failed."""

KILLED = "its process was killed, or ran out of memory"


@cache
def _machine() -> str:
    """Where process ids mean the same: this machine, since it was started, in this container."""
    # Process ids begin anew when a machine is started, and in each container: its name alone would let another process
    # pass for the worker.
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
        # Process ids are used again; the time of the start tells two processes of one id apart. It is computed from the
        # system's clock, which may have been set by a little meanwhile.
        same = abs(process.create_time() - float(owner["started"])) < 1.0
        # A zombie has ended; its parent only has not asked for its exit code yet.
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def abandoned(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Running trials whose worker is dead."""
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    return [trial for trial in running if not lives(trial.user_attrs.get(WORKER))]


class AttemptLostError(Exception):
    """An attempt at a trial was lost, and this process should not go on: CUDA may refuse everything else that it asks.

    Args:
        number: The trial.
        cause: What happened.
        failed: Why the trial has failed, where it was the last attempt.
    """

    def __init__(self, number: int, cause: str, failed: str | None) -> None:
        super().__init__(f"trial {number}: {cause}")
        self.number, self.cause, self.failed = number, cause, failed


class Claim:
    """A trial in this process's hands.

    Args:
        search: The study.
        trial: The trial.
    """

    def __init__(self, search: Search, trial: Trial) -> None:
        self.search, self.trial = search, trial
        self._id = search.trial_id(trial.number)
        # Of this claim and not of this process: a process may lose a trial and take it over again.
        self._token = uuid.uuid4().hex
        # The parameters are asked for under the lock: the next sampler then sees them.
        self.params = {dimension.name: dimension.suggest(trial) for dimension in search.request.space}
        self._sign()

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.trial.number

    def _sign(self) -> None:
        self.trial.set_user_attr(WORKER, {**this_worker(), "token": self._token, "beat": time.time()})

    def beat(self) -> None:
        """Say that this worker lives; nothing where another one has taken the trial over."""
        with self._held() as mine:
            if mine:
                self._sign()

    @contextlib.contextmanager
    def _held(self) -> Iterator[bool]:
        """Hold the study's lock, so that nobody takes the trial over in between; gives whether it is still this one's.

        Raises:
            StoreError: If the storage cannot be used.
        """
        with self.search.place.lock(self.search.name), self.search.place.translated():
            yield self.mine

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
    def _frozen(self) -> FrozenTrial:
        return self.search.storage.get_trial(self._id)

    @property
    def mine(self) -> bool:
        """Whether nobody else took the trial over, as happens to a worker that stood still for minutes."""
        frozen = self._frozen
        owner = frozen.user_attrs.get(WORKER, {})
        return frozen.state is TrialState.RUNNING and owner.get("token") == self._token

    def report(self, scores: Mapping[int, float]) -> bool:
        """Report Scores by step; what the study knows already, of an attempt before, is left as it is.

        Returns:
            Whether the trial is still this worker's; otherwise nothing was reported.
        """
        with self._held() as mine, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = self._frozen.intermediate_values if mine else {}
            for step, score in scores.items():
                if mine and step not in known:
                    self.trial.report(score, step)
        return mine

    def note_epochs(self, epochs: int) -> bool:
        """Remember how many epochs the trial's runs have done; fewer than before change nothing.

        Returns:
            Whether the trial is still this worker's.
        """
        with self._held() as mine:
            if mine and epochs > _epochs_done(self._frozen):
                self.trial.set_user_attr(EPOCHS, epochs)
        return mine

    def give_back(self) -> None:
        """Let the trial wait for whoever asks next."""
        with self._held() as mine:
            if mine:
                self.search.storage.set_trial_state_values(self._id, TrialState.WAITING)

    def lose(self, cause: str) -> AttemptLostError:
        """Count a lost attempt; the trial waits for the next one, or has failed where there were enough.

        Args:
            cause: What happened.

        Returns:
            What to raise.
        """
        failed = None
        with self._held() as mine:
            if mine:
                failed = _count_loss(self.search, self.trial, self._frozen, cause)
                if failed is None:
                    self.search.storage.set_trial_state_values(self._id, TrialState.WAITING)
        return AttemptLostError(self.number, cause, failed)

    def end(self, state: TrialState, value: float | None, told: Mapping[str, Any]) -> bool:
        """Tell the study how the trial ended.

        Args:
            state: COMPLETE, PRUNED or FAIL.
            value: The Score; None unless it is complete.
            told: Further attributes.

        Returns:
            Whether it counted: not where somebody else has taken the trial over.
        """
        with self._held() as mine:
            if not mine:
                return False
            # Before the state: a trial that has ended takes no more attributes.
            for name, item in told.items():
                self.trial.set_user_attr(name, item)
            self.search.study.tell(self.number, value, state=state)
        return True


def retry_failed(search: Search) -> int:
    """Let every failed trial be done again: a trial with its parameters waits in its place.

    Returns:
        How many.

    Raises:
        StoreError: If the storage cannot be used.
    """
    with search.place.lock(search.name), search.place.translated():
        trials = search.trials
        done = tried_again(trials)
        failed = [trial for trial in trials if trial.state is TrialState.FAIL and trial.number not in done]
        for trial in failed:
            search.study.enqueue_trial(dict(trial.params), user_attrs={RETRY_OF: trial.number})
    return len(failed)


def claim(search: Search, breaker: CircuitBreaker | None = None) -> Claim | None:
    """Take a trial: one whose worker died, one that waits, or a new one while some are missing.

    Args:
        search: The study.
        breaker: What stops a search whose trials all fail alike.

    Returns:
        The trial; None where there is nothing to do.

    Raises:
        RunError: If the breaker says so.
        StoreError: If the storage cannot be used.
    """
    with search.place.lock(search.name), search.place.translated():
        trials = search.trials
        if breaker is not None:
            breaker.check(search.name, trials)
        trial = _take_over(search, trials) or _ask(search, trials)
        return None if trial is None else Claim(search, trial)


def _take_over(search: Search, trials: Sequence[FrozenTrial]) -> Trial | None:
    for frozen in abandoned(trials):
        trial = Trial(_with_sampler(search, frozen.number), search.trial_id(frozen.number))
        with contextlib.suppress(UpdateFinishedTrialError):
            # Counted by the one that takes over, since the dead worker could not: a trial that kills every worker, by
            # its memory for instance, would go round for ever.
            if _count_loss(search, trial, frozen, KILLED) is None:
                logger.debug("trial %d is taken over from a worker that is gone", frozen.number)
                return trial
    return None


def _count_loss(search: Search, trial: Trial, frozen: FrozenTrial, cause: str) -> str | None:
    """Count a lost attempt with its trial; one that got further than those before begins the count anew.

    Returns:
        Why the trial has failed; None where it may be tried again.
    """
    told, done = frozen.user_attrs, _epochs_done(frozen)
    lost = 0 if done > int(told.get(LOST_AT, 0)) else int(told.get(LOST, 0)) + 1
    trial.set_user_attr(LOST, lost)
    trial.set_user_attr(LOST_AT, done)
    if lost < MOST_LOST:
        return None
    error = f"{lost} workers were lost at this trial without a further epoch; the last one: {cause}"
    trial.set_user_attr("error", error)
    search.study.tell(frozen.number, state=TrialState.FAIL)
    return error


def _epochs_done(frozen: FrozenTrial) -> int:
    """Epochs of a trial's runs, as far as they are known; those of the first are reported as Scores."""
    return max(int(frozen.user_attrs.get(EPOCHS, 0)), max(frozen.intermediate_values, default=0))


def _ask(search: Search, trials: Sequence[FrozenTrial]) -> Trial | None:
    waiting = any(trial.state is TrialState.WAITING for trial in trials)
    known = len(originals(trials))
    if not waiting and known >= search.target:
        return None
    study = _with_sampler(search, len(trials))
    # Optuna's own grid sampler draws a point at random among those that are left, and gives one twice where workers ask
    # at once; the points are handed out in their order instead.
    if search.request.sampler == "grid" and not waiting:
        study.enqueue_trial(grid_point(search.request.space, known))
    return study.ask()


def _with_sampler(search: Search, number: int) -> optuna.Study:
    # Seeded by the trial's number: what is drawn does not depend on which worker asks, or on how often one was started.
    search.study.sampler = sampler_for(search.request, number)
    return search.study
