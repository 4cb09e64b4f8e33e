"""A study as plain values: what it has cost, a row of it, and the documents that commands print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from bench.search.study import Search
from bench.search.trials import RETRY_OF, tried_again


def counted(trials: Sequence[FrozenTrial]) -> int:
    """How many trials have ended; one that failed and is done again counts once, when the other one has ended."""
    return sum(trial.state.is_finished() for trial in trials) - len(tried_again(trials))


def budget(search: Search) -> dict[str, Any]:
    """What a study has cost: trials by state, hours of runs, and the space that it looked through."""
    trials = search.trials
    seconds = {"cuda": 0.0, "cpu": 0.0}
    for trial in trials:
        told = trial.user_attrs
        seconds[told.get("device", "cpu")] += told.get("seconds", 0.0) * told.get("processes", 1)
    return {
        "trials": sum(trial.state.is_finished() for trial in trials),
        "tried_again": len(tried_again(trials)),
        **{state.name.lower(): sum(trial.state is state for trial in trials) for state in TrialState},
        "gpu_hours": seconds["cuda"] / 3600,
        "cpu_hours": seconds["cpu"] / 3600,
        "space": {dimension.name: str(dimension) for dimension in search.request.space},
        "test_evaluations": _test_evaluations(search, trials),
    }


def _test_evaluations(search: Search, trials: Sequence[FrozenTrial]) -> int:
    """For how many trials' parameters the test set was looked at."""
    seen = set(search.finals)
    if search.request.objective == "test":
        seen |= {trial.number for trial in trials if trial.user_attrs.get("run_ids")}
    return len(seen)


def summary(search: Search) -> dict[str, Any]:
    """A study in one row."""
    trials, best = search.trials, search.best
    return {
        "study": search.name,
        "model": search.request.model,
        "method": search.request.method,
        "params": [dimension.name for dimension in search.request.space],
        "objective": search.request.objective,
        "trials": counted(trials),
        "target": search.target,
        "counts": {state.name.lower(): sum(trial.state is state for trial in trials) for state in TrialState},
        "best": None if best is None else best.value,
        "storage": str(search.place),
    }


def describe_trial(trial: FrozenTrial) -> dict[str, Any]:
    """A trial as plain data; ``run_id`` is its first run."""
    told = trial.user_attrs
    run_ids = list(told.get("run_ids", ()))
    return {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "params": dict(trial.params),
        "run_id": run_ids[0] if run_ids else None,
        "run_ids": run_ids,
        **{name: list(told.get(name, ())) for name in ("scores", "seeds", "folds")},
        "seconds": told.get("seconds"),
        "error": told.get("error"),
        "pruned": told.get("pruned"),
        "retry_of": told.get(RETRY_OF),
        "epochs": {str(step): value for step, value in sorted(trial.intermediate_values.items())},
    }


def describe(search: Search) -> dict[str, Any]:
    """A study as one document."""
    best = search.best
    return {
        "study": search.name,
        "objective": search.request.objective,
        "tuned_on_test": search.request.objective == "test",
        "target": search.target,
        "storage": str(search.place),
        "request": search.request.to_json(),
        "budget": budget(search),
        "best": None if best is None else describe_trial(best),
        "final": search.finals,
        "trials": [describe_trial(trial) for trial in search.trials],
    }
