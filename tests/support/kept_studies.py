"""Studies in a results folder as a search keeps them, made from given Scores without a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from made_studies import add_trial
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState


def keep_study(
    home: Path,
    name: str,
    scores: dict[float, Sequence[float]],
    *,
    param: str = "tau",
    objective: str = "held-out",
    storage: str | None = None,
) -> Any:
    """Keep a study of a list of values: a trial for each, which failed where it has no Scores.

    Args:
        home: The results folder.
        name: The study's name.
        scores: Scores of the runs of each value's trial.
        param: What was searched.
        objective: What the trials were judged on.
        storage: Where the study is kept; None for a file in the results folder.

    Returns:
        The study, as the search package has it.
    """
    from bench.search.request import StudyRequest
    from bench.search.space import Dimension
    from bench.search.storage import Place
    from bench.search.study import make_study

    fields = {"model": "ast", "method": "patchmix-cl", "pretrain": "none", "dataset": "demo", "partial": None}
    request = StudyRequest(
        identity={**fields, "epochs": 2},
        space=(Dimension(name=param, field=f"method.{param}", values=tuple(scores)),),
        objective=objective,
        folds=1,
        seeds=(1, 2),
        sampler="grid",
        pruner="none",
    )
    search = make_study(Place.of(storage, home, name), name, request, {}, len(scores))
    space = {param: CategoricalDistribution(list(scores))}
    for value, reached in scores.items():
        state = TrialState.COMPLETE if reached else TrialState.FAIL
        told = {} if reached else {"error": "The loss is nan."}
        add_trial(search.study, {param: value}, reached, state, space=space, **told)
    return search
