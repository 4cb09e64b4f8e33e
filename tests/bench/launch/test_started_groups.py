"""Commands under torchrun, accelerate launch and srun give the numbers of one process; nothing leaves this machine."""

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import SMALL_AST, bench_json, environment

from bench.experiment.spec import read_spec
from bench.launch.jobs import Job
from bench.launch.one_job import read_end, write_job
from leaderboard.results.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("started-groups")]

WORDS = ["run", *SMALL_AST, "--set", "batch=6", "--epochs", "2", "--device", "cpu", "--format", "json"]

FOREIGN = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
    "ACCELERATE_USE_MEGATRON_LM": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "TORCHDYNAMO_SUPPRESS_ERRORS": "1",
    "TORCH_COMPILE_DEBUG": "1",
    "TORCHINDUCTOR_COMPILE_THREADS": "7",
}
"""What else the environment of a launcher may hold."""

CONFIGURATION = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
mixed_precision: bf16
num_processes: 2
num_machines: 1
machine_rank: 0
use_cpu: false
main_process_ip: 127.0.0.1
dynamo_config:
  dynamo_backend: INDUCTOR
  dynamo_mode: reduce-overhead
fsdp_config:
  fsdp_version: 1
  fsdp_sharding_strategy: FULL_SHARD
  fsdp_auto_wrap_policy: NO_WRAP
"""
"""What `accelerate config` may have written: everything that would change numbers."""


@pytest.fixture(scope="module")
def alone(small_data, small_cache, tmp_path_factory):
    """The run in one process."""
    home = tmp_path_factory.mktemp("alone")
    return bench_json(*WORDS[:-2], "--data", str(small_data), env=environment(home, small_cache))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def torchrun(processes):
    words = ["torch.distributed.run", f"--nproc_per_node={processes}", "--master_addr=127.0.0.1"]
    return [sys.executable, "-m", *words, f"--master_port={free_port()}", "-m", "bench"]


def run(command, env):
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def scores(path):
    with Path(path).open() as stream:
        return [
            [float(row[name]) for name in ("normal", "crackle", "wheeze", "both")] for row in csv.DictReader(stream)
        ]


def check_same(document, alone):
    assert document["run_id"] == alone["run_id"]
    losses, expected = ([epoch["loss"] for epoch in one["epochs"]] for one in (document, alone))
    assert losses == pytest.approx(expected, abs=1e-4)
    for found, wanted in zip(scores(document["predictions"]), scores(alone["predictions"]), strict=True):
        assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("processes", [2, 3])
def test_torchrun_gives_the_run_of_one_process(small_data, small_cache, tmp_path, alone, processes):
    done = run([*torchrun(processes), *WORDS, "--data", str(small_data)], environment(tmp_path, small_cache))
    assert done.returncode == 0, done.stderr
    # One document: the others print nothing.
    check_same(json.loads(done.stdout), alone)
    assert len(list(tmp_path.glob("runs/*/rank-*.log"))) == processes
    assert f"{processes} process(es)" in done.stderr


def test_whatever_accelerate_is_told_the_run_is_that_of_its_spec(small_data, small_cache, tmp_path, alone):
    (tmp_path / "accelerate.yaml").write_text(CONFIGURATION)
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(tmp_path / "accelerate.yaml")]
    options = ["--main_process_port", free_port(), "--gradient_accumulation_steps", "4", "-m", "bench"]
    command = [*launcher, *options, *WORDS, "--data", str(small_data)]
    done = run(command, environment(tmp_path / "home", small_cache, **FOREIGN))
    assert done.returncode == 0, done.stderr
    assert "2 process(es)" in done.stderr
    check_same(json.loads(done.stdout), alone)


def test_three_ranks_and_a_batch_that_does_not_divide_get_one_sentence(small_data, small_cache, tmp_path):
    words = [*WORDS, "--set", "batch=8", "--data", str(small_data)]
    done = run([*torchrun(3), *words], environment(tmp_path, small_cache))
    assert done.returncode == 1, "torchrun's own code of a failure"
    assert done.stderr.count("The global batch of 8 does not divide among 3 processes") == 1
    assert "exitcode  : 2" in done.stderr.replace("exitcode :", "exitcode  :")
    assert not done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_job_of_a_step_is_done_by_all_its_tasks(small_cache, tmp_path, alone):
    """srun is simulated by its variables; tests of the launcher slurm have a real one."""
    spec = read_spec(RunFolder(Path(alone["predictions"]).parent).spec).changed(processes=2)
    home = tmp_path / "home"
    home.mkdir()
    task = {"spec": spec.to_json(), "home": str(home), "rerun": False, "stored": False}
    job = Job(key="a", module="bench.launch.isolated", task=task, name="run a", log=tmp_path / "a.log", processes=2)
    path = write_job(job, tmp_path / "jobs")
    tasks = [start_task(rank, path, environment(home, small_cache)) for rank in range(2)]
    for process in tasks:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert not out
    assert read_end(path).error is None
    folder = RunFolder.of_run(home, spec.run_id)
    document = {**folder.read_document(), "predictions": folder.path / Path(alone["predictions"]).name}
    check_same(document, alone)


def start_task(rank, path, env):
    # The port of the group follows from the number of the job: another one in each session of tests.
    step = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    task = {"SLURM_STEP_NUM_NODES": "1", "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
    command = [sys.executable, "-m", "bench", "job", str(path)]
    env = {**env, **step, **task}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
