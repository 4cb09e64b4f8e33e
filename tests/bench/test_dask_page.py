"""``docs/dask.md``: its scripts are taken from the page and run on this machine, with stand-ins for ssh and qsub."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dask_cluster import wait_for
from far_jobs import far_job

from bench.launch.executors import make_executor
from bench.launch.jobs import LaunchOptions

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "dask.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
LOOPBACK = {
    "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__STATUS__TASK_STREAM_LENGTH": "10",
    "PYTHONPATH": os.pathsep.join([str(DOCS.parent), str(DOCS.parent / "tests" / "support")]),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}


@pytest.fixture
def start(tmp_path):
    """Starts a command in a session of its own, which ends with the test."""
    started = []

    def run(*words):
        tools = f"{tmp_path / 'tools'}{os.pathsep}{LOOPBACK['PATH']}"
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            words,
            env={**os.environ, **LOOPBACK, "PATH": tools},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def tool(folder, name, script):
    """A command that stands in for another one."""
    path = folder / "tools" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_loop_over_ssh_starts_a_worker_for_each_gpu(tmp_path, start):
    tool(tmp_path, "ssh", 'shift\nexec sh -c "$*"')
    script = FILES["ssh_cluster.sh"].replace("/shared/lungbench", str(tmp_path)).replace("node1 node2", "node1")
    # On this machine alone, and on ports that are free.
    script = script.replace("dask scheduler", "dask scheduler --host 127.0.0.1 --port 0 --no-dashboard")
    script = script.replace("dask worker", "dask worker --host 127.0.0.1 --no-dashboard")
    assert script.count("--no-dashboard") == 2
    (tmp_path / "ssh_cluster.sh").write_text(script)
    start("sh", "ssh_cluster.sh")
    file = tmp_path / "dask.json"
    wait_for(lambda: file.is_file() and file.read_text().endswith("}"), "the scheduler's file")
    job = far_job(tmp_path, "gpu", "write", device="cuda")
    with make_executor(LaunchOptions(launcher="dask", scheduler=str(file)), tmp_path / "jobs") as engine:
        wait_for(lambda: engine.ended(0.1) or engine.room([job, job]), "room for two runs on GPUs")
        workers = {it.name: it.about.devices for it in engine._cluster.workers.values()}
        assert workers == {"node1-gpu0": ("0",), "node1-gpu1": ("1",)}
        engine.start([job])
        ended = []
        wait_for(lambda: ended.extend(engine.ended(0.2)) or ended, "its end")
    assert ended[0].error is None


def test_the_script_for_pbs_asks_for_workers_of_one_thread_and_one_gpu(tmp_path, start):
    tool(tmp_path, "qsub", 'cp "$1" submitted-$$\necho $$.server')
    (tmp_path / "pbs_cluster.py").write_text(FILES["pbs_cluster.py"])
    process = start(sys.executable, "pbs_cluster.py", "2")
    wait_for(lambda: len(list(tmp_path.glob("submitted-*"))) == 2 or process.poll() is not None, "two jobs")
    assert process.poll() is None, (tmp_path / "log").read_text()
    text = next(tmp_path.glob("submitted-*")).read_text()
    assert "#PBS -q gpu\n#PBS -l select=1:ncpus=8:ngpus=1:mem=32gb\n#PBS -l walltime=12:00:00" in text
    assert "export OMP_NUM_THREADS=8\n" in text
    assert "--nthreads 1 --memory-limit" in text
    assert "--death-timeout 600" in text
    wait_for(lambda: "tcp://" in (tmp_path / "log").read_text(), "the address")


def test_every_file_that_the_page_names_is_there():
    for name in re.findall(r"\]\(([^)h][^)]*)\)", PAGE):
        assert (DOCS / name).is_file(), name
