"""A study told as plain values: counted, costed, summed up, opened by name and deleted."""

import json

import optuna
import pytest
from small_studies import base_spec, request_of, states, study_of

from bench.core.errors import SpecError, StoreError
from bench.search import claims
from bench.search.failures import GIVE_UP_AFTER
from bench.search.storage import Place, places_in
from bench.search.study import (
    REQUEST,
    Settings,
    cards_of,
    check_study,
    delete_study,
    make_study,
    open_study,
    studies_in,
)
from bench.search.study_values import budget, counted, describe, describe_trial, summary

COMPLETE, PRUNED, FAIL = claims.TrialState.COMPLETE, claims.TrialState.PRUNED, claims.TrialState.FAIL


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def search(base, tmp_path):
    return study_of(base, request_of(base, sampler="random"), tmp_path, 9)


def do(search, state=COMPLETE, value=50.0, **told):
    taken = claims.claim(search)
    assert taken.end(state, value if state is COMPLETE else None, told)
    return taken.number


# --- counting ---------------------------------------------------------------------------------------------------


def test_a_study_counts_the_trials_that_have_ended(search):
    for state in (COMPLETE, PRUNED, FAIL):
        do(search, state)
    claims.claim(search)
    assert counted(search.trials) == 3
    found = budget(search)
    assert [found[name] for name in ("trials", "complete", "pruned", "fail", "running", "waiting")] == [
        3,
        1,
        1,
        1,
        1,
        0,
    ]


def test_a_trial_that_is_done_again_counts_once_when_both_have_ended(search):
    do(search, FAIL)
    do(search)
    assert counted(search.trials) == 2
    claims.retry_failed(search)
    # The failed one is counted anew when the one in its place has ended.
    assert counted(search.trials) == 1
    do(search)
    assert counted(search.trials) == 2
    assert (budget(search)["trials"], budget(search)["tried_again"]) == (3, 1)


@pytest.mark.parametrize(
    ("told", "gpu", "cpu"),
    [
        ([{"seconds": 1800.0, "device": "cuda", "processes": 4}], 2.0, 0.0),
        ([{"seconds": 1800.0, "device": "cpu", "processes": 4}], 0.0, 2.0),
        ([{"seconds": 3600.0}], 0.0, 1.0),
        ([{}], 0.0, 0.0),
        ([{"seconds": 900.0, "device": "cuda"}] * 3 + [{"seconds": 360.0, "device": "cpu"}], 0.75, 0.1),
    ],
)
def test_the_hours_of_a_study_are_those_of_all_processes_of_its_runs(search, told, gpu, cpu):
    for one in told:
        do(search, **one)
    found = budget(search)
    assert (found["gpu_hours"], found["cpu_hours"]) == (pytest.approx(gpu), pytest.approx(cpu))


def test_failed_and_pruned_trials_cost_their_hours_too(search):
    for state in (FAIL, PRUNED, COMPLETE):
        do(search, state, seconds=3600.0, device="cuda", processes=1)
    assert budget(search)["gpu_hours"] == pytest.approx(3.0)


def test_the_test_set_is_looked_at_once_for_each_trial_that_had_runs(base, tmp_path):
    held_out = study_of(base, request_of(base, sampler="random"), tmp_path, 3, name="held-out")
    on_test = study_of(base, request_of(base, sampler="random", objective="test"), tmp_path, 3, name="on-test")
    for search in (held_out, on_test):
        do(search, run_ids=["a"])
        do(search, FAIL, run_ids=["b"])
        do(search, FAIL, run_ids=[])
        search.study.set_user_attr("finals", [0])
    assert budget(held_out)["test_evaluations"] == 1
    # Trial 0 was looked at before it was trained again.
    assert budget(on_test)["test_evaluations"] == 2


# --- the best ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([], None),
        ([None], None),
        ([50.0], 0),
        ([50.0, 51.0, 49.0], 1),
        ([51.0, 51.0], 0),
        ([None, 0.0], 1),
        ([-1.0, None, -2.0], 0),
    ],
)
def test_the_best_trial_is_the_complete_one_of_the_highest_score_the_first_of_equals(search, values, best):
    for value in values:
        do(search, FAIL if value is None else COMPLETE, value)
    assert (None if search.best is None else search.best.number) == best
    assert summary(search)["best"] == (None if best is None else values[best])
    found = describe(search)["best"]
    assert (None if found is None else found["number"]) == best


def test_a_pruned_trial_is_never_the_best(search):
    taken = claims.claim(search)
    taken.report({1: 99.0})
    taken.end(PRUNED, None, {})
    assert search.best is None
    do(search, value=1.0)
    assert search.best.number == 1


# --- as values --------------------------------------------------------------------------------------------------


def test_a_study_in_one_row(search, tmp_path):
    do(search, value=51.0)
    claims.claim(search)
    row = summary(search)
    assert json.loads(json.dumps(row)) == row
    counts = {"running": 1, "complete": 1, "pruned": 0, "fail": 0, "waiting": 0}
    assert row.pop("counts") == counts
    assert row == {
        "study": "s",
        "model": "ast",
        "method": "patchmix-cl",
        "params": ["alpha", "tau"],
        "objective": "held-out",
        "trials": 1,
        "target": 9,
        "best": 51.0,
        "storage": f"{tmp_path}/studies/s.journal",
    }


def test_a_trial_as_plain_data_has_every_name_whatever_is_known_of_it(search):
    claims.claim(search)
    do(
        search,
        FAIL,
        run_ids=["a", "b"],
        scores=[1.0],
        seeds=[1, 2],
        folds=[0, 0],
        seconds=2.5,
        error="The loss is nan.",
    )
    bare, told = (describe_trial(trial) for trial in search.trials)
    assert list(bare) == list(told)
    assert (bare["state"], bare["value"], bare["run_id"], bare["run_ids"], bare["epochs"]) == (
        "RUNNING",
        None,
        None,
        [],
        {},
    )
    assert (told["run_id"], told["run_ids"], told["scores"], told["seeds"]) == ("a", ["a", "b"], [1.0], [1, 2])
    assert (told["seconds"], told["error"], told["pruned"], told["retry_of"]) == (2.5, "The loss is nan.", None, None)


def test_epochs_stand_in_their_order_whatever_they_were_reported_in(search):
    taken = claims.claim(search)
    for epoch in (10, 2, 1):
        taken.report({epoch: float(epoch)})
    assert list(describe_trial(search.trials[0])["epochs"]) == ["1", "2", "10"]


def test_a_study_is_one_document_of_plain_data(search):
    do(search, run_ids=["a"], scores=[50.0])
    document = describe(search)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["request"] == search.request.to_json()
    assert document["budget"] == budget(search)
    assert document["trials"] == [describe_trial(trial) for trial in search.trials]
    assert (document["final"], document["tuned_on_test"]) == ([], False)


def test_the_cards_of_a_study_are_those_of_its_model_and_method(search):
    found = cards_of(search.request)
    assert {owner: card.id for owner, card in found.items()} == {"model": "ast", "method": "patchmix-cl"}


# --- how it stops and ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, Settings((1, 2, 3, 4, 5), GIVE_UP_AFTER)),
        ({"final_seeds": []}, Settings((), GIVE_UP_AFTER)),
        ({"give_up_after": 0}, Settings((1, 2, 3, 4, 5), 0)),
        ({"final_seeds": [7], "give_up_after": 2, "of a later version": 1}, Settings((7,), 2)),
    ],
)
def test_settings_that_an_earlier_version_did_not_keep_are_the_defaults(document, expected):
    assert Settings.from_json(document) == expected


def test_what_is_not_given_anew_stays_as_it_was(search):
    search.running_on({**search.execution, "processes": 2}, 5, Settings((3,), 1))
    search.running_on({**search.execution, "processes": 3}, None)
    again = open_study(search.place, "s")
    assert (again.execution["processes"], again.target, again.settings) == (3, 5, Settings((3,), 1))


# --- made, opened, deleted --------------------------------------------------------------------------------------


def test_a_study_that_is_made_again_is_the_same_one(base, tmp_path, search):
    do(search, value=51.0)
    before = search.place.journal.read_bytes()
    check_study(search.place, "s", search.request)
    assert search.place.journal.read_bytes() == before
    again = make_study(search.place, "s", search.request, base.execution(), 9)
    assert again.best.value == 51.0
    assert again.request.differences(search.request) == []


def test_checking_a_study_makes_nothing(base, tmp_path):
    check_study(Place.of(None, tmp_path / "results", "s"), "s", request_of(base))
    assert not list(tmp_path.iterdir())


def test_a_study_of_another_program_is_not_worked_on(base, tmp_path):
    place = Place.of(str(tmp_path / "shared.journal"), tmp_path, "s")
    foreign = optuna.create_study(storage=place.open(), study_name="s", direction="maximize")
    foreign.tell(foreign.ask(), 1.0)
    before = place.journal.read_bytes()
    with pytest.raises(SpecError, match="was not made by `bench search`"):
        check_study(place, "s", request_of(base))
    with pytest.raises(SpecError, match="was not made by `bench search`"):
        open_study(place, "s")
    assert place.journal.read_bytes() == before
    with pytest.raises(SpecError, match="was not made by `bench search`"):
        make_study(place, "s", request_of(base), base.execution(), 1)
    kept = optuna.load_study(storage=place.open(), study_name="s")
    assert (kept.user_attrs, kept.best_value) == ({}, 1.0)
    assert studies_in([place]) == ([], [])


def test_a_study_that_was_made_and_never_begun_is_taken(base, tmp_path):
    """What a search leaves that was killed between making a study and writing its request."""
    place = Place.of(str(tmp_path / "shared.journal"), tmp_path, "s")
    optuna.create_study(storage=place.open(), study_name="s", direction="maximize")
    check_study(place, "s", request_of(base))
    search = make_study(place, "s", request_of(base), base.execution(), 3)
    assert search.study.user_attrs[REQUEST] == search.request.to_json()
    assert states(search) == []


@pytest.mark.parametrize(
    ("differences", "said"), [(1, "seeds: "), (3, "seeds: "), (5, "; and 2 more."), (4, "; and 1 more.")]
)
def test_the_message_of_another_study_names_three_differences_and_counts_the_rest(
    base, tmp_path, search, differences, said
):
    changes = {"seeds": [1, 2], "folds": 2, "pruner": "median", "sampler": "tpe", "sampler_seed": 5}
    some = dict(list(changes.items())[:differences])
    other = request_of(base, **{"sampler": "random", **some})
    with pytest.raises(SpecError) as caught:
        check_study(search.place, "s", other)
    assert said in caught.value.message
    assert caught.value.message.count(" in the study, ") == min(differences, 3)
    assert "more." not in caught.value.message or differences > 3
    assert "bench search resume s" in caught.value.hint


def test_a_name_that_is_nearly_one_is_suggested(search, tmp_path):
    with pytest.raises(SpecError, match=r"There is no study 'ss' in .*: did you mean 's'"):
        open_study(Place.of(None, tmp_path, "ss"), "ss")
    with pytest.raises(SpecError, match="There is no study 't' in"):
        open_study(search.place, "t")
    with pytest.raises(SpecError, match="There is no study 's' in sqlite:"):
        open_study(Place.of(f"sqlite:///{tmp_path}/none.sqlite", tmp_path, "s"), "s")


def test_studies_are_listed_by_name_whatever_place_they_are_in(base, tmp_path):
    for name in ("b", "c", "a"):
        study_of(base, request_of(base), tmp_path, 1, name=name)
    places = places_in(None, tmp_path)
    for order in (places, places[::-1]):
        found, errors = studies_in(order)
        assert [study.name for study in found] == ["a", "b", "c"]
        assert errors == []


def test_a_file_goes_with_its_last_study(base, tmp_path):
    shared = str(tmp_path / "shared.journal")
    searches = [study_of(base, request_of(base), tmp_path, 1, name=name, storage=shared) for name in ("a", "b")]
    delete_study(searches[0])
    assert [study.name for study in studies_in([searches[1].place])[0]] == ["b"]
    delete_study(open_study(searches[1].place, "b"))
    assert not (tmp_path / "shared.journal").exists()


def test_a_file_that_cannot_be_deleted_is_named(search, monkeypatch):
    def refused(path, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(search.place.journal), "unlink", refused)
    with pytest.raises(StoreError, match=r"Cannot delete .*s\.journal: Permission denied"):
        delete_study(search)


def test_a_study_in_a_database_is_deleted_and_the_database_stays(base, tmp_path):
    search = study_of(base, request_of(base), tmp_path, 1, storage=f"sqlite:///{tmp_path}/s.sqlite")
    delete_study(search)
    assert (tmp_path / "s.sqlite").exists()
    assert studies_in([search.place]) == ([], [])
    with pytest.raises(SpecError, match="There is no study 's'"):
        open_study(search.place, "s")
