"""What is read out of studies: points, history, axes, pairs and importance, against values worked out by hand."""

from __future__ import annotations

import json
import math

import pytest
from made_studies import SPACE, add_trial, empty_study, grid_study, searched_study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from bench.core.errors import SpecError
from bench.search.figures.importance import LEAST_TRIALS, importance_of
from bench.search.figures.reading import figure_of
from bench.search.figures.words import counts_words, limits, notes, study_line
from leaderboard.published.figure2 import printed_figure2
from methods.patchmix.card import PatchMixCLOptions


def data_of(study):
    return figure_of([study]).studies[0]


def finished(study):
    return [trial for trial in study.get_trials() if trial.state is TrialState.COMPLETE]


# --- trials -----------------------------------------------------------------------------------------------------------


def test_a_point_is_the_mean_over_runs_with_their_sample_deviation():
    trials = data_of(grid_study()).finished
    assert [(trial.params["tau"], trial.score, trial.std) for trial in trials] == [
        (0.02, 58.0, 1.0),
        (0.06, 61.0, 1.0),
        (0.2, 58.5, 0.0),
    ]
    assert trials[1].seeds == (1, 2, 3)
    assert trials[1].run_ids == ("run1-1", "run1-2", "run1-3")


def test_one_run_has_no_deviation():
    study = grid_study(scores={0.02: [57.0], 0.06: [60.0]})
    assert [trial.std for trial in data_of(study).finished] == [None, None]
    assert not any("deviation" in note for note in notes(figure_of([study])))


def test_only_finished_trials_have_a_score():
    study = empty_study()
    params = {"alpha": 1.0, "tau": 0.06, "beta": 1.0}
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        add_trial(study, params, [50.0, 52.0], state)
    data = data_of(study)
    assert [trial.score for trial in data.trials] == [51.0, None, None, None]
    assert [trial.number for trial in data.finished] == [trial.number for trial in data.points("tau")] == [0]
    assert data.counts == {"COMPLETE": 1, "PRUNED": 1, "FAIL": 1, "RUNNING": 1}
    assert counts_words(data) == "trials: 1 finished, 1 pruned, 1 failed, 1 running"


def test_the_history_keeps_the_best_so_far():
    study = empty_study()
    for score in (50.0, 48.0, 52.0, 51.0):
        add_trial(study, {"alpha": 1.0, "tau": 0.06, "beta": 1.0}, [score])
    data = data_of(study)
    assert [(step.number, step.score, step.best) for step in data.history] == [
        (0, 50.0, 50.0),
        (1, 48.0, 50.0),
        (2, 52.0, 52.0),
        (3, 51.0, 52.0),
    ]
    assert data.best.number == 2


def test_the_best_is_the_first_of_equals():
    assert data_of(grid_study(scores={0.02: [50.0], 0.06: [51.0], 0.2: [51.0]})).best.number == 1


def test_an_empty_study_is_no_error():
    data = data_of(empty_study())
    assert (data.finished, data.best, data.history, data.varying) == ([], None, [], [])
    assert limits(data) == ["No finished trial yet: nothing is drawn."]


# --- axes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "log", "values", "words"),
    [
        (FloatDistribution(0.01, 1.0, log=True), True, (), False),
        (FloatDistribution(0.01, 1.0), False, (), False),
        (IntDistribution(1, 64, log=True), True, (), False),
        (CategoricalDistribution([0.2, 0.02, 0.06]), True, (0.02, 0.06, 0.2), False),
        (CategoricalDistribution([8, 16]), False, (8.0, 16.0), False),
        (CategoricalDistribution([0, 128]), False, (0.0, 128.0), False),
        (CategoricalDistribution(["stop-z", "z"]), False, ("stop-z", "z"), True),
        (CategoricalDistribution([True, False]), False, (True, False), True),
    ],
)
def test_an_axis_is_that_of_the_space(distribution, log, values, words):
    study = empty_study("made", {"x": distribution})
    value = distribution.choices[0] if values else distribution.low
    add_trial(study, {"x": value}, [50.0], space={"x": distribution})
    axis = data_of(study).parameters["x"]
    assert (axis.log, axis.values, axis.words) == (log, values, words)


def test_places_are_those_on_the_axis():
    axes = data_of(searched_study(1)).parameters
    assert axes["tau"].place(0.1) == pytest.approx(0.5)
    assert axes["beta"].place(1.0) == pytest.approx(0.25)
    assert axes["tau"].chosen_place == pytest.approx(math.log(6) / math.log(100))


def test_parameters_stand_as_they_were_asked_for():
    assert list(data_of(searched_study(2, params=["tau", "beta", "alpha"])).parameters) == ["tau", "beta", "alpha"]


def test_a_choice_outside_the_space_has_no_place_on_it():
    space = {"tau": FloatDistribution(0.1, 1.0)}
    study = empty_study("made", space)
    add_trial(study, {"tau": 0.5}, [50.0], space=space)
    axis = data_of(study).parameters["tau"]
    assert (axis.chosen, axis.chosen_place) == (0.06, None)


def test_an_axis_of_several_studies_reaches_over_all_their_spaces():
    figure = figure_of([grid_study(), searched_study(3), grid_study("figure2-alpha", "alpha")])
    axis = figure.parameters["tau"]
    assert (axis.low, axis.high, axis.log, axis.values, axis.chosen) == (0.01, 1.0, True, (), 0.06)
    assert list(figure.parameters) == ["tau", "alpha", "beta"]


def test_words_and_numbers_share_no_axis():
    words = grid_study("a", "x", {"z": [50.0], "hz": [51.0]})
    with pytest.raises(SpecError, match="x is a number in one of the studies and a word in another"):
        figure_of([words, grid_study("b", "x", {1.0: [50.0]})])


# --- the paper --------------------------------------------------------------------------------------------------------


def test_the_papers_choices_are_the_defaults_of_its_method():
    chosen = {name: parameter.chosen for name, parameter in printed_figure2().parameters.items()}
    assert chosen == {"alpha": 1.0, "tau": 0.06, "beta": 1.0}
    defaults = PatchMixCLOptions()
    assert all(getattr(defaults, name) == value for name, value in chosen.items())


@pytest.mark.parametrize("request_", [{"method": "scl"}, {"space": {"tau": {"field": "model.tau"}}}])
def test_the_papers_choices_say_nothing_of_another_method_or_option(request_):
    axis = data_of(grid_study(**request_)).parameters["tau"]
    assert (axis.chosen, axis.symbol) == (None, "tau")


def test_a_parameter_may_be_asked_for_by_its_full_name():
    study = grid_study(param="method.tau", space={"method.tau": {"field": "method.tau"}})
    axis = data_of(study).parameters["method.tau"]
    assert (axis.chosen, axis.title) == (0.06, "τ (method.tau)")


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_pairs_are_those_of_parameters_that_vary():
    study = empty_study()
    for alpha in (0.5, 1.0, 2.0):
        add_trial(study, {"alpha": alpha, "tau": 0.06, "beta": alpha}, [50.0 + alpha])
    data = data_of(study)
    assert data.varying == ["alpha", "beta"]
    assert data.pairs == [("alpha", "beta")]
    assert not data.has_one_trial_a_value


def test_pairs_of_the_largest_importance_come_first():
    data = data_of(searched_study(60))
    assert len(data.pairs) == 3
    assert next(iter(data.importance.shares)) == "alpha"
    assert all("alpha" in pair for pair in data.pairs[:2])


def test_a_line_joins_the_values_of_a_single_parameter_only_where_each_has_one_trial():
    study = grid_study()
    assert data_of(study).has_one_trial_a_value
    add_trial(study, {"tau": 0.06}, [55.0], space={"tau": CategoricalDistribution([0.02, 0.06, 0.2])})
    assert not data_of(study).has_one_trial_a_value


# --- importance -------------------------------------------------------------------------------------------------------


def test_the_parameter_that_matters_has_the_largest_share_by_more_than_its_deviation():
    found = importance_of(finished(searched_study(60)))
    assert next(iter(found.shares)) == "alpha"
    assert sum(share for share, _ in found.shares.values()) == pytest.approx(1.0)
    alpha, others = found.shares["alpha"], [found.shares["tau"], found.shares["beta"]]
    assert all(alpha[0] - alpha[1] > share for share, _ in others)
    assert all(std > 0 for _, std in found.shares.values())
    assert (found.best, found.trials) == (6, 52)


def test_the_importance_is_the_same_every_time():
    trials = finished(searched_study(20))
    assert importance_of(trials) == importance_of(trials)


def test_the_deviation_shrinks_with_more_trials():
    few, many = (importance_of(finished(searched_study(trials))).shares["alpha"][1] for trials in (20, 300))
    assert many < few


@pytest.mark.parametrize("trials", [0, 1, LEAST_TRIALS - 1])
def test_too_few_trials_have_no_importance_and_it_says_so(trials):
    found = importance_of(finished(searched_study(30))[:trials])
    assert found.shares == {}
    assert found.none_because == f"No importance: {trials} finished trials are too few; it needs 10."


def test_equal_scores_have_no_importance():
    study = empty_study()
    for number in range(12):
        add_trial(study, {"alpha": 0.1 + number / 10, "tau": 0.01 + number / 100, "beta": 1.0}, [50.0])
    assert importance_of(finished(study)).none_because == "No importance: all finished trials have the same Score."


def test_a_single_parameter_has_no_importance():
    study = grid_study(scores={0.01 * value: [50.0 + value] for value in range(1, 13)})
    assert importance_of(finished(study)).none_because == "No importance: fewer than two parameters vary."


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "objective: Score on held-out training patients"),
        ({"objective": "test"}, "TUNED ON THE TEST SET"),
        ({"dataset": "demo"}, "SIMULATED DATA"),
        ({"partial": "part of ICBHI 2017 (20 of 920 recordings)"}, "part of ICBHI 2017 (20 of 920 recordings)"),
    ],
)
def test_a_study_says_what_its_scores_are(request_, said):
    assert said in study_line(data_of(grid_study(**request_)))


def test_the_document_holds_every_trial():
    document = json.loads(json.dumps(figure_of([searched_study(15)]).to_json(), allow_nan=False))
    study = document["studies"][0]
    assert [trial["number"] for trial in study["trials"]] == list(range(15))
    assert (study["objective"], study["tuned_on_test"]) == ("held-out", False)
    assert study["trials"][14]["error"] == "The loss is nan."
    assert study["trials"][0]["params"].keys() == SPACE.keys()
    assert set(study["importance"]["shares"]["alpha"]) == {"share", "std"}
    assert {axis["name"]: axis["chosen"] for axis in document["parameters"]} == {"alpha": 1.0, "tau": 0.06, "beta": 1.0}
