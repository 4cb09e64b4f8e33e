"""What schedulers, launchers and shells leave in the environment changes no run, and holds none up."""

import os
import subprocess
import sys

import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DistributedType, DynamoBackend
from cli_runs import SMALL_AST, bench, bench_json, environment, json_here
from five_steps import spec_of

from bench.core.environment import (
    GROUP,
    LAUNCHERS,
    SETTINGS,
    keep_launchers_out,
    keep_settings_out,
    refuse_late_settings,
)
from bench.core.errors import RunError, SpecError
from bench.engine.accelerator import build_accelerator

LEFT_OVER = {
    "BENCH_WATCH": "99",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8",
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_USE_CPU": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_MEGATRON_LM": "true",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "ACCELERATE_USE_SAGEMAKER": "true",
    "ACCELERATE_CPU_AFFINITY": "true",
    "ACCELERATE_CONFIG_DS_FIELDS": "zero_stage",
    "PARALLELISM_CONFIG_TP_SIZE": "2",
    "LOCAL_RANK": "0",
    "RANK": "0",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "1",
    "PMI_SIZE": "4",
    "MV2_COMM_WORLD_SIZE": "4",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "FORK_LAUNCHED": "1",
}


@pytest.fixture
def fresh_accelerate(monkeypatch):
    """Accelerate as in a process that has built no Accelerator yet, and the environment restored in the end."""
    before = dict(os.environ)

    def forget():
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    forget()
    yield monkeypatch
    forget()
    os.environ.clear()
    os.environ.update(before)


def small_spec(**fields):
    case = {"model": "ast", "model_options": {}, "method": "ce", "method_options": {}}
    return spec_of({**case, "fields": {"device": "cpu", **fields}})


def check(accelerator):
    assert accelerator.num_processes == 1
    assert accelerator.device.type == "cpu"
    assert accelerator.mixed_precision == "no"
    assert accelerator.gradient_accumulation_steps == 1
    assert accelerator.distributed_type == DistributedType.NO
    assert accelerator.state.dynamo_plugin.backend == DynamoBackend.NO


@pytest.mark.parametrize("name", LEFT_OVER)
def test_no_variable_reaches_the_accelerator(fresh_accelerate, name):
    fresh_accelerate.setenv(name, LEFT_OVER[name])
    check(build_accelerator(small_spec(), 1))


def test_all_variables_together_do_not_reach_it(fresh_accelerate):
    for name, value in LEFT_OVER.items():
        fresh_accelerate.setenv(name, value)
    check(build_accelerator(small_spec(), 1))
    assert not GROUP & os.environ.keys()


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ({"mixed_precision": "bf16"}, "precision|mixed"),
        ({"gradient_accumulation_steps": 4}, None),
    ],
)
def test_what_ran_before_in_the_process_changes_nothing_or_is_told(fresh_accelerate, before, message):
    from accelerate import Accelerator

    Accelerator(cpu=True, **before)
    if message is None:
        check(build_accelerator(small_spec(), 1))
    else:
        with pytest.raises(RunError, match=message):
            build_accelerator(small_spec(), 1)


def test_an_accelerator_that_is_something_else_is_refused(fresh_accelerate):
    with pytest.raises(RunError, match="Accelerate has processes 1 where the run has 2"):
        build_accelerator(small_spec(processes=2), 2)
    assert PartialState().num_processes == 1


def test_variables_that_lower_the_precision_are_forgotten(monkeypatch):
    for name in SETTINGS:
        monkeypatch.setenv(name, "1")
    keep_settings_out()
    assert not SETTINGS & os.environ.keys()


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_variable_that_may_have_been_read_is_refused_by_name(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert "torch" in sys.modules
    with pytest.raises(SpecError, match=f"^{name} is set") as caught:
        refuse_late_settings()
    assert f"unset {name}" in caught.value.hint


def test_all_variables_are_named_at_once_and_none_is_refused_before_torch_is_there(monkeypatch):
    for name in SETTINGS:
        monkeypatch.setenv(name, "1")
    with pytest.raises(SpecError) as caught:
        refuse_late_settings()
    assert ", ".join(sorted(SETTINGS)) in caught.value.message
    for library in ("torch", "timm"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    refuse_late_settings()
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SpecError, match="torch or timm"):
        refuse_late_settings()


def test_a_clean_environment_is_not_refused(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    refuse_late_settings()


def test_only_the_launchers_words_are_forgotten_and_the_runs_own_group_is_set(fresh_accelerate):
    for name in [*GROUP, *(f"{beginning}X" for beginning in LAUNCHERS)]:
        fresh_accelerate.setenv(name, "left over")
    kept = {"SLURM_JOB_ID": "7", "MY_RANK": "1", "RANKS": "2", "CUDA_VISIBLE_DEVICES": "0", "OMP_NUM_THREADS": "3"}
    for name, value in kept.items():
        fresh_accelerate.setenv(name, value)
    keep_launchers_out({"RANK": 1, "WORLD_SIZE": 2})
    assert {name: os.environ.get(name) for name in kept} == kept
    assert {name: os.environ[name] for name in GROUP & os.environ.keys()} == {"RANK": "1", "WORLD_SIZE": "2"}
    assert not [name for name in os.environ if name.startswith(LAUNCHERS)]
    keep_launchers_out()
    assert not GROUP & os.environ.keys()


def test_the_command_forgets_them_before_torch_reads_them():
    code = "import bench.cli as c, sys\ntry: c.main(['--version'])\nexcept SystemExit: pass\nimport torch\n"
    code += "print(torch.get_float32_matmul_precision())"
    env = {**os.environ, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "highest"


@pytest.mark.slow
def test_a_run_in_a_foreign_environment_is_the_run_of_a_clean_one(small_data, small_cache, tmp_path):
    words = ["run", *SMALL_AST, "--epochs", "1", "--data", str(small_data), "--set", "weight_decay=0.05"]
    clean = json_here(*words, env=environment(tmp_path / "clean", small_cache))
    for processes in ("1", "2"):
        env = environment(tmp_path / f"foreign-{processes}", small_cache, **LEFT_OVER)
        foreign = bench_json(*words, "--processes", processes, env=env)
        assert foreign["run_id"] == clean["run_id"]
        assert foreign["epochs"][0]["loss"] == pytest.approx(clean["epochs"][0]["loss"], abs=1e-5)


@pytest.mark.parametrize("words", [["run", *SMALL_AST], ["run", *SMALL_AST, "--dry-run"]])
def test_a_process_of_another_launcher_ends_at_once(small_data, small_cache, tmp_path, words):
    env = environment(tmp_path / "home", small_cache, WORLD_SIZE="2", RANK="1", LOCAL_RANK="1", MASTER_ADDR="localhost")
    done = bench(*words, "--data", str(small_data), env=env, code=2)
    assert "--processes" in done.stderr
    assert not (tmp_path / "home" / "runs").exists()
