"""What happens in a study, seen from outside: trials that begin and end, by whichever worker on whichever machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from bench.search.claims import WORKER, abandoned
from bench.search.study import Search
from bench.search.trials import originals

_Mark = tuple[TrialState, str | None]


class StudyWatch:
    """Tells which trials have changed since the last look; what was there before the first one is no news.

    Args:
        search: The study.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._known = {trial.number: _mark(trial) for trial in search.trials}

    def changed(self) -> list[FrozenTrial]:
        """Trials that were begun, taken over, given back or ended since, in the order of their numbers.

        Raises:
            StoreError: If the storage cannot be used.
        """
        found = []
        for trial in self._search.trials:
            mark = _mark(trial)
            # One that has no owner yet is about to get one.
            if mark != self._known.get(trial.number) and mark != (TrialState.RUNNING, None):
                self._known[trial.number] = mark
                found.append(trial)
        return found


def _mark(trial: FrozenTrial) -> _Mark:
    owner = trial.user_attrs.get(WORKER, {})
    return trial.state, owner.get("token") if trial.state is TrialState.RUNNING else None


def claimable(search: Search) -> int:
    """How many trials a worker could take now: those that wait, are abandoned, or are missing.

    Raises:
        StoreError: If the storage cannot be used.
    """
    trials = search.trials
    waiting = sum(trial.state is TrialState.WAITING for trial in trials)
    return waiting + len(abandoned(trials)) + max(0, search.target - len(originals(trials)))


def running(search: Search) -> int:
    """How many trials are in somebody's hands, also where that somebody may be dead."""
    return sum(trial.state is TrialState.RUNNING for trial in search.trials)


def trial_line(trial: FrozenTrial) -> str:
    """What has become of a trial, in one line."""
    told = trial.user_attrs
    match trial.state:
        case TrialState.RUNNING:
            machine = str(told.get(WORKER, {}).get("machine", "")).partition(" ")[0]
            return f"trial {trial.number} ({machine}): {params_text(trial.params)}"
        case TrialState.WAITING:
            return f"trial {trial.number} was given back, and waits for a worker"
        case TrialState.COMPLETE:
            return f"trial {trial.number}: Score {trial.value:.2f}"
        case TrialState.PRUNED:
            return f"trial {trial.number}: pruned: {told.get('pruned')}"
        case TrialState.FAIL:
            return f"trial {trial.number}: failed: {told.get('error')}"


def params_text(params: Mapping[str, Any]) -> str:
    """The parameters of a trial, in one line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
