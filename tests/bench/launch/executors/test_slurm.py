"""Jobs on a real Slurm of two nodes; that both are this machine, and the GPUs fake, is all that is simulated."""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import pytest

from bench.core.errors import CancelledJobError, InterruptedRunError, LostProcessError, RunError, SpecError
from bench.launch.executors.slurm import SlurmExecutor, cancel_jobs
from bench.launch.executors.slurm_script import arrays_of
from bench.launch.jobs import Job, LaunchOptions

ROOT = Path(__file__).resolve().parents[4]

WORK = """\
import os, signal, time
from pathlib import Path
from bench.core.errors import InterruptedRunError, RunError
from bench.core.lifetimes import StopRequest


def main(task, parent):
    folder, do = Path(task["folder"]), task["do"]
    number = len(list(folder.glob("began-*")))
    node, gpus = os.environ["SLURMD_NODENAME"], os.environ.get("CUDA_VISIBLE_DEVICES", "")
    (folder / f"began-{number}-{os.environ['SLURM_PROCID']}").write_text(f"{node} {gpus}")
    (folder / "group").write_text(os.environ.get("BENCH_ADOPTED_GROUP", "alone"))
    if do == "raise":
        raise RunError("Loss is not finite.")
    if do == "until told" and number == 0:
        with StopRequest() as stop:
            while not stop.wanted:
                time.sleep(0.05)
        (folder / "saved").touch()
        raise InterruptedRunError("Stopped after its state was saved.")
    if do == "die" and number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "linger" and number == 0:
        time.sleep(600)
"""


@pytest.fixture
def make(tmp_path):
    """Makes a job that does something in a folder of its own, where it also leaves a trace of each start."""
    (tmp_path / "slurm_work.py").write_text(WORK)

    def made(key, do="nothing", **options):
        folder = tmp_path / key
        folder.mkdir()
        return Job(
            key=key,
            module="slurm_work",
            task={"folder": str(folder), "do": do},
            name=f"run {key}",
            log=folder / "log.txt",
            environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            **options,
        )

    return made


@pytest.fixture
def engine(slurm, tmp_path, monkeypatch):
    """Makes an engine on this Slurm that looks more often than others do."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def made(jobs=None, **asked):
        executor = SlurmExecutor(LaunchOptions(launcher="slurm", jobs=jobs, slurm=asked), tmp_path / "jobs")
        executor.end_seconds, executor.queue_seconds, executor.grace_seconds = 0.1, 0.3, 1.0
        return executor

    return made


def ends_of(executor, count, seconds=30):
    """How so many jobs ended, by key."""
    ends = {}
    until = time.monotonic() + seconds
    while len(ends) < count:
        ends |= {ended.key: ended.error for ended in executor.ended(0.3)}
        assert time.monotonic() < until, (ends, executor.states())
    return ends


def goes_on(executor, slurm, job):
    """Whether a job that is in the queue again is done in the end.

    Slurm may send the signal that ended the first start once more, to a second one that did not wait two minutes; such
    a job is lost, and the scheduler starts it again.
    """
    wait_for(lambda: not executor.ended(0.1) and executor.states()[job.key][0] == "queued")
    slurm.start_again_now()
    error = ends_of(executor, 1)[job.key]
    if isinstance(error, LostProcessError):
        executor.start([job])
        error = ends_of(executor, 1)[job.key]
    return error is None and len(starts_of(job)) > 1


def wait_for(true, seconds=20):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def starts_of(job):
    return sorted(Path(job.task["folder"]).glob("began-*"))


def test_jobs_are_an_array_and_each_has_a_gpu_of_its_own(engine, make):
    jobs = [make(f"run{number}", device="cuda") for number in range(3)]
    with engine() as executor:
        assert executor.room(jobs)
        executor.start([*jobs, make("bad", "raise", device="cuda")])
        assert executor.states()["run0"] == ("queued", "Slurm")
        ends = ends_of(executor, 4)
        assert executor.states() == {}
    bad = ends.pop("bad")
    assert ends == {"run0": None, "run1": None, "run2": None}
    assert (type(bad), bad.message) == (RunError, "Loss is not finite.")
    places = [starts_of(job)[0].read_text().split() for job in jobs]
    assert all(node in ("n1", "n2") and gpu in ("0", "1") for node, gpu in places)


def test_a_job_whose_process_is_killed_is_lost_and_starts_again(engine, slurm, make):
    dies, vanishes = make("dies", "die"), make("vanishes", "linger")
    with engine() as executor:
        executor.start([dies, vanishes])
        wait_for(lambda: starts_of(vanishes))
        dead = ends_of(executor, 1)
        slurm.kill_jobs()
        ends = dead | ends_of(executor, 1)
        assert {type(error) for error in ends.values()} == {LostProcessError}
        executor.start([dies, vanishes])
        assert ends_of(executor, 2) == {"dies": None, "vanishes": None}
    assert [len(starts_of(job)) for job in (dies, vanishes)] == [2, 2]


def test_a_node_that_dies_gives_its_jobs_back(engine, slurm, make):
    job = make("run", "linger")
    with engine(**{"sbatch.nodelist": "n2"}) as executor:
        executor.start([job])
        wait_for(lambda: starts_of(job))
        slurm.kill_node("n2")
        slurm.revive_node("n2")
        assert goes_on(executor, slurm, job)


def test_a_job_that_must_make_room_saves_its_state_and_goes_on(engine, slurm, make):
    job = make("run", "until told")
    with engine(partition="spare") as executor:
        executor.start([job])
        wait_for(lambda: starts_of(job))
        slurm.run("sbatch", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=sleep 1")
        wait_for((Path(job.task["folder"]) / "saved").exists)
        assert goes_on(executor, slurm, job)


def test_a_job_near_the_end_of_its_time_saves_its_state_and_goes_on(engine, slurm, make):
    job = make("run", "until told")
    with engine(time="1", notice=55) as executor:
        executor.start([job])
        wait_for((Path(job.task["folder"]) / "saved").exists, 60)
        assert goes_on(executor, slurm, job)


def test_a_job_that_may_not_restart_by_itself_is_lost_with_its_state_saved(engine, slurm, make):
    job = make("run", "until told")
    with engine(restarts=0) as executor:
        executor.start([job])
        wait_for(lambda: starts_of(job))
        # What Slurm sends before the time is over.
        slurm.run("scancel", "--batch", "--signal=USR1", "--user=root")
        error = ends_of(executor, 1)["run"]
    assert isinstance(error, LostProcessError)
    assert "saved its state when Slurm told it to end" in error.message


def test_jobs_that_are_asked_to_stop_save_their_state_and_leave_the_queue(engine, slurm, make):
    runs, waits = make("runs", "until told"), make("waits")
    with engine(jobs=1) as executor:
        executor.start([runs, waits])
        wait_for(lambda: starts_of(runs))
        executor.ask_to_stop()
        ends = ends_of(executor, 2)
    assert {type(error) for error in ends.values()} == {InterruptedRunError}
    assert (Path(runs.task["folder"]) / "saved").exists()
    assert not starts_of(waits)
    # A job that has written its end is still seen as completing for a moment.
    wait_for(lambda: slurm.run("squeue", "--noheader") == "")


def test_jobs_are_cancelled_from_elsewhere_and_not_started_again(engine, make, tmp_path):
    runs, waits = make("runs", "until told"), make("waits")
    with engine(jobs=1) as executor:
        executor.start([runs, waits])
        wait_for(lambda: starts_of(runs))
        assert sorted(cancel_jobs(tmp_path / "jobs")) == ["runs", "waits"]
        ends = ends_of(executor, 2)
    assert {type(error) for error in ends.values()} == {CancelledJobError}
    assert all("was cancelled in Slurm" in error.message for error in ends.values())
    assert cancel_jobs(tmp_path / "jobs") == []


def test_a_job_that_two_processes_submitted_at_once_is_cancelled_twice(engine, slurm, make, tmp_path):
    job = make("run", "linger")
    for _ in range(2):
        with engine() as executor:
            executor._submit(*next(arrays_of([job], executor._options)))
    assert cancel_jobs(tmp_path / "jobs") == ["run"]
    wait_for(lambda: slurm.run("squeue", "--noheader") == "")


def test_a_controller_that_is_away_loses_neither_jobs_nor_the_wish_that_they_stop(engine, slurm, make, monkeypatch):
    runs = make("runs", "until told")
    with engine() as executor:
        executor.start([runs])
        wait_for(lambda: starts_of(runs))
        with monkeypatch.context() as away:
            # No controller listens at that port: a configuration of its own is quicker than to stop the real one.
            away.setenv("SLURM_CONF", str(without_controller(slurm)))
            with pytest.raises(LostProcessError, match=r"controller takes no jobs now: .*Unable to contact"):
                executor.start([make("other")])
            executor.ask_to_stop()
            assert executor.ended(0.1) == []
        assert isinstance(ends_of(executor, 1)["runs"], InterruptedRunError)
    assert (Path(runs.task["folder"]) / "saved").exists()


def without_controller(slurm):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (slurm.folder / "slurm.conf").read_text()
    path = slurm.folder / "away.conf"
    path.write_text(re.sub(r"SlurmctldPort=\d+", f"SlurmctldPort={port}", text) + "MessageTimeout=2\n")
    return path


def test_a_second_process_takes_over_what_is_in_the_queue(engine, make):
    job, other = make("run", "until told"), make("other")
    with engine() as executor:
        executor.start([job])
        wait_for(lambda: starts_of(job))
    with engine() as executor:
        executor.start([job, other])
        assert ends_of(executor, 1) == {"other": None}
        assert executor.states()["run"][0] == "running"
        executor.ask_to_stop(["run"])
        assert isinstance(ends_of(executor, 1)["run"], InterruptedRunError)
    assert len(starts_of(job)) == 1


def test_jobs_that_are_submitted_inside_a_job_are_no_part_of_it(engine, make, monkeypatch):
    # As in the shell of `srun --ntasks=4 --pty bash`.
    inside = {"STEP_ID": "0", "STEP_NUM_TASKS": "4", "PROCID": "0", "LOCALID": "0", "JOB_ID": "1"}
    for name, value in inside.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    job = make("run")
    with engine() as executor:
        executor.start([job])
        assert ends_of(executor, 1) == {"run": None}
    assert (Path(job.task["folder"]) / "group").read_text() == "alone"


def test_what_sbatch_refuses_is_said_in_its_words(engine, slurm, make):
    with engine(partition="nowhere") as executor, pytest.raises(SpecError) as caught:
        executor.start([make("run")])
    assert "; Batch job submission failed: Invalid partition name specified." in caught.value.message


def test_a_machine_without_slurm_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match="sbatch is not found"):
        SlurmExecutor(LaunchOptions(launcher="slurm"), tmp_path).__enter__()
