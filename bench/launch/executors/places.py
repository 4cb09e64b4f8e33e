"""Places of this machine for jobs: whole GPUs, MIG instances, shares of a large GPU, and slots of the CPU.

A job of one process has a GPU to itself, a job of N processes has N. Only where more jobs are asked for at a time than
there are GPUs do several share one: those of which earlier runs have told how much memory they take, where as much is
free.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.core.errors import SpecError
from bench.core.machine import CORES_VARIABLE, usable_cores
from bench.core.text import capital, echoed
from bench.experiment.devices import MIG, VISIBLE, device_shares
from bench.launch.executors.gpu_memory import Gpu, free_memory, gpus
from bench.launch.jobs import Job, LaunchOptions

CPU = "cpu"
ORDER = "CUDA_DEVICE_ORDER"
THREADS = "OMP_NUM_THREADS"

CONTEXT_BYTES = 1 << 30
"""What a process takes on a GPU besides its tensors: its CUDA context and the kernels of the libraries."""

SPARE = 1.2
"""What is kept for a job over its known peak: blocks of memory that are not quite filled, a longer batch."""

MEASURED_SECONDS = 5.0
"""How old what was measured of free memory may be."""


@dataclass(frozen=True)
class Place:
    """A part of this machine that a job has.

    Attributes:
        devices: Names of its GPUs or MIG instances; none for a job on the CPU.
        cores: Cores that are its share; None for all.
        by_bus: Whether the names are numbers that count GPUs by their place on the bus.
    """

    devices: tuple[str, ...]
    cores: int | None = None
    by_bus: bool = False

    @property
    def said(self) -> str:
        """The place in a few words, for people."""
        return f"GPU {', '.join(self.devices)}" if self.devices else CPU

    @property
    def environment(self) -> dict[str, str | None]:
        """Variables that keep a process within it; threads of OpenMP that the user has set stand."""
        found: dict[str, str | None] = {VISIBLE: ",".join(self.devices)} if self.devices else {}
        if self.devices and self.by_bus:
            found[ORDER] = "PCI_BUS_ID"
        if self.cores is not None:
            found[CORES_VARIABLE] = str(self.cores)
            if THREADS not in os.environ:
                found[THREADS] = str(self.cores)
        return found


@dataclass
class Machine:
    """What is known of this machine; a test may say something else.

    Attributes:
        gpus: Tells its GPUs; None where nothing can tell.
        free: Tells the free bytes of each at this moment.
        cores: Cores that may be used.
        visible: What the user's ``CUDA_VISIBLE_DEVICES`` says, if it is set.
    """

    gpus: Callable[[], Sequence[Gpu] | None] = gpus
    free: Callable[[], Mapping[str, int]] = free_memory
    cores: int = field(default_factory=usable_cores)
    visible: str | None = field(default_factory=lambda: os.environ.get(VISIBLE))


Held = Mapping[str, tuple[Job, Place]]
"""The jobs that have a place, and which, by the jobs' keys."""


class Places:
    """The places of this machine, and which job has which.

    Args:
        options: ``jobs`` and ``devices`` of these are heeded.
        machine: The machine.
    """

    def __init__(self, options: LaunchOptions, machine: Machine | None = None) -> None:
        self.limit, self.asked = options.jobs, options.devices
        self.machine = machine or Machine()
        self._held: dict[str, tuple[Job, Place]] = {}
        self._found: dict[str, Place] = {}
        self._devices: list[str] | None = None
        self._free_at_first: Mapping[str, int] = {}
        self._free: tuple[float, Mapping[str, int]] = (-math.inf, {})

    def room(self, jobs: Sequence[Job]) -> bool:
        """Whether there are places for all these jobs.

        Raises:
            SpecError: If there can never be one for the last of them.
        """
        self.check(jobs[-1])
        held, found = dict(self._held), {}
        for job in jobs:
            place = self._place(job, held)
            if place is None:
                return False
            held[job.key], found[job.key] = (job, place), place
        self._found = found
        return True

    def take(self, job: Job) -> Place:
        """Give a job the place that :meth:`room` found for it: memory that is free may be less by now."""
        place = self._found.pop(job.key)
        self._held[job.key] = (job, place)
        return place

    def leave(self, key: str) -> None:
        """Take the place back of a job that has ended."""
        del self._held[key]

    def neighbours(self, key: str) -> list[str]:
        """The jobs that share a GPU with this one."""
        mine = set(self._held[key][1].devices)
        return [other for other, (_, place) in self._held.items() if other != key and mine & set(place.devices)]

    def check(self, job: Job) -> None:
        """Refuse a job that can never have a place here.

        Raises:
            SpecError: If it wants more machines or GPUs than there are, or several of what CUDA shows one at a time.
        """
        if job.nodes > 1:
            raise SpecError(
                f"{capital(job.name)} wants {job.nodes} machines, but --launcher local is this one alone.",
                "Use --launcher slurm, or --nodes 1.",
            )
        if job.device == CPU:
            return
        if self.asked == (CPU,):
            raise SpecError(
                f"{capital(job.name)} runs on a GPU, but --devices says cpu.", "Add --device cpu, or name GPUs."
            )
        device_shares(self.devices, 1, job.processes)

    @property
    def devices(self) -> list[str]:
        """Names of the GPUs and MIG instances that jobs may have.

        Raises:
            SpecError: If nothing tells which there are, or one that the user named is not there.
        """
        if self._devices is None:
            self._devices = self._find_devices()
            if (self.limit or 0) > len(self._devices):
                # Before the first of several jobs takes its part.
                self._free_at_first = self.machine.free()
        return self._devices

    def _find_devices(self) -> list[str]:
        there = self.machine.gpus()
        named = self._named()
        if named is None:
            if there is None:
                raise SpecError("Which GPUs there are cannot be told without nvidia-smi.", "Name them: --devices 0,1.")
            return [name for gpu in there for name in (gpu.instances or (gpu.index,))]
        for name in named if there is not None else ():
            if not any(gpu.is_called(name) for gpu in there or ()):
                known = ", ".join(name for gpu in there or () for name in gpu.names) or "none"
                raise SpecError(f"There is no GPU '{echoed(name)}' on this machine.", f"There are: {known}.")
        return named

    def _named(self) -> list[str] | None:
        """The GPUs that the user named, on the command line or in the environment."""
        if self.asked is not None:
            return [name for name in dict.fromkeys(self.asked) if name != CPU]
        if self.machine.visible is not None:
            words = (word.strip() for word in self.machine.visible.split(","))
            return [word for word in dict.fromkeys(words) if word]
        return None

    def _place(self, job: Job, held: Held) -> Place | None:
        """Where a job can be beside those that have a place; None if nowhere."""
        if self.limit is not None and len(held) >= self.limit:
            return None
        if job.device == CPU:
            others = sum(not place.devices for _, place in held.values())
            return None if self.limit is None and others else Place((), self._share(self.limit or 1, job))
        devices = self._free_devices(job, held)
        if devices is None:
            return None
        by_bus = self.machine.visible is None and ORDER not in os.environ
        return Place(tuple(devices), self._share(self.limit or len(self.devices), job), by_bus)

    def _share(self, jobs: int, job: Job) -> int | None:
        """The cores of a job where so many run at a time; None for one that has all."""
        processes = job.processes if job.device != CPU else 1
        return max(1, self.machine.cores * processes // jobs) if jobs > processes else None

    def _free_devices(self, job: Job, held: Held) -> list[str] | None:
        on = {name: [other for other, place in held.values() if name in place.devices] for name in self.devices}
        empty = [name for name in self.devices if not on[name]]
        if len(empty) >= job.processes:
            return empty[: job.processes]
        if job.processes > 1:
            return None
        by_load = sorted(self.devices, key=lambda name: len(on[name]))
        return next(([name] for name in by_load if self._can_share(name, job, on[name])), None)

    def _can_share(self, name: str, job: Job, others: Sequence[Job]) -> bool:
        """Whether the memory of a GPU is enough for one more job, as far as it was measured."""
        most = math.ceil((self.limit or 0) / len(self.devices))
        needs = [bytes_needed(it) for it in (job, *others)]
        if name.startswith(MIG) or len(others) >= most or None in needs or any(it.processes > 1 for it in others):
            return False
        known = [need for need in needs if need is not None]
        # What others were given need not be taken yet, and somebody else may have taken some meanwhile.
        return sum(known) <= _of(name, self._free_at_first) and known[0] <= _of(name, self._free_now())

    def _free_now(self) -> Mapping[str, int]:
        when, free = self._free
        if time.monotonic() - when > MEASURED_SECONDS:
            free = self.machine.free()
            self._free = (time.monotonic(), free)
        return free


def bytes_needed(job: Job) -> int | None:
    """Bytes of a GPU that are kept for a job; None where nobody knows, so that it has a whole one."""
    return None if job.memory is None else int(SPARE * job.memory) + CONTEXT_BYTES


def _of(name: str, free: Mapping[str, int]) -> int:
    """The free bytes of a GPU, whose name may be the beginning of its UUID; none where nothing was measured."""
    called = (number for known, number in free.items() if known == name or ("-" in name and known.startswith(name)))
    return next(called, 0)
