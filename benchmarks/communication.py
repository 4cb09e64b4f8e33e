"""What the processes of a run send one another in a training step: counted in a real group of gloo on this machine."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import RunError

GRADIENTS, REDUCED, GATHERED = "gradients", "reduced", "gathered"
"""Kinds: gradients that DistributedDataParallel averages, other tensors that are reduced, rows that are gathered."""


@dataclass(frozen=True, kw_only=True)
class GroupCase:
    """A training step to count.

    Attributes:
        model: Model id.
        method: Method id.
        model_options: Options of the model.
        fields: Other fields of the spec, ``frontend_options`` too.
        steps: Steps after one that is not counted: in it what each layer draws is learnt, and buckets are made.
    """

    model: str
    method: str
    model_options: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 3


@dataclass(frozen=True, kw_only=True)
class ProcessFacts:
    """What one process of a group measured.

    Attributes:
        sent: Bytes of a step that this process puts into the group, by kind; before any algorithm multiplies them.
        calls: Collectives of a step by kind.
        parameters: Parameters that are trained.
        cpu_seconds: CPU time of a step in this process.
        seconds: Wall time of a step.
        batch: Cycles of a step in all processes together.
    """

    sent: Mapping[str, float]
    calls: Mapping[str, float]
    parameters: int
    cpu_seconds: float
    seconds: float
    batch: int


def measure_group(case: GroupCase, processes: int, context: Any = None) -> list[ProcessFacts]:
    """Train steps in a group of processes on this machine's CPU, one thread each.

    Args:
        case: What to train.
        processes: Number of processes; 1 for none but one.
        context: How they are started, a context of :mod:`multiprocessing`; None for interpreters of their own.

    Raises:
        RunError: If a process fails; its output says why.
    """
    context = context or multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        ranks = [context.Process(target=_process, args=(case, r, processes, folder)) for r in range(processes)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
        codes = [rank.exitcode for rank in ranks]
        if any(codes):
            raise RunError(f"Processes that count communication ended with {codes}.", "Their output says why.")
        return [ProcessFacts(**json.loads(Path(folder, f"{rank}.json").read_text())) for rank in range(processes)]


def _process(case: GroupCase, rank: int, processes: int, folder: str) -> None:
    import torch

    from bench.engine.distributed import STORE_VARIABLE, join_group, leave_group

    torch.set_num_threads(1)
    if processes > 1:
        named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        os.environ.update({name: str(value) for name, value in named.items()})
        os.environ.update({"GLOO_SOCKET_IFNAME": "lo", STORE_VARIABLE: f"{folder}/store"})
        join_group("cpu")
    facts = _facts(case, processes)
    leave_group()
    Path(folder, f"{rank}.json").write_text(json.dumps(asdict(facts)))


def _facts(case: GroupCase, processes: int) -> ProcessFacts:
    """Take the steps and count, in a process that has joined its group."""
    from bench.engine.first_step import FirstStep
    from bench.engine.made_up import made_up_data, made_up_spec

    spec = made_up_spec(case.model, case.method, case.model_options, **case.fields, processes=processes)
    batch = spec.sampling.batch
    training = FirstStep(spec, made_up_data(spec, batch), processes)
    sent, calls = Counter[str](), Counter[str]()
    with counted_collectives(training.steps.graph if processes > 1 else None, sent, calls):
        training.take()
        sent.clear()
        calls.clear()
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(case.steps):
            training.take()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    trained = [parameter for parameter in training.steps.bare.parameters() if parameter.requires_grad]
    return ProcessFacts(
        sent={kind: count / case.steps for kind, count in sent.items()},
        calls={kind: count / case.steps for kind, count in calls.items()},
        parameters=sum(parameter.numel() for parameter in trained),
        cpu_seconds=cpu / case.steps,
        seconds=wall / case.steps,
        batch=batch,
    )


@contextmanager
def counted_collectives(wrapped: Any, sent: Counter[str], calls: Counter[str]) -> Iterator[None]:
    """Count what this process sends in a block.

    Args:
        wrapped: The DistributedDataParallel whose gradients are counted; None without a group.
        sent: Takes bytes by kind.
        calls: Takes numbers of collectives by kind.
    """
    import torch.distributed as dist

    def note(kind: str, size: int) -> None:
        sent[kind] += size
        calls[kind] += 1

    before = {name: getattr(dist, name) for name in ("all_reduce", "all_gather")}
    if wrapped is not None:
        wrapped.register_comm_hook(None, _hook(note, before["all_reduce"]))
    dist.all_reduce = _noting(before["all_reduce"], lambda tensor, *_: note(REDUCED, tensor.nbytes))
    dist.all_gather = _noting(before["all_gather"], lambda _, tensor, *__: note(GATHERED, tensor.nbytes))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(dist, name, function)


def _noting(call: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def noted(*words: Any, **named: Any) -> Any:
        note(*words)
        return call(*words, **named)

    return noted


def _hook(note: Callable[[str, int], None], all_reduce: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A hook that averages a bucket of gradients over the processes, as torch does without one, and notes its bytes."""
    import torch.distributed as dist

    def averaged(bucket: Any) -> Any:
        buffer = bucket.buffer()
        note(GRADIENTS, buffer.nbytes)
        buffer.div_(dist.get_world_size())
        return all_reduce(buffer, async_op=True).get_future().then(lambda done: done.value()[0])

    # torch refuses a hook whose annotations are not its own classes.
    return lambda _state, bucket: averaged(bucket)
