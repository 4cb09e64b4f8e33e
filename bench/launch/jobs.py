"""Jobs and the engines that carry them out: what a scheduler of runs and an engine say to one another.

A job is the work of one process, as JSON, so that it can be carried out now or later, here or on another machine. An
engine starts jobs and tells how each ended. What it tells is a hint: whether a run is done is read from its result,
since every engine may lose sight of a process that has done its work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from bench.core.errors import BenchError
from bench.launch.child import Work

JobState = Literal["queued", "running"]
Crowd = Literal["device", "machine"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one process, and what it needs of a machine.

    Attributes:
        key: What it is called among the jobs of a matrix and in the names of its files: a run id, for example.
        module: The module whose ``main(task, parent)`` does it.
        task: What ``main`` is given; JSON.
        name: What it is called in messages, ``run 3f2a…``.
        label: What stands before each line that it logs.
        log: The file that keeps what it writes on stderr, an absolute path.
        device: ``cpu`` or ``cuda``.
        processes: Processes that share the run, each with a device of its own.
        nodes: Machines that these processes are spread over.
        memory: Bytes of GPU memory that such a run is known to take; None where nobody has measured it.
        timeout: Seconds from its start after which it is ended; None for never.
        environment: Variables that the process has besides those of the engine; None takes one away.
    """

    key: str
    module: str
    task: Mapping[str, Any]
    name: str
    label: str = ""
    log: Path
    device: str = "cpu"
    processes: int = 1
    nodes: int = 1
    memory: int | None = None
    timeout: float | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)

    def work(self, *, shown: bool, environment: Mapping[str, str | None] | None = None) -> Work:
        """The job as a child of this process.

        Args:
            shown: Whether what it writes on stderr is shown here too.
            environment: Variables that say which part of this machine is its own; they go over those of the job.
        """
        return Work(
            module=self.module,
            task=self.task,
            name=self.name,
            label=self.label,
            log=self.log,
            shown=shown,
            environment={**self.environment, **(environment or {})},
        )

    def to_json(self) -> dict[str, Any]:
        """The job as :meth:`from_json` reads it."""
        return {**asdict(self), "log": str(self.log)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` gave."""
        return cls(**{**document, "log": Path(document["log"])})

    def changed(self, **changes: Any) -> Self:
        """The same job with some attributes changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Ended:
    """How a job ended, as its engine saw it.

    Attributes:
        key: The job's key.
        error: What it ended with: a :class:`~bench.core.errors.LostProcessError` where it was killed or vanished, a
            :class:`~bench.core.errors.InterruptedRunError` where it was asked to stop and saved its state; None where
            its work is done.
        crowded: ``device`` or ``machine`` where memory of that ran out which other jobs had a part of; None otherwise.
    """

    key: str
    error: BenchError | None = None
    crowded: Crowd | None = None


class Executor(Protocol):
    """An engine that carries out jobs: this machine, Slurm, or a Dask cluster. Used as a ``with`` block.

    Attributes:
        name: What it is called in messages.
        outlives: Whether its jobs go on when this process ends, so that a Ctrl-C here leaves them alone.
    """

    name: str
    outlives: bool

    def __enter__(self) -> Self:
        """Make the engine ready; raises BenchError where it cannot be used."""

    def __exit__(self, *unused: object) -> None:
        """Let go of the engine; on this machine no job outlives it."""

    def room(self, jobs: Sequence[Job]) -> bool:
        """Whether the engine takes these jobs now, all of them; one that queues jobs by itself always does.

        Raises:
            SpecError: If the last of them can never be carried out here: more GPUs than there are.
        """

    def start(self, jobs: Sequence[Job]) -> None:
        """Start jobs, each of which :meth:`room` was said to be for; an engine with arrays makes one of them.

        Raises:
            BenchError: If the engine takes none of them.
        """

    def ended(self, seconds: float) -> Sequence[Ended]:
        """Wait at most so long, and give the jobs that ended meanwhile, each once."""

    def states(self) -> Mapping[str, tuple[JobState, str]]:
        """Of every job that was started and has not ended: whether it runs, and where (``GPU 2``, ``node n1``)."""

    def ask_to_stop(self, keys: Sequence[str] | None = None) -> None:
        """Ask jobs, all by default, to save their state and end; they are heard of in :meth:`ended`."""

    def end(self) -> None:
        """End all that this engine still has on this machine, without a wait."""


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """Where and how jobs are carried out.

    Attributes:
        launcher: ``local``, ``slurm`` or ``dask``.
        jobs: How many at a time; None for one per device (local), or as many as the engine takes.
        devices: Of ``local``: names of GPUs or MIG instances, or ``cpu``; None for all that are visible.
        retries: How often a job that was lost is started again.
        timeout: Seconds after which a job is ended; None for never.
        scheduler: Of ``dask``: the address of the scheduler.
        slurm: Of ``slurm``: options by name, over those of the user's file.
    """

    launcher: str = "local"
    jobs: int | None = None
    devices: tuple[str, ...] | None = None
    retries: int = 2
    timeout: float | None = None
    scheduler: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elsewhere(self) -> bool:
        """Whether jobs are carried out on other machines, which see of this one's disks only what they share."""
        return self.launcher != "local"
