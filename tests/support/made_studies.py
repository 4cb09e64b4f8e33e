"""Optuna studies made from given Scores, in the form that a search leaves them in."""

from __future__ import annotations

from statistics import fmean

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

SPACE = {
    "alpha": FloatDistribution(0.1, 10.0, log=True),
    "tau": FloatDistribution(0.01, 1.0, log=True),
    "beta": FloatDistribution(0.0, 4.0),
}


def empty_study(name="made", space=SPACE, /, **request):
    """A study without trials; ``request`` goes beside what every search asks for."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", study_name=name)
    asked = {"params": list(space), "objective": "held-out", "model": "ast", "method": "patchmix-cl"}
    study.set_user_attr("request", {**asked, **request})
    return study


def add_trial(study, params, scores=(), state=TrialState.COMPLETE, space=SPACE, **told):
    """Add a trial whose runs, one for each seed 1, 2, …, reached some Scores."""
    seeds = list(range(1, len(scores) + 1))
    attributes = {"scores": list(scores), "seeds": seeds, "folds": [0] * len(seeds), "seconds": 2.5, **told}
    finished = state is TrialState.COMPLETE
    study.add_trial(
        create_trial(
            state=state,
            params=params,
            distributions={name: space[name] for name in params},
            value=fmean(scores) if finished else None,
            user_attrs={
                "run_ids": [f"run{len(study.get_trials(deepcopy=False))}-{seed}" for seed in seeds],
                **attributes,
            },
        )
    )


def grid_study(name="figure2-tau", param="tau", scores=None, **request):
    """One list of values, a trial for each."""
    scores = scores or {0.02: [57.0, 58.0, 59.0], 0.06: [60.0, 61.0, 62.0], 0.2: [58.5, 58.5, 58.5]}
    space = {param: CategoricalDistribution(list(scores))}
    study = empty_study(name, space, **request)
    for value, reached in scores.items():
        add_trial(study, {param: value}, reached, space=space)
    return study


def searched_study(trials, name="searched", **request):
    """Trials over α, τ and β whose Score depends on α alone; every tenth is pruned, every fifteenth failed."""
    rng, study = optuna.samplers.RandomSampler(seed=3), empty_study(name, **request)
    for number in range(trials):
        params = {key: rng.sample_independent(study, None, key, SPACE[key]) for key in SPACE}
        state = TrialState.PRUNED if number % 10 == 9 else TrialState.FAIL if number % 15 == 14 else TrialState.COMPLETE
        told = {"error": "The loss is nan."} if state is TrialState.FAIL else {}
        score = 60.0 - 3 * abs(params["alpha"] - 1) + 0.01 * params["tau"]
        add_trial(study, params, [score - 0.5, score + 0.5], state, **told)
    return study
