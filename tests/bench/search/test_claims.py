"""Claims: whose trial it is, which one is next, and that no two workers ever hold the same."""

import itertools
import os
import threading
import time

import psutil
import pytest
from small_studies import base_spec, request_of, states, study_of

from bench.search import claims
from bench.search.claims import abandoned, claim, lives, this_worker
from bench.search.space import grid_point
from bench.search.storage import Place
from bench.search.study import open_study

COMPLETE, PRUNED, FAIL = claims.TrialState.COMPLETE, claims.TrialState.PRUNED, claims.TrialState.FAIL


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def search(base, tmp_path):
    return study_of(base, request_of(base, sampler="random"), tmp_path, 2)


def known(search, name, number=0):
    """An attribute of a trial, as the storage has it."""
    return search.trials[number].user_attrs.get(name)


# --- who lives --------------------------------------------------------------------------------------------------


def owner(**changes):
    return {**this_worker(), "beat": 0.0, **changes}


def test_a_worker_of_this_machine_lives_as_long_as_its_process_whatever_its_heart_does():
    assert lives(owner())
    assert not lives(owner(pid=2**22 + 1))


def test_another_process_with_the_number_of_a_dead_one_is_not_it():
    started = psutil.Process().create_time()
    assert lives(owner(started=started + 0.5))
    assert not lives(owner(started=started + 2.0))
    assert not lives(owner(started=started - 2.0))


def test_a_process_that_has_ended_and_was_not_fetched_is_dead():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        assert psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        assert not lives(owner(pid=child, started=psutil.Process(child).create_time()))
    finally:
        os.waitpid(child, 0)


@pytest.mark.parametrize(("age", "alive"), [(0, True), (claims.GRACE - 1, True), (claims.GRACE, False), (-60, True)])
def test_a_worker_elsewhere_lives_as_long_as_its_last_beat_is_young(monkeypatch, age, alive):
    monkeypatch.setattr(time, "time", lambda: 10_000.0)
    # A process of that number here says nothing of one there; clocks may differ by a minute.
    assert lives(owner(machine="another machine", beat=10_000.0 - age)) == alive


def test_a_trial_that_nobody_signed_is_nobodys():
    assert not lives(None)


def test_running_trials_of_dead_workers_alone_are_abandoned(search):
    one, other = claim(search), claim(search)
    assert abandoned(search.trials) == []
    one.trial.set_user_attr(claims.WORKER, owner(pid=2**22 + 1))
    assert [trial.number for trial in abandoned(search.trials)] == [one.number]
    other.end(COMPLETE, 1.0, {})
    assert [trial.number for trial in abandoned(search.trials)] == [one.number]


# --- which trial is next ----------------------------------------------------------------------------------------


def test_a_lost_trial_goes_before_a_waiting_one_and_that_before_a_new_one(base, tmp_path):
    search = study_of(base, request_of(base, sampler="random"), tmp_path, 3)
    lost, given_back = claim(search), claim(search)
    given_back.give_back()
    lost.trial.set_user_attr(claims.WORKER, owner(pid=2**22 + 1))
    taken = [claim(search) for _ in range(3)]
    assert [one.number for one in taken] == [lost.number, given_back.number, 2]
    assert [one.params for one in taken[:2]] == [lost.params, given_back.params]
    assert claim(search) is None


def test_a_trial_that_is_given_back_keeps_its_number_and_parameters(search):
    first = claim(search)
    first.give_back()
    assert states(search) == ["WAITING"]
    again = claim(search)
    assert (again.number, again.params) == (first.number, first.params)
    # The claim of before is over, though it is of this same process.
    assert not first.mine
    assert again.mine
    assert not first.end(COMPLETE, 99.0, {})
    assert again.end(COMPLETE, 1.0, {})
    assert search.trials[0].value == 1.0


def test_trials_at_work_count_towards_the_number_that_is_wanted(search):
    taken = [claim(search), claim(search)]
    assert claim(search) is None
    taken[0].end(PRUNED, None, {})
    assert claim(search) is None
    assert len(search.trials) == 2


def test_a_study_that_grew_gives_the_next_number(search):
    for _ in range(2):
        claim(search).end(COMPLETE, 1.0, {})
    search.running_on(search.execution, 3)
    assert claim(search).number == 2


def test_a_grid_is_given_out_in_its_order_and_a_lost_point_is_not_left_out(base, tmp_path):
    request = request_of(base, "alpha,tau", ("alpha=1,2", "tau=0.1,0.2"), sampler="grid")
    search = study_of(base, request, tmp_path, 4)
    first, second = claim(search), claim(search)
    second.give_back()
    first.trial.set_user_attr(claims.WORKER, owner(pid=2**22 + 1))
    taken = [claim(search) for _ in range(4)]
    assert sorted(one.number for one in taken) == [0, 1, 2, 3]
    assert all(one.params == grid_point(request.space, one.number) for one in taken)


@pytest.mark.parametrize("storage", [None, "sqlite:///{home}/s.sqlite"])
def test_workers_that_ask_at_once_never_hold_the_same_trial(base, tmp_path, storage, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    request = request_of(base, "alpha,tau", ("alpha=1,2,3,4", "tau=0.1,0.2,0.3"), sampler="grid")
    place = None if storage is None else storage.format(home=tmp_path)
    study_of(base, request, tmp_path, 12, storage=place)
    taken, errors = [], []

    def worker():
        try:
            # As in a process of its own: an own connection to the storage.
            search = open_study(Place.of(place, tmp_path, "s"), "s")
            while (mine := claim(search)) is not None:
                taken.append((mine.number, tuple(mine.params.values())))
                mine.end(COMPLETE, 1.0, {})
        except BaseException as error:  # noqa: BLE001 - a thread's error must fail the test
            errors.append(error)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    points = list(itertools.product((1.0, 2.0, 3.0, 4.0), (0.1, 0.2, 0.3)))
    assert sorted(taken) == list(enumerate(points))


# --- what a claim writes ----------------------------------------------------------------------------------------


def test_a_claim_signs_its_trial_with_a_token_of_its_own(search):
    one, other = claim(search), claim(search)
    signed = [known(search, claims.WORKER, number) for number in (0, 1)]
    assert [mark["pid"] for mark in signed] == [os.getpid()] * 2
    assert signed[0]["token"] != signed[1]["token"]
    assert one.mine
    assert other.mine


def test_what_was_reported_before_is_left_as_it_is(search):
    taken = claim(search)
    assert taken.report({1: 50.0, 2: 60.0})
    assert taken.report({2: 0.0, 3: 70.0})
    assert search.trials[0].intermediate_values == {1: 50.0, 2: 60.0, 3: 70.0}


@pytest.mark.parametrize(("noted", "kept"), [([1, 2, 3], 3), ([3, 2, 1], 3), ([2, 2], 2), ([0], None), ([], None)])
def test_the_epochs_of_a_trial_never_become_fewer(search, noted, kept):
    taken = claim(search)
    assert all(taken.note_epochs(epochs) for epochs in noted)
    assert known(search, claims.EPOCHS) == kept


def test_epochs_that_were_reported_are_epochs_that_were_done(search):
    taken = claim(search)
    taken.report({1: 50.0, 4: 50.0})
    assert taken.note_epochs(3)
    assert known(search, claims.EPOCHS) is None
    taken.note_epochs(5)
    assert known(search, claims.EPOCHS) == 5


def test_a_trial_is_told_its_end_with_what_is_known_of_it(search):
    taken = claim(search)
    assert taken.end(COMPLETE, 57.5, {"scores": [57.0, 58.0], "error": None})
    (trial,) = search.trials
    assert (trial.state, trial.value, trial.user_attrs["scores"]) == (COMPLETE, 57.5, [57.0, 58.0])
    # It ended once.
    assert not taken.end(FAIL, None, {"error": "late"})
    assert not taken.report({1: 1.0})
    assert not taken.note_epochs(9)
    taken.give_back()
    assert search.trials[0].user_attrs == trial.user_attrs
    assert states(search) == ["COMPLETE"]


@pytest.mark.parametrize("lost", range(1, claims.MOST_LOST + 1))
def test_lost_attempts_are_counted_up_to_the_last(search, lost):
    said = None
    for _ in range(lost):
        said = claim(search).lose("CUDA error")
    assert known(search, claims.LOST) == lost
    assert states(search) == ["FAIL" if lost == claims.MOST_LOST else "WAITING"]
    assert (said.failed is None) == (lost < claims.MOST_LOST)
    assert (said.number, said.cause, str(said)) == (0, "CUDA error", "trial 0: CUDA error")
    if said.failed is not None:
        assert known(search, "error") == said.failed
        assert said.failed.endswith("the last one: CUDA error")


def test_an_epoch_further_begins_the_count_anew(search):
    for _ in range(claims.MOST_LOST - 1):
        claim(search).lose("x")
    taken = claim(search)
    taken.note_epochs(1)
    assert taken.lose("x").failed is None
    assert (known(search, claims.LOST), known(search, claims.LOST_AT)) == (0, 1)


# --- failed trials again ----------------------------------------------------------------------------------------


def test_failed_trials_alone_are_done_again_each_once(base, tmp_path):
    search = study_of(base, request_of(base, sampler="random"), tmp_path, 4)
    for state in (FAIL, COMPLETE, PRUNED, FAIL):
        claim(search).end(state, 1.0 if state is COMPLETE else None, {})
    assert claims.retry_failed(search) == 2
    assert claims.retry_failed(search) == 0
    waiting = search.trials[4:]
    assert [trial.user_attrs[claims.RETRY_OF] for trial in waiting] == [0, 3]
    taken = [claim(search), claim(search)]
    assert [one.params for one in taken] == [search.trials[0].params, search.trials[3].params]
    assert claim(search) is None


def test_a_study_without_failed_trials_has_none_to_do_again(search):
    assert claims.retry_failed(search) == 0
    claim(search).end(COMPLETE, 1.0, {})
    assert claims.retry_failed(search) == 0
    assert len(search.trials) == 1
