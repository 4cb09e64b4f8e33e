"""Matrices that are carried out: order, shared features, what is lost, stopped or done before, seen from elsewhere."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial

import pytest
from cli_runs import environment, start
from matrix_files import RUNS, SMALL, planned

from bench.core.errors import SpecError
from bench.core.files import write_json
from bench.launch.jobs import LaunchOptions
from bench.launch.matrix.folder import MatrixFolder
from bench.launch.matrix.record import record_of
from bench.launch.matrix.tasks import Making, tasks_of
from bench.launch.matrix.work import planned_folder, run_matrix
from leaderboard.results.run_folder import RunFolder
from leaderboard.store.store import Store

EPOCHS = 2000
"""More than there is time for."""


def small_file(folder, name="small", seeds="1-2", **more):
    """A file of one cell."""
    words = "".join(f"{key} = {value}\n" for key, value in more.items())
    path = folder / f"{name}.toml"
    path.write_text(f"seeds = '{seeds}'\n{words}{RUNS}settings = [{SMALL}]\n")
    return path


@pytest.fixture
def plan_of(tmp_path, small_data):
    """Plans a file on the small set, with a cache that holds no features yet."""
    return partial(planned, tmp_path, small_data, tmp_path / "cache")


@pytest.fixture
def place(tmp_path, small_data, small_cache):
    """Folders of a command, as words."""
    return ["--data", small_data, "--home", tmp_path, "--cache", small_cache, "--device", "cpu"]


def wait_for(happened, process, seconds=120):
    """Wait until something has happened while a process is alive."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- tasks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def making(tmp_path):
    return Making(
        home=tmp_path,
        rerun=False,
        stored=False,
        timeout=60.0,
        nodes=1,
        memory=lambda spec: None,
        bring=lambda run_id: None,
    )


def test_parts_come_before_their_combination_and_starts_before_those(plan_of, making, tmp_path):
    first = f"[parts.first]\nmodel = 'ast'\nmethod = 'patchmix-cl'\nsettings = {SMALL}\n"
    then = f"[parts.then]\nmodel = 'ast'\nmethod = 'ce'\ninit_from = 'part:first:last'\nsettings = {SMALL}\n"
    (tmp_path / "chain.toml").write_text(f"name = 'chain'\ncombine = 'mean'\n{first}{then}")
    (run,) = plan_of("seeds = 1\n[[runs]]\nsystems = ['chain.toml']").runs
    tasks = {task.key: task for task in tasks_of([run], making, tmp_path / "logs")}
    bank, *rest = tasks.values()
    assert [task.key for task in rest] == [run.parts["first"], run.parts["then"], run.run_id]
    assert rest[0].after == (bank.key,)
    assert rest[1].after == (run.parts["first"], bank.key)
    assert rest[2].after == (run.parts["first"], run.parts["then"])
    assert [task.helps for task in tasks.values()] == [True, True, True, False]
    assert (rest[2].job, rest[2].act is None) == (None, False)
    assert rest[1].job.task["spec"]["execution"]["init_weights"].endswith(run.parts["first"])
    assert (rest[0].job.task["stored"], rest[0].job.timeout) == (False, 60.0)


def test_features_that_one_run_reads_are_no_task_and_those_of_two_are_one(plan_of, making, tmp_path):
    plan = plan_of(f"seeds = '1-3'\n{RUNS}settings = [{SMALL}]")
    assert len(tasks_of(plan.runs[:1], making, tmp_path / "logs")) == 1
    bank, *runs = tasks_of(plan.runs, making, tmp_path / "logs")
    assert bank.key.startswith("bank-")
    assert {task.after for task in runs} == {(bank.key,)}


# --- runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_of_one_front_end_make_its_features_once_and_a_second_call_does_what_is_missing(
    plan_of,
    tmp_path,
):
    plan = plan_of(f"seeds = '1-3'\nepochs = 1\n{RUNS}settings = [{SMALL}]")
    (tmp_path / "runs").mkdir()
    in_the_way = tmp_path / "runs" / plan.runs[1].run_id
    in_the_way.write_text("no folder")
    first = run_matrix(plan, tmp_path, LaunchOptions(jobs=2), rerun=False)
    assert [item.status for item in first] == ["finished", "failed", "finished"]
    folder = planned_folder(plan, tmp_path)
    (log,) = folder.logs.glob("bank-*.log")
    assert "features (ast): 9 of 9" in log.read_text()
    for run in (plan.runs[0], plan.runs[2]):
        assert "features (ast)" not in RunFolder.of_run(tmp_path, run.run_id).log.read_text()
    ends = folder.read_ends()
    assert ends[plan.runs[1].run_id]["status"] == "failed"
    assert "Cannot write" in ends[plan.runs[1].run_id]["error"]
    in_the_way.unlink()
    second = run_matrix(plan, tmp_path, LaunchOptions(jobs=2), rerun=False)
    assert [item.status for item in second] == ["done before", "finished", "done before"]
    assert Store.open(tmp_path).statuses() == {run.run_id: "finished" for run in plan.runs}


def test_a_matrix_that_is_being_run_is_not_begun_twice(plan_of, tmp_path):
    plan = plan_of(f"seeds = 1\n{RUNS}settings = [{SMALL}]")
    with planned_folder(plan, tmp_path).held(), pytest.raises(SpecError, match=f"is being run: process {os.getpid()}"):
        run_matrix(plan, tmp_path, LaunchOptions(), rerun=False)
    assert not planned_folder(plan, tmp_path).is_driven()


@pytest.mark.slow
def test_a_killed_run_is_retried_and_a_matrix_is_looked_at_and_cancelled_from_elsewhere(bench, place, tmp_path):
    words = ["matrix", "run", str(small_file(tmp_path, seeds="1", epochs=EPOCHS)), *map(str, place)]
    folder = MatrixFolder.of(tmp_path, "small")

    def status():
        return json.loads(bench("matrix", "status", "--home", tmp_path, "--format", "json").out)

    def holder():
        return (run / "lock").read_text()

    with start(*words, env=environment(tmp_path, tmp_path / "unused")) as process:
        wait_for(lambda: list(tmp_path.glob("runs/*/checkpoint/current.json")), process)
        (run,) = tmp_path.glob("runs/*")
        killed = holder()
        os.kill(int(killed.split()[1]), signal.SIGKILL)
        wait_for(lambda: holder() != killed, process)
        wait_for(lambda: status()["runs"][0]["loss"] is not None, process)
        seen = status()
        stopped = bench("matrix", "cancel", "small", "--home", tmp_path).out
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "is started again in 5 seconds" in err
    assert "Go on with: " in err
    assert "was stopped; what was under way has saved its state" in stopped
    assert (seen["driven"], [one["state"] for one in seen["runs"]]) == (True, ["running"])
    assert (seen["runs"][0]["epochs"], seen["runs"][0]["epoch"] > 0) == (EPOCHS, True)
    after = status()
    assert (after["driven"], after["runs"][0]["state"], after["runs"][0]["saved"]) == (False, "missing", True)
    assert not [end for end in folder.read_ends().values() if end["status"] == "failed"], "to be stopped is no failure"


# --- commands -----------------------------------------------------------------------------------------------------


def test_a_failed_run_is_listed_with_cause_and_log_and_the_exit_code_says_so(bench, place, tmp_path):
    text = f"name = 'odd'\nseeds = 1\nepochs = 1\n{RUNS}settings = [{SMALL.replace('{', '{ lr = 1e30,')}]"
    (tmp_path / "odd.toml").write_text(text)
    captured = bench("matrix", "run", tmp_path / "odd.toml", *place, code=1)
    assert "1 run: 0 finished, 1 failed" in captured.err
    (log,) = tmp_path.glob("runs/*/run.log")
    assert f"Its log: {log}" in " ".join(captured.err.split())
    assert "the same command starts only what is missing or failed" in captured.err
    shown = bench("matrix", "status", "--home", tmp_path).out
    assert "1 run: 0 done, 0 running, 0 missing, 1 failed; no process is at it" in shown
    assert f"Its log: {log}" in shown
    (listed,) = json.loads(bench("matrix", "list", "--home", tmp_path, "--format", "json").out)
    assert (listed["name"], listed["counts"]["failed"]) == ("odd", 1)
    broken = MatrixFolder.of(tmp_path, "broken")
    broken.path.mkdir()
    broken.record.write_text("{")
    captured = bench("matrix", "list", "--home", tmp_path)
    assert "odd" in captured.out
    assert "the matrix broken is left out" in captured.err


def test_a_dry_run_begins_nothing_and_prints_the_script_of_slurm(bench, place, tmp_path):
    file = small_file(tmp_path / "..", name="dry")
    words = ["matrix", "run", file, *place, "--dry-run"]
    assert "2 runs to do, 0 done; nothing is known of 2" in bench(*words).out
    assert "nodes" in bench(*words, "--launcher", "slurm", "--slurm", "nodes=two", code=2).err
    script = bench(*words, "--launcher", "slurm", "--partition", "gpu", "--slurm", "memory=8G").out
    assert "#SBATCH --partition=gpu" in script
    assert not list(tmp_path.iterdir())


def test_a_status_is_shown_whatever_cannot_be_brought_to_the_board(bench, plan_of, tmp_path):
    plan = plan_of(f"seeds = 1\n{RUNS}settings = [{SMALL}]")
    write_json(planned_folder(plan, tmp_path).record, record_of(plan, LaunchOptions()))
    folder = RunFolder.of_run(tmp_path, plan.runs[0].run_id)
    write_json(
        folder.result, {"status": "finished", "error": None, "metrics": {"last": {}}, "seconds": 1.0, "epochs": []}
    )
    shown = bench("matrix", "status", "--home", tmp_path)
    assert "1 done" in shown.out
    assert f"run {plan.runs[0].run_id} is not brought to the board" in shown.err
    (tmp_path / "leaderboard.sqlite").write_text("no database at all, but long enough to be looked at" * 100)
    shown = bench("matrix", "status", "--home", tmp_path)
    assert "1 done" in shown.out
    assert "no result is brought to the board" in shown.err


def test_where_there_is_no_matrix_it_is_said(bench, tmp_path):
    for command in ("status", "list"):
        assert "There is no matrix in this results folder" in bench("matrix", command, "--home", tmp_path).out
    assert json.loads(bench("matrix", "status", "--home", tmp_path, "--format", "json").out) is None
    assert "There is no matrix 'x'" in bench("matrix", "status", "x", "--home", tmp_path, code=2).err
    assert "There is no matrix 'x'" in bench("matrix", "cancel", "x", "--home", tmp_path, code=2).err


def test_a_driver_that_was_killed_is_at_no_matrix(tmp_path):
    folder = MatrixFolder.of(tmp_path, "small")
    with folder.held():
        assert folder.is_driven()
        left = folder.driver.read_text()
    folder.driver.write_text(left)
    assert folder.is_driven()
    folder.driver.write_text(json.dumps({**json.loads(left), "mark": "1"}))
    assert not folder.is_driven(), "another process has its number by now"
    folder.driver.write_text(json.dumps({**json.loads(left), "pid": 999999999}))
    assert not folder.is_driven()
    folder.driver.write_text(left.replace(json.loads(left)["host"], "another-machine"))
    assert folder.is_driven()
    os.utime(folder.driver, (0, 0))
    assert not folder.is_driven()
