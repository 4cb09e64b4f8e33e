"""Studies worked on in this process: counting, going on, repeating, failing, pruning, and never a look at the test."""

import json
import os
import shutil
import time

import numpy as np
import optuna
import pytest
import soundfile
from small_studies import base_spec, request_of, states, study_of, work_on

from bench.core.errors import InterruptedRunError, PrunedRunError, SpecError, StoreError
from bench.engine.hooks import Hooks
from bench.launch.once import launch
from bench.search import claims, objective
from bench.search.study import open_study
from bench.search.study_values import budget, describe
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

NOBODY = {"machine": claims._machine(), "pid": 2**22 + 1, "started": 0.0, "beat": 0.0}
ELSEWHERE = {"machine": "another machine", "pid": 1, "started": 0.0}


@pytest.fixture
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "results"


def no_training(monkeypatch, value=lambda params: params["alpha"]):
    """Replace what a trial does by a formula: what is tested then is the counting."""

    def ended(self, claim, told):
        told.scores.append(value(claim.params))
        return objective.TrialOutcome(optuna.trial.TrialState.COMPLETE, told.scores[0])

    monkeypatch.setattr(objective.TrialRunner, "_run_all", ended)


# --- what a trial is --------------------------------------------------------------------------------------------


def test_a_trial_is_a_run_on_the_board_for_each_seed_and_fold_and_their_mean_counts(base, home):
    request = request_of(base, seeds=[1, 2], folds=2)
    search = study_of(base, request, home, 1)
    events = work_on(search, home)
    (trial,) = search.trials
    told = trial.user_attrs
    assert [event["event"] for event in events] == ["begins", "ended"]
    assert (told["seeds"], told["folds"]) == ([1, 1, 2, 2], [1, 2, 1, 2])
    assert trial.value == pytest.approx(np.mean(told["scores"]))
    runs = {run.run_id: run for run in Store.open(home).runs()}
    assert list(runs) == sorted(told["run_ids"], key=list(runs).index)
    for run_id, score, seed, fold in zip(told["run_ids"], told["scores"], told["seeds"], told["folds"], strict=True):
        run = runs[run_id]
        assert (run.kind, run.spec["split"], run.spec["seed"]) == ("trial", f"training-fold-{fold}-of-2", seed)
        assert run.extra["study"] == {"name": "s", "objective": "held-out", "role": "trial", "trial": 0}
        assert run.metrics["last"]["4class"]["score"] == pytest.approx(score)
        assert run.spec["method_options"]["alpha"] == trial.params["alpha"]
        patients = set(RunFolder(home / "runs" / run_id).read().cycles.patients)
        assert patients < {"101", "102", "103", "104", "105", "106"}
        assert not (home / "runs" / run_id / "weights").exists()
    assert list(trial.intermediate_values) == [1]
    assert told["seconds"] == pytest.approx(sum(run.seconds for run in runs.values()))


def spoilt_test_part(data, folder):
    """The same set, with other labels and other sound in its test part."""
    shutil.copytree(data, folder)
    database = folder / "ICBHI_final_database"
    rng = np.random.default_rng(1)
    for path in database.glob("20*.wav"):
        samples, rate = soundfile.read(path)
        soundfile.write(path, rng.uniform(-0.5, 0.5, len(samples)), rate, subtype="PCM_16")
    for path in database.glob("20*.txt"):
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        path.write_text("".join(f"{start}\t{end}\t1\t0\n" for start, end, *_ in lines))
    return folder


def test_the_objective_is_the_same_whatever_the_test_part_holds(small_data, small_cache, tmp_path):
    found = []
    for data in (small_data, spoilt_test_part(small_data, tmp_path / "spoilt")):
        base = base_spec(data, small_cache, epochs=2, settings=("lr=1e-3",))
        search = study_of(base, request_of(base, folds=3), tmp_path / data.name, 2)
        work_on(search, tmp_path / data.name)
        found.append([(trial.params, trial.value, trial.user_attrs["scores"]) for trial in search.trials])
        fingerprint = base.data_fingerprint
    assert found[0] == found[1]
    assert fingerprint != base_spec(small_data, small_cache).data_fingerprint


def test_the_test_set_is_searched_on_only_where_it_is_asked_for_and_the_runs_say_so(base, home):
    search = study_of(base, request_of(base, objective="test"), home, 1)
    work_on(search, home)
    (run,) = Store.open(home).runs()
    assert (run.kind, run.spec["split"], run.extra["study"]["objective"]) == ("trial", "official", "test")
    assert set(RunFolder(home / "runs" / run.run_id).read().cycles.patients) == {"201", "202", "203"}
    document = describe(search)
    assert document["tuned_on_test"]
    assert document["budget"]["test_evaluations"] == 1


# --- counting ---------------------------------------------------------------------------------------------------


def test_trials_are_counted_in_total_over_invocations(base, home, monkeypatch):
    no_training(monkeypatch)
    request = request_of(base)
    work_on(study_of(base, request, home, 3), home)
    assert len(study_of(base, request, home, 3).trials) == 3
    assert work_on(study_of(base, request, home, 3), home) == []
    search = study_of(base, request, home, 5)
    assert [event["trial"] for event in work_on(search, home) if event["event"] == "ended"] == [3, 4]
    assert states(search) == ["COMPLETE"] * 5
    assert work_on(study_of(base, request, home, 2), home) == []


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_equal_studies_ask_for_equal_parameters_also_when_one_was_stopped(base, tmp_path, monkeypatch, sampler):
    no_training(monkeypatch)
    trials = 14 if sampler != "random" else 5
    request = request_of(base, sampler=sampler)
    asked = []
    for stops in ([trials], [2, 4, trials]):
        home = tmp_path / str(len(stops))
        for target in stops:
            search = study_of(base, request, home, target)
            work_on(search, home)
        asked.append([trial.params for trial in search.trials])
    assert asked[0] == asked[1]
    # GP comes back to the same corner of the space once it is sure.
    assert len({json.dumps(params) for params in asked[0]}) >= (10 if sampler == "gp" else trials)
    other = study_of(base, request_of(base, sampler=sampler, sampler_seed=2), tmp_path / "other", 2)
    work_on(other, tmp_path / "other")
    assert [trial.params for trial in other.trials] != asked[0][:2]


def test_a_grid_does_each_of_its_points_once(base, home, monkeypatch):
    no_training(monkeypatch)
    request = request_of(base, sampler="grid", space=("alpha=1,2,3", "tau=0.1,0.2"))
    work_on(study_of(base, request, home, 4), home)
    search = study_of(base, request, home, 6)
    work_on(search, home)
    points = [(trial.params["alpha"], trial.params["tau"]) for trial in search.trials]
    assert sorted(points) == [(a, t) for a in (1.0, 2.0, 3.0) for t in (0.1, 0.2)]


@pytest.mark.parametrize(
    "change",
    [
        {"folds": 2},
        {"seeds": [1, 2]},
        {"sampler": "random"},
        {"pruner": "median"},
        {"space": ("alpha=1..2",)},
        {"params": "alpha"},
        {"objective": "test"},
    ],
)
def test_another_request_under_the_same_name_is_refused_with_the_difference(base, home, change):
    study_of(base, request_of(base), home, 3)
    (name,) = change
    with pytest.raises(SpecError, match=f"There is a study 's', and it is another one: .*{name}"):
        study_of(base, request_of(base, **change), home, 3)
    assert open_study(study_of(base, request_of(base), home, 3).place, "s").request == request_of(base)


def test_another_spec_under_the_same_name_is_refused(small_data, small_cache, base, home):
    study_of(base, request_of(base), home, 3)
    other = base_spec(small_data, small_cache, settings=("lr=0.01",))
    with pytest.raises(SpecError, match=r"spec\.lr: 0.001 in the study, 0.01 asked for"):
        study_of(other, request_of(other), home, 3)


# --- what goes wrong --------------------------------------------------------------------------------------------


def test_trials_that_cannot_be_run_are_recorded_and_do_not_stop_the_others(base, home):
    request = request_of(base, "lr,batch", sampler="grid", space=("lr=1e30,1e-4", "batch=8,4096"))
    search = study_of(base, request, home, 4)
    work_on(search, home)
    by_params = {(trial.params["lr"], trial.params["batch"]): trial for trial in search.trials}
    assert by_params[1e-4, 8].state.name == "COMPLETE"
    assert "batch is 4096" in by_params[1e-4, 4096].user_attrs["error"]
    diverged = by_params[1e30, 8]
    assert diverged.state.name == "FAIL"
    assert "The loss is nan" in diverged.user_attrs["error"]
    assert not (home / "runs" / diverged.user_attrs["run_ids"][0] / "checkpoint").exists()
    assert [run.status for run in Store.open(home).runs()].count("failed") == 1
    assert budget(search)["fail"] == 3


def test_running_out_of_memory_fails_the_trial_alone(base, home, monkeypatch):
    import torch

    import bench.engine.trainer

    errors = [torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]

    def build(*words):
        if errors:
            raise errors.pop()
        return graph(*words)

    graph = bench.engine.trainer.build_graph
    monkeypatch.setattr(bench.engine.trainer, "build_graph", build)
    search = study_of(base, request_of(base), home, 3)
    work_on(search, home)
    assert states(search) == ["FAIL", "FAIL", "COMPLETE"]
    assert "The machine ran out of memory" in search.trials[0].user_attrs["error"]
    assert "The device ran out of memory" in search.trials[1].user_attrs["error"]


@pytest.mark.parametrize("error", [InterruptedRunError("Stopped."), StoreError("The disk is full.")])
def test_what_is_no_fault_of_the_trial_gives_it_back_and_it_counts_once(base, home, monkeypatch, error):
    def broken(*_words, **_options):
        raise error

    request = request_of(base)
    search = study_of(base, request, home, 2)
    with monkeypatch.context() as patch:
        patch.setattr(objective, "launch", broken)
        with pytest.raises(type(error)):
            work_on(search, home)
    assert states(search) == ["WAITING"]
    params = search.trials[0].params
    search = study_of(base, request, home, 2)
    work_on(search, home)
    assert states(search) == ["COMPLETE"] * 2
    assert search.trials[0].params == params


def test_the_trial_of_a_dead_worker_is_taken_over_and_counted_once(base, home, monkeypatch):
    no_training(monkeypatch)
    request = request_of(base)
    search = study_of(base, request, home, 2)
    lost = claims.claim(search)
    lost.trial.set_user_attr(claims.WORKER, NOBODY)
    search = study_of(base, request, home, 2)
    work_on(search, home)
    assert states(search) == ["COMPLETE"] * 2
    assert search.trials[0].params == lost.params
    assert search.trials[0].user_attrs[claims.LOST] == 1
    assert not lost.mine
    assert not lost.end(optuna.trial.TrialState.FAIL, None, {})


def test_a_trial_that_every_worker_dies_of_fails_with_that_cause(base, home, monkeypatch):
    no_training(monkeypatch)
    search = study_of(base, request_of(base), home, 2)
    for _ in range(claims.MOST_LOST):
        claims.claim(search).trial.set_user_attr(claims.WORKER, NOBODY)
    work_on(search, home)
    assert states(search) == ["FAIL", "COMPLETE"]
    assert "3 workers were lost" in search.trials[0].user_attrs["error"]


def test_a_worker_elsewhere_lives_as_long_as_its_heart_beats(base, home, monkeypatch):
    no_training(monkeypatch)
    search = study_of(base, request_of(base), home, 1)
    taken = claims.claim(search)
    taken.trial.set_user_attr(claims.WORKER, {**ELSEWHERE, "beat": time.time() - claims.GRACE + 30})
    assert claims.claim(search) is None
    taken.trial.set_user_attr(claims.WORKER, {**ELSEWHERE, "beat": time.time() - claims.GRACE - 30})
    assert claims.claim(search).number == 0


def test_heartbeats_are_written_while_a_trial_lasts(base, home, monkeypatch):
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.02)
    taken = claims.claim(study_of(base, request_of(base), home, 1))
    first = taken.trial.user_attrs[claims.WORKER]["beat"]
    with taken.beating():
        time.sleep(0.2)
    assert taken.search.trials[0].user_attrs[claims.WORKER]["beat"] > first


def test_sqlite_keeps_a_study_for_one_search_at_a_time(base, home, monkeypatch):
    no_training(monkeypatch)
    search = study_of(base, request_of(base), home, 3, storage=f"sqlite:///{home}/studies.sqlite")
    assert search.place.one_writer
    with search.place.only_user():
        work_on(search, home)
        other = type(search.place)(url=search.place.url)
        with pytest.raises(StoreError, match=f"is in use by process {os.getpid()}"), other.only_user():
            pass
    assert states(search) == ["COMPLETE"] * 3


@pytest.mark.parametrize("pruner", ["hyperband", "median"])
def test_tpe_and_pruners_go_together(base, home, monkeypatch, pruner):
    no_training(monkeypatch)
    search = study_of(base, request_of(base, pruner=pruner), home, 15)
    work_on(search, home)
    assert states(search) == ["COMPLETE"] * 15


def test_postgresql_keeps_a_study_as_a_journal_does(base, home, monkeypatch, postgres_url):
    no_training(monkeypatch)
    request = request_of(base)
    search = study_of(base, request, home, 3, storage=postgres_url)
    lost = claims.claim(search)
    lost.trial.set_user_attr(claims.WORKER, NOBODY)
    with pytest.raises(SpecError, match="it is another one"):
        study_of(base, request_of(base, folds=2), home, 3, storage=postgres_url)
    search = study_of(base, request, home, 3, storage=postgres_url)
    work_on(search, home)
    assert states(search) == ["COMPLETE"] * 3
    assert search.trials[0].params == lost.params
    journal = study_of(base, request, home, 3)
    work_on(journal, home)
    assert [trial.params for trial in journal.trials] == [trial.params for trial in search.trials]
    assert "s3cr" not in str(search.place)


# --- pruning ----------------------------------------------------------------------------------------------------


class Always(optuna.pruners.BasePruner):
    """Prunes whatever has reported a step."""

    def prune(self, study, trial):
        return trial.last_step is not None


def test_a_pruned_trial_keeps_its_epochs_and_is_never_taken_as_finished(small_data, small_cache, home):
    base = base_spec(small_data, small_cache, epochs=3)
    search = study_of(base, request_of(base, pruner="median"), home, 1)
    search.study.pruner = Always()
    work_on(search, home)
    (trial,) = search.trials
    assert trial.state.name == "PRUNED"
    assert list(trial.intermediate_values) == [1]
    assert "by the pruner median" in trial.user_attrs["pruned"]
    folder = home / "runs" / trial.user_attrs["run_ids"][0]
    document = RunFolder(folder).read().document
    assert (document["status"], len(document["epochs"])) == ("pruned", 1)
    assert document["metrics"]["last"] is None
    assert not (folder / "checkpoint").exists()
    assert Store.open(home).run(document["run_id"])["status"] == "pruned"


def test_a_trial_of_several_runs_is_pruned_between_them(base, home):
    pytest.importorskip("scipy")
    search = study_of(base, request_of(base, pruner="wilcoxon", seeds=[1, 2, 3]), home, 1)
    search.study.pruner = Always()
    work_on(search, home)
    (trial,) = search.trials
    assert (trial.state.name, list(trial.intermediate_values)) == ("PRUNED", [0])
    assert trial.intermediate_values[0] == trial.user_attrs["scores"][0]
    assert "after run 1 of 3" in trial.user_attrs["pruned"]


@pytest.mark.parametrize("pruner", ["hyperband", "median", "wilcoxon"])
def test_pruners_prune_what_is_worse(base, home, monkeypatch, pruner):
    """Trials whose every report says how good they are: bad ones are pruned, the best never."""

    def ended(self, claim, told):
        for step in range(1, 10):
            told.scores.append(10 * claim.params["alpha"])
            claim.trial.report(told.scores[0], step)
            if claim.trial.should_prune():
                return objective.TrialOutcome(optuna.trial.TrialState.PRUNED)
        return objective.TrialOutcome(optuna.trial.TrialState.COMPLETE, told.scores[0])

    monkeypatch.setattr(objective.TrialRunner, "_run_all", ended)
    request = request_of(base, "alpha,epochs", space=("epochs=9,10",), sampler="random", pruner=pruner, seeds=[1, 2])
    search = study_of(base, request, home, 30)
    work_on(search, home)
    pruned = [trial.params["alpha"] for trial in search.trials if trial.state.name == "PRUNED"]
    assert 5 <= len(pruned) <= 28
    assert search.best.params["alpha"] == max(trial.params["alpha"] for trial in search.trials)
    if pruner == "median":
        assert np.mean(pruned) < search.best.params["alpha"] / 2


@pytest.mark.slow
def test_two_processes_are_pruned_together_and_do_not_hang(small_data, small_cache, home):
    study = {"name": "s", "objective": "held-out", "role": "trial", "trial": 0}
    spec = base_spec(small_data, small_cache, epochs=4).changed(processes=2, split="training-fold-1-of-2", study=study)
    heard = []

    def watch(scores):
        heard.append(dict(scores))
        return "enough" if len(scores) == 2 else None

    launched = launch(spec, home, rerun=False, hooks=Hooks(watch))
    assert isinstance(launched.error, PrunedRunError)
    assert [list(scores) for scores in heard] == [[1], [1, 2]]
    assert launched.document["status"] == "pruned"
    assert len(launched.document["epochs"]) == 2
    assert launched.document["provenance"]["processes"] == 2
