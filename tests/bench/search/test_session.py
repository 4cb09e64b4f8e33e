"""How a study is worked on: when workers and final runs begin, what ends it, and what the user is told to type."""

import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from board_runs import write_run
from logs import logged
from small_studies import base_spec, request_of, study_of

from bench.core.errors import InterruptedRunError, RunError, SpecError, StoreError, WeightsError
from bench.experiment.devices import choose_device
from bench.launch.jobs import LaunchOptions
from bench.search import claims, session
from bench.search.finals import FinalRun
from bench.search.session import SearchSession, objective_words
from bench.search.study import Settings, open_study
from leaderboard.store.store import Store

COMPLETE, FAIL = claims.TrialState.COMPLETE, claims.TrialState.FAIL


@pytest.fixture(scope="module")
def base(small_data, small_cache):
    return base_spec(small_data, small_cache)


def session_in(home, **changes):
    words = {"home": home, "storage": None, "name": "s", "workers": 1, "settings": Settings()}
    return SearchSession(**{**words, **changes})


class Stage:
    """What a session would start, instead of starting it: workers do as ``work`` says, finals as ``train`` says."""

    def __init__(self):
        self.crews, self.finals = [], []
        self.work = lambda search: None
        self.train = lambda search: []


@pytest.fixture
def stage(monkeypatch):
    stage = Stage()

    class Crew:
        def __init__(self, search, home, execution, workers, give_up_after, devices):
            stage.crews.append((workers, give_up_after))
            self.search = search

        def run(self):
            stage.work(self.search)

    def train(search, home, execution, cards, seeds):
        stage.finals.append(tuple(seeds))
        return stage.train(search)

    monkeypatch.setattr(session, "Crew", Crew)
    monkeypatch.setattr(session, "train_best", train)
    return stage


def do_all(search, state=COMPLETE):
    while (taken := claims.claim(search)) is not None:
        taken.end(state, 50.0 if state is COMPLETE else None, {})


def fail_all(search):
    do_all(search, FAIL)


# --- the course of a search -------------------------------------------------------------------------------------


def start(base, home, target=2, **changes):
    return session_in(home, **changes).start(request_of(base, sampler="random"), base.execution(), target)


def test_trials_are_done_and_then_the_best_is_trained(base, tmp_path, stage):
    stage.work = do_all
    with logged() as said:
        done = start(base, tmp_path, workers=3, settings=Settings((7, 8), 2))
    assert (stage.crews, stage.finals, done.well) == ([(3, 2)], [(7, 8)], True)
    assert done.study.best.value == 50.0
    assert said == [
        f"study s: 2 trials in all, 0 done; objective: held-out training patients; {tmp_path}/studies/s.journal"
    ]


def test_the_study_keeps_how_it_was_asked_to_end(base, tmp_path, stage):
    done = start(base, tmp_path, settings=Settings((7,), 2))
    again = open_study(done.study.place, "s")
    assert (again.target, again.settings, again.execution) == (2, Settings((7,), 2), dict(base.execution()))


def test_a_study_that_is_over_starts_no_worker(base, tmp_path, stage):
    stage.work = do_all
    start(base, tmp_path)
    start(base, tmp_path)
    assert len(stage.crews) == 1
    assert len(stage.finals) == 2
    start(base, tmp_path, target=3)
    assert len(stage.crews) == 2


def test_no_final_run_begins_while_others_are_at_trials(base, tmp_path, stage):
    # The worker here found nothing to do: two trials are in other hands.
    stage.work = lambda search: [claims.claim(search) for _ in range(2)]
    with logged() as said:
        done = start(base, tmp_path)
    assert stage.finals == []
    # It is no failure: those that work elsewhere will end it.
    assert done.well
    assert said[-1] == "other workers are at trials of this study; when they are done: bench search resume s"


def test_a_study_of_failed_trials_alone_has_nothing_to_train_and_is_not_well(base, tmp_path, stage):
    stage.work = fail_all
    with logged() as said:
        done = start(base, tmp_path)
    assert (stage.finals, done.well) == ([], False)
    assert said[-1] == "no trial was completed, so that there is nothing to train in the end"


@pytest.mark.parametrize(("work", "well"), [(do_all, True), (fail_all, False)])
def test_without_final_seeds_nothing_is_trained_in_the_end(base, tmp_path, stage, work, well):
    stage.work = work
    done = start(base, tmp_path, settings=Settings(()))
    assert (stage.finals, done.well) == ([], well)


@pytest.mark.parametrize(
    ("errors", "well"), [([None, None], True), ([None, RunError("x")], False), ([StoreError("x")], False)]
)
def test_a_search_is_well_when_no_final_run_failed(base, tmp_path, stage, errors, well):
    stage.work = do_all
    stage.train = lambda search: [FinalRun(base, error) for error in errors]
    assert start(base, tmp_path).well == well


# --- what ends it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["work", "train"])
def test_an_interrupted_search_says_how_to_go_on(base, tmp_path, stage, where):
    def stopped(search):
        raise InterruptedRunError("The search was stopped.", "another hint")

    stage.work = do_all
    setattr(stage, where, stopped)
    with pytest.raises(InterruptedRunError) as caught:
        start(base, tmp_path, workers=2)
    assert caught.value.message == "The search was stopped."
    assert caught.value.hint == f"Go on with: bench search resume s --workers 2 --home {tmp_path}"


@pytest.mark.parametrize("error", [RunError("5 trials in a row"), StoreError("The disk is full.")])
def test_other_errors_come_through_as_they_are(base, tmp_path, stage, error):
    def fails(search):
        raise error

    stage.work = fails
    with pytest.raises(type(error)) as caught:
        start(base, tmp_path)
    assert caught.value is error
    assert stage.finals == []


def test_an_sqlite_file_is_in_use_while_it_is_searched_in_and_free_afterwards(base, tmp_path, stage):
    url = f"sqlite:///{tmp_path}/s.sqlite"

    def second(search):
        stage.work = do_all
        with pytest.raises(StoreError, match="SQLite takes one at a time"):
            start(base, tmp_path, storage=url)
        do_all(search)

    stage.work = second
    assert start(base, tmp_path, storage=url).well
    assert start(base, tmp_path, storage=url, target=3).well


def test_a_launcher_carries_out_workers_and_final_runs(base, tmp_path, monkeypatch):
    launch, told = LaunchOptions(launcher="slurm"), []

    def crew(search, home, execution, workers, options, give_up_after):
        told.append((workers, options, give_up_after))
        return SimpleNamespace(run=lambda: do_all(search))

    def train(search, home, execution, cards, seeds, options):
        told.append((seeds, options))
        # What a run of a GPU needs is checked where it runs.
        assert choose_device("cuda") == "cuda"
        return []

    monkeypatch.setattr(session, "FarCrew", crew)
    monkeypatch.setattr(session, "train_best_far", train)
    with logged() as said:
        assert start(base, tmp_path, workers=16, launch=launch, settings=Settings((1, 2), 7)).well
    assert told == [(16, launch, 7), ((1, 2), launch)]
    assert any("workers on another one do not see it" in line for line in said)


def test_results_of_a_study_that_ended_while_nobody_watched_come_to_the_board(base, tmp_path, monkeypatch):
    launch, folder = LaunchOptions(launcher="slurm"), write_run(tmp_path)
    search = study_of(base, request_of(base, sampler="random"), tmp_path, 1)
    assert claims.claim(search).end(COMPLETE, 50.0, {"run_ids": [folder.name]})
    session_in(tmp_path, launch=launch, settings=Settings(())).go_on(search, search.execution)
    assert [run.run_id for run in Store.open(tmp_path).runs()] == [folder.name]


def test_options_of_a_launcher_are_read_before_a_study_is_made(base, tmp_path):
    launch = LaunchOptions(launcher="slurm", slurm={"partion": "gpu"})
    with pytest.raises(SpecError, match="unknown option 'partion'"):
        session_in(tmp_path, launch=launch).check(request_of(base), base.execution())
    assert not list(tmp_path.iterdir())


def test_a_study_that_other_machines_cannot_share_is_refused(base, tmp_path):
    launch = LaunchOptions(launcher="slurm")
    with pytest.raises(SpecError, match="cannot share a study in SQLite"):
        session_in(tmp_path, storage=f"sqlite:///{tmp_path}/s.sqlite", launch=launch).check_words(request_of(base))


# --- the command that goes on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["--workers", "1", "--home", "a folder"]),
        ({"workers": 4}, ["--workers", "4", "--home", "a folder"]),
        (
            {"storage": "my studies.journal"},
            ["--workers", "1", "--home", "a folder", "--storage", "my studies.journal"],
        ),
        (
            {"launch": LaunchOptions(launcher="slurm", slurm={"gpus": "a100", "time": "8:00:00"})},
            [
                *("--workers", "1", "--home", "a folder", "--launcher", "slurm"),
                *("--slurm", "gpus=a100", "--slurm", "time=8:00:00"),
            ],
        ),
        (
            {"launch": LaunchOptions(launcher="dask", scheduler="tcp://host:8786")},
            ["--workers", "1", "--home", "a folder", "--launcher", "dask", "--scheduler", "tcp://host:8786"],
        ),
        (
            {"storage": "postgresql://me:secret@host/name"},
            ["--workers", "1", "--home", "a folder", "--storage", "postgresql://me:***@host/name"],
        ),
    ],
)
def test_the_command_that_goes_on_can_be_pasted_into_a_shell(tmp_path, monkeypatch, changes, words):
    monkeypatch.delenv("BENCH_STUDIES", raising=False)
    command = session_in(Path("a folder"), **changes).resume_command()
    assert shlex.split(command) == ["bench", "search", "resume", "s", *words]


def test_a_storage_that_a_variable_names_is_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STUDIES", "shared.journal")
    assert "--storage" not in session_in(tmp_path, storage=os.environ["BENCH_STUDIES"]).resume_command()


@pytest.mark.parametrize(
    ("objective", "words"), [("test", "TUNED ON THE TEST SET"), ("held-out", "held-out training patients")]
)
def test_what_trials_are_judged_on_is_said_in_words(objective, words):
    assert objective_words(objective) == words


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "storage", "said"),
    [
        (0, None, "--workers is 0, but must be 1 to 1024"),
        (1025, None, "--workers is 1025, but must be 1 to 1024"),
        (2, "sqlite:///{home}/s.sqlite", "SQLite takes one worker at a time, but --workers is 2"),
        (1, "sqlite:///{home}/s.sqlite", None),
        (1024, "{home}/s.journal", None),
        (1024, "postgresql://127.0.0.1:1/s", None),
    ],
)
def test_how_many_workers_a_storage_takes(base, tmp_path, workers, storage, said):
    storage = None if storage is None else storage.format(home=tmp_path)
    mine = session_in(tmp_path, workers=workers, storage=storage)
    if said is None:
        mine.check_words(request_of(base))
    else:
        with pytest.raises(SpecError, match=said):
            mine.check_words(request_of(base))
    assert not list(tmp_path.iterdir())


def test_weights_that_are_gone_are_found_before_a_search_begins(base, tmp_path):
    request = request_of(base)
    execution = {**base.execution(), "weights": str(tmp_path / "none.safetensors")}
    changed = {**request.identity, "pretrain": "imagenet", "weights_sha256": "0" * 64}
    request = type(request)(**{**vars(request), "identity": changed})
    with pytest.raises(WeightsError):
        session_in(tmp_path / "results").check(request, execution)
    assert not (tmp_path / "results").exists()


def test_gpus_are_counted_before_a_search_begins(base, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    execution = {**base.execution(), "device": "cuda"}
    session_in(tmp_path).check(request_of(base), execution)
    with pytest.raises(SpecError, match="2 workers with 1 process each need 2 GPUs, but there is 1"):
        session_in(tmp_path, workers=2).check(request_of(base), execution)
    assert not list(tmp_path.iterdir())


def test_a_check_makes_nothing_and_a_study_that_is_there_stays_as_it_is(base, tmp_path):
    search = study_of(base, request_of(base), tmp_path, 1)
    before = search.place.journal.read_bytes()
    session_in(tmp_path).check(search.request, base.execution())
    assert search.place.journal.read_bytes() == before
