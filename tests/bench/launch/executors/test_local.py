"""The engine of this machine with real processes: what is killed, hangs or raises, and what ends with whom."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from speeds import limit
from stand_ins import once
from tiny_jobs import ROOT, tiny_job, tiny_task

from bench.core.errors import InterruptedRunError, LostProcessError, StoreError, UnexpectedError
from bench.launch.child import child_command
from bench.launch.executors import make_executor
from bench.launch.executors.gpu_memory import Gpu
from bench.launch.executors.host_memory import kills_for_memory
from bench.launch.executors.local import LocalExecutor
from bench.launch.executors.places import Machine, Places
from bench.launch.jobs import LaunchOptions
from bench.launch.log_lines import LogLines
from bench.launch.one_job import TimedOutError
from bench.launch.scheduler import carry_out
from bench.launch.tasks import Policy

SOON = Policy(backoff=0.05)
GIB = 1 << 30


def done(tasks, jobs=2, policy=SOON, executor=None, **options):
    with executor or LocalExecutor(LaunchOptions(jobs=jobs), stop_seconds=0.3) as engine:
        ends = carry_out(tasks, engine, policy, LogLines(), **options)
    return {end.task.key: end for end in ends}


def gone(process, seconds=10):
    """Whether a process ends soon."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_whatever_some_jobs_do_the_others_finish_and_each_failure_is_named(tmp_path):
    tasks = [
        tiny_task(tmp_path, "killed", "kill once"),
        tiny_task(tmp_path, "hangs", "hang", timeout=1.0),
        tiny_task(tmp_path, "raises", "raise"),
        tiny_task(tmp_path, "fine"),
        tiny_task(tmp_path, "after", after=("killed", "fine")),
        tiny_task(tmp_path, "never", after=("raises",)),
    ]
    ends = done(tasks)
    assert [ends[key].status for key in ("killed", "fine", "after")] == ["finished"] * 3
    assert ends["killed"].attempts == 2
    hangs, raises = ends["hangs"], ends["raises"]
    assert (hangs.status, type(hangs.error), hangs.attempts) == ("failed", TimedOutError, 1)
    assert "Job hangs took longer than the 1 seconds" in hangs.error.message
    assert str(tmp_path / "hangs.log") in hangs.error.hint
    assert (raises.status, type(raises.error), raises.attempts) == ("failed", UnexpectedError, 1)
    assert "nobody has thought of this" in (tmp_path / "raises.log").read_text()
    assert ends["never"].status == "not started"

    again = done([*tasks[:1], tiny_task(tmp_path, "raises"), *tasks[3:]])
    assert {key: end.status for key, end in again.items()} == {
        **dict.fromkeys(("killed", "fine", "after"), "done before"),
        **dict.fromkeys(("raises", "never"), "finished"),
    }


def test_a_job_that_is_killed_each_time_is_lost(tmp_path):
    end = done([tiny_task(tmp_path, "a", "kill")], policy=Policy(retries=1, backoff=0.01))["a"]
    assert (end.status, type(end.error), end.attempts) == ("failed", LostProcessError, 2)


def test_a_log_that_cannot_be_written_is_the_failure_of_its_job_alone(tmp_path):
    (tmp_path / "file").write_text("")
    bad = tiny_job(tmp_path, "bad", log=tmp_path / "file" / "log")
    with LocalExecutor(LaunchOptions(jobs=2)) as engine:
        jobs = [bad, tiny_job(tmp_path, "fine")]
        assert engine.room(jobs)
        engine.start(jobs)
        found = {}
        while len(found) < 2:
            found |= {ended.key: ended.error for ended in engine.ended(0.1)}
        assert engine.room([bad]), "its place is free again"
    assert isinstance(found["bad"], StoreError)
    assert found["fine"] is None


def test_jobs_of_a_machine_with_gpus_have_their_own(tmp_path):
    """Simulated: there is no GPU behind these names, which the real processes are told."""
    there = Places(LaunchOptions(), Machine(lambda: [Gpu("0", "GPU-a"), Gpu("1", "GPU-b")], dict, 8, None))
    done(
        [tiny_task(tmp_path, key, "a while", device="cuda") for key in "ab"],
        executor=LocalExecutor(LaunchOptions(), there),
    )
    told = sorted((tmp_path / key).read_text().split()[0] for key in "ab")
    assert told == ["0", "1"]


def test_a_shared_gpu_whose_memory_ran_out_is_had_alone_the_next_time(tmp_path):
    """Simulated: the job says that memory ran out, on a GPU that is not there."""
    options = LaunchOptions(jobs=2)
    there = Places(options, Machine(lambda: [Gpu("0", "GPU-a")], lambda: {"0": 80 * GIB}, 8, None))
    tasks = [
        tiny_task(tmp_path, "a", "a while", device="cuda", memory=GIB),
        tiny_task(tmp_path, "b", "memory", device="cuda", memory=GIB),
    ]
    ends = done(tasks, executor=LocalExecutor(options, there))
    assert [(ends[key].status, ends[key].attempts) for key in "ab"] == [("finished", 1), ("finished", 2)]


@pytest.mark.parametrize(("others", "attempts"), [(["fine"], 2), ([], 1)])
def test_memory_of_the_machine_that_ran_out_beside_others_is_tried_alone(tmp_path, others, attempts):
    tasks = [tiny_task(tmp_path, "a", "memory"), *(tiny_task(tmp_path, key, "a while") for key in others)]
    assert done(tasks)["a"].attempts == attempts


def test_the_kernels_count_of_processes_killed_for_memory_is_read(tmp_path):
    counters = tmp_path / "vmstat"
    counters.write_text("nr_free_pages 12\noom_kill 3\n")
    assert kills_for_memory(counters) == 3
    assert kills_for_memory(tmp_path / "nothing") == 0


def test_a_signal_lets_the_jobs_end_and_nothing_is_left(tmp_path):
    tasks = [tiny_task(tmp_path, key, "wait") for key in "abc"]
    began = [tmp_path / f"{key}.began" for key in "ab"]

    def both_wait():
        return all(path.exists() and path.read_text() for path in began)

    with (
        once(both_wait, signal.SIGTERM),
        pytest.raises(InterruptedRunError, match=r"Stopped: 0 of 3 are done\."),
    ):
        done(tasks)
    assert all(gone(int(path.read_text())) for path in began)
    assert not (tmp_path / "c.began").exists()


DRIVER = """
import sys
from pathlib import Path
from tiny_jobs import tiny_task
from bench.launch.executors import make_executor
from bench.launch.jobs import LaunchOptions
from bench.launch.log_lines import LogLines
from bench.launch.scheduler import carry_out
from bench.launch.tasks import Policy

folder = Path(sys.argv[1])
with make_executor(LaunchOptions(jobs=2), folder) as engine:
    carry_out([tiny_task(folder, key, "hang") for key in "ab"], engine, Policy(), LogLines())
"""


def test_a_driver_that_is_killed_takes_its_jobs_with_it(tmp_path):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'support'}{os.pathsep}{ROOT}"}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], env=environment)
    began = [tmp_path / f"{key}.began" for key in "ab"]
    try:
        until = time.monotonic() + 30
        while not all(path.exists() and path.read_text() for path in began):
            assert time.monotonic() < until, "the jobs have not begun"
            time.sleep(0.02)
        jobs = [int(path.read_text()) for path in began]
    finally:
        driver.kill()
        driver.wait()
    assert all(map(gone, jobs))


def test_the_engine_is_had_by_its_name(tmp_path):
    assert isinstance(make_executor(LaunchOptions(), tmp_path), LocalExecutor)


@pytest.mark.perf
@pytest.mark.slow
def test_a_job_costs_little_beyond_the_start_of_its_process(tmp_path):
    """Compared with the same processes, started one after the other by nothing else; more in ``BENCH_TEST_JOBS``."""
    jobs = int(os.environ.get("BENCH_TEST_JOBS", "8"))

    def plain(number):
        began = time.perf_counter()
        subprocess.run(
            [*child_command("tiny_jobs")[:1], "-c", "import tiny_jobs, bench.launch.child_process"],
            env={**os.environ, "PYTHONPATH": f"{Path(__file__).parents[3] / 'support'}{os.pathsep}{ROOT}"},
            check=True,
            start_new_session=True,
        )
        return time.perf_counter() - began

    alone = sum(map(plain, range(jobs)))
    began = time.perf_counter()
    ends = done([tiny_task(tmp_path, str(number)) for number in range(jobs)], jobs=1)
    overhead = (time.perf_counter() - began - alone) / jobs
    assert {end.status for end in ends.values()} == {"finished"}
    assert overhead < limit(0.2), (
        f"{jobs} jobs: {overhead:.3f} s each beyond {alone / jobs:.3f} s for the start of a process"
    )
