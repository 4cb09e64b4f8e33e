"""Attempts at trials: which are counted, what ends a trial, a worker or a search, and who may still write."""

import gc
import time
import weakref

import numpy as np
import optuna
import pytest
from small_studies import base_spec, request_of, states, study_of, work_on

import bench.engine.trainer
from bench.core.errors import (
    InterruptedRunError,
    LostProcessError,
    RunError,
    SpecError,
    StoreError,
    UnexpectedError,
    WeightsError,
    forget,
)
from bench.launch.once import Launched
from bench.search import claims, failures, objective
from bench.search.claims import AttemptLostError
from bench.search.failures import CircuitBreaker
from bench.search.finals import is_over
from bench.search.study_values import counted
from leaderboard.results.run_result import RunResult

ELSEWHERE = {"machine": "another machine", "pid": 1, "started": 0.0, "beat": 0.0}
COMPLETE, FAIL = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL


@pytest.fixture
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "results"


def runs(monkeypatch, ending):
    """Replace the training; ``ending(hooks)`` raises what it ends with, or gives the Score."""

    def launch(spec, home, *, hooks, **_options):
        score = ending(hooks)
        judged = {"test": {"4class": {"score": score}}}
        entries = [{"epoch": epoch, **judged} for epoch in range(1, spec.schedule.epochs + 1)]
        metrics = {"last": {"4class": {"score": score}}}
        return Launched(home, RunResult({"epochs": entries, "metrics": metrics, "seconds": 0.0}))

    monkeypatch.setattr(objective, "launch", launch)


def raising(error):
    def ending(hooks):
        raise error

    return ending


def attempts(search, home, most=20):
    """Work on a study as its workers do, one after the other; gives how many were lost."""
    for lost in range(most):
        try:
            work_on(search, home)
        except AttemptLostError:
            continue
        return lost
    raise AssertionError("the search does not end")


# --- lost attempts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("Expected more than 1 value per channel"), "ValueError: Expected more than 1 value per channel"),
        (KeyError("weight"), "KeyError: 'weight'"),
        (AssertionError(), "AssertionError"),
        (OSError("a device is gone"), "OSError: a device is gone"),
        (RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with …"), "illegal memory access"),
        (RunError("CUDA error: device-side assert triggered"), "device-side assert"),
        (RunError("NCCL communicator was aborted on rank 1."), "NCCL communicator"),
        (LostProcessError("A process of the run was lost: SIGKILL."), "SIGKILL"),
        (UnexpectedError("KeyError: 'weight'", "Its traceback is in rank-1.log."), "KeyError: 'weight'"),
        (RuntimeError("clear \x1b[2J screen"), "clear ?[2J screen"),
        (RuntimeError("\udcff"), "RuntimeError: ?"),
    ],
)
def test_a_trial_that_processes_are_lost_at_fails_with_its_cause_after_three_attempts(
    base, home, monkeypatch, error, cause
):
    runs(monkeypatch, raising(error))
    search = study_of(base, request_of(base), home, 2)
    assert attempts(search, home) == 2 * claims.MOST_LOST
    assert states(search) == ["FAIL", "FAIL"]
    for trial in search.trials:
        assert "3 workers were lost" in trial.user_attrs["error"]
        assert cause in trial.user_attrs["error"]


def test_lost_attempts_are_counted_over_searches_with_the_same_parameters(base, home, monkeypatch):
    runs(monkeypatch, raising(ValueError("no")))
    asked = set()
    for attempt in range(claims.MOST_LOST):
        search = study_of(base, request_of(base), home, 1)
        with pytest.raises(AttemptLostError) as caught:
            work_on(search, home)
        assert (caught.value.failed is None) == (attempt < claims.MOST_LOST - 1)
        asked.add(tuple(search.trials[0].params.values()))
    assert states(search) == ["FAIL"]
    assert len(asked) == 1


def test_an_attempt_that_got_further_is_not_counted(small_data, small_cache, home, monkeypatch):
    base, reached = base_spec(small_data, small_cache, epochs=20), [1, 1, 1, 5, 5, 6, 6, 6, 6]
    done = []

    def ending(hooks):
        done.append(reached[len(done)])
        hooks.watch(dict.fromkeys(range(1, done[-1] + 1), 50.0))
        raise ValueError("preempted")

    runs(monkeypatch, ending)
    search = study_of(base, request_of(base), home, 1)
    # 1 is a step forward, then two without; 5 is one again, 6 too, and then come three without.
    assert attempts(search, home) == len(reached)
    assert states(search) == ["FAIL"]


@pytest.mark.parametrize("change", [{"pruner": "wilcoxon"}, {"pruner": "none"}])
def test_later_runs_of_a_trial_are_progress_too(small_data, small_cache, home, monkeypatch, change):
    pytest.importorskip("scipy")
    base = base_spec(small_data, small_cache, epochs=3)
    # In which of the trial's runs, and after which epoch, an attempt is lost.
    numbers = iter([(1, 1), (1, 2), (2, 1), (2, 2), (2, 2), (2, 2), (2, 2)])
    place = {"run": 0, "dies": next(numbers)}

    def one(hooks):
        place["run"] += 1
        run, epoch = place["dies"]
        if place["run"] < run:
            return 50.0
        hooks.watch(dict.fromkeys(range(1, epoch + 1), 50.0))
        place["run"], place["dies"] = 0, next(numbers, None)
        raise ValueError("preempted")

    runs(monkeypatch, one)
    search = study_of(base, request_of(base, seeds=[1, 2], **change), home, 1)
    assert attempts(search, home) == 7
    assert states(search) == ["FAIL"]


@pytest.mark.parametrize("error", [InterruptedRunError("Stopped."), KeyboardInterrupt()])
def test_an_attempt_that_was_stopped_is_not_counted(base, home, monkeypatch, error):
    runs(monkeypatch, raising(error))
    for _ in range(2 * claims.MOST_LOST):
        search = study_of(base, request_of(base), home, 1)
        with pytest.raises(type(error)):
            work_on(search, home)
    assert states(search) == ["WAITING"]
    assert claims.LOST not in search.trials[0].user_attrs


def test_a_process_lost_to_a_signal_that_stops_the_search_is_not_counted(base, home, monkeypatch):
    runs(monkeypatch, raising(LostProcessError("A process of the run was lost: SIGTERM.")))
    search = study_of(base, request_of(base), home, 1)
    runner = objective.TrialRunner(search, home, search.execution, lambda: True)
    with pytest.raises(InterruptedRunError):
        runner.carry_out(claims.claim(search))
    assert states(search) == ["WAITING"]
    assert claims.LOST not in search.trials[0].user_attrs


def test_a_full_disk_ends_the_search_with_a_sentence_and_the_trial_waits(base, home, monkeypatch):
    runs(monkeypatch, raising(OSError(28, "No space left on device", "/results/runs/x")))
    search = study_of(base, request_of(base), home, 1)
    with pytest.raises(StoreError, match="Cannot write /results/runs/x: No space left on device"):
        work_on(search, home)
    assert states(search) == ["WAITING"]


@pytest.mark.parametrize(
    "error", [RunError("The loss is nan."), SpecError("batch is 9."), WeightsError("No weights."), MemoryError()]
)
def test_a_fault_of_the_parameters_fails_the_trial_at_once(base, home, monkeypatch, error):
    runs(monkeypatch, raising(error))
    search = study_of(base, request_of(base), home, 1)
    assert attempts(search, home) == 0
    assert states(search) == ["FAIL"]


def test_parameters_that_make_no_spec_fail_their_trial_at_once(base, home, monkeypatch):
    runs(monkeypatch, lambda hooks: 50.0)
    request = request_of(base, "epochs,warmup_epochs", sampler="grid", space=("epochs=2,8", "warmup_epochs=4,5"))
    search = study_of(base, request, home, 4)
    assert attempts(search, home) == 0
    assert states(search) == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert "warmup_epochs is 4" in search.trials[0].user_attrs["error"]


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("CUDA error: out of memory", True),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", True),
        ("The device ran out of memory: CUDA out of memory. Tried to allocate 20.00 MiB.", False),
        ("The loss is nan in epoch 1, step 2 of 81.", False),
    ],
)
def test_errors_that_poison_a_process_are_known_by_what_they_say_or_come_from(text, lost):
    assert failures.is_lost(RunError(text)) == lost
    error = RunError("The plug-in failed.")
    error.__cause__ = RuntimeError(text)
    assert failures.is_lost(error) == lost
    assert failures.is_own_fault(error) != lost


# --- who may write ----------------------------------------------------------------------------------------------


def test_a_worker_that_stood_still_writes_nothing_over_the_one_that_took_its_trial(base, home):
    search = study_of(base, request_of(base), home, 1)
    stale = claims.claim(search)
    stale.trial.set_user_attr(claims.WORKER, {**ELSEWHERE, "beat": time.time() - claims.GRACE - 30})
    owner = claims.claim(search)
    assert owner.number == stale.number
    signed = search.trials[0].user_attrs[claims.WORKER]
    stale.beat()
    assert not stale.report({1: 99.0})
    assert not stale.note_epochs(7)
    stale.give_back()
    stale.lose("stale")
    assert not stale.end(COMPLETE, 99.0, {"scores": [99.0]})
    (trial,) = search.trials
    assert trial.user_attrs[claims.WORKER] == signed
    assert (trial.state.name, trial.intermediate_values) == ("RUNNING", {})
    assert trial.user_attrs[claims.LOST] == 1
    assert owner.mine
    assert owner.report({1: 50.0})
    assert owner.end(COMPLETE, 50.0, {})
    assert search.trials[0].value == 50.0


def test_a_run_whose_trial_was_taken_over_stops_and_does_not_count(base, home, monkeypatch):
    search = study_of(base, request_of(base), home, 1)
    taken = claims.claim(search)
    said = []

    def ending(hooks):
        taken.trial.set_user_attr(claims.WORKER, {**ELSEWHERE, "beat": time.time()})
        said.append(hooks.watch({1: 50.0}))
        raise objective.PrunedRunError(f"Pruned: {said[0]}.")

    runs(monkeypatch, ending)
    runner = objective.TrialRunner(search, home, search.execution)
    assert runner.carry_out(taken) is None
    assert said == [objective.TAKEN_OVER]
    assert states(search) == ["RUNNING"]


# --- failing alike ----------------------------------------------------------------------------------------------


def failing(texts):
    """Runs that fail with one text after the other; None is a Score."""
    left = iter(texts)

    def ending(hooks):
        text = next(left)
        if text is None:
            return 50.0
        raise RunError(text)

    return ending


def search_with(breaker, search, home):
    from bench.search.worker import work

    work(search, home, search.execution, lambda event: None, breaker=breaker)


OOM = "The device ran out of memory: Tried to allocate {} MiB. Process {} holds {}.5 GiB."


@pytest.mark.parametrize(
    ("texts", "limit", "done"),
    [
        ([OOM.format(n, 100 + n, n) for n in range(20)], 5, 5),
        ([OOM.format(n, 100 + n, n) for n in range(20)], 2, 2),
        ([OOM.format(n, 100 + n, n) for n in range(20)], 0, 20),
        (["a", "b"] * 10, 5, 20),
        ((["a"] * 4 + [None]) * 4, 5, 20),
        (["a"] * 4 + ["b"] * 20, 5, 9),
    ],
)
def test_a_search_stops_where_trials_in_a_row_fail_alike(base, home, monkeypatch, texts, limit, done):
    runs(monkeypatch, failing(texts))
    search = study_of(base, request_of(base, sampler="random"), home, 20)
    breaker = CircuitBreaker(limit, time.time())
    if done < 20:
        with pytest.raises(RunError, match=f"{limit} trials in a row failed with the same cause"):
            search_with(breaker, search, home)
    else:
        search_with(breaker, search, home)
    assert len(search.trials) == done
    assert "RUNNING" not in states(search)


def test_failures_of_the_search_before_do_not_stop_this_one(base, home, monkeypatch):
    runs(monkeypatch, failing(["a"] * 5 + [None] * 15))
    search = study_of(base, request_of(base, sampler="random"), home, 20)
    with pytest.raises(RunError):
        search_with(CircuitBreaker(5, time.time()), search, home)
    search_with(CircuitBreaker(5, time.time()), search, home)
    assert states(search) == ["FAIL"] * 5 + ["COMPLETE"] * 15


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_failed_trials_are_done_again_in_their_place(base, home, monkeypatch, sampler):
    runs(monkeypatch, failing(["a"] * 3 + [None] * 9))
    space = ("alpha=1,2,3", "tau=0.1,0.2") if sampler == "grid" else ()
    search = study_of(base, request_of(base, sampler=sampler, space=space), home, 6)
    with pytest.raises(RunError):
        search_with(CircuitBreaker(3, time.time()), search, home)
    assert claims.retry_failed(search) == 3
    assert not is_over(search)
    search_with(CircuitBreaker(3, time.time()), search, home)
    assert is_over(search)
    assert states(search) == ["FAIL"] * 3 + ["COMPLETE"] * 6
    assert [trial.params for trial in search.trials[3:6]] == [trial.params for trial in search.trials[:3]]
    assert counted(search.trials) == 6
    assert claims.retry_failed(search) == 0
    if sampler == "grid":
        points = {(trial.params["alpha"], trial.params["tau"]) for trial in search.trials if trial.state is COMPLETE}
        assert len(points) == 6


def test_a_trial_that_failed_again_can_be_done_again(base, home, monkeypatch):
    runs(monkeypatch, failing(["a", "b", None]))
    search = study_of(base, request_of(base), home, 1)
    for _ in range(2):
        work_on(search, home)
        assert claims.retry_failed(search) == 1
    work_on(search, home)
    assert states(search) == ["FAIL", "FAIL", "COMPLETE"]
    assert counted(search.trials) == 1


# --- memory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RunError("The loss is nan."), MemoryError(), "pruned"])
def test_a_trial_that_failed_or_was_pruned_leaves_no_model_behind(small_data, small_cache, home, monkeypatch, error):
    base = base_spec(small_data, small_cache, epochs=2)
    models = []
    settle, graph = bench.engine.trainer.Trainer._add_losses, bench.engine.trainer.build_graph

    def build(*words):
        built = graph(*words)
        models.append(weakref.ref(built.model))
        return built

    def failing_settle(self, *words):
        if len(models) == 1 and isinstance(error, BaseException):
            raise error
        return settle(self, *words)

    monkeypatch.setattr(bench.engine.trainer, "build_graph", build)
    monkeypatch.setattr(bench.engine.trainer.Trainer, "_add_losses", failing_settle)
    search = study_of(base, request_of(base, pruner="median" if error == "pruned" else "none"), home, 1)
    if error == "pruned":
        search.study.pruner = Always()
    work_on(search, home)
    assert states(search) == ["PRUNED" if error == "pruned" else "FAIL"]
    # Nothing is looked for here: what is alive now stays alive in a worker.
    gc.disable()
    try:
        assert [model() for model in models] == [None]
    finally:
        gc.enable()


class Always(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step is not None


def test_an_error_that_is_forgotten_holds_nothing_that_it_came_through():
    class Model:
        weight = np.zeros(1)

    def train(model):
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise RunError("outer") from error

    def run():
        model = Model()
        held.append(weakref.ref(model))
        train(model)

    held, caught = [], None
    try:
        run()
    except RunError as error:
        caught = error
    assert held[0]() is not None
    forget(caught)
    assert held[0]() is None
