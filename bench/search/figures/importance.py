"""How much each searched parameter matters, and how sure that is.

PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255; Optuna's evaluator) asks where the best trials lie
compared with all of them. From a few dozen trials its answer is noisy, so that it stands here with the deviation over
bootstrap resamples of the trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

LEAST_TRIALS = 10
"""Finished trials from which an importance is given."""
LEAST_BEST = 5
"""Trials that should count as the best, by the advice in Optuna's documentation of the evaluator."""
RESAMPLES = 20
SEED = 0


@dataclass(frozen=True)
class Importance:
    """How much each parameter matters, as shares that sum to 1.

    Attributes:
        shares: By parameter, its share and the standard deviation of that over the resamples; the largest first.
        best: How many of the trials count as the best.
        trials: Number of the finished trials.
        none_because: Why there are no shares, one sentence; None where there are.
    """

    shares: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    best: int = 0
    trials: int = 0
    none_because: str | None = None


class _ResampledStudy(optuna.Study):
    """Trials in the form that Optuna's evaluators read; a resample may hold the same trial twice."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        storage = optuna.storages.InMemoryStorage()
        storage.create_new_study([StudyDirection.MAXIMIZE], "sample")
        super().__init__("sample", storage)
        self._sample = list(trials)

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:
        """Give all trials of the sample, whatever is asked for: they are finished, and nobody changes them."""
        return self._sample


def importance_of(trials: Sequence[FrozenTrial], resamples: int = RESAMPLES) -> Importance:
    """Compute the importance of each parameter that varies.

    Args:
        trials: Finished trials, of which those with the higher Scores are the better ones.
        resamples: Bootstrap resamples of the trials for the deviation.
    """
    names = _varying(trials)
    scores = {trial.value for trial in trials}
    if len(trials) < LEAST_TRIALS:
        return _no_importance(f"{len(trials)} finished trials are too few; it needs {LEAST_TRIALS}")
    if len(names) < 2:
        return _no_importance("fewer than two parameters vary")
    if len(scores) < 2:
        return _no_importance("all finished trials have the same Score")
    best = max(LEAST_BEST, -(-len(trials) // 10))
    shares = _shares(trials, names, best)
    rng = np.random.default_rng(SEED)
    drawn = [rng.integers(len(trials), size=len(trials)) for _ in range(resamples)]
    again = [_shares([trials[index] for index in sample], names, best) for sample in drawn]
    spread = {name: float(np.std([one[name] for one in again], ddof=1)) for name in names}
    ordered = sorted(names, key=lambda name: -shares[name])
    return Importance({name: (shares[name], spread[name]) for name in ordered}, best, len(trials))


def _no_importance(reason: str) -> Importance:
    return Importance(none_because=f"No importance: {reason}.")


def _varying(trials: Sequence[FrozenTrial]) -> list[str]:
    """Parameters that every trial has, in at least two values."""
    shared = [name for name in (trials[0].params if trials else ()) if all(name in trial.params for trial in trials)]
    return [name for name in shared if len({trial.params[name] for trial in trials}) > 1]


def _shares(trials: Sequence[FrozenTrial], names: list[str], best: int) -> dict[str, float]:
    evaluator = PedAnovaImportanceEvaluator(target_quantile=best / len(trials))
    with warnings.catch_warnings():
        # A resample may hold equal Scores only: Optuna says so, and gives equal shares, which belong to the spread.
        warnings.simplefilter("ignore")
        return get_param_importances(_ResampledStudy(trials), evaluator=evaluator, params=names)
