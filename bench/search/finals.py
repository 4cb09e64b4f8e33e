"""The end of a search: the best parameters are trained again on the whole training part, and the test set is looked at.

The runs carry the study and its budget, also where they were finished before. Whether the test set was looked at for
other parameters too, because the study was extended and found better ones, is counted.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from bench.core.cards import Card
from bench.core.errors import BenchError, InterruptedRunError
from bench.core.paths import board_location
from bench.experiment.spec import RunSpec
from bench.launch.isolated import Interruption, run_isolated
from bench.search.request import base_spec
from bench.search.space import apply_params
from bench.search.study import FINALS, Search, budget
from bench.search.trials import originals
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Final:
    """A final run: its spec and, where it failed, why."""

    spec: RunSpec
    error: BenchError | None = None


def is_over(search: Search) -> bool:
    """Whether every trial has ended, here and on other machines."""
    trials = search.trials
    return len(originals(trials)) >= search.target and all(trial.state.is_finished() for trial in trials)


def final_specs(
    search: Search, best: FrozenTrial, execution: Mapping[str, Any], cards: Mapping[str, Card], seeds: Sequence[int]
) -> list[RunSpec]:
    """The final runs: the official split, the best trial's parameters, one for each seed.

    Args:
        search: The study.
        best: Its best trial.
        execution: Execution fields of the runs.
        cards: Cards of model and method.
        seeds: One run each.
    """
    spec = apply_params(base_spec(search.request, execution), best.params, search.request.space, cards)
    about = {"name": search.name, "objective": search.request.objective, "role": "final", "trial": best.number}
    study = {**about, "sampler": search.request.sampler, "pruner": search.request.pruner, **_cost(search)}
    return [dataclasses.replace(spec, seed=seed, study=study) for seed in seeds]


def _cost(search: Search) -> dict[str, Any]:
    spent = budget(search)
    names = ("trials", "complete", "pruned", "fail", "gpu_hours", "cpu_hours", "space", "test_evaluations")
    runs = {"folds": search.request.folds, "seeds_per_trial": len(search.request.seeds)}
    return {**{name: spent[name] for name in names}, **runs}


def train_best(
    search: Search,
    home: Path,
    execution: Mapping[str, Any],
    cards: Mapping[str, Card],
    seeds: Sequence[int],
) -> list[Final]:
    """Train the best trial's parameters on the whole training part, once for each seed.

    Args:
        search: A study that is over, with a complete trial.
        home: The results folder.
        execution: Execution fields of the runs.
        cards: Cards of model and method.
        seeds: One run each.

    Returns:
        The runs, with the error of each that failed.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped it; the run under way has saved its state.
    """
    best = search.best
    assert best is not None
    _remember(search, best)
    done = []
    with Interruption().watched() as interruption:
        for spec in final_specs(search, best, execution, cards, seeds):
            if interruption.wanted:
                raise InterruptedRunError("Stopped between two final runs.")
            logger.info(f"final run {spec.run_id}: trial {best.number}, seed {spec.seed}, the whole training part")
            done.append(_train(spec, home, interruption))
    return done


def _remember(search: Search, best: FrozenTrial) -> None:
    """Count the trials whose parameters the test set was looked at for."""
    if best.number not in search.finals:
        with search.place.translated():
            search.study.set_user_attr(FINALS, [*search.finals, best.number])


def _train(spec: RunSpec, home: Path, interruption: Interruption) -> Final:
    try:
        run_isolated(spec, home, rerun=False, interruption=interruption)
        _mark(spec, home)
    except InterruptedRunError:
        raise
    except BenchError as error:
        logger.warning(f"final run {spec.run_id} failed: {error.message} {error.hint or ''}".rstrip())
        return Final(spec, error)
    return Final(spec)


def _mark(spec: RunSpec, home: Path) -> None:
    """Make a run that was finished before say which study it is the end of, and what that cost."""
    folder = RunFolder.of_run(home, spec.run_id)
    document = folder.read_document()
    if document.get("study") == spec.study:
        return
    document["study"] = dict(spec.study)
    document.pop("kind", None)
    Store.open(board_location(home)).import_result(folder.write(document))
