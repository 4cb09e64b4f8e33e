"""The Accelerator of a run: what the spec asks for, whatever the environment says."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    DynamoBackend,
    GradientAccumulationPlugin,
    TorchDynamoPlugin,
)

from bench.core.environment import keep_launchers_out
from bench.core.errors import RunError
from bench.engine.arithmetic import log_attention, set_arithmetic
from bench.engine.distributed import own_group
from bench.engine.freed_memory import keep_freed_memory
from bench.experiment.spec import RunSpec

logger = logging.getLogger(__name__)

HINT = "Unset the ACCELERATE_ variables of the environment, and use a process that has run nothing else."


def build_accelerator(spec: RunSpec, processes: int) -> Accelerator:
    """Build the Accelerator of a spec and make sure that it is what was asked for.

    Accelerate takes what it is not told from variables of the environment, and some of them overrule what it is told:
    they are forgotten first, everything that changes numbers is told, and all of it is compared in the end.

    Args:
        spec: The spec of the run: device and precision.
        processes: Number of processes that share the run.

    Raises:
        RunError: If the Accelerator is not what was asked for; the difference is named.
    """
    set_arithmetic(spec)
    keep_launchers_out(own_group())
    try:
        accelerator = Accelerator(
            cpu=spec.distribution.device == "cpu",
            mixed_precision=_mixed_precision(spec),
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            dynamo_plugin=TorchDynamoPlugin(backend=DynamoBackend.NO),
            # Every process computes the statistics of the global batch: its buffers need not come from another one.
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
    except ValueError as error:
        raise RunError(
            f"Accelerate cannot be set up for {spec.distribution.device} in {spec.precision}: {error}", HINT
        ) from error
    _check_accelerator(accelerator, spec, processes)
    log_attention(accelerator.device, spec.precision)
    if accelerator.device.type == "cpu" and spec.distribution.keep_memory:
        keep_freed_memory()
    logger.debug(
        "process %d of %d computes on %s in %s with %d threads",
        *(accelerator.process_index + 1, accelerator.num_processes, accelerator.device, spec.precision),
        torch.get_num_threads(),
    )
    return accelerator


def _mixed_precision(spec: RunSpec) -> str:
    return "no" if spec.precision == "fp32" else spec.precision


def prepared(accelerator: Accelerator, graph: Any, optimizer: Any) -> tuple[Any, Any]:
    """Wrap model and optimiser for precision and distribution.

    Args:
        accelerator: From :func:`build_accelerator`.
        graph: Model and method as one module.
        optimizer: Its optimiser.
    """
    with warnings.catch_warnings():
        # Newer versions of torch have another name for it, which Accelerate does not hand on yet.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        wrapped: tuple[Any, Any] = accelerator.prepare(graph, optimizer)
    return wrapped


def _check_accelerator(accelerator: Accelerator, spec: RunSpec, processes: int) -> None:
    """Compare an Accelerator with its spec, so that a version of Accelerate that reads more is found out."""
    several = DistributedType.MULTI_CPU if spec.distribution.device == "cpu" else DistributedType.MULTI_GPU
    state = accelerator.state
    plugins = ("deepspeed_plugin", "fsdp_plugin", "megatron_lm_plugin", "parallelism_config")
    wanted_and_found = {
        "processes": (processes, accelerator.num_processes),
        "device": (spec.distribution.device, accelerator.device.type),
        "precision": (_mixed_precision(spec), accelerator.mixed_precision),
        "gradient accumulation": (1, accelerator.gradient_accumulation_steps),
        "compiler": (DynamoBackend.NO, state.dynamo_plugin.backend),
        "distribution": (several if processes > 1 else DistributedType.NO, accelerator.distributed_type),
        "plug-ins": ([], [name for name in plugins if getattr(state, name, None) is not None]),
    }
    for name, (wanted, found) in wanted_and_found.items():
        if wanted != found:
            raise RunError(f"Accelerate has {name} {found} where the run has {wanted}.", HINT)
