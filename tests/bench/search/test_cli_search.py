"""``bench search``: what it refuses, prints and promises; workers that are killed or stopped."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import optuna
import psutil
import pytest
from cli_runs import EVERY_EPOCH, environment
from plugin_files import GLOBAL_LOSS, method_text, write_plugin
from small_studies import SETTINGS, base_spec, request_of, study_of
from speeds import limit

from bench.search import claims
from leaderboard.store.store import Store

MODEL = ["--model", "ast", "--method", "patchmix-cl"]
SMALL = [word for setting in SETTINGS for word in ("--set", setting)]


@pytest.fixture
def place(small_data, small_cache, tmp_path):
    return ["--data", small_data, "--cache", small_cache, "--home", tmp_path / "results"]


def filled(base, home, trials, *, name="s", **request):
    """A study whose trials were done by nobody."""
    search = study_of(base, request_of(base, **request), home, trials, name=name)
    rng = random.Random(0)
    for number in range(trials):
        taken = claims.claim(search)
        taken.trial.report(rng.random() * 100, 1)
        state = [optuna.trial.TrialState.FAIL, optuna.trial.TrialState.PRUNED, *[optuna.trial.TrialState.COMPLETE] * 8]
        ended, value = state[number % 10], rng.random() * 100
        told = {"run_ids": [f"{number:016x}"], "scores": [value], "seeds": [1], "folds": [1], "seconds": 36.0}
        told["error" if ended.name == "FAIL" else "pruned"] = "the reason"
        taken.end(ended, value if ended.name == "COMPLETE" else None, {**told, "device": "cuda", "processes": 2})
    return search


def test_a_dry_run_shows_the_request_and_makes_nothing(bench, place, tmp_path):
    words = ["search", *MODEL, *place, "--param", "alpha,tau", "--param", "lr", "--trials", 60, "--dry-run"]
    document = json.loads(bench(*words, "--format", "json").out)
    request = document["request"]
    assert (document["study"], document["trials"]) == ("ast-patchmix-cl-alpha-tau-lr", 60)
    assert request["params"] == ["alpha", "tau", "lr"]
    assert (request["model"], request["method"], request["objective"]) == ("ast", "patchmix-cl", "held-out")
    assert (request["sampler"], request["pruner"], request["folds"], request["seeds"]) == ("tpe", "median", 1, [1])
    assert "objective: held-out training patients" in bench(*words).out
    assert "TUNED ON THE TEST SET" in bench(*words, "--objective", "test").out
    assert not list(tmp_path.iterdir())


def test_a_dry_run_prints_the_script_of_slurm(bench, place, tmp_path):
    words = ["search", *MODEL, *place, "--param", "alpha", "--trials", 3, "--workers", 16, "--dry-run"]
    words += ["--launcher", "slurm", "--partition", "gpu", "--device", "cpu"]
    shown = bench(*words).out
    assert "#SBATCH --partition=gpu" in shown
    # Three trials need no sixteen workers.
    assert "#SBATCH --array=0-2%3" in shown
    assert str(tmp_path / "results" / "studies" / "ast-patchmix-cl-alpha.jobs" / "worker-3.json") in shown
    assert json.loads(bench(*words, "--format", "json").out)["script"] in shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a model and a method"),
        ([*MODEL, "--trials", "5"], "Nothing to search: no --param is given"),
        ([*MODEL, "--param", "alpha"], "--trials is missing"),
        ([*MODEL, "--param", "alpha", "--trials", "0"], "--trials is 0"),
        ([*MODEL, "--param", "alhpa", "--trials", "5"], "did you mean 'alpha'"),
        ([*MODEL, "--param", "alpha,,tau", "--trials", "5"], "names an empty parameter"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--space", "alpha=2..1"], "is reversed"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--sampler", "tpee"], "did you mean 'tpe'"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--pruner", "hyper"], "Unknown pruner 'hyper'"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--pruner", "wilcoxon"], "but a trial has one"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--sampler", "cmaes"], "ranges of two or more numbers"),
        ([*MODEL, "--param", "alpha,mix", "--trials", "5", "--sampler", "cmaes"], "mix is a list"),
        ([*MODEL, "--param", "alpha", "--trials", "6", "--sampler", "grid"], "The grid has 5 points"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--objective", "tset"], "did you mean 'test'"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--objective", "test", "--folds", "5"], "has no folds"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--folds", "0"], "--folds is 0"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--seeds-per-trial", "0"], "--seeds-per-trial is 0"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--final-seeds", "x"], "must look like 1-5"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--workers", "0"], "--workers is 0"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--study", "a/b"], "cannot name a study"),
        ([*MODEL, "--param", "alpha", "--trials", "5", "--format", "yaml"], "Unknown format 'yaml'"),
        (
            [*MODEL, "--param", "alpha", "--trials", "5", "--workers", "2", "--storage", "sqlite:///studies.sqlite"],
            "SQLite takes one worker at a time",
        ),
    ],
)
def test_wrong_words_are_refused_before_anything_starts(bench, place, tmp_path, words, said):
    assert said in " ".join(bench("search", *words, *place, code=2).err.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "nonsense://"])
def test_other_storages_are_refused(bench, place, url):
    words = [*MODEL, "--param", "alpha", "--trials", "5", "--storage", url]
    assert "--storage" in bench("search", *words, *place, code=4).err


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_a_missing_package_is_named_with_what_installs_it(bench, place, monkeypatch, sampler):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    words = [*MODEL, "--param", "alpha,tau", "--trials", "5", "--sampler", sampler]
    assert "pip install 'lungbench[search]'" in bench("search", *words, *place, code=2).err


def test_studies_are_listed_shown_and_deleted(bench, small_data, small_cache, tmp_path):
    base, home = base_spec(small_data, small_cache), tmp_path / "results"
    assert "There is no study yet" in bench("search", "list", "--home", home).out
    search = filled(base, home, 20, name="first")
    study_of(base, request_of(base, "lr", objective="test"), home, 3, name="second")
    rows = json.loads(bench("search", "list", "--home", home, "--format", "json").out)
    assert [(row["study"], row["trials"], row["target"]) for row in rows] == [("first", 20, 20), ("second", 0, 3)]
    assert rows[0]["best"] == search.best.value
    assert "TEST SET" in bench("search", "list", "--home", home).out
    document = json.loads(bench("search", "show", "first", "--home", home, "--format", "json").out)
    assert (document["study"], document["objective"]) == ("first", "held-out")
    spent = document["budget"]
    assert [spent[name] for name in ("trials", "complete", "pruned", "fail", "running")] == [20, 16, 2, 2, 0]
    assert spent["gpu_hours"] == pytest.approx(20 * 36.0 * 2 / 3600)
    assert spent["space"] == {"alpha": "0.1..10:log", "tau": "0.01..1:log"}
    assert document["best"]["number"] == search.best.number
    assert [trial["number"] for trial in document["trials"]] == list(range(20))
    trial = document["trials"][2]
    assert (trial["state"], trial["run_id"], trial["run_ids"]) == ("COMPLETE", f"{2:016x}", [f"{2:016x}"])
    assert (document["trials"][0]["state"], document["trials"][0]["error"]) == ("FAIL", "the reason")
    assert list(document["trials"][1]["epochs"]) == ["1"]
    assert f"Best: trial {search.best.number}" in bench("search", "show", "first", "--home", home).out
    best = json.loads(bench("search", "best", "first", "--home", home, "--format", "json").out)
    assert (best["number"], best["params"]) == (search.best.number, search.best.params)
    assert "no complete trial" in bench("search", "best", "second", "--home", home, code=2).err
    assert "did you mean 'first'" in bench("search", "show", "frist", "--home", home, code=2).err
    assert "needs --yes" in bench("search", "delete", "second", "--home", home, code=2).err
    deleted = json.loads(bench("search", "delete", "second", "--yes", "--home", home, "--format", "json").out)
    assert (deleted["study"], deleted["trials"]) == ("second", 0)
    assert not (home / "studies" / "second.journal").exists()
    assert "There is no study 'second'" in bench("search", "show", "second", "--home", home, code=2).err


def test_one_journal_file_may_hold_several_studies(bench, small_data, small_cache, tmp_path):
    base, home, shared = base_spec(small_data, small_cache), tmp_path / "results", str(tmp_path / "shared.journal")
    for name in ("a", "b"):
        study_of(base, request_of(base), home, 3, name=name, storage=shared)
    words = ["--storage", shared, "--home", home]
    bench("search", "delete", "a", "--yes", *words)
    assert [row["study"] for row in json.loads(bench("search", "list", *words, "--format", "json").out)] == ["b"]


def test_a_grid_of_figure2_is_planned_for_each_parameter(bench, place):
    words = ["reproduce", "figure2", *place, "--dry-run", "--format", "json"]
    plans = json.loads(bench(*words).out)
    assert [plan["study"] for plan in plans] == ["figure2-alpha", "figure2-tau", "figure2-beta"]
    assert all(plan["request"]["sampler"] == "grid" and plan["request"]["pruner"] == "none" for plan in plans)
    options = plans[0]["request"]["spec"]["method_options"]
    assert (options["mix"], options["negatives"], options["target"]) == ("patch", "all", "stop-z")
    assert json.loads(bench(*words, "--only", "tau", "--seeds", "1-3").out)["request"]["seeds"] == [1, 2, 3]


@pytest.mark.perf
def test_a_study_of_two_thousand_trials_is_listed_and_shown_quickly(
    bench, small_data, small_cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    base, home = base_spec(small_data, small_cache), tmp_path / "results"
    search = filled(base, home, 10, sampler="random")
    search.study.add_trials(search.study.trials * 199)
    for words in (["list"], ["show", "s"], ["show", "s", "--format", "json"], ["best", "s"]):
        began = time.process_time()
        bench("search", *words, "--home", home)
        assert time.process_time() - began < limit(2), words


# --- whole searches, in processes of their own ------------------------------------------------------------------


def command(place, *words):
    return [sys.executable, "-m", "bench", "search", *MODEL, *SMALL, *EVERY_EPOCH, *map(str, place), *map(str, words)]


def _worker_with_a_saved_state(home):
    """The process of a worker whose run has saved its state."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for state in (home / "runs").glob("*/checkpoint/current.json"):
            return psutil.Process(int((state.parent.parent / "lock").read_text().split()[-1]))
        time.sleep(0.02)
    raise AssertionError("no worker saved a state")


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing_but_time(place, small_cache, tmp_path):
    """Two workers, one killed with -9 at work: every trial once, none left running; then the best is trained again."""
    home = tmp_path / "results"
    words = "--param alpha,tau --trials 3 --epochs 25 --workers 2 --pruner none --final-seeds 2 --format json".split()
    search = subprocess.Popen(
        command(place, *words),
        env=environment(home, small_cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said, killed = [], False
    for line in search.stderr:
        said.append(line)
        # The first time alone: the trial begins again in another worker.
        if re.match(r"trial 0 \(worker", line) and not killed:
            killed = True
            _worker_with_a_saved_state(home).send_signal(signal.SIGKILL)
    document = json.loads(search.stdout.read())
    assert search.wait() == 0, said
    assert any("was lost at trial" in line for line in said)
    assert [trial["state"] for trial in document["trials"]] == ["COMPLETE"] * 3
    assert [trial["number"] for trial in document["trials"]] == list(range(3))
    logs = [path.read_text() for path in (home / "studies").glob("*.log")]
    assert any("going on after epoch" in log for log in logs)
    assert all(len(trial["run_ids"]) == 1 and len(trial["epochs"]) == 25 for trial in document["trials"])
    board = Store.open(home)
    runs = board.runs()
    trials = {run.run_id for run in runs if run.kind == "trial"}
    assert trials == {trial["run_id"] for trial in document["trials"]}
    finals = [run for run in runs if run.kind == "run"]
    assert [run.spec["seed"] for run in finals] == [2]
    for run in finals:
        study = run.extra["study"]
        assert run.spec["split"] == "official"
        assert (study["role"], study["trials"], study["complete"], study["test_evaluations"]) == ("final", 3, 3, 1)
        assert run.spec["method_options"]["alpha"] == document["best"]["params"]["alpha"]


DEADLY = """if self.smoothing > 0.5:
            import os
            os._exit(9)
        """


@pytest.mark.slow
def test_a_trial_that_every_process_dies_of_fails_and_the_others_go_on(place, small_cache, tmp_path):
    plugin = write_plugin(tmp_path / "deadly.py", method_text(forward=DEADLY + GLOBAL_LOSS))
    words = "search --model ast --method mine --param smoothing --space smoothing=0.9,0.1 --sampler grid".split()
    words += [*SMALL, "--epochs", "1", "--final-seeds", "none", "--format", "json", "--plugin", plugin, *place]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *map(str, words)],
        env=environment(tmp_path / "results", small_cache),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    died, lived = json.loads(done.stdout)["trials"]
    assert (died["state"], lived["state"]) == ("FAIL", "COMPLETE")
    assert "3 workers were lost" in died["error"]
    assert done.stderr.count("trial 0 (worker 1)") == 3


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_says_how_to_go_on(place, small_cache, tmp_path):
    home = tmp_path / "results"
    words = "--param alpha --trials 2 --epochs 4000 --final-seeds none".split()
    search = subprocess.Popen(
        command(place, *words), env=environment(home, small_cache), stderr=subprocess.PIPE, text=True
    )
    for line in search.stderr:
        if re.match(r"trial 0 \(worker", line):
            break
    _worker_with_a_saved_state(home)
    search.send_signal(signal.SIGINT)
    said = search.stderr.read()
    assert search.wait() == 130, said
    assert "bench search resume ast-patchmix-cl-alpha --workers 1" in said
    from bench.search.storage import Place
    from bench.search.study import open_study

    name = "ast-patchmix-cl-alpha"
    (trial,) = open_study(Place.of(None, home, name), name).trials
    assert trial.state.name == "WAITING"
    (folder,) = (home / "runs").iterdir()
    assert (folder / "checkpoint" / "current.json").is_file()
