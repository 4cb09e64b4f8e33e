"""Jobs on a real Dask scheduler with real workers: processes on loopback."""

from __future__ import annotations

import os
import socket
import time

import pytest
from dask_cluster import dask_cluster, wait_for
from far_jobs import far_job, processes

from bench.core.errors import InterruptedRunError, LostProcessError, RunError, SpecError
from bench.launch.executors import make_executor
from bench.launch.executors.dask import DaskExecutor
from bench.launch.jobs import LaunchOptions
from bench.launch.one_job import TimedOutError, job_file, read_end


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("dask"), "w1", "w2") as running:
        yield running


@pytest.fixture
def engine(cluster, tmp_path):
    options = LaunchOptions(launcher="dask", scheduler=cluster.address)
    with make_executor(options, tmp_path / "jobs") as executor:
        wait_for(lambda: look(executor) >= 2, "two workers")
        yield executor


def look(executor):
    executor.ended(0.1)
    return len(executor._cluster.workers)


def carried_out(executor, jobs, seconds=60):
    """Start jobs as there is room for them; how each ended."""
    left, ended, deadline = list(jobs), {}, time.monotonic() + seconds
    while len(ended) < len(jobs):
        while left and executor.room(left[:1]):
            executor.start([left.pop(0)])
        ended |= {it.key: it.error for it in executor.ended(0.2)}
        assert time.monotonic() < deadline, (ended, executor.states())
    return ended


def gone(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return False


def test_jobs_are_carried_out_one_at_a_time_on_each_worker(engine, tmp_path):
    jobs = [far_job(tmp_path, "good", "write"), far_job(tmp_path, "bad", "fail"), far_job(tmp_path, "dies", "die")]
    assert engine.room(jobs[:2])
    assert not engine.room(jobs), "two workers take two jobs"
    ended = carried_out(engine, jobs)
    assert ended["good"] is None
    assert (tmp_path / "good" / "done-0").is_file()
    assert type(ended["bad"]) is RunError
    assert (ended["bad"].message, ended["bad"].hint) == ("The loss is not finite.", "Try a smaller lr.")
    assert isinstance(ended["dies"], LostProcessError)
    assert "killed by SIGKILL" in ended["dies"].message
    assert read_end(job_file(tmp_path / "jobs", "bad")).error.message == "The loss is not finite."
    assert engine.states() == {}


def test_what_runs_says_where(engine, tmp_path):
    engine.start([far_job(tmp_path, str(number), "hang") for number in range(3)])
    wait_for(lambda: processes(tmp_path, "0") and processes(tmp_path, "1"), "two jobs that run")
    states = engine.states()
    assert {states["0"], states["1"]} == {("running", "worker w1"), ("running", "worker w2")}
    assert states["2"] == ("queued", "")
    engine.ask_to_stop(["0"])
    ended = {}
    wait_for(lambda: ended.update({it.key: it.error for it in engine.ended(0.2)}) or "0" in ended, "its end")
    assert ended["0"].message == "Stopped after its state was saved."
    wait_for(lambda: engine.ended(0.1) or engine.states()["2"][0] == "running", "the job that waited")
    engine.ask_to_stop()
    wait_for(lambda: ended.update({it.key: it.error for it in engine.ended(0.2)}) or len(ended) == 3, "their ends")
    assert all(isinstance(error, InterruptedRunError) for error in ended.values())
    assert not list(tmp_path.glob("*/done-*"))


def test_a_hanging_job_is_ended_when_its_time_is_over(engine, tmp_path):
    ended = carried_out(engine, [far_job(tmp_path, "slow", "hang", timeout=1.0)])
    assert isinstance(ended["slow"], TimedOutError)
    assert "took longer than the 1 seconds" in ended["slow"].message


def test_a_killed_worker_takes_its_job_along_and_another_one_does_it(cluster, engine, tmp_path):
    job = far_job(tmp_path, "run", "hang once")
    engine.start([job])
    wait_for(lambda: processes(tmp_path, "run"), "the job's start")
    worker = engine.states()["run"][1].removeprefix("worker ")
    cluster.kill(worker)
    for number in processes(tmp_path, "run"):
        wait_for(lambda number=number: gone(number), "the end of what the worker had started", 10)
    (lost,) = _next(engine)
    assert isinstance(lost.error, LostProcessError)
    assert f"The Dask worker {worker} on " in lost.error.message
    ended = carried_out(engine, [job])
    assert ended == {"run": None}
    assert sorted(path.name for path in (tmp_path / "run").glob("done-*")) == ["done-1"]
    cluster.add_worker(worker)
    wait_for(lambda: look(engine) == 2, "a worker in its place")


def _next(engine):
    found = []
    wait_for(lambda: found.extend(engine.ended(0.2)) or found, "the end of a job")
    return found


def test_a_run_on_several_machines_is_refused(engine, tmp_path):
    with pytest.raises(SpecError, match="cannot carry out job wide on 2 machines"):
        engine.room([far_job(tmp_path, "wide", "write", processes=2, nodes=2)])


def test_workers_that_share_a_gpu_are_refused_for_gpus_alone(engine, tmp_path):
    with pytest.raises(SpecError, match="share a GPU: give each a CUDA_VISIBLE_DEVICES of its own"):
        engine.room([far_job(tmp_path, "gpu", "write", device="cuda")])
    assert engine.room([far_job(tmp_path, "cpu", "write")])


def test_no_scheduler_is_a_sentence_within_ten_seconds(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        options = LaunchOptions(launcher="dask", scheduler=f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        started = time.monotonic()
        with (
            pytest.raises(SpecError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1"),
            _made(options, tmp_path),
        ):
            pass
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (None, "Nothing says where the Dask scheduler is"),
        ("tcp://no port", "No Dask scheduler answers at tcp://no port"),
        ("nothing.json", "file nothing.json is not there"),
        ("tls://127.0.0.1:1", "No Dask scheduler answers at tls://127.0.0.1:1: .*ssl_context"),
    ],
)
def test_a_place_that_cannot_be_is_a_sentence(tmp_path, named, words, monkeypatch):
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(SpecError, match=words), _made(LaunchOptions(launcher="dask", scheduler=named), tmp_path):
        pass


def _made(options, folder) -> DaskExecutor:
    return make_executor(options, folder)
