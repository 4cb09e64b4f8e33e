"""The end of a search: the best parameters are trained again on the whole training part, and the test set is looked at.

The runs carry the study and its budget, also where they were finished before. Whether the test set was looked at for
other parameters too, because the study was extended and found better ones, is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from bench.core.cards import Card
from bench.core.errors import BenchError, InterruptedRunError
from bench.experiment.spec import RunSpec
from bench.launch.board import results_board, store_result
from bench.launch.child import Children
from bench.launch.isolated import run_isolated
from bench.search.request import base_spec
from bench.search.space import apply_params
from bench.search.study import FINALS, Search
from bench.search.study_values import budget
from bench.search.trials import originals
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.database import DamagedBoardError, SpoiltBoardError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinalRun:
    """A final run of a study.

    Attributes:
        spec: The spec of the run.
        error: The error that the run failed with; None where it finished.
    """

    spec: RunSpec
    error: BenchError | None = None


def is_over(search: Search) -> bool:
    """Whether every trial of a study has ended, here and on other machines."""
    trials = search.trials
    return len(originals(trials)) >= search.target and all(trial.state.is_finished() for trial in trials)


def final_specs(
    search: Search, best: FrozenTrial, execution: Mapping[str, Any], cards: Mapping[str, Card], seeds: Sequence[int]
) -> list[RunSpec]:
    """Make the specs of the final runs: the official split, the best trial's parameters, one run for each seed.

    Args:
        search: The study.
        best: The best trial of the study.
        execution: Execution fields of the runs.
        cards: Cards of model and method.
        seeds: Seeds of the runs.
    """
    spec = apply_params(base_spec(search.request, execution), best.params, search.request.space, cards)
    about = {"name": search.name, "objective": search.request.objective, "role": "final", "trial": best.number}
    study = {**about, "sampler": search.request.sampler, "pruner": search.request.pruner, **_search_cost(search)}
    return [spec.changed(seed=seed, study=study) for seed in seeds]


def _search_cost(search: Search) -> dict[str, Any]:
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
) -> list[FinalRun]:
    """Train the best trial's parameters on the whole training part, once for each seed.

    Args:
        search: A study that is over, with a complete trial.
        home: The results folder.
        execution: Execution fields of the runs.
        cards: Cards of model and method.
        seeds: Seeds of the runs.

    Returns:
        The final runs, with the error of each that failed.

    Raises:
        InterruptedRunError: If Ctrl-C, SIGTERM or SIGHUP stopped the training; the run under way has saved its state.
        StoreError: If a run finds the board damaged.
    """
    specs = begun_finals(search, execution, cards, seeds)
    done = []
    with Children() as children:
        for spec in specs:
            if children.asked:
                raise InterruptedRunError("Stopped between two final runs.")
            logger.info(said_of(spec))
            done.append(_train_once(spec, home, children))
    return done


def begun_finals(
    search: Search, execution: Mapping[str, Any], cards: Mapping[str, Card], seeds: Sequence[int]
) -> list[RunSpec]:
    """The specs of the final runs of a study's best trial; that the test set is looked at for it is counted.

    Args:
        search: A study that is over, with a complete trial.
        execution: Execution fields of the runs.
        cards: Cards of model and method.
        seeds: Seeds of the runs.
    """
    best = search.best
    assert best is not None
    _count_test_evaluation(search, best)
    return final_specs(search, best, execution, cards, seeds)


def said_of(spec: RunSpec) -> str:
    """A final run in one line."""
    return f"final run {spec.run_id}: trial {spec.study['trial']}, seed {spec.seed}, the whole training part"


def _count_test_evaluation(search: Search, best: FrozenTrial) -> None:
    """Store that the test set is looked at for a trial's parameters.

    It is stored before the final runs: a look that ends in an error is a look all the same.
    """
    if best.number not in search.finals:
        with search.place.translated():
            search.study.set_user_attr(FINALS, [*search.finals, best.number])


def _train_once(spec: RunSpec, home: Path, children: Children) -> FinalRun:
    try:
        run_isolated(spec, home, rerun=False, children=children)
        bring_with_study(spec, home)
    except (InterruptedRunError, DamagedBoardError, SpoiltBoardError):
        # Such a board would take no other run's result either.
        raise
    except BenchError as error:
        logger.warning(f"final run {spec.run_id} failed: {error.message} {error.hint or ''}".rstrip())
        return FinalRun(spec, error)
    return FinalRun(spec)


def bring_with_study(spec: RunSpec, home: Path) -> None:
    """Bring the result of a final run to the board, and in it which study it is the end of, and what that cost.

    The study is no part of a run's identity: the same run may have been made by hand, or by an earlier search.

    Args:
        spec: The spec of the run, which is finished.
        home: The results folder.

    Raises:
        ResultError: If its result cannot be read.
        StoreError: If its result, or the board, cannot be written.
    """
    folder = RunFolder.of_run(home, spec.run_id)
    document = folder.read_document()
    if document.get("study") == spec.study:
        result = folder.read()
    else:
        document["study"] = dict(spec.study)
        document.pop("kind", None)
        result = folder.write(document)
    store_result(results_board(home), result)
