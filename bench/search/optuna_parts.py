"""Optuna's samplers and pruners as a request names them.

A sampler is made anew for every trial, seeded by the study's seed and the trial's number: a study that is resumed, or
shared, asks for the same parameters as one that was never stopped, as long as the trials before it are the same.
"""

from __future__ import annotations

import importlib.util
import warnings
import zlib

import optuna
from optuna.samplers import BaseSampler

from bench.core.errors import SpecError
from bench.search.request import StudyRequest

EXTRA = "pip install 'lungbench[search]'"
NEEDED = {"gp": "scipy", "cmaes": "cmaes", "wilcoxon": "scipy"}
"""Packages of samplers and pruners that Optuna does not bring along."""

STARTUP = 10
"""Random trials before TPE and GP begin to learn."""


def check_installed(request: StudyRequest) -> None:
    """Refuse a sampler or pruner whose package is missing; raises SpecError with the command that installs it."""
    for part in (request.sampler, request.pruner):
        package = NEEDED.get(part)
        if package is not None and importlib.util.find_spec(package) is None:
            raise SpecError(f"'{part}' needs the package {package}, which is not installed.", f"Install it: {EXTRA}")


def sampler_for(request: StudyRequest, number: int) -> BaseSampler:
    """The sampler of a trial.

    Args:
        request: The study's request.
        number: The trial's number.
    """
    seed = zlib.crc32(f"{request.sampler_seed}:{number}".encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if request.sampler == "tpe":
            # The constant liar keeps parallel workers from asking for the same; alone it changes nothing.
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True
            )
        if request.sampler == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP, deterministic_objective=False)
        if request.sampler == "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed)
    # A grid's points are set, not sampled.
    return optuna.samplers.RandomSampler(seed=seed)


def pruner_for(request: StudyRequest) -> optuna.pruners.BasePruner:
    """The pruner of a study: median and Hyperband look at epochs of a trial's first run, Wilcoxon at its runs."""
    epochs = request.most_epochs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if request.pruner == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 10)
        if request.pruner == "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
        if request.pruner == "wilcoxon":
            return optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=2)
    return optuna.pruners.NopPruner()
