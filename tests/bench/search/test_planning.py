"""From what is asked for to a search that can begin: names, seeds, defaults, and nothing made before it begins."""

import dataclasses
import json

import pytest
from small_studies import asked, base_spec, request_of, study_of

from bench.core.errors import DataError, SpecError
from bench.experiment.recipes import choose_source, resolve
from bench.search.planning import (
    NO_FINALS,
    SearchOptions,
    cards_of_request,
    checked_give_up_after,
    default_name,
    final_seeds_of,
    plan_figure2,
    plan_search,
)
from bench.search.request import base_spec as spec_of_request
from bench.search.request import trial_specs
from bench.search.storage import check_name
from bench.search.study import Settings
from leaderboard.published.figure2 import printed_figure2


@pytest.fixture(scope="module")
def wanted(small_data, small_cache):
    return asked(small_data, small_cache)


@pytest.fixture
def plan(wanted, tmp_path):
    """Plans a search; ``where`` says what its runs are and where it is kept, the rest are its options."""

    def planned(where=None, /, **options):
        place = {"home": tmp_path / "results", "storage": None, "workers": 1, "choose": choose_source}
        request = wanted
        for name, value in (where or {}).items():
            if name in place:
                place[name] = value
            else:
                request = dataclasses.replace(request, **{name: value})
        found = SearchOptions(**{"params": ("alpha",), "trials": 5, **options})
        choose = place.pop("choose")
        return plan_search(request, found, choose, **place)

    return planned


# --- a search ---------------------------------------------------------------------------------------------------


def test_a_plan_has_what_was_asked_for_and_defaults_for_the_rest(plan, tmp_path):
    found = plan()
    request, session = found.request, found.session
    assert (found.target, session.name, session.workers) == (5, "ast-patchmix-cl-alpha", 1)
    assert (request.objective, request.folds, request.seeds) == ("held-out", 1, (1,))
    assert (request.sampler, request.pruner, request.sampler_seed) == ("tpe", "median", 1)
    assert session.settings == Settings((1, 2, 3, 4, 5), 5)
    assert session.place.journal == tmp_path / "results" / "studies" / "ast-patchmix-cl-alpha.journal"


def test_a_plan_is_printed_as_one_document(plan, tmp_path):
    found = plan(study="mine")
    document = found.to_json()
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "study": "mine",
        "trials": 5,
        "storage": f"{tmp_path}/results/studies/mine.journal",
        "request": found.request.to_json(),
    }


def test_options_reach_the_request_and_the_session(plan):
    found = plan(
        params=("alpha, tau", "lr"),
        space=("alpha=1..2",),
        sampler="random",
        pruner="wilcoxon",
        seeds_per_trial=3,
        folds=2,
        sampler_seed=9,
        final_seeds="4,7-8",
        give_up_after=0,
    )
    request = found.request
    assert [dimension.name for dimension in request.space] == ["alpha", "tau", "lr"]
    assert (request.space[0].low, request.space[0].high) == (1.0, 2.0)
    assert (request.seeds, request.folds, request.sampler_seed) == ((1, 2, 3), 2, 9)
    assert (request.sampler, request.pruner) == ("random", "wilcoxon")
    assert found.session.settings == Settings((4, 7, 8), 0)


def test_the_base_of_a_plan_is_the_spec_that_its_request_holds(plan):
    found = plan()
    assert spec_of_request(found.request, found.base.execution()).run_id == found.base.run_id


@pytest.mark.parametrize(("space", "longest"), [("iterations=4..9", 9), ("iterations=7,12,5", 12)])
def test_searched_iterations_make_runs_that_equal_those_that_are_given_as_many(plan, wanted, space, longest):
    found = plan({"fields": {}}, params=("iterations",), space=(space,))
    assert found.base.schedule.iterations == longest
    (trial,) = trial_specs(found.request, found.base, {"iterations": 5}, cards_of_request(wanted), study={})
    given = dataclasses.replace(wanted, fields={"iterations": 5})
    (alone,) = resolve(given, choose_source(given), [1])
    assert trial.changed(split="official").run_id == alone.run_id


def test_a_warm_up_that_is_given_stays_where_iterations_are_searched(plan):
    found = plan({"fields": {"warmup_epochs": 3}}, params=("iterations",), space=("iterations=40..90",))
    assert found.base.schedule.warmup_epochs == 3


def test_epochs_are_not_given_where_iterations_are_searched(plan):
    with pytest.raises(SpecError, match="Both epochs and iterations are given"):
        plan(params=("iterations",), space=("iterations=4..9",))


@pytest.mark.parametrize(("trials", "target"), [(None, 6), (4, 4)])
def test_a_grid_has_its_own_number_of_trials_and_no_pruner(plan, trials, target):
    found = plan(params=("alpha,tau",), space=("alpha=1,2,3", "tau=0.1,0.2"), sampler="grid", trials=trials)
    assert (found.target, found.request.sampler, found.request.pruner) == (target, "grid", "none")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"params": ()}, "Nothing to search"),
        ({"params": ("alpha",), "space": ("tau=1..2",)}, "which is not searched"),
        ({"params": ("alhpa",)}, "did you mean 'alpha'"),
        ({"seeds_per_trial": 0}, "--seeds-per-trial is 0, but must be 1 to 100"),
        ({"seeds_per_trial": 101}, "--seeds-per-trial is 101, but must be 1 to 100"),
    ],
)
def test_what_is_wrong_by_itself_is_said_before_any_data_are_looked_for(plan, options, said):
    def choose(request):
        raise AssertionError("data were looked for")

    with pytest.raises(SpecError, match=said):
        plan({"choose": choose}, **options)


@pytest.mark.parametrize(
    ("where", "options", "error", "said"),
    [
        ({"model": "astt"}, {}, SpecError, "did you mean 'ast'"),
        ({"method": "patchmix"}, {}, SpecError, "did you mean 'patchmix-cl'"),
        ({"data": "/nowhere/at/all"}, {}, DataError, "No ICBHI data below /nowhere/at/all"),
        ({}, {"trials": None}, SpecError, "--trials is missing"),
        ({}, {"final_seeds": "5-1"}, SpecError, "--final-seeds is '5-1': '5-1' is no range of up to 1,000 seeds"),
        ({}, {"give_up_after": -1}, SpecError, "--give-up-after is -1"),
        ({}, {"folds": 7}, SpecError, "7 folds need as many training patients, but the training part holds 6"),
        ({}, {"study": "a b"}, SpecError, "cannot name a study"),
        ({"workers": 0}, {}, SpecError, "--workers is 0, but must be 1 to 1024"),
        ({"workers": 1025}, {}, SpecError, "--workers is 1025, but must be 1 to 1024"),
        ({"workers": 2, "storage": "sqlite:///s.sqlite"}, {}, SpecError, "but --workers is 2"),
    ],
)
def test_what_stands_in_the_way_is_said_and_nothing_is_made(plan, tmp_path, where, options, error, said):
    with pytest.raises(error, match=said):
        plan(where, **options)
    assert not list(tmp_path.iterdir())


def test_planning_makes_nothing(plan, tmp_path):
    plan()
    plan(params=("alpha,tau",), sampler="grid", trials=None)
    assert not list(tmp_path.iterdir())


def test_another_study_of_that_name_is_found_while_planning(plan, small_data, small_cache, tmp_path):
    base = base_spec(small_data, small_cache)
    study_of(base, request_of(base, "lr"), tmp_path / "results", 5, name="mine")
    with pytest.raises(SpecError, match="There is a study 'mine', and it is another one"):
        plan(study="mine")


def test_the_same_search_may_be_planned_again_with_more_trials(plan):
    found = plan()
    search = study_of(found.base, found.request, found.session.home, 5, name=found.session.name)
    assert search.target == 5
    assert plan(trials=9).target == 9


# --- names and numbers ------------------------------------------------------------------------------------------


def named(base, params="alpha", space=(), **changes):
    identity = {name: changes.pop(name) for name in ("model", "method", "dataset", "task") if name in changes}
    request = request_of(base, params, space, **changes)
    return default_name(dataclasses.replace(request, identity={**request.identity, **identity}))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "ast-patchmix-cl-alpha"),
        ({"params": "tau,alpha"}, "ast-patchmix-cl-tau-alpha"),
        ({"objective": "test"}, "ast-patchmix-cl-alpha-test"),
        ({"dataset": "mine", "task": "events-7"}, "ast-patchmix-cl-mine-events-7-alpha"),
        ({"params": "method.alpha"}, "ast-patchmix-cl-method.alpha"),
        ({"model": "hub:some/model v2"}, "hub-some-model-v2-patchmix-cl-alpha"),
        ({"model": "ünder"}, "nder-patchmix-cl-alpha"),
        ({"model": "__x"}, "x-patchmix-cl-alpha"),
        ({"model": "x" * 200}, "x" * 100),
    ],
)
def test_a_study_without_a_name_is_named_after_what_it_searches(small_data, small_cache, changes, name):
    found = named(base_spec(small_data, small_cache), **changes)
    assert found == name
    assert check_name(found) == found


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1-5", (1, 2, 3, 4, 5)), ("3", (3,)), ("7,1-2,7", (7, 1, 2)), (NO_FINALS, ()), ("0", (0,))],
)
def test_final_seeds_are_written_as_ranges_and_lists(text, seeds):
    assert final_seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "None", "1-", "-1", "1,,2", "2-1", "1-2000", "x"])
def test_what_is_no_list_of_seeds_is_refused(text):
    with pytest.raises(SpecError, match="--final-seeds is"):
        final_seeds_of(text)


@pytest.mark.parametrize(("number", "accepted"), [(-1, False), (0, True), (1_000_000, True), (1_000_001, False)])
def test_giving_up_has_limits_on_both_sides(number, accepted):
    if accepted:
        assert checked_give_up_after(number) == number
    else:
        with pytest.raises(SpecError, match=rf"--give-up-after is {number}, but must be 0 \(never\) to 1,000,000"):
            checked_give_up_after(number)


def test_the_cards_of_a_request_follow_the_front_end_that_is_named(wanted):
    found = cards_of_request(wanted)
    assert {owner: card.id for owner, card in found.items()} == {
        "model": "ast",
        "method": "patchmix-cl",
        "frontend": "ast",
    }
    assert cards_of_request(dataclasses.replace(wanted, frontend="scl"))["frontend"].id == "scl"


# --- figure 2 ---------------------------------------------------------------------------------------------------


FIGURE2 = ("alpha", "tau", "beta")


def figure2(wanted, home, **changes):
    words = {"only": None, "seeds": None, "objective": "held-out", "home": home, "workers": 1, **changes}
    return plan_figure2(wanted, choose_source, **words)


def test_figure2_searches_each_of_its_parameters_over_its_grid(wanted, tmp_path):
    plans = figure2(wanted, tmp_path / "results")
    assert [plan.session.name for plan in plans] == ["figure2-alpha", "figure2-tau", "figure2-beta"]
    for plan, name in zip(plans, FIGURE2, strict=True):
        (dimension,) = plan.request.space
        assert (dimension.name, plan.target) == (name, len(dimension.values))
        # The paper's choice is on the grid, the other parameters are at it.
        assert printed_figure2().parameters[name].chosen in dimension.values
        others = {other: plan.base.method_options[other] for other in FIGURE2 if other != name}
        assert others == {other: printed_figure2().parameters[other].chosen for other in others}
        assert (plan.request.sampler, plan.request.pruner) == ("grid", "none")
        assert plan.session.settings.final_seeds == ()
    assert not list(tmp_path.iterdir())


def test_figure2_has_the_papers_model_and_method_whatever_is_asked_for(wanted, tmp_path):
    changed = dataclasses.replace(wanted, model="cnn6", method="ce")
    assert {(plan.request.model, plan.request.method) for plan in figure2(changed, tmp_path)} == {
        ("ast", "patchmix-cl")
    }


@pytest.mark.parametrize(
    ("only", "names"),
    [(None, FIGURE2), ("*", FIGURE2), ("tau", ("tau",)), ("*a", ("alpha", "beta")), ("[at]*", ("alpha", "tau"))],
)
def test_a_pattern_chooses_among_the_parameters_of_figure2(wanted, tmp_path, only, names):
    assert [plan.request.space[0].name for plan in figure2(wanted, tmp_path, only=only)] == list(names)


@pytest.mark.parametrize(
    ("only", "said"), [("tao", "did you mean 'tau'"), ("", "matches no parameter"), ("x\x1b", "x")]
)
def test_a_pattern_that_matches_nothing_is_refused(wanted, tmp_path, only, said):
    with pytest.raises(SpecError, match=said) as caught:
        figure2(wanted, tmp_path, only=only)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(("seeds", "expected"), [(None, (1,)), ("2-3", (2, 3))])
def test_points_of_figure2_have_one_seed_in_the_demo_profile(wanted, tmp_path, seeds, expected):
    assert {plan.request.seeds for plan in figure2(wanted, tmp_path, seeds=seeds, only="tau")} == {expected}


def test_points_of_figure2_have_five_seeds_in_the_papers_profile(wanted, tmp_path):
    paper = dataclasses.replace(wanted, profile="paper", pretrain="none")
    assert {plan.request.seeds for plan in figure2(paper, tmp_path, only="tau")} == {(1, 2, 3, 4, 5)}


def test_studies_of_figure2_on_the_test_set_have_names_of_their_own(wanted, tmp_path):
    (plan,) = figure2(wanted, tmp_path, only="tau", objective="test")
    assert (plan.session.name, plan.request.objective) == ("figure2-tau-test", "test")
