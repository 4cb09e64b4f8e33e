"""Samplers and pruners that a request names: which one it is, its seed, and what it is built for."""

import itertools

import optuna
import pytest
from made_studies import SPACE
from optuna.trial import TrialState, create_trial
from small_studies import base_spec, request_of

from bench.core.errors import SpecError
from bench.search import optuna_parts
from bench.search.optuna_parts import check_installed, pruner_for, sampler_for


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


def first_asked(request, number):
    """The parameters that a study without trials would be given for a trial of that number."""
    study = optuna.create_study(sampler=sampler_for(request, number))
    trial = study.ask()
    return tuple(dimension.suggest(trial) for dimension in request.space)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tpe", optuna.samplers.TPESampler),
        ("gp", optuna.samplers.GPSampler),
        ("cmaes", optuna.samplers.CmaEsSampler),
        ("random", optuna.samplers.RandomSampler),
        ("grid", optuna.samplers.RandomSampler),
    ],
)
def test_a_sampler_is_the_one_that_is_named(base, name, kind):
    assert type(sampler_for(request_of(base, sampler=name), 0)) is kind


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_a_trial_is_given_the_same_parameters_whenever_it_is_asked_for(base, sampler):
    request = request_of(base, sampler=sampler)
    asked = [first_asked(request, number) for number in (0, 1, 2, 11)]
    # In another order too: no trial has an influence on the seed of another one.
    assert [first_asked(request, number) for number in (11, 2, 1, 0)] == asked[::-1]
    assert len(set(asked)) == 4


def test_studies_of_other_seeds_ask_for_other_parameters(base):
    requests = [request_of(base, sampler="random", sampler_seed=seed) for seed in range(1, 6)]
    asked = [first_asked(request, number) for request in requests for number in range(5)]
    assert len(set(asked)) == 25


def test_the_seed_of_a_study_and_the_number_of_a_trial_are_not_run_together(base):
    # 1 and 23 is not 12 and 3.
    pairs = itertools.product((1, 12), (3, 23))
    asked = [first_asked(request_of(base, sampler="random", sampler_seed=seed), number) for seed, number in pairs]
    assert len(set(asked)) == 4


# --- packages that are missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "package"),
    [({"sampler": "gp"}, "scipy"), ({"sampler": "cmaes"}, "cmaes"), ({"pruner": "wilcoxon", "folds": 2}, "scipy")],
)
def test_a_missing_package_is_named_with_the_part_that_needs_it(base, monkeypatch, change, package):
    request = request_of(base, **change)
    part = change.get("sampler") or change["pruner"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else name)
    with pytest.raises(SpecError, match=f"'{part}' needs the package {package}, which is not installed") as caught:
        check_installed(request)
    assert optuna_parts.EXTRA in caught.value.hint


@pytest.mark.parametrize("change", [{}, {"sampler": "grid"}, {"sampler": "random", "pruner": "hyperband"}])
def test_what_optuna_brings_along_needs_no_package(base, monkeypatch, change):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_installed(request_of(base, **change))


# --- pruners ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", optuna.pruners.NopPruner),
        ("median", optuna.pruners.MedianPruner),
        ("hyperband", optuna.pruners.HyperbandPruner),
        ("wilcoxon", optuna.pruners.WilcoxonPruner),
    ],
)
def test_a_pruner_is_the_one_that_is_named(base, name, kind):
    assert type(pruner_for(request_of(base, pruner=name, seeds=[1, 2]))) is kind


def reported(study, scores, state=TrialState.COMPLETE):
    """Add a trial whose epochs, from 1 on, reached some Scores."""
    params = dict.fromkeys(SPACE, 1.0)
    study.add_trial(
        create_trial(
            state=state,
            params=params,
            distributions=SPACE,
            value=scores[-1] if state is TrialState.COMPLETE else None,
            intermediate_values=dict(enumerate(scores, 1)),
        )
    )


@pytest.mark.parametrize(
    ("others", "epochs", "score", "pruned"),
    [
        (4, 40, 10.0, False),  # too few to compare with
        (5, 40, 10.0, True),
        (5, 40, 90.0, False),
        (5, 3, 10.0, False),  # within the first tenth of the epochs
        (5, 4, 10.0, True),
    ],
)
def test_the_median_pruner_waits_for_five_trials_and_a_tenth_of_the_epochs(
    small_data, small_cache, others, epochs, score, pruned
):
    request = request_of(base_spec(small_data, small_cache, epochs=40), pruner="median")
    study = optuna.create_study(direction="maximize", pruner=pruner_for(request))
    for other in range(others):
        reported(study, [50.0 + other] * 40)
    trial = study.ask()
    for epoch in range(1, epochs + 1):
        trial.report(score, epoch)
    assert trial.should_prune() == pruned


def test_hyperband_knows_the_longest_run_of_a_study_that_searches_its_epochs(base, monkeypatch):
    monkeypatch.setattr(optuna.pruners, "HyperbandPruner", lambda **words: words["max_resource"])
    spaces = (("epochs=2..9",), ("epochs=3,81,5",))
    assert [pruner_for(request_of(base, "epochs", space, pruner="hyperband")) for space in spaces] == [9, 81]
    assert pruner_for(request_of(base, pruner="hyperband")) == base.schedule.epochs
