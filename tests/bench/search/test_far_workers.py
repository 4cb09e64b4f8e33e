"""The workers of a search on an engine: one that is made up, and real processes of this machine in its stead."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from board_runs import write_run
from logs import logged
from small_studies import base_spec, cards, request_of, states, study_of
from stand_ins import once

from bench.core.errors import (
    CancelledJobError,
    DataError,
    InterruptedRunError,
    LostProcessError,
    MemoryRunError,
    RunError,
    SpecError,
    StoreError,
    UnexpectedError,
)
from bench.launch.executors.slurm import SlurmExecutor
from bench.launch.jobs import Ended, LaunchOptions
from bench.search import claims, far_workers, trial_results
from bench.search.claims import GRACE, WORKER, claim
from bench.search.far_finals import train_best_far
from bench.search.far_storage import check_far, check_options, warn_of_own_disks
from bench.search.far_workers import FarCrew, cancel_jobs_of, jobs_folder
from bench.search.storage import Place
from bench.search.study_watch import claimable
from bench.search.workers import MOST_STILLBORN
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

ROOT = Path(__file__).resolve().parents[3]
COMPLETE = claims.TrialState.COMPLETE
FAR = LaunchOptions(launcher="slurm")


class MadeUpExecutor:
    """An engine that is made up: its jobs are done in this process, by a function, when somebody asks for their ends.

    Args:
        work: Does a job; gives the error that it ends with.
        outlives: As of the real ones.
    """

    name = "Made-up"

    refusals = ()

    def __init__(self, work, *, outlives=False):
        self.work, self.outlives = work, outlives
        self.started, self.alive, self.asked = [], [], False

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        pass

    def room(self, jobs):
        return True

    def start(self, jobs):
        if self.refusals:
            raise self.refusals.pop()
        self.started.append([job.key for job in jobs])
        self.alive += jobs

    def ended(self, seconds):
        now, self.alive = self.alive, []
        found = []
        for job in now:
            error = self.work(job)
            if error == "goes on" and not self.asked:
                self.alive.append(job)
            else:
                found.append(Ended(job.key, InterruptedRunError("Saved.") if error == "goes on" else error))
        if not found:
            time.sleep(0.02)
        return found

    def ask_to_stop(self, keys=None):
        self.asked = True


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


@pytest.fixture
def search(base, tmp_path):
    return study_of(base, request_of(base, sampler="random"), tmp_path, 3)


@pytest.fixture
def crew(search, tmp_path, monkeypatch):
    """Runs two workers on an engine that is made up; gives it and what was said."""

    def run(work, expected=None, *, outlives=False, target=3, refusals=()):
        search.running_on(search.execution, target)
        executor = MadeUpExecutor(work, outlives=outlives)
        executor.refusals = [*refusals]
        monkeypatch.setattr(far_workers, "make_executor", lambda options, folder: executor)
        crew = FarCrew(search, tmp_path, {"device": "cpu", "processes": 1}, 2, FAR)
        with logged() as said:
            if expected is None:
                crew.run()
            else:
                with pytest.raises(expected) as caught:
                    crew.run()
                said.append(caught.value)
        return executor, said

    return run


def do_trial(search, value=50.0, **told):
    """Do what a worker does with one trial."""
    assert claim(search).end(COMPLETE, value, told)


def leave_trial(search, age=0.0):
    """Take a trial as a worker of another machine that is heard of no more since some seconds."""
    taken = claim(search)
    owner = {"machine": "elsewhere 1", "pid": 1, "started": 0.0, "token": "t", "beat": time.time() - age}
    taken.trial.set_user_attr(WORKER, owner)
    return taken


# --- an engine that is made up -----------------------------------------------------------------------------------


def test_workers_are_started_for_the_trials_that_are_left_and_results_come_to_the_board(crew, search, tmp_path):
    do_trial(search)
    folders = iter([write_run(tmp_path, seed=seed) for seed in (1, 2)])
    executor, said = crew(lambda job: do_trial(search, run_ids=[next(folders).name]))
    assert executor.started == [["worker-1", "worker-2"]]
    assert states(search) == ["COMPLETE"] * 3
    assert len(Store.open(tmp_path).runs()) == 2
    assert [line for line in said if line.endswith("Score 50.00")] == ["trial 1: Score 50.00", "trial 2: Score 50.00"]


def test_the_job_of_a_worker_says_where_the_study_is_and_that_its_results_are_stored_elsewhere(crew, search, tmp_path):
    jobs = []

    def work(job):
        jobs.append(job)
        do_trial(search)

    crew(work, target=1)
    (job,) = jobs
    assert job.module == "bench.search.worker"
    assert job.task["stored"] is False
    assert Place.from_json(job.task["place"]) == search.place
    assert job.log == tmp_path / "studies" / "s.worker-1.log"


@pytest.mark.parametrize(
    "error", [LostProcessError("Gone."), UnexpectedError("ValueError: x"), MemoryRunError("Too much."), None]
)
def test_another_worker_takes_the_place_of_one_that_was_lost_or_lost_its_attempt(crew, search, error):
    def work(job):
        if not search.trials:
            claim(search).give_back()
            return error
        do_trial(search)
        return None

    executor, said = crew(work, target=1)
    assert len(executor.started) >= 2
    assert states(search) == ["COMPLETE"]
    assert any("waits for a worker" in line for line in said)


def test_an_engine_that_does_not_answer_for_a_while_does_not_end_the_search(crew, search, monkeypatch):
    monkeypatch.setattr(far_workers, "PAUSE_SECONDS", 0.01)
    away = LostProcessError("Slurm's controller takes no jobs now.")
    executor, _ = crew(lambda job: do_trial(search), target=1, refusals=[away] * MOST_STILLBORN)
    assert executor.started == [["worker-1"]]
    assert states(search) == ["COMPLETE"]
    crew(lambda job: do_trial(search), LostProcessError, target=2, refusals=[away] * (MOST_STILLBORN + 1))


def test_workers_that_are_lost_before_they_begin_end_the_search(crew):
    executor, said = crew(lambda job: LostProcessError("Gone."), RunError)
    assert "lost before they begin: Gone." in said[-1].message
    assert "s.worker-" in said[-1].hint
    assert sum(map(len, executor.started)) <= MOST_STILLBORN + 2


def test_the_others_go_on_without_a_worker_that_somebody_cancelled(crew, search, monkeypatch):
    def work(job):
        if job.key == "worker-1":
            return CancelledJobError("Worker 1 was cancelled.")
        do_trial(search)
        return None

    monkeypatch.setattr(far_workers, "PAUSE_SECONDS", 0.01)
    executor, said = crew(work, target=3)
    assert sum(batch.count("worker-1") for batch in executor.started) == 1
    assert states(search) == ["COMPLETE"] * 3
    assert any("goes on with 1 of its workers, not worker 1" in line for line in said)


def test_a_search_whose_workers_were_all_cancelled_ends_and_says_so(crew, search):
    executor, said = crew(lambda job: CancelledJobError(f"{job.name} was cancelled."), CancelledJobError)
    assert executor.started == [["worker-1", "worker-2"]]
    assert states(search) == []
    assert "was cancelled" in said[-1].message


def test_what_every_worker_would_meet_stops_the_others_which_save_their_state(crew):
    executor, said = crew(lambda job: DataError("No data.") if job.key == "worker-1" else "goes on", DataError)
    assert executor.asked
    assert said[-1].message == "No data."


def test_the_trial_of_a_worker_that_died_with_its_machine_is_waited_for_and_done(crew, search, monkeypatch):
    monkeypatch.setattr(far_workers, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(claims, "GRACE", 1.0)

    def work(job):
        if not search.trials:
            leave_trial(search)
            return LostProcessError("Gone.")
        do_trial(search)
        return None

    executor, _said = crew(work, target=1)
    assert len(executor.started) == 2
    assert states(search) == ["COMPLETE"]
    assert search.trials[0].user_attrs["lost_workers"] == 1


def test_a_trial_of_another_machine_is_left_to_it_until_it_was_silent_for_long(search):
    taken = leave_trial(search, GRACE - 30)
    search.running_on(search.execution, 1)
    assert claimable(search) == 0
    owner = dict(search.trials[0].user_attrs[WORKER])
    taken.trial.set_user_attr(WORKER, {**owner, "beat": time.time() - GRACE - 1})
    assert claimable(search) == 1


@pytest.mark.parametrize("outlives", [False, True])
def test_a_signal_stops_the_workers_unless_the_engine_goes_on_with_them(crew, outlives):
    working = threading.Event()

    def work(job):
        working.set()
        return "goes on"

    with once(working.is_set, signal.SIGINT):
        executor, said = crew(work, InterruptedRunError, outlives=outlives)
    assert executor.asked is not outlives
    assert ("Made-up goes on with 2 workers" in said[-1].message) is outlives
    assert ("bench search cancel s" in said[-1].message) is outlives


def test_what_trials_left_while_nobody_watched_comes_to_the_board(crew, search, tmp_path):
    first, broken = write_run(tmp_path), write_run(tmp_path, seed=2)
    (broken / "result.json").write_text("{")
    do_trial(search, run_ids=[first.name])
    do_trial(search, run_ids=[broken.name])
    _, said = crew(lambda job: do_trial(search))
    assert [run.run_id for run in Store.open(tmp_path).runs()] == [first.name]
    assert any(f"run {broken.name} does not come onto the board" in line for line in said)


def test_results_that_never_arrive_are_told_of(crew, search, tmp_path, monkeypatch):
    monkeypatch.setattr(trial_results, "SETTLE_SECONDS", 0.0)
    _, said = crew(lambda job: do_trial(search, run_ids=["0123456789abcdef"]), target=1)
    assert "1 result of trials is not in" in said[-1]


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("sqlite:///studies.sqlite", "cannot share a study in SQLite"),
        ("postgresql://me:secret@host/studies", "holds a password"),
        ("postgresql://me@host/studies?password=secret", "holds a password"),
    ],
)
def test_a_storage_that_cannot_serve_other_machines_is_refused(tmp_path, storage, words):
    with pytest.raises(SpecError, match=words) as caught:
        check_far(Place.of(storage, tmp_path, "s"), FAR)
    assert "secret" not in str(caught.value) + str(caught.value.hint)
    check_far(Place.of("postgresql://me@host/studies", tmp_path, "s"), FAR)
    check_far(Place.of(None, tmp_path, "s"), FAR)


@pytest.mark.parametrize("option", [{"timeout": 60.0}, {"jobs": 4}, {"devices": ("0",)}])
def test_options_of_runs_that_mean_nothing_for_workers_are_refused(option):
    with pytest.raises(SpecError, match=f"--{next(iter(option))} is not for a search"):
        check_options(LaunchOptions(**option))
    check_options(FAR)


def test_a_folder_on_a_disk_of_this_machine_is_warned_of(tmp_path):
    with logged() as said:
        warn_of_own_disks(tmp_path, Place.of(None, tmp_path, "s"))
    assert "a disk of this machine: workers on another one do not see it" in said[0]


def test_a_worker_that_does_not_see_the_study_says_so(search, tmp_path):
    from bench.search.worker import main

    place = Place(journal=tmp_path / "other" / "s.journal")
    task = {"place": place.to_json(), "study": "s", "home": str(tmp_path), "execution": {}, "breaker": {}}
    with pytest.raises(StoreError, match="does not see the study") as caught:
        main({**task, "stored": False}, SimpleNamespace(tell=print))
    assert "a disk that all machines share" in caught.value.hint


def test_a_study_without_workers_on_other_machines_has_none_to_cancel(tmp_path):
    with pytest.raises(SpecError, match="has no workers on other machines"):
        cancel_jobs_of(tmp_path, "s")
    assert jobs_folder(tmp_path, "s") == tmp_path / "studies" / "s.jobs"


# --- real processes -----------------------------------------------------------------------------------------------


def _kill_a_worker(done):
    """Kill the first process of this one that works on a study."""
    while not done.is_set():
        for child in psutil.Process().children(recursive=True):
            if "bench.search.worker" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                return
        time.sleep(0.05)


def runs_of(search):
    """The ids of all runs of a study's trials."""
    return [run_id for trial in search.trials for run_id in trial.user_attrs["run_ids"]]


@pytest.mark.slow
def test_two_workers_in_postgresql_go_through_a_kill_to_the_final_runs(base, tmp_path, postgres_url):
    search = study_of(base, request_of(base, sampler="random"), tmp_path, 2, storage=postgres_url)
    options, over = LaunchOptions(launcher="local", jobs=2), threading.Event()
    threading.Thread(target=_kill_a_worker, args=(over,), daemon=True).start()
    with logged() as said:
        FarCrew(search, tmp_path, search.execution, 2, options).run()
        over.set()
        (final,) = train_best_far(search, tmp_path, search.execution, cards(), [1], options)
    assert any("was lost" in line and "takes its place" in line for line in said)
    assert states(search) == ["COMPLETE"] * 2
    assert final.error is None
    assert {run.run_id for run in Store.open(tmp_path).runs()} == {*runs_of(search), final.spec.run_id}
    assert RunFolder.of_run(tmp_path, final.spec.run_id).read_document()["study"]["role"] == "final"


@pytest.mark.slow
def test_two_workers_on_the_nodes_of_a_slurm_cluster_share_a_study(search, tmp_path, monkeypatch, slurm):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(SlurmExecutor, "queue_seconds", 1.0)
    search.running_on(search.execution, 2)
    FarCrew(search, tmp_path, search.execution, 2, FAR).run()
    assert states(search) == ["COMPLETE"] * 2
    assert sorted(run.run_id for run in Store.open(tmp_path).runs()) == sorted(runs_of(search))
    jobs = {path.name for path in jobs_folder(tmp_path, "s").glob("worker-*.ended.json")}
    assert jobs == {"worker-1.ended.json", "worker-2.ended.json"}
