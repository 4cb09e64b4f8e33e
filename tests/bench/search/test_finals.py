"""The end of a search: which runs it makes of the best trial, what they carry, and what of them may fail."""

import dataclasses
import itertools
from types import SimpleNamespace

import pytest
from board_runs import write_run
from logs import logged
from small_studies import base_spec, cards, request_of, study_of

from bench.core.errors import InterruptedRunError, LostProcessError, RunError, StoreError
from bench.search import claims, finals
from bench.search.finals import final_specs, is_over, train_best
from bench.search.study import open_study
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.database import DamagedBoardError, SpoiltBoardError
from leaderboard.store.store import Store

COMPLETE, PRUNED, FAIL = claims.TrialState.COMPLETE, claims.TrialState.PRUNED, claims.TrialState.FAIL


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def search(base, tmp_path):
    return study_of(base, request_of(base, sampler="random"), tmp_path, 3)


def do(search, value=50.0, state=COMPLETE, **told):
    assert claims.claim(search).end(state, value if state is COMPLETE else None, told)


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """Runs that are not made: their specs, and what each of them ends with where that is an error."""
    found, endings = [], []

    def run(spec, home, *, rerun, children):
        found.append(spec)
        error = endings.pop(0) if endings else None
        if error is not None:
            raise error
        write_run(home, **spec.identity())

    monkeypatch.setattr(finals, "run_isolated", run)
    return SimpleNamespace(specs=found, endings=endings)


def train(search, home, seeds=(1, 2, 3)):
    return train_best(search, home, search.execution, cards(), seeds)


# --- when -------------------------------------------------------------------------------------------------------


def test_a_study_is_over_when_as_many_trials_as_wanted_have_ended(search):
    assert not is_over(search)
    for state in (COMPLETE, FAIL, PRUNED):
        assert not is_over(search)
        do(search, state=state)
    assert is_over(search)
    search.running_on(search.execution, 4)
    assert not is_over(search)


@pytest.mark.parametrize("left", ["running", "waiting"])
def test_a_study_with_a_trial_at_work_or_waiting_is_not_over(search, left):
    for _ in range(2):
        do(search)
    last = claims.claim(search)
    if left == "waiting":
        last.give_back()
        last = None
    assert not is_over(search)
    last = last or claims.claim(search)
    last.end(COMPLETE, 1.0, {})
    assert is_over(search)


def test_a_failed_trial_that_shall_be_done_again_keeps_a_study_open(search):
    for state in (COMPLETE, FAIL, COMPLETE):
        do(search, state=state)
    claims.retry_failed(search)
    assert not is_over(search)
    do(search)
    assert is_over(search)


def test_a_study_of_no_trials_is_over(search):
    search.running_on(search.execution, 0)
    assert is_over(search)


# --- which runs -------------------------------------------------------------------------------------------------


def test_the_final_runs_are_the_best_parameters_on_the_whole_training_part(search, base):
    do(search, 40.0, seconds=3600.0, device="cuda", processes=2)
    do(search, 60.0)
    do(search, state=FAIL)
    best = search.best
    specs = final_specs(search, best, search.execution, cards(), [4, 9])
    assert [(spec.split, spec.seed) for spec in specs] == [("official", 4), ("official", 9)]
    for spec in specs:
        chosen = {name: spec.method_options[name] for name in best.params}
        assert chosen == best.params
        assert spec.method_options == {**base.method_options, **best.params}
        assert spec.optim.lr == base.optim.lr


def test_a_final_run_says_what_the_search_has_cost(search):
    do(search, 40.0, seconds=3600.0, device="cuda", processes=2)
    do(search, 60.0)
    do(search, state=FAIL)
    (spec,) = final_specs(search, search.best, search.execution, cards(), [1])
    assert spec.study == {
        "name": "s",
        "objective": "held-out",
        "role": "final",
        "trial": 1,
        "sampler": "random",
        "pruner": "none",
        "trials": 3,
        "complete": 2,
        "pruned": 0,
        "fail": 1,
        "gpu_hours": 2.0,
        "cpu_hours": 0.0,
        "space": {"alpha": "0.1..10:log", "tau": "0.01..1:log"},
        "test_evaluations": 0,
        "folds": 1,
        "seeds_per_trial": 1,
    }


def test_a_final_run_is_the_run_that_anybody_would_have_made_by_hand(search, base):
    do(search)
    (spec,) = final_specs(search, search.best, search.execution, cards(), [2])
    options = {**base.method_options, **search.best.params}
    by_hand = dataclasses.replace(base, seed=2, split="official", method_options=options)
    assert by_hand.study != spec.study
    assert by_hand.run_id == spec.run_id


# --- doing them -------------------------------------------------------------------------------------------------


def test_each_seed_is_trained_once_and_its_result_tells_of_the_study(search, tmp_path, launched):
    do(search, 60.0)
    with logged() as said:
        done = train(search, tmp_path)
    assert [run.error for run in done] == [None] * 3
    assert [spec.seed for spec in launched.specs] == [1, 2, 3]
    assert [line.partition(":")[2] for line in said] == [
        f" trial 0, seed {seed}, the whole training part" for seed in (1, 2, 3)
    ]
    board = {run.run_id: run for run in Store.open(tmp_path).runs()}
    assert set(board) == {run.spec.run_id for run in done}
    for run in done:
        kept = RunFolder.of_run(tmp_path, run.spec.run_id).read().document["study"]
        assert kept == board[run.spec.run_id].extra["study"] == run.spec.study
        assert (kept["role"], kept["trials"], kept["test_evaluations"]) == ("final", 1, 1)


def test_what_a_result_says_of_its_study_is_written_once(search, tmp_path, launched):
    do(search, 60.0)
    (run,) = train(search, tmp_path, [1])
    path = RunFolder.of_run(tmp_path, run.spec.run_id).result
    before = path.stat().st_mtime_ns, path.read_bytes()
    # The second time the run is done, and its result is as it shall be.
    finals.bring_with_study(run.spec, tmp_path)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_a_look_at_the_test_set_is_counted_before_it_and_once_for_a_trial(search, tmp_path, launched):
    do(search, 60.0)
    launched.endings += [InterruptedRunError("Stopped.")]
    with pytest.raises(InterruptedRunError):
        train(search, tmp_path)
    assert open_study(search.place, "s").finals == [0]
    train(search, tmp_path, [1])
    assert search.finals == [0]
    do(search, 61.0)
    train(search, tmp_path, [1])
    assert search.finals == [0, 1]
    assert [spec.study["test_evaluations"] for spec in launched.specs] == [1, 1, 2]


def test_a_run_that_fails_does_not_keep_the_others_from_being_trained(search, tmp_path, launched):
    do(search, 60.0)
    launched.endings += [RunError("The loss is nan.", "Use a smaller lr."), None, LostProcessError("SIGKILL.")]
    with logged() as said:
        done = train(search, tmp_path)
    assert [str(run.error) if run.error else None for run in done] == ["The loss is nan.", None, "SIGKILL."]
    failed = [line for line in said if "failed" in line]
    assert failed == [
        f"final run {done[0].spec.run_id} failed: The loss is nan. Use a smaller lr.",
        f"final run {done[2].spec.run_id} failed: SIGKILL.",
    ]


@pytest.mark.parametrize("error", [InterruptedRunError("Stopped."), DamagedBoardError("x"), SpoiltBoardError("x")])
@pytest.mark.parametrize("before", [0, 1])
def test_what_every_run_would_meet_ends_them_all(search, tmp_path, launched, error, before):
    do(search, 60.0)
    launched.endings += [*itertools.repeat(None, before), error]
    with pytest.raises(type(error)):
        train(search, tmp_path)
    assert len(launched.specs) == before + 1


def test_a_result_that_the_board_does_not_take_fails_its_run_alone(search, tmp_path, launched, monkeypatch):
    do(search, 60.0)
    taken = iter([False, True])
    import_result = Store.import_result

    def sometimes(self, result, **options):
        if not next(taken):
            raise StoreError("The disk is full.")
        return import_result(self, result, **options)

    monkeypatch.setattr(Store, "import_result", sometimes)
    assert [run.error and run.error.message for run in train(search, tmp_path, [1, 2])] == ["The disk is full.", None]
