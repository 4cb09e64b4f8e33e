"""A study's request: read back as it was written, compared field by field, and the runs that it asks for."""

import dataclasses
import itertools
import json

import pytest
from small_studies import base_spec, cards, request_of

from bench.core.errors import DataError, SpecError
from bench.search import request as requests
from bench.search.request import (
    MOST_TRIALS,
    PRUNERS,
    SAMPLERS,
    StudyRequest,
    build_request,
    check_data,
    check_trials,
    splits,
    trial_specs,
)
from bench.search.space import Dimension
from bench.search.study_validation import read_request


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


REQUESTS = {
    "ranges": {"params": "alpha,lr"},
    "whole numbers": {"params": "epochs,batch", "space": ("epochs=2..9", "batch=4,8")},
    "words and truths": {"params": "target,mix", "sampler": "grid"},
    "folds and seeds": {"folds": 3, "seeds": [1, 2], "pruner": "wilcoxon"},
    "the test set": {"objective": "test", "sampler": "random", "sampler_seed": 7},
}


@pytest.mark.parametrize("changes", REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_read_back_from_its_document_as_it_was(base, changes):
    request = request_of(base, **changes)
    document = json.loads(json.dumps(request.to_json()))
    for read in (StudyRequest.from_json, read_request):
        again = read(document)
        assert again.space == request.space
        assert again.differences(request) == request.differences(again) == []
        assert again.to_json() == document


def test_the_order_of_a_documents_keys_does_not_matter(base):
    request = request_of(base, "alpha,tau,beta")
    document = json.loads(json.dumps(request.to_json(), sort_keys=True))
    assert [dimension.name for dimension in read_request(document).space] == ["alpha", "tau", "beta"]
    assert read_request(document).differences(request) == []


# --- differences ------------------------------------------------------------------------------------------------

CHANGES = [
    ("folds", {"folds": 2}, "folds: 1 in the study, 2 asked for"),
    ("seeds", {"seeds": (1, 2)}, "seeds: [1] in the study, [1, 2] asked for"),
    ("sampler", {"sampler": "random"}, "sampler: tpe in the study, random asked for"),
    ("pruner", {"pruner": "median"}, "pruner: none in the study, median asked for"),
    ("objective", {"objective": "test"}, "objective: held-out in the study, test asked for"),
    ("sampler seed", {"sampler_seed": 2}, "sampler_seed: 1 in the study, 2 asked for"),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_difference_names_the_field_and_both_values(base, change, said):
    request = request_of(base)
    assert request.differences(dataclasses.replace(request, **change)) == [said]


def test_the_end_of_a_range_that_differs_is_named_alone(base):
    mine, theirs = request_of(base, "alpha", ("alpha=1..2",)), request_of(base, "alpha", ("alpha=1..3",))
    assert mine.differences(theirs) == ["space.alpha.high: 2.0 in the study, 3.0 asked for"]
    assert theirs.differences(mine) == ["space.alpha.high: 3.0 in the study, 2.0 asked for"]


def test_a_field_that_one_of_two_requests_lacks_is_a_difference(base):
    request = request_of(base)
    other = dataclasses.replace(request, identity={**request.identity, "later_field": 1})
    assert request.differences(other) == ["spec.later_field: None in the study, 1 asked for"]
    assert other.differences(request) == ["spec.later_field: 1 in the study, None asked for"]


def test_a_difference_repeats_no_control_characters_and_no_page_of_text(base):
    request = request_of(base)
    other = dataclasses.replace(request, identity={**request.identity, "schedule": "\x1b[2J" + "x" * 5000})
    (said,) = request.differences(other)
    assert said.isprintable()
    assert len(said) < 250


# --- what goes together -----------------------------------------------------------------------------------------


def built(base, space=(), **changes):
    words = {"objective": "held-out", "folds": 1, "seeds": [1], "sampler": "auto", "pruner": None, "sampler_seed": 1}
    return build_request(base, space or ALPHA_AND_TAU, **{**words, **changes})


ALPHA_AND_TAU = (
    Dimension(name="alpha", field="method.alpha", low=0.1, high=1.0),
    Dimension(name="tau", field="method.tau", low=0.1, high=1.0),
)


@pytest.mark.parametrize(("pruner", "made"), [(None, "none"), ("none", "none"), ("wilcoxon", "wilcoxon")])
def test_runs_of_some_iterations_are_not_compared_by_epochs(base, pruner, made):
    assert built(base.changed(iterations=5), seeds=[1, 2], pruner=pruner).pruner == made


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_a_pruner_that_counts_epochs_is_refused_for_runs_of_some_iterations(base, pruner):
    with pytest.raises(SpecError, match=f"The pruner {pruner} compares runs by epochs, but the length of these"):
        built(base.changed(iterations=5), pruner=pruner)


def test_epochs_of_runs_whose_length_is_given_in_iterations_are_not_searched(base):
    epochs = Dimension(name="epochs", field="epochs", values=(1, 2))
    with pytest.raises(SpecError, match="epochs are searched, but the length of the runs is given in iterations"):
        built(base.changed(iterations=5), (epochs,))


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ({}, ("tpe", "median")),
        ({"sampler": "grid"}, ("grid", "none")),
        ({"sampler": "grid", "pruner": "median"}, ("grid", "median")),
        ({"sampler": "gp", "pruner": "none"}, ("gp", "none")),
        ({"sampler": "cmaes", "pruner": "hyperband"}, ("cmaes", "hyperband")),
    ],
)
def test_sampler_and_pruner_have_defaults_that_go_together(base, asked, made):
    request = built(base, **asked)
    assert (request.sampler, request.pruner) == made


@pytest.mark.parametrize(
    ("folds", "seeds", "accepted"), [(1, [1], False), (2, [1], True), (1, [1, 2], True), (5, [1, 2], True)]
)
def test_wilcoxon_needs_two_runs_of_a_trial(base, folds, seeds, accepted):
    if accepted:
        assert built(base, folds=folds, seeds=seeds, pruner="wilcoxon").pruner == "wilcoxon"
    else:
        with pytest.raises(SpecError, match="decides between the runs of a trial, but a trial has one"):
            built(base, folds=folds, seeds=seeds, pruner="wilcoxon")


@pytest.mark.parametrize(("folds", "accepted"), [(-1, False), (0, False), (1, True), (100, True), (101, False)])
def test_folds_have_limits_on_both_sides(base, folds, accepted):
    if accepted:
        assert built(base, folds=folds).folds == folds
    else:
        with pytest.raises(SpecError, match=rf"--folds is {folds}, but must be 1 \(a single hold-out\) to 100"):
            built(base, folds=folds)


@pytest.mark.parametrize(
    ("field", "word", "near", "known"),
    [("sampler", "randon", "random", SAMPLERS), ("pruner", "medium", "median", PRUNERS)],
)
def test_an_unknown_word_is_repeated_with_what_is_near(base, field, word, near, known):
    with pytest.raises(SpecError, match=f"Unknown {field} '{word}': did you mean '{near}'"):
        built(base, **{field: word})
    for one in known:
        changes = {"seeds": [1, 2]} if one == "wilcoxon" else {}
        assert getattr(built(base, **{field: one}, **changes), field) == ("tpe" if one == "auto" else one)


def test_cmaes_says_why_it_cannot_search_a_space(base):
    listed = (ALPHA_AND_TAU[0], Dimension(name="mix", field="method.mix", values=("patch", "raw")))
    with pytest.raises(SpecError, match="two or more numbers, but mix is a list"):
        built(base, listed, sampler="cmaes")
    with pytest.raises(SpecError, match="two or more numbers, but alpha is the only one"):
        built(base, ALPHA_AND_TAU[:1], sampler="cmaes")


@pytest.mark.parametrize("seed", [-1, 2**40, 1.5])
def test_a_seed_that_no_run_could_have_is_refused(base, seed):
    with pytest.raises(SpecError, match=f"seed is {seed}"):
        built(base, seeds=[seed])


@pytest.mark.parametrize("change", [{"seed": 5}, {"split": "training-fold-2-of-3"}])
def test_seed_and_split_of_the_spec_are_no_part_of_a_request(base, change):
    assert built(dataclasses.replace(base, **change)) == built(base)
    assert not {"seed", "split"} & set(built(base).identity)


# --- trials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trials", "accepted"), [(-1, False), (0, False), (1, True), (MOST_TRIALS, True), (MOST_TRIALS + 1, False)]
)
def test_the_number_of_trials_has_limits_on_both_sides(base, trials, accepted):
    if accepted:
        assert check_trials(request_of(base), trials) == trials
    else:
        with pytest.raises(SpecError, match=f"--trials is {trials}, but must be 1 to 1,000,000"):
            check_trials(request_of(base), trials)


def test_a_grid_has_as_many_trials_as_points_unless_fewer_are_asked_for(base):
    request = request_of(base, "alpha,tau", ("alpha=1,2,3", "tau=0.1,0.2"), sampler="grid")
    assert [check_trials(request, trials) for trials in (None, 1, 6)] == [6, 1, 6]
    with pytest.raises(SpecError, match="The grid has 6 points, but --trials is 7") as caught:
        check_trials(request, 7)
    assert caught.value.hint == "Use --trials 6."


def test_a_grid_that_is_larger_than_a_study_can_be_is_refused(base):
    values = tuple(range(1, 1001))
    dimensions = [Dimension(name=name, field=f"method.{name}", values=values) for name in ("alpha", "tau", "beta")]
    with pytest.raises(SpecError, match="--trials is 1000000000"):
        check_trials(built(base, dimensions, sampler="grid"), None)


@pytest.mark.parametrize(("space", "most"), [(("epochs=2..9",), 9), (("epochs=3,7,5",), 7), (("lr=1e-4..1e-3",), None)])
def test_the_longest_run_has_the_most_epochs_that_are_searched(base, space, most):
    name = space[0].partition("=")[0]
    assert request_of(base, name, space).most_epochs == (base.schedule.epochs if most is None else most)


# --- the runs of a trial ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["training-fold-1-of-5"]),
        ({"folds": 2}, ["training-fold-1-of-2", "training-fold-2-of-2"]),
        ({"folds": 5}, [f"training-fold-{fold}-of-5" for fold in range(1, 6)]),
        ({"objective": "test"}, ["official"]),
    ],
)
def test_the_splits_of_a_trial(base, changes, expected):
    assert splits(request_of(base, **changes)) == expected


def test_a_trial_has_a_run_for_each_seed_and_fold_all_folds_of_a_seed_first(base):
    request = request_of(base, folds=3, seeds=[4, 2])
    study = {"name": "s", "trial": 3}
    whole = requests.base_spec(request, base.execution())
    specs = trial_specs(request, whole, {"alpha": 2.0, "tau": 0.5}, cards(), study)
    folds = [f"training-fold-{fold}-of-3" for fold in (1, 2, 3)]
    assert [(spec.seed, spec.split) for spec in specs] == list(itertools.product([4, 2], folds))
    assert len({spec.run_id for spec in specs}) == 6
    assert all(spec.study == study and spec.method_options["alpha"] == 2.0 for spec in specs)


def test_the_study_that_a_run_belongs_to_is_no_part_of_its_identity(base):
    request, params = request_of(base), {"alpha": 2.0, "tau": 0.5}
    whole = requests.base_spec(request, base.execution())
    one, other = (trial_specs(request, whole, params, cards(), {"name": name})[0] for name in ("a", "b"))
    assert one.run_id == other.run_id


def test_the_spec_of_a_request_is_that_of_the_run_it_came_from(base):
    whole = requests.base_spec(request_of(base), base.execution())
    assert (whole.seed, whole.split) == (1, "official")
    assert whole.run_id == dataclasses.replace(base, seed=1, split="official").run_id


def test_a_stored_spec_that_no_run_could_have_is_refused(base):
    request = request_of(base)
    spoilt = dataclasses.replace(request, identity={**request.identity, "epochs": "many"})
    with pytest.raises(SpecError, match="epochs"):
        requests.base_spec(spoilt, base.execution())


# --- data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"folds": 6}, None),
        ({"folds": 7}, "7 folds need as many training patients, but the training part holds 6"),
        ({"objective": "test"}, None),
    ],
)
def test_folds_are_held_against_the_patients_of_the_training_part(base, changes, said):
    request = request_of(base, **changes)
    if said is None:
        check_data(request, base.execution())
    else:
        with pytest.raises(SpecError, match=said):
            check_data(request, base.execution())


@pytest.mark.parametrize(("batch", "accepted"), [(24, True), (25, False)])
def test_a_batch_is_held_against_the_cycles_of_the_training_part(base, batch, accepted):
    request = request_of(base.changed(batch=batch))
    if accepted:
        check_data(request, base.execution())
        return
    with pytest.raises(SpecError, match="batch is 25, but the training part holds 24 cycles") as caught:
        check_data(request, base.execution())
    assert caught.value.hint == "Use --set batch=6 or more data."
    # A batch that is searched is judged trial by trial.
    check_data(request_of(base.changed(batch=batch), "batch", ("batch=8,25",)), base.execution())


def test_data_that_are_not_there_are_no_fault_of_the_request(base, tmp_path):
    with pytest.raises(DataError):
        check_data(request_of(base), {**base.execution(), "data": str(tmp_path / "none")})
