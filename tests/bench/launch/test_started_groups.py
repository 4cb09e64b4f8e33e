"""Commands under torchrun, accelerate launch and srun give the numbers of one process; nothing leaves this machine."""

import csv
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import SMALL_AST, environment, json_here

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("started-groups")]

ROOT = Path(__file__).resolve().parents[3]
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
    return json_here(*WORDS[:-2], "--data", str(small_data), env=environment(home, small_cache))


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


def test_torchrun_gives_the_run_of_one_process(small_data, small_cache, tmp_path, alone):
    """Three ranks; accelerate launch and srun start two."""
    processes = 3
    done = run([*torchrun(processes), *WORDS, "--data", str(small_data)], environment(tmp_path, small_cache))
    assert done.returncode == 0, done.stderr
    # One document: the others print nothing.
    check_same(json.loads(done.stdout), alone)
    assert len(list(tmp_path.glob("runs/*/rank-*.log"))) == processes
    assert f"{processes} processes" in done.stderr


def test_whatever_accelerate_is_told_the_run_is_that_of_its_spec(small_data, small_cache, tmp_path, alone):
    (tmp_path / "accelerate.yaml").write_text(CONFIGURATION)
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(tmp_path / "accelerate.yaml")]
    options = ["--main_process_port", free_port(), "--gradient_accumulation_steps", "4", "-m", "bench"]
    command = [*launcher, *options, *WORDS, "--data", str(small_data)]
    done = run(command, environment(tmp_path / "home", small_cache, **FOREIGN))
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr
    check_same(json.loads(done.stdout), alone)


def test_three_ranks_and_a_batch_that_does_not_divide_get_one_sentence(small_data, small_cache, tmp_path):
    words = [*WORDS, "--set", "batch=8", "--data", str(small_data)]
    done = run([*torchrun(3), *words], environment(tmp_path, small_cache))
    assert done.returncode == 1, "torchrun's own code of a failure"
    assert done.stderr.count("The global batch of 8 does not divide among 3 processes") == 1
    assert "exitcode  : 2" in done.stderr.replace("exitcode :", "exitcode  :")
    assert not done.stdout
    assert not (tmp_path / "runs").exists()


def test_srun_gives_the_run_of_one_process(slurm, small_data, small_cache, tmp_path, alone):
    """A real Slurm, whose two nodes are this machine; jobs of ``--launcher slurm`` are in executors/."""
    srun = ["srun", "--nodes=2", "--ntasks=2", "--chdir", str(ROOT), sys.executable, "-m", "bench"]
    command = [*srun, *WORDS, "--nodes", "2", "--data", str(small_data)]
    done = run(command, environment(tmp_path, small_cache, PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr
    check_same(json.loads(done.stdout), alone)
    assert len(list(tmp_path.glob("runs/*/rank-*.log"))) == 2
