"""How a run is spread over devices, processes and memory: execution alone, which changes no result."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.fields import execution_field

MOST_PROCESSES = 1024


@dataclass(frozen=True, kw_only=True)
class DistributionOptions:
    """Device, processes, and what is held in memory at a time."""

    device: str = execution_field("cpu or cuda", "cpu", settable=False, choices=("cpu", "cuda"))
    processes: int = execution_field("number of processes", 1, settable=False, low=1, high=MOST_PROCESSES)
    eval_batch: int = execution_field("cycles per evaluation batch and process", 32, low=1, high=1_000_000)
    micro_batch: int = execution_field(
        "cycles of a batch that a process holds in memory at a time; 0: all of its cycles",
        0,
        since=3,
        low=0,
        high=1_000_000,
    )
    checkpointing: bool = execution_field(
        "compute activations a second time in the backward pass in place of keeping them in memory", False, since=3
    )
    checkpoint_minutes: float = execution_field(
        "minutes after which the state is saved, within an epoch too; 0: after each epoch",
        5.0,
        since=3,
        low=0.0,
        high=100_000.0,
    )
    bank_on_device: str = execution_field(
        "whether the feature bank lies in the device's memory: yes, no, or auto, on a GPU with room for it",
        "auto",
        since=6,
        choices=("auto", "yes", "no"),
    )
    compile: str = execution_field(
        "whether torch.compile makes kernels for the model's blocks: on, off, or auto, on a GPU for long runs",
        "off",
        since=6,
        choices=("auto", "on", "off"),
    )
    keep_memory: bool = execution_field(
        "whether a process on a CPU keeps the memory that a step frees for the next one, in place of giving it back",
        True,
        since=6,
    )
    deterministic: bool = execution_field(
        "use only operations that give the same numbers each time on the same machine, even where slower",
        False,
        since=6,
    )
    workers: int = execution_field("processes that prepare features; 0: one per core", 0, low=0, high=1024)
