"""The group of processes that another launcher started this process in: torchrun, accelerate launch, srun, mpirun.

Every process of such a group is given the same command. A command that serves groups adopts its group: the first
process does the work, the others lend it their ranks (:mod:`bench.launch.adopted`). What a launcher says is believed
where it is complete; a part of it alone is left over from something else, and refused.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from bench.core.errors import SpecError
from bench.core.slurm_nodes import first_node_address, tasks_of_node
from bench.core.text import counted_noun, whole_number

ADOPTED_VARIABLE = "BENCH_ADOPTED_GROUP"
"""Describes the group that a command has adopted, to itself and to the processes that its first process starts."""

LOOPBACK = "127.0.0.1"
RESERVED_STEPS = 0xFFFF_FFF0
"""From here on Slurm's step ids mean no ``srun``: batch scripts, interactive shells, the external step."""

FIRST_PORT, PORTS = 20_000, 12_000
"""Where ports are taken from where nobody names one: below those that Linux hands out by itself."""


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
    """A group of processes as one of them sees it.

    Attributes:
        launcher: Who started it, for people and for what launchers do differently.
        rank: Which of the group this process is; 0 is the first.
        size: How many there are.
        local_rank: Which of those on this machine it is.
        local_size: How many are on this machine.
        nodes: On how many machines the group is.
        address: Where the processes meet.
        port: The port there.
        hosted: Whether the launcher answers there; otherwise the first process does.
        space: What stands before the names of everything that the group tells one another there, so that a second
            command of the same processes is not taken for the first.
    """

    launcher: str
    rank: int
    size: int
    local_rank: int
    local_size: int
    nodes: int
    address: str
    port: int
    hosted: bool = False
    space: str = "bench"

    @property
    def on_this_machine(self) -> bool:
        """Whether all processes meet on this machine's loopback interface, which nobody else reaches."""
        return self.nodes == 1 or self.address == LOOPBACK

    def in_space(self, space: str) -> ProcessGroup:
        """The same group with another space."""
        return replace(self, space=space)


def adopted_group() -> ProcessGroup | None:
    """The group that this command has adopted, in its first process and in those that this one starts; else None."""
    text = os.environ.get(ADOPTED_VARIABLE)
    return None if text is None else ProcessGroup(**json.loads(text))


def adoption(group: ProcessGroup) -> dict[str, str]:
    """The variable by which :func:`adopted_group` knows a group."""
    return {ADOPTED_VARIABLE: json.dumps(asdict(group))}


def started_group(environment: Mapping[str, str] = os.environ) -> ProcessGroup | None:
    """The group of more than one process that a launcher started this process in; None where it is alone.

    Raises:
        SpecError: If the environment holds a part of what describes a group, or a group that cannot meet.
    """
    found = _of_torch(environment) or _of_slurm(environment) or _of_openmpi(environment)
    if found is None:
        _refuse_left_over(environment)
        _refuse_lone_accelerate(environment)
    return found


def refuse_foreign_group() -> None:
    """Refuse to be one of several processes that another launcher started, where nobody has adopted the group.

    Each of them would be a run of its own, and all would wait for the first. Tasks of Slurm and of MPI are no such
    group: they may be workers that have nothing to do with one another.

    Raises:
        SpecError: If the environment describes a group of torch's launchers, or a part of one.
    """
    if adopted_group() is not None:
        return
    group = _of_torch(os.environ)
    if group is not None:
        raise SpecError(
            f"This process is one of {group.size} that another launcher started (WORLD_SIZE={group.size}), "
            "which share a run only where they were started as `bench run`.",
            f"Use `{group.launcher} … -m bench run …`, or give this once, with --processes {group.size}.",
        )
    _refuse_left_over(os.environ)
    _refuse_lone_accelerate(os.environ)


def processes_of_run(processes: int | None, nodes: int | None) -> int | None:
    """How many processes share a run: what was asked for, or those of the group that this command has adopted.

    Args:
        processes: What was asked for; None where nothing was.
        nodes: On how many machines; None where nothing was said.

    Raises:
        SpecError: If the group is not as asked for, or machines are asked for and there is no group.
    """
    group = adopted_group()
    if group is None:
        if nodes is not None and nodes != 1:
            raise SpecError(
                f"--nodes {nodes} was asked for, but bench starts the processes of a run on one machine only.",
                "Start it on each with `srun bench run …` or `torchrun --nnodes … -m bench run …`, or let "
                "`bench reproduce --launcher slurm --nodes …` do it.",
            )
        return processes
    wanted_and_found = {"processes": (processes, group.size), "nodes": (nodes, group.nodes)}
    for name, (wanted, found) in wanted_and_found.items():
        if wanted is not None and wanted != found:
            raise SpecError(
                f"--{name} {wanted} was asked for, but {group.launcher} started "
                f"{counted_noun(group.size, 'process')} on {counted_noun(group.nodes, 'node')}.",
                f"Leave --{name} out, or tell {group.launcher}.",
            )
    return group.size


def _number(environment: Mapping[str, str], name: str) -> int | None:
    try:
        return whole_number(environment[name])
    except (KeyError, ValueError):
        return None


def _of_torch(environment: Mapping[str, str]) -> ProcessGroup | None:
    """The group that torch's variables describe: those of torchrun, of accelerate launch, or set by hand."""
    rank, size = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    address, port = environment.get("MASTER_ADDR"), _number(environment, "MASTER_PORT")
    if rank is None or size is None or not address or port is None or size < 2 or not 0 <= rank < size:
        return None
    local_size = _number(environment, "LOCAL_WORLD_SIZE") or _local_size(environment, size, address)
    local_rank = _number(environment, "LOCAL_RANK")
    nodes = _number(environment, "GROUP_WORLD_SIZE") or -(-size // local_size)
    hosted = environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return ProcessGroup(
        launcher=_torch_launcher(environment),
        rank=rank,
        size=size,
        local_rank=rank % local_size if local_rank is None else local_rank,
        local_size=local_size,
        nodes=nodes,
        address=LOOPBACK if nodes == 1 and not hosted else address,
        port=port,
        hosted=hosted,
        space=f"bench/{environment.get('TORCHELASTIC_RESTART_COUNT', '0')}",
    )


def _torch_launcher(environment: Mapping[str, str]) -> str:
    if "TORCHELASTIC_RUN_ID" not in environment:
        return "srun" if "SLURM_STEP_ID" in environment else "torchrun"
    return "accelerate launch" if "ACCELERATE_MIXED_PRECISION" in environment else "torchrun"


def _local_size(environment: Mapping[str, str], size: int, address: str) -> int:
    """Processes of this machine where torch's variables do not say how many there are."""
    if _number(environment, "SLURM_STEP_NUM_TASKS") == size:
        return _tasks_here(environment)
    return size if address in (LOOPBACK, "localhost", "::1") else 1


def _tasks_here(environment: Mapping[str, str]) -> int:
    node = _number(environment, "SLURM_NODEID") or 0
    return tasks_of_node(environment.get("SLURM_STEP_TASKS_PER_NODE", ""), node) or 1


def _of_slurm(environment: Mapping[str, str]) -> ProcessGroup | None:
    """The tasks of a job step; a batch script and the shell of ``salloc`` are none."""
    step, rank = _number(environment, "SLURM_STEP_ID"), _number(environment, "SLURM_PROCID")
    size, local_rank = _number(environment, "SLURM_STEP_NUM_TASKS"), _number(environment, "SLURM_LOCALID")
    if step is None or rank is None or size is None or local_rank is None:
        return None
    if step >= RESERVED_STEPS or size < 2 or not 0 <= rank < size:
        return None
    nodes = _number(environment, "SLURM_STEP_NUM_NODES") or 1
    job = _number(environment, "SLURM_JOB_ID") or 0
    return ProcessGroup(
        launcher="srun",
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=size if nodes == 1 else _tasks_here(environment),
        nodes=nodes,
        address=LOOPBACK if nodes == 1 else _slurm_address(environment),
        port=_number(environment, "MASTER_PORT") or FIRST_PORT + (job * 101 + step) % PORTS,
        space=f"bench/{job}.{step}",
    )


def _slurm_address(environment: Mapping[str, str]) -> str:
    address = environment.get("MASTER_ADDR")
    return address or first_node_address(environment.get("SLURM_STEP_NODELIST", ""))


def _of_openmpi(environment: Mapping[str, str]) -> ProcessGroup | None:
    """The processes of Open MPI's ``mpirun``."""
    names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    rank, size, local_rank, local_size = (_number(environment, f"OMPI_COMM_WORLD_{name}") for name in names)
    if rank is None or size is None or local_rank is None or not local_size or size < 2 or not 0 <= rank < size:
        return None
    nodes = -(-size // local_size)
    if nodes > 1 and "MASTER_ADDR" not in environment:
        raise SpecError(
            f"mpirun started {size} processes on several nodes, and they do not know where to meet.",
            "Say it to all of them: mpirun -x MASTER_ADDR=FIRST-NODE …; or use srun or torchrun.",
        )
    job = environment.get("PMIX_NAMESPACE", "") + environment.get("OMPI_MCA_ess_base_jobid", "")
    return ProcessGroup(
        launcher="mpirun",
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        nodes=nodes,
        address=LOOPBACK if nodes == 1 else environment["MASTER_ADDR"],
        port=_number(environment, "MASTER_PORT") or FIRST_PORT + zlib.crc32(job.encode()) % PORTS,
    )


def _refuse_left_over(environment: Mapping[str, str]) -> None:
    """Refuse variables that say that there are other processes, where nothing says where they are."""
    # A size of one, or a rank of nought, is what a process alone has too.
    several = {"WORLD_SIZE": 2, "RANK": 1, "LOCAL_RANK": 1}
    found = [f"{name}={environment[name]}" for name, least in several.items() if _at_least(environment, name, least)]
    if not found:
        return
    names = " ".join(name.partition("=")[0] for name in found)
    raise SpecError(
        f"{', '.join(found)} says that this process is one of several, but RANK, WORLD_SIZE, MASTER_ADDR and "
        "MASTER_PORT do not describe a group.",
        f"If left over, forget them (unset {names}); otherwise start the processes with torchrun, accelerate launch "
        "or srun, or give the command once, with --processes N.",
    )


def _at_least(environment: Mapping[str, str], name: str, least: int) -> bool:
    number = _number(environment, name)
    return number is not None and number >= least


def _refuse_lone_accelerate(environment: Mapping[str, str]) -> None:
    """Refuse the one process that ``accelerate launch`` starts on CPUs, however many were asked for."""
    # It says so only by the address of a group, which it gives to no process that is alone.
    of_its_simple_way = {"ACCELERATE_USE_CPU", "ACCELERATE_DYNAMO_MODE", "MASTER_ADDR", "MASTER_PORT"}
    if of_its_simple_way <= environment.keys() and not {"RANK", "WORLD_SIZE"} & environment.keys():
        raise SpecError(
            "accelerate launch was asked for several processes, but started this one alone.",
            "Add --multi_gpu to accelerate launch, which serves CPUs too, or give the command once, with "
            "--processes N and --device cpu.",
        )
