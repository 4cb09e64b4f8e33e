"""Jobs on a real Dask scheduler with real workers: processes on loopback."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time

import pytest
from dask_cluster import dask_cluster, wait_for
from far_jobs import far_job, processes
from speeds import limit
from stand_ins import once

from bench.core.errors import InterruptedRunError, LostProcessError, RunError, SpecError
from bench.launch.executors import dask_client, make_executor
from bench.launch.executors.dask import DaskExecutor
from bench.launch.executors.dask_fitness import Worker, shared_gpus, unfit_for
from bench.launch.executors.dask_worker import Description, visible_devices
from bench.launch.jobs import LaunchOptions
from bench.launch.one_job import TimedOutError, job_file, read_end
from bench.launch.scheduler import Policy, Task, carry_out

SECOND_TASK = {
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "RANK": "1",
    "WORLD_SIZE": "2",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("dask"), "w1") as running:
        # As `srun -n 2 dask worker` starts it: its jobs are no ranks of a group of two.
        running.add_worker("w2", **SECOND_TASK)
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


def test_a_matrix_whose_worker_is_killed_is_complete_and_nothing_is_done_twice(cluster, engine, tmp_path):
    keys = ["one", "two", "three", "hangs", "fails", "after"]
    does = {"hangs": "hang once", "fails": "fail"}
    tasks = [task_of(tmp_path, key, does.get(key, "write")) for key in keys[:-1]]
    tasks.append(task_of(tmp_path, "after", "write", after=("fails",)))
    heard = Heard()

    killed = []

    def kill():
        wait_for(lambda: processes(tmp_path, "hangs"), "the start of what hangs")
        killed[:] = [engine.states()["hangs"][1], *processes(tmp_path, "hangs")]
        cluster.kill(killed[0].removeprefix("worker "))

    killer = threading.Thread(target=kill)
    killer.start()
    ends = carry_out(tasks, engine, Policy(retries=1, backoff=0.1), heard)
    killer.join()
    assert [(end.task.key, end.status) for end in ends] == [
        *((key, "finished") for key in keys[:4]),
        ("fails", "failed"),
        ("after", "not started"),
    ]
    ((key, error),) = heard.retries
    assert (key, type(error)) == ("hangs", LostProcessError)
    assert error.message.startswith(f"The Dask {killed[0]} on ")
    wait_for(lambda: all(map(gone, killed[1:])), "the end of what the worker had started")
    assert all(len(list((tmp_path / key).glob("done-*"))) == 1 for key in keys[:4])
    assert carry_out(tasks[:4], engine, Policy(), heard)[3].status == "done before"
    cluster.add_worker({"w1", "w2"}.difference(cluster.processes).pop())
    wait_for(lambda: look(engine) == 2, "a worker in its place")


def task_of(folder, key, does, after=()):
    return Task(
        key=key,
        said=key,
        is_done=lambda: bool(list((folder / key).glob("done-*"))),
        after=after,
        job=far_job(folder, key, does),
    )


class Heard:
    """A watcher that keeps what was tried again."""

    def __init__(self):
        self.retries = []

    def on_retry(self, task, error, seconds):
        self.retries.append((task.key, error))

    def __getattr__(self, name):
        return lambda *words: None


def test_an_interrupted_driver_asks_its_jobs_to_save_their_state(engine, tmp_path):
    tasks = [task_of(tmp_path, str(number), "hang") for number in range(3)]
    running = lambda: processes(tmp_path, "0") and processes(tmp_path, "1")  # noqa: E731 - a condition of one line
    with once(running, signal.SIGINT), pytest.raises(InterruptedRunError, match="0 of 3 are done"):
        carry_out(tasks, engine, Policy(), Heard())
    ends = [read_end(job_file(tmp_path / "jobs", key)) for key in ("0", "1")]
    assert {end.error.message for end in ends} == {"Stopped after its state was saved."}
    assert not (tmp_path / "2").exists()


def test_a_worker_that_is_ended_asks_its_job_to_save_its_state(cluster, engine, tmp_path):
    job = far_job(tmp_path, "run", "hang once")
    engine.start([job])
    wait_for(lambda: processes(tmp_path, "run"), "the job's start")
    worker = engine.states()["run"][1].removeprefix("worker ")
    cluster.kill(worker, signal.SIGTERM)
    (lost,) = _next(engine)
    assert isinstance(lost.error, LostProcessError), "it is retried"
    told = read_end(job_file(tmp_path / "jobs", "run")).error
    assert isinstance(told, InterruptedRunError)
    assert told.message == "Stopped after its state was saved."
    assert carried_out(engine, [job]) == {"run": None}
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


def test_which_workers_share_a_gpu():
    workers = [
        made_worker("a", "h1", "0"),
        made_worker("b", "h1", "1,0"),
        made_worker("c", "h1", "2"),
        made_worker("d", "h2", "0"),
        made_worker("e", "h2", ""),
        made_worker("f", "h3", None),
    ]
    assert set(shared_gpus(workers)) == {"a", "b"}
    assert set(shared_gpus([*workers, made_worker("g", "h3", "5")])) == {"a", "b", "f", "g"}


def test_a_run_needs_a_gpu_for_each_of_its_processes(tmp_path):
    one, two = far_job(tmp_path, "one", "write", device="cuda"), far_job(tmp_path, "two", "write", device="cuda")
    two = two.changed(processes=2)
    unknown, pair, none = (made_worker("w", "h", words) for words in (None, "0,1", "-1"))
    assert [unfit_for(one, worker, {}) for worker in (unknown, pair)] == [None, None]
    assert [unfit_for(two, worker, {}) for worker in (unknown, pair)] == [None, None]
    assert unfit_for(two, made_worker("w", "h", "MIG-1"), {}) == "it needs 2, and the Dask worker w sees 1 GPU"
    assert unfit_for(one, none, {}) == "it needs 1, and the Dask worker w sees 0 GPUs"
    assert unfit_for(far_job(tmp_path, "cpu", "write"), none, {"w": "shared"}) is None


def made_worker(name, host, devices):
    about = Description(
        identity=name,
        name=name,
        host=host,
        threads=1,
        devices=visible_devices(devices),
        version="1",
        has_folder=True,
    )
    return Worker(name, about)


def test_no_scheduler_is_a_sentence_within_ten_seconds(tmp_path, monkeypatch):
    assert dask_client.CONNECT_SECONDS < 10
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        options = LaunchOptions(launcher="dask", scheduler=f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        started = time.monotonic()
        with (
            pytest.raises(SpecError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1"),
            _made(options, tmp_path),
        ):
            pass
        assert time.monotonic() - started < limit(3)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("ftp://host:1", "No Dask scheduler answers at ftp://host:1: unknown address scheme 'ftp'"),
        (None, "Nothing says where the Dask scheduler is"),
        ("tcp://no port", "No Dask scheduler answers at tcp://no port"),
        ("nothing.json", "file nothing.json does not say where a Dask scheduler is"),
        ("tls://127.0.0.1:1", "asks for TLS, and there is no certificate"),
    ],
)
def test_a_place_that_cannot_be_is_a_sentence(tmp_path, named, words, monkeypatch):
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(SpecError, match=words), _made(LaunchOptions(launcher="dask", scheduler=named), tmp_path):
        pass


def _made(options, folder) -> DaskExecutor:
    return make_executor(options, folder)


OLD = "import bench.core.version\nbench.core.version.__version__ = '0.0.1'\n"
ELSEWHERE = "import bench.launch.executors.dask_worker as worker\nworker.has_folder = lambda sign: False\n"
MISSING = "import sys\nsys.modules['bench'] = None\n"
"""What runs in a worker first, so that it is as one of another version, without the disk, or without lungbench."""


@pytest.mark.parametrize(
    ("preload", "words"),
    [
        (OLD, "has lungbench 0.0.1, and here is "),
        (ELSEWHERE, "does not see the folder .*jobs"),
        (MISSING, "cannot carry out runs .*: install lungbench"),
    ],
    ids=["version", "folder", "package"],
)
def test_a_worker_that_cannot_carry_out_runs_is_refused(cluster, tmp_path, preload, words):
    cluster.add_worker("odd", preload=preload)
    options = LaunchOptions(launcher="dask", scheduler=cluster.address)
    try:
        wait_for(lambda: "odd" in _names(cluster.address), "the worker")
        with pytest.raises(SpecError, match=words), _made(options, tmp_path / "jobs"):
            pass
    finally:
        cluster.kill("odd")


def _names(address):
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        return {it["name"] for it in client.scheduler_info(n_workers=-1)["workers"].values()}


def test_it_waits_for_workers_and_says_so(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 2.0)
    job = far_job(tmp_path, "early", "write")
    with dask_cluster(tmp_path) as empty, caplog.at_level("INFO", logger="bench"):
        options = LaunchOptions(launcher="dask", scheduler=str(empty.file), jobs=1)
        with _made(options, tmp_path / "jobs") as executor:
            assert not executor.room([job])
            assert caplog.messages == [f"waiting for workers: the Dask scheduler at {empty.address} has none"]
            empty.add_worker("late", threads=3)
            assert carried_out(executor, [job]) == {"early": None}
            assert caplog.messages[1].startswith("The Dask worker late has 3 threads")
            assert caplog.messages[2] == f"the Dask scheduler at {empty.address} has 1 worker"
            executor.start([job])
            empty.kill("scheduler")
            with pytest.raises(RunError, match=f"The Dask scheduler at {empty.address} does not answer any more"):
                wait_for(lambda: executor.ended(0.2) and False, "the loss of the scheduler", 20)
