"""What launchers say of the processes that they start is read, and what is left over of it is refused."""

import pytest

from bench.core.errors import SpecError
from bench.core.process_group import (
    LOOPBACK,
    ProcessGroup,
    adopted_group,
    adoption,
    processes_of_run,
    refuse_foreign_group,
    started_group,
)
from bench.core.slurm_nodes import first_node, first_node_address, tasks_of_node

TORCHRUN = {
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
    "GROUP_WORLD_SIZE": "2",
    "MASTER_ADDR": "node1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "1",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}
SRUN = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NUM_NODES": "1",
    "SLURM_STEP_TASKS_PER_NODE": "3",
    "SLURM_STEP_NODELIST": "n1",
}
MPIRUN = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "prterun-1@1",
}
ACCELERATE_ALONE = {
    "ACCELERATE_USE_CPU": "True",
    "ACCELERATE_MIXED_PRECISION": "no",
    "ACCELERATE_DYNAMO_MODE": "default",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


def group(**changes):
    described = {"launcher": "srun", "rank": 0, "size": 4, "local_rank": 0, "local_size": 2, "nodes": 2}
    return ProcessGroup(**{**described, "address": "n1", "port": 29500, **changes})


def test_the_processes_of_torchrun_over_two_nodes():
    found = started_group(TORCHRUN)
    assert found == ProcessGroup(
        launcher="torchrun",
        rank=3,
        size=4,
        local_rank=1,
        local_size=2,
        nodes=2,
        address="node1",
        port=29500,
        hosted=True,
        # A group that torchrun has started again finds nothing of its first start in the store.
        space="bench/1",
    )


def test_accelerate_launch_is_told_from_torchrun():
    assert started_group({**TORCHRUN, "ACCELERATE_MIXED_PRECISION": "no"}).launcher == "accelerate launch"


def test_variables_that_a_script_sets_by_hand_are_a_group_whose_store_the_first_process_has():
    by_hand = {name: TORCHRUN[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")}
    found = started_group({**SRUN, "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_TASKS_PER_NODE": "2(x2)", **by_hand})
    assert (found.rank, found.local_size, found.nodes, found.address, found.hosted) == (3, 2, 2, "node1", False)
    assert started_group({**by_hand, "MASTER_ADDR": "localhost"}).nodes == 1


def test_the_tasks_of_a_step():
    found = started_group(SRUN)
    assert (found.launcher, found.rank, found.size, found.local_rank, found.local_size) == ("srun", 1, 3, 1, 3)
    assert (found.nodes, found.address, found.hosted) == (1, LOOPBACK, False)


def test_a_step_over_two_nodes_meets_on_the_first_at_a_port_of_its_own(monkeypatch):
    monkeypatch.setenv("PATH", "")  # no scontrol: the list is read without it
    over_two = {**SRUN, "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_TASKS_PER_NODE": "2,1", "SLURM_NODEID": "1"}
    found = started_group({**over_two, "SLURM_STEP_NODELIST": "n[01-02]"})
    assert (found.nodes, found.local_size, found.address) == (2, 1, "n01")
    ports = {started_group({**over_two, "SLURM_JOB_ID": job, "MASTER_ADDR": "n1"}).port for job in ("7", "8", "9")}
    assert len(ports) == 3
    assert all(20_000 <= port < 32_000 for port in ports)
    assert started_group({**over_two, "MASTER_PORT": "4711"}).port == 4711
    # Ports of two steps may be the same one; their processes are not taken for one another then.
    assert len({started_group({**over_two, "SLURM_STEP_ID": step}).space for step in ("0", "1")}) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"SLURM_STEP_ID": None},  # a batch script without srun
        {"SLURM_STEP_ID": "4294967290"},  # the shell of salloc
        {"SLURM_STEP_NUM_TASKS": None, "SLURM_NTASKS": "3"},
        {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},  # a single task
    ],
)
def test_what_slurm_says_elsewhere_is_no_group(changes):
    told = {**SRUN, **changes}
    assert started_group({name: value for name, value in told.items() if value is not None}) is None


def test_the_processes_of_mpirun():
    found = started_group(MPIRUN)
    assert (found.launcher, found.rank, found.size, found.address) == ("mpirun", 1, 2, LOOPBACK)
    with pytest.raises(SpecError, match="do not know where to meet"):
        started_group({**MPIRUN, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"})


@pytest.mark.parametrize(
    "left_over",
    [
        {"WORLD_SIZE": "2"},
        {"WORLD_SIZE": " 3 "},
        {"WORLD_SIZE": "64", "RANK": "0", "MASTER_ADDR": "localhost"},
        {"RANK": "1"},
        {"LOCAL_RANK": "1"},
        {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"},
        {"WORLD_SIZE": "2", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"},
    ],
)
def test_a_part_of_a_group_is_refused(monkeypatch, left_over):
    with pytest.raises(SpecError, match="do not describe a group") as caught:
        started_group(left_over)
    assert "--processes" in caught.value.hint
    for name, value in left_over.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match="do not describe a group"):
        refuse_foreign_group()


@pytest.mark.parametrize(
    "harmless",
    [
        *({"WORLD_SIZE": size} for size in ("", "1", "0", "-1", "two", "2.0", "٣")),
        {"RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1"},
        {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
        {**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"},
    ],
)
def test_what_names_no_other_process_is_let_be(harmless):
    assert started_group(harmless) is None


def test_the_lonely_process_of_accelerate_launch_is_refused():
    with pytest.raises(SpecError, match="started this one alone") as caught:
        started_group(ACCELERATE_ALONE)
    assert "--multi_gpu" in caught.value.hint
    assert started_group({name: ACCELERATE_ALONE[name] for name in ACCELERATE_ALONE if "MASTER" not in name}) is None


def test_a_group_is_refused_where_nobody_has_adopted_it(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match="one of 4 that another launcher started") as caught:
        refuse_foreign_group()
    assert "torchrun … -m bench run" in caught.value.hint
    for name, value in adoption(group()).items():
        monkeypatch.setenv(name, value)
    refuse_foreign_group()
    assert adopted_group() == group()


def test_a_run_has_the_processes_of_its_group(monkeypatch):
    assert processes_of_run(None, None) is None
    assert processes_of_run(2, 1) == 2
    for name, value in adoption(group()).items():
        monkeypatch.setenv(name, value)
    assert processes_of_run(None, None) == processes_of_run(4, 2) == 4
    for asked, name in (((2, None), "processes"), ((None, 1), "nodes")):
        with pytest.raises(SpecError, match=f"--{name} . was asked for, but srun started 4 processes on 2 node"):
            processes_of_run(*asked)


def test_several_nodes_need_a_launcher():
    with pytest.raises(SpecError, match="one machine only") as caught:
        processes_of_run(8, 2)
    assert "srun" in caught.value.hint


def test_slurms_short_notation(monkeypatch):
    assert [tasks_of_node("2(x3),1", node) for node in range(5)] == [2, 2, 2, 1, None]
    assert tasks_of_node("", 0) is None
    names = {"n1": "n1", "n[1-2,5],m3": "n1", "gpu[001-003]": "gpu001", "a,b": "a", "": "", "n[3,5]": "n3"}
    assert {nodes: first_node(nodes) for nodes in names} == names
    monkeypatch.setenv("PATH", "")
    assert first_node_address("n[1-2]") == "n1"


def test_a_node_is_reached_where_slurm_says(tmp_path, monkeypatch):
    """A script stands in for scontrol."""
    script = tmp_path / "scontrol"
    script.write_text(
        '#!/bin/sh\ncase "$2" in hostnames) echo m7; echo m8;; node) echo "NodeName=$3 NodeAddr=10.1.2.3";; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert first_node_address("m[7-8]") == "10.1.2.3"
