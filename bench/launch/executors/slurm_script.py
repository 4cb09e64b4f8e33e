"""The script that sbatch is given for an array of jobs, each ``python -m bench job FILE``."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.core.errors import SpecError
from bench.launch.executors.slurm_options import SlurmOptions, python_command, slurm_options
from bench.launch.jobs import Job, LaunchOptions
from bench.launch.one_job import job_file

ARRAY_SIZE = 1000
"""Jobs of one array at most: Slurm's own default (``MaxArraySize`` 1001)."""

# The batch shell hears the signals, as it can put its own job back into the queue when the program has saved its state;
# Slurm does that by itself for a job that it preempts, of which it tells by SIGTERM.
COMMAND = """\
file=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {jobs})
stop= job=
ask() {{ stop=$1; if [ -n "$job" ]; then {pass_on}; fi; }}
trap 'ask out-of-time' USR1
trap 'ask stopped' TERM
{start} -m bench job "$file" &
job=$!
if [ -n "$stop" ]; then ask "$stop"; fi
while true; do
    wait "$job"
    code=$?
    kill -0 "$job" 2>/dev/null || break
done
job=
if [ "$stop" = out-of-time ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ] &&
    grep -q InterruptedRunError "${{file%.json}}.ended.json"; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code\""""


@dataclass(frozen=True, order=True)
class Shape:
    """What of a machine all jobs of one array need.

    Attributes:
        nodes: Machines.
        processes: Processes, on all machines together.
        gpu: Whether each has a GPU.
    """

    nodes: int
    processes: int
    gpu: bool


def shape_of(job: Job, options: SlurmOptions) -> Shape:
    """What a job needs.

    Raises:
        SpecError: If its processes cannot be spread evenly over its nodes.
    """
    # A job of one process beside those of the runs (features, for example) needs no second machine.
    nodes = job.nodes if job.nodes > 1 or job.processes == 1 else options.nodes
    if job.processes % nodes:
        raise SpecError(
            f"{job.processes} processes of {job.name} cannot be spread evenly over {nodes} nodes.",
            "Give a --processes that is a multiple of --nodes.",
        )
    return Shape(nodes, job.processes, job.device == "cuda")


def arrays_of(jobs: Sequence[Job], options: SlurmOptions) -> Iterator[tuple[Shape, list[Job]]]:
    """The arrays that jobs are submitted as: one for each shape, and several where there are very many."""

    def shape(job: Job) -> Shape:
        return shape_of(job, options)

    for found, group in groupby(sorted(jobs, key=shape), key=shape):
        alike = list(group)
        for start in range(0, len(alike), ARRAY_SIZE):
            yield found, alike[start : start + ARRAY_SIZE]


@dataclass(frozen=True)
class ArrayFolder:
    """The files of one array: the list of its jobs, its script, its id in Slurm, and what its jobs write.

    Attributes:
        path: The folder, whose name is the array's name in Slurm too.
    """

    path: Path

    @classmethod
    def new(cls, folder: Path) -> ArrayFolder:
        """The folder of a new array among the jobs of an engine's folder; its name is in use nowhere else."""
        return cls(folder.absolute() / "slurm" / f"bench-{secrets.token_hex(5)}")

    @property
    def name(self) -> str:
        """The array's name in Slurm."""
        return self.path.name

    @property
    def jobs(self) -> Path:
        """Lists the files of its jobs, one on a line, in the order of the array."""
        return self.path / "jobs.txt"

    @property
    def script(self) -> Path:
        """What sbatch is given."""
        return self.path / "script.sh"

    @property
    def id(self) -> Path:
        """Holds the array's id in Slurm, once sbatch has told it."""
        return self.path / "id.txt"


def array_script(
    options: SlurmOptions, shape: Shape, count: int, array: ArrayFolder, at_a_time: int | None = None
) -> str:
    """The script of one array.

    Args:
        options: What Slurm is asked for.
        shape: What each job needs.
        count: Jobs of the array.
        array: Its files; none need be there yet.
        at_a_time: Jobs that run at a time, at most.

    Raises:
        SpecError: If submitit is not installed.
    """
    per_node = shape.processes // shape.nodes
    several = shape.nodes > 1
    cpus = options.cpus and (options.cpus if several else options.cpus * shape.processes)
    others: dict[str, Any] = {
        "output": f"{str(array.path).replace('%', '%%')}/%a.log",
        "signal": f"B:USR1@{options.notice}",
        "requeue": True,
        **({"time": options.time} if options.time else {}),
        **({"mem": options.memory} if options.memory else {}),
        **options.sbatch,
    }
    return _script_maker()(
        command=_command(options, shape, array, cpus),
        folder=array.path,
        job_name=array.name,
        partition=options.partition,
        account=options.account,
        qos=options.qos,
        time=None,
        wckey=None,
        nodes=shape.nodes,
        ntasks_per_node=per_node if several else 1,
        cpus_per_task=cpus,
        gres=options.gres(per_node) if shape.gpu else None,
        setup=list(options.setup) or None,
        map_count=count,
        array_parallelism=at_a_time or count,
        stderr_to_stdout=True,
        use_srun=False,
        additional_parameters={name: value for name, value in others.items() if value is not False},
    )


def _command(options: SlurmOptions, shape: Shape, array: ArrayFolder, cpus: int | None) -> str:
    start, pass_on = python_command(options), 'kill -TERM "$job"'
    if shape.nodes > 1:
        # srun no longer takes the cores of a task from its batch job. A process that saves its state must not be ended
        # because another one has done so already.
        of_task = f"--cpus-per-task={cpus} " if cpus else ""
        start = f"srun --kill-on-bad-exit=0 {of_task}{start}"
        pass_on = 'scancel --signal=TERM "$SLURM_JOB_ID"'
    return COMMAND.format(jobs=shlex.quote(str(array.jobs)), start=start, pass_on=pass_on, restarts=options.restarts)


def _script_maker() -> Callable[..., str]:
    """The maker of such scripts; it alone of submitit is needed, whose jobs are pickled functions."""
    try:
        from submitit.slurm import slurm
    except ImportError as error:
        raise SpecError(f"--launcher slurm needs submitit: {error}.", "pip install 'lungbench[slurm]'") from None
    return slurm._make_sbatch_string


def sbatch_script(options: LaunchOptions, jobs: Sequence[Job], folder: Path) -> str:
    """What sbatch would be given for some jobs, without any Slurm: one script for each array.

    Args:
        options: Where and how jobs are carried out.
        jobs: The jobs.
        folder: Where their files would be.

    Raises:
        SpecError: For options that do not exist, or jobs that no Slurm could carry out.
    """
    asked = slurm_options(options.slurm)
    scripts = []
    for shape, alike in arrays_of(jobs, asked):
        array = ArrayFolder(folder.absolute() / "slurm" / "bench-ARRAY")
        files = "".join(f"#   {job_file(folder.absolute(), job.key)}\n" for job in alike[:3])
        more = f"#   and {len(alike) - 3} more\n" if len(alike) > 3 else ""
        scripts.append(f"{array_script(asked, shape, len(alike), array, options.jobs)}\n# jobs.txt:\n{files}{more}")
    return "\n".join(scripts)
